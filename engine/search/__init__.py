"""Searching a snapshot: nearest vectors, and everything that is composed of several rankings."""
