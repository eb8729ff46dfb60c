"""Searching on an accelerator; without one, the same code on torch's own "cpu"."""
