"""Recipes for other tools: one writer per target, each a function of a recipe folder."""
