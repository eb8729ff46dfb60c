"""SQL over the collections: DuckDB reads Arrow columns of snapshots; see `engine.sql.engine`."""
