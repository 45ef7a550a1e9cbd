"""Whether the trainers that `search.export` writes for can read what it writes."""
