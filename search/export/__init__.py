"""Recipes for other tools: one writer per form, each a function of a recipe folder."""
