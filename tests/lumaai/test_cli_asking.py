"""`lumaai ask`, `plan`, `execute` and `programs`, in this process over a directory."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from tests.lumaai.conftest import Run
from tests.lumaai.films import FILMS, CountingEmbedder, open_database

QUESTION = "how many films after 1980"


@pytest.fixture
def place(tmp_path: Path, run: Run) -> Path:
    with open_database(tmp_path, CountingEmbedder()) as database:
        database.create_collection("films", embed={}).add(FILMS)
        return database.path


def test_an_answer_is_printed_in_the_form_that_is_wanted(place: Path, run: Run) -> None:
    """Text, Markdown with its sources, CSV with a header, JSON."""
    asked = ("ask", QUESTION, "--db", place, "--planner", "rules")
    assert "planner    rules" in run(*asked).stdout
    assert "**Sources**" in run(*asked, "--format", "markdown").stdout
    rows = list(csv.reader(io.StringIO(run(*asked, "-f", "csv").stdout)))
    assert rows[1:] == [["2"]]
    assert json.loads(run(*asked, "--json").stdout)["planner"] == "rules"
    assert run(*asked, "-f", "xml").exit_code == 2


def test_steps_are_shown_as_they_run(place: Path, run: Run) -> None:
    """On stderr, so that the answer can be piped."""
    result = run("ask", QUESTION, "--db", place, "--planner", "rules", "--stream", "-f", "csv")
    assert "scan …" in result.stderr
    assert result.stdout.endswith("\n2\n")


def test_a_plan_is_printed_edited_and_run(place: Path, run: Run, tmp_path: Path) -> None:
    """From a file; wrong ones are refused with their place."""
    printed = run("plan", "films after 1980", "--db", place, "--planner", "rules")
    plan: dict[str, Any] = json.loads(printed.stdout)
    file = tmp_path / "plan.json"
    file.write_text(printed.stdout.replace("1980", "1000"))
    result = run("execute", file, "--db", place, "--json")
    assert len(json.loads(result.stdout)["answer"]["values"]) == len(FILMS)
    assert "scan" in run("plan", "films after 1980", "--db", place, "--planner", "rules", "--explain").stdout
    file.write_text(json.dumps({**plan, "output": "nothing"}))
    refused = run("execute", file, "--db", place)
    assert (refused.exit_code, "answer step" in refused.stderr) == (1, True)
    for text in ("{", "[]", "7"):
        file.write_text(text)
        assert run("execute", file, "--db", place).exit_code == 1


def test_a_plan_is_checked_and_explained_without_running_it(place: Path, run: Run, tmp_path: Path) -> None:
    """Columns by step, or what is wrong and where; in words, or as JSON."""
    printed = run("plan", "films after 1980", "--db", place, "--planner", "rules")
    file = tmp_path / "plan.json"
    file.write_text(printed.stdout)
    checked = run("validate", file, "--db", place)
    assert checked.exit_code == 0
    assert "year int" in checked.stdout
    assert json.loads(run("validate", file, "--db", place, "--json").stdout)["valid"] is True
    assert "scan" in run("explain", file, "--db", place).stdout
    assert json.loads(run("explain", file, "--db", place, "--json").stdout)["plan_hash"]
    plan: dict[str, Any] = json.loads(printed.stdout)
    file.write_text(json.dumps({**plan, "output": "nothing"}))
    wrong = run("validate", file, "--db", place)
    assert (wrong.exit_code, wrong.stdout, "answer step" in wrong.stderr) == (1, "", True)
    told = run("validate", file, "--db", place, "--json")
    assert (told.exit_code, json.loads(told.stdout)["valid"]) == (1, False)
    assert run("explain", file, "--db", place).exit_code == 1


def test_programs_are_kept_and_run(place: Path, run: Run, tmp_path: Path) -> None:
    """A constant becomes a parameter; typed values are given as NAME=VALUE."""
    file = tmp_path / "plan.json"
    asked = "how many films after 1980"
    file.write_text(run("plan", asked, "--db", place, "--planner", "rules").stdout)
    assert run("programs", "list", "--db", place).stdout.startswith("no programs yet")
    assert run("programs", "save", "since", file, "-p", "since=1980", "--db", place).stdout == "since, version 1\n"
    assert "since" in run("programs", "list", "--db", place).stdout
    shown = json.loads(run("programs", "show", "since", "--db", place).stdout)
    assert shown["inputs"]["properties"]["since"] == {"type": "number", "default": 1980}
    all_films = run("programs", "run", "since", "-p", "since=1000", "--db", place, "--json").stdout
    assert json.loads(all_films)["answer"]["values"] == [len(FILMS)]
    assert run("programs", "run", "since", "-p", "since=soon", "--db", place).exit_code == 1
    assert run("programs", "run", "since", "-p", "since", "--db", place).exit_code == 2
    assert run("programs", "delete", "since", "--db", place).exit_code == 0
    assert run("programs", "run", "since", "--db", place).exit_code == 1
