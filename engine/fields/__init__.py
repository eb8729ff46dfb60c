"""Scalar fields: columns, filters over them, and relations made of them."""
