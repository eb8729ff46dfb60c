"""Benchmarks; what they measure is printed by `make bench`."""

import engine.vector  # noqa: F401  (first: it tells OpenMP how to wait, and FAISS beside it is measured likewise)
