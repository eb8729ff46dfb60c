"""Queries only read, and reach nothing but the collections."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from engine import SqlEngine
from engine.errors import EngineError, SqlError
from engine.sql.functions import BOUNDED, FORMATTING, FUNCTIONS, OPERATORS, REPLACING, TABLE_FUNCTIONS

OUTSIDE = """
arrow_scan checkpoint copy_database current_query current_setting currval database_list disable_logging
duckdb_columns duckdb_databases duckdb_extensions duckdb_functions duckdb_logs duckdb_memory duckdb_secrets
duckdb_settings duckdb_tables duckdb_temporary_files duckdb_views enable_logging force_checkpoint from_substrait
getenv getvariable glob import_database json_deserialize_sql json_execute_serialized_sql json_serialize_plan
json_serialize_sql nextval pandas_scan parquet_metadata parquet_scan parquet_schema pg_sleep
pragma_database_size pragma_version python_arrow_scan python_map_function query query_table read_blob read_csv
read_csv_auto read_json read_json_auto read_ndjson read_parquet read_text repeat_row seq_scan setseed sleep_ms
sniff_csv summary test_all_types version which_secret write_log
""".split()
STATEMENTS = (
    """
INSERT INTO films VALUES ('x')|UPDATE films SET year = 1|DELETE FROM films|TRUNCATE films
MERGE INTO films USING films ON true|CREATE TABLE t (a INTEGER)|CREATE TEMP TABLE t AS SELECT 1
CREATE VIEW v AS SELECT 1|CREATE MACRO m(a) AS a|DROP TABLE films|CREATE SEQUENCE s|CREATE TYPE t AS ENUM ('a')
CREATE SCHEMA s|CREATE SECRET s (TYPE s3)|ALTER TABLE films ADD COLUMN a INTEGER|COPY films TO '/tmp/x.csv'
COPY (SELECT 1) TO '/tmp/x.csv'|COPY films FROM '/etc/passwd'|EXPORT DATABASE '/tmp/x'|IMPORT DATABASE '/tmp/x'
ATTACH '/tmp/x.db'|DETACH memory|USE memory|INSTALL httpfs|LOAD httpfs|FORCE INSTALL httpfs|PRAGMA version
PRAGMA database_list|SET threads = 1|SET VARIABLE a = 1|RESET threads|CALL pragma_version()|CHECKPOINT|VACUUM
ANALYZE|BEGIN|COMMIT|ROLLBACK|PREPARE p AS SELECT 1|EXECUTE p|DEALLOCATE p|COMMENT ON TABLE films IS 'x'
SELECT 1; DROP TABLE films|SELECT 1; SELECT 2|EXPLAIN DELETE FROM films
EXPLAIN ANALYZE COPY films TO '/tmp/x.csv'|WITH a AS (DELETE FROM films RETURNING *) SELECT * FROM a
SHOW ALL TABLES|SHOW DATABASES|/* a */ DROP TABLE films
""".replace("\n", "|")
    .strip("|")
    .split("|")
)
SOURCES = [
    "'/etc/passwd'",
    '"/etc/passwd"',
    "'/etc/*'",
    "'https://example.com/a.csv'",
    "'s3://bucket/a.parquet'",
    "pg_class",
    "pg_catalog.pg_tables",
    "information_schema.tables",
    "main.films",
    "memory.main.films",
    "sqlite_master",
    "duckdb_settings",
    "system.information_schema.columns",
    "films AT (VERSION => 1)",
]


@pytest.mark.parametrize("statement", STATEMENTS)
def test_no_statement_but_a_query_runs(sql: SqlEngine, statement: str) -> None:
    with pytest.raises(SqlError):
        sql.run(statement)
    assert sql.run("SELECT count(*) FROM films").rows() == [[3]]


@pytest.mark.parametrize("source", SOURCES)
def test_nothing_but_collections_is_read(sql: SqlEngine, source: str) -> None:
    for query in (
        f"SELECT * FROM {source}",
        f"WITH a AS (FROM {source}) SELECT * FROM a",
        f"DESCRIBE SELECT * FROM {source}",
    ):
        with pytest.raises(EngineError):
            sql.run(query)


def test_python_variables_are_no_tables(sql: SqlEngine) -> None:
    import pyarrow as pa

    secret = pa.table({"a": [1]})
    with pytest.raises(EngineError):
        sql.run("SELECT * FROM secret")
    assert len(secret) == 1


def functions() -> dict[str, set[str]]:
    """All functions of DuckDB by kind."""
    with duckdb.connect() as connection:
        found: dict[str, set[str]] = {}
        for kind, name in connection.execute("SELECT function_type, function_name FROM duckdb_functions()").fetchall():
            found.setdefault(kind, set()).add(name)
    return found


def test_what_reaches_outside_is_on_no_list() -> None:
    known = FUNCTIONS | TABLE_FUNCTIONS | set(BOUNDED) | FORMATTING | set(REPLACING)
    assert known & set(OUTSIDE) == set()
    reaching = ("read_", "duckdb_", "pragma_", "pg_", "parquet_", "has_", "inet_", "enable_", "disable_", "current_s")
    assert [name for name in known if name.startswith(reaching)] == []


def test_no_function_runs_that_is_not_listed(sql: SqlEngine) -> None:
    """All functions that DuckDB has, called as each kind of thing: those that are not listed are refused by name."""
    known = FUNCTIONS | OPERATORS | TABLE_FUNCTIONS | set(BOUNDED) | FORMATTING | set(REPLACING)
    refused = 0
    for kind, names in functions().items():
        for name in {*names, *OUTSIDE} - {other for other in names if other.lower() in known}:
            if not name.isidentifier() or name in known:
                continue
            call = f"\"{name}\"('x')"
            forms = (
                [f"FROM {call}"] if kind in ("table", "table_macro", "pragma") else [f"SELECT {call}", f"FROM {call}"]
            )
            for query in [*forms, f"SELECT (SELECT main.{call})"]:
                with pytest.raises(SqlError, match=r"not allowed|expected one of"):
                    sql.run(query)
                refused += 1
    assert refused > 1_000


def test_settings_cannot_be_changed_behind_the_guard(sql: SqlEngine, tmp_path: Path) -> None:
    """Even a query that the guard had let through would find DuckDB shut."""
    native = sql._connections._root
    target = tmp_path / "x.csv"
    for statement in (
        "SET enable_external_access = true",
        "SET memory_limit = '10GB'",
        "SELECT * FROM read_text('/etc/passwd')",
        f"COPY (SELECT 1) TO '{target}'",
        f"ATTACH '{tmp_path / 'x.db'}'",
        "INSTALL httpfs",
        "LOAD httpfs",
    ):
        with pytest.raises(duckdb.Error):
            native.execute(statement).fetchall()
    assert list(tmp_path.glob("x.*")) == []


def test_names_cannot_hide_duckdbs_own_tables(sql: SqlEngine) -> None:
    with pytest.raises(SqlError, match="pg_class"):
        sql.run("SELECT * FROM (WITH pg_class AS (SELECT 1) SELECT 1), pg_class")
