"""Jobs that are broken on purpose, and what becomes of them."""
