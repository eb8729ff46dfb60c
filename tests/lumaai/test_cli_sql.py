"""`lumaai sql` and `lumaai query`, as a user at a terminal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import lumaai
from lumaai.cli.commands import app
from lumaai.cli.rows import Format
from lumaai.cli.shell import Shell


@pytest.fixture
def place(tmp_path: Path) -> str:
    with lumaai.Database(tmp_path / "db") as database:
        films = database.create_collection("films", embed={})
        films.add([{"id": "1", "title": "Alien", "year": 1979}, {"id": "2", "title": "Heat, 2", "year": 1995}])
    return str(tmp_path / "db")


def test_rows_as_a_table_json_and_csv(place: str) -> None:
    run = CliRunner().invoke
    asked = ["sql", "SELECT title, year FROM films WHERE year > ? ORDER BY year", "-p", "1900", "--db", place]
    assert run(app, asked).stdout.splitlines() == ["title    year", "─────    ────", "Alien    1979", "Heat, 2  1995"]
    assert run(app, [*asked, "-f", "csv"]).stdout.splitlines() == ["title,year", "Alien,1979", '"Heat, 2",1995']
    found = json.loads(run(app, [*asked, "-f", "json"]).stdout)
    assert found == [{"title": "Alien", "year": 1979}, {"title": "Heat, 2", "year": 1995}]


def test_a_query_may_come_from_a_pipe(place: str) -> None:
    result = CliRunner().invoke(app, ["sql", "--db", place, "-f", "csv"], input="SELECT count(*) AS n FROM films")
    assert result.stdout.splitlines() == ["n", "2"]


def test_faults_take_one_line(place: str) -> None:
    for query in ("SELEC", "DROP TABLE films", "SELECT * FROM nothing"):
        result = CliRunner().invoke(app, ["sql", query, "--db", place])
        assert result.exit_code == 1
        assert result.stderr.startswith("lumaai: ")
        assert "Traceback" not in result.stderr


def test_statements_read_and_write(place: str) -> None:
    run = CliRunner().invoke
    written = run(
        app, ["query", "lql", "UPDATE films SET year = 2000 WHERE title = 'Alien'", "--db", place, "-f", "csv"]
    )
    assert written.stdout.splitlines() == ["updated", "1"]
    counted = run(app, ["query", "nql", "count films where year is at least 2000", "--db", place, "-f", "csv"])
    assert counted.stdout.splitlines() == ["count", "1"]


def test_tables_keep_indentation_and_no_control_characters(place: str) -> None:
    """A plan is a tree; what documents hold must not speak to the terminal."""
    query = "SELECT '  a' || chr(27) || '[31m' || chr(10) || 'b' AS x"
    result = CliRunner().invoke(app, ["sql", query, "--db", place])
    assert result.stdout.splitlines() == ["x", "─", "  a [31m b"]
    plan = CliRunner().invoke(app, ["sql", "EXPLAIN SELECT count(*) FROM films", "--db", place]).stdout.splitlines()
    assert len(plan[2]) - len(plan[2].lstrip()) < len(plan[-1]) - len(plan[-1].lstrip())


def test_explanations_go_to_stderr(place: str) -> None:
    run = CliRunner().invoke
    for language, statement in (
        ("nql", "explain count films where year is at least 1990"),
        ("lql", "EXPLAIN SELECT count(*) FROM films WHERE year >= 1990"),
        ("jql", '{"count": "films", "filter": {"year": {"$gte": 1990}}, "explain": true}'),
    ):
        result = run(app, ["query", language, statement, "--db", place, "-f", "csv"])
        assert result.stdout.splitlines() == ["count", "1"]
        stages = json.loads(result.stderr)["stages"]
        assert [(stage["stage"], stage["rows_considered"], stage["rows"]) for stage in stages[:2]] == [
            ("filter", 2, 1),
            ("group", 1, 1),
        ]


def test_the_shell_asks_and_completes(place: str, capsys: pytest.CaptureFixture[str]) -> None:
    with lumaai.Database(place) as database:
        shell = Shell(database, Format.CSV, 10, 30.0, "duckdb")
        shell.ask("SELECT count(*) AS n FROM films")
        shell.ask("SELEC")
        assert not shell.command([".schema", "films"])
        assert not shell.command([".format", "json"])
        assert shell.command([".quit"])
        assert [shell.complete("ti", 0), shell.complete("fil", 0), shell.complete("gro", 0)] == [
            "title",
            "films",
            "group",
        ]
        assert shell.complete("zzz", 0) is None
    printed = capsys.readouterr()
    assert printed.out.splitlines()[:2] == ["n", "2"]
    assert "year,BIGINT" in printed.out
    assert "SELEC" in printed.err
