"""A write, from documents to a committed change: checks, conditions, plans, the commit queue, the feed."""
