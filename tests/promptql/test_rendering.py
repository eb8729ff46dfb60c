from __future__ import annotations

import csv
import io
from dataclasses import replace

from promptql.answer import Answer, Artifact
from promptql.rendering import markdown_table, shown
from tests.promptql.test_answer import full_answer


def test_markdown_has_all_that_the_reader_must_know() -> None:
    """The text, then assumptions, warnings, and each source in the order of the marks."""
    text = full_answer().to_markdown()
    assert text.startswith("Two.\n\n**Assumptions**\n\n- 'two' = 2\n\n**Warnings**\n")
    assert "1. `a1[0].n`: docs x, y\n2. `a1[1]`: docs z, t 1–4\n" in text


def test_csv_has_whole_values() -> None:
    """Commas, quotes and lists come back; missing values are empty."""
    table = Artifact("a1", ("name", "n"), ({"name": 'a "b", c', "n": None}, {"name": ["x", "y"], "n": 1.5}))
    answer = replace(full_answer(), artifacts=(table,))
    rows = list(csv.reader(io.StringIO(answer.to_csv(), newline="")))
    assert rows == [["name", "n"], ['a "b", c', ""], ['["x", "y"]', "1.5"]]


def test_csv_of_an_answer_without_a_table_has_its_values() -> None:
    """One column, one row a value."""
    answer: Answer = replace(full_answer(), artifact=None, artifacts=(), values=(5, True))
    assert answer.to_csv() == "value\r\n5\r\ntrue\r\n"


def test_values_are_shown_for_reading() -> None:
    """Two places, no white space, cut; bars do not break a table."""
    assert [shown(value) for value in (None, True, 2.50, 3.0, ["a", 1], "x\n y")] == [
        "–", "true", "2.5", "3", "a, 1", "x y",
    ]  # fmt: skip
    assert shown("a" * 100) == "a" * 79 + "…"
    assert markdown_table(("a|b",), ({"a|b": "c|d"},), 1).splitlines() == ["| a\\|b |", "| --- |", "| c\\|d |"]
