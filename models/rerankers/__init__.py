"""Rerankers: cross-encoder, late interaction, remote."""
