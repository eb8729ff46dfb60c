"""Benchmarks; what they measure is printed by `make bench`."""
