"""SQL over random documents agrees with plain Python over the same."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine import Database, Field, FieldType, Schema, SqlEngine

SCHEMA = Schema(
    {"genre": Field(FieldType.KEYWORD), "year": Field(FieldType.INTEGER), "tags": Field(FieldType.KEYWORD, many=True)}
)
documents = st.lists(
    st.fixed_dictionaries(
        {"id": st.sampled_from([str(n) for n in range(12)])},
        optional={
            "genre": st.sampled_from(["drama", "horror", "Drama", ""]) | st.none(),
            "year": st.integers(1950, 1960) | st.none(),
            "tags": st.lists(st.sampled_from(["a", "b"]), max_size=3),
        },
    ),
    max_size=15,
)


@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(documents, max_size=3), st.lists(st.integers(0, 11), max_size=4), st.booleans(), st.integers(1950, 1960)
)
def test_figures_are_those_of_plain_python(
    batches: list[list[dict[str, Any]]], removed: list[int], sealed: bool, bound: int
) -> None:
    """Counts, groups, conditions and elements of lists, in the head and in segments, with and without deleted ones."""
    kept: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as directory, Database.open(directory) as database:
        collection = database.create_collection("c", SCHEMA)
        for batch in batches:
            if batch:
                collection.add(batch)
                kept.update({document["id"]: document for document in batch})
            if sealed:
                collection.optimize()
        for number in removed:
            collection.delete(ids=[str(number)])
            kept.pop(str(number), None)
        sql = SqlEngine(database, threads=1)
        try:
            _agrees(sql, list(kept.values()), bound)
        finally:
            sql.close()


def _agrees(sql: SqlEngine, kept: list[dict[str, Any]], bound: int) -> None:
    years = defaultdict(list)
    for document in kept:
        years[document.get("genre")].append(document.get("year"))
    groups = {(genre, len(found), sum(y for y in found if y is not None)) for genre, found in years.items()}
    rows = sql.run("SELECT genre, count(*), coalesce(sum(year), 0) FROM c GROUP BY genre").rows()
    assert {tuple(row) for row in rows} == groups
    above = sorted(d["id"] for d in kept if d.get("year") is not None and d["year"] > bound)
    assert [id_ for [id_] in sql.run("SELECT id FROM c WHERE year > ? ORDER BY id", [bound]).rows()] == above
    tags = sorted((d["id"], tag) for d in kept for tag in d.get("tags") or ())
    rows = sql.run("SELECT id, tag FROM c, unnest(tags) AS t(tag) ORDER BY id, tag").rows()
    assert [tuple(row) for row in rows] == tags
    pairs = sum(a.get("year") is not None and a.get("year") == b.get("year") for a in kept for b in kept)
    assert sql.run("SELECT count(*) FROM c a JOIN c b ON a.year = b.year").rows() == [[pairs]]
