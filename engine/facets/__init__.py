"""Counts and figures of fields under a filter, or of what a search has found."""
