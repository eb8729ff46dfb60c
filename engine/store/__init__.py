"""The record of truth: documents, ids, vectors and the change log in one RocksDB."""
