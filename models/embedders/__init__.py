"""Embedders, one implementation a module; each is imported where it is chosen."""
