"""LumaDB AI as ann-benchmarks (https://github.com/erikbern/ann-benchmarks) runs it, and a driver that does without.

`module.py`, `config.yml` and `Dockerfile` are what belongs into its `ann_benchmarks/algorithms/lumadb/`. The driver
follows its protocol on local data: fit once, then for each of the query arguments all queries one at a time on one
processor and the best of some runs, and all in one batch.
"""
