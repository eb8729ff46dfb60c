"""Immutable parts of a collection, the growing one before them, and the manifest that names them."""
