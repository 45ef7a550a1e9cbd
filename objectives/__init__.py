"""What a recipe is worth. The only room that imports torch, and only in the GPU process."""
