"""The command line: filters like SQL, facets, scrolls and figures of fields."""

from __future__ import annotations

import json

import pytest

from tests.lumaai.conftest import Run
from tests.lumaai.test_cli import environment, failed, filled, films

__all__ = ["environment", "filled", "films"]  # fixtures


@pytest.mark.parametrize("where", ["year = 1979", '{"year": 1979}', " year BETWEEN 1979 AND 1979 "])
def test_a_filter_is_json_or_like_sql(filled: Run, where: str) -> None:
    """Told apart by how it begins."""
    assert filled("count", "films", "--filter", where).stdout == "2\n"


def test_a_bad_string_is_an_error_in_one_line(filled: Run) -> None:
    """Without a traceback."""
    result = filled("count", "films", "--filter", "year >")
    failed(result, "filter cannot be read")
    assert len(result.stderr.splitlines()) == 1


def test_an_explanation_is_json(filled: Run) -> None:
    """Of what ran."""
    found = json.loads(filled("count", "films", "--filter", "year = 1979", "--explain").stdout)
    assert found["count"] == 2
    assert found["parts"][0]["steps"][0]["how"] == "column scan"


def test_facets_are_printed(filled: Run) -> None:
    """A table of values, or JSON; one object instead of names."""
    lines = filled("facets", "films", "year", "-n", "1").stdout.splitlines()
    assert lines[0] == "year"
    assert lines[1].split() == ["1979", "2"]
    found = json.loads(filled("facets", "films", '{"year": {"stats": true}}', "--json").stdout)
    assert found["year"]["max"] >= 1979
    failed(filled("facets", "films", "nothing"), "unknown field 'nothing'")


def test_scrolls_print_documents_in_order(filled: Run) -> None:
    """One a line, as many as asked for."""
    everything = filled("scroll", "films").stdout.splitlines()
    ordered = [json.loads(line) for line in filled("scroll", "films", "--order-by", "year desc").stdout.splitlines()]
    assert len(everything) == len(ordered)
    years = [document["year"] for document in ordered if document.get("year") is not None]
    assert years == sorted(years, reverse=True)
    some = filled("scroll", "films", "--filter", "year = 1979", "-n", "1").stdout.splitlines()
    assert len(some) == 1
    failed(filled("scroll", "films", "--order-by", "nothing"), "nothing")


def test_figures_of_fields(filled: Run) -> None:
    """A line a field, or JSON; which collection must be said."""
    text = filled("stats", "films", "--fields").stdout
    assert any(line.split()[:2] == ["year", "integer"] for line in text.splitlines())
    assert json.loads(filled("stats", "films", "--fields", "--json").stdout)["year"]["count"] >= 2
    failed(filled("stats", "--fields"), code=2)
