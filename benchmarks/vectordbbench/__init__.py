"""LumaDB AI as VectorDBBench (https://github.com/zilliztech/VectorDBBench) runs it: a client, its configurations.

In its tree the folder is `vectordb_bench/backend/clients/lumadb/`; from ours it is imported as it is.
"""
