"""Sketches as plans: the executor gives what trying them on columns gives."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine import Database, Field, FieldType, Schema
from models import Embedder
from promptql.catalog import CatalogReader
from promptql.executor import Limits, execute
from promptql.optimizer import optimize
from promptql.plan import Plan
from promptql.rules.columns import View
from promptql.rules.compile import compile_sketch
from promptql.rules.probe import Probe
from promptql.rules.sketch import Sketch
from promptql.steps import AnswerStep
from promptql.validation import validate
from tests.promptql.rules.test_probe import SKETCHES, TABLE


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """The table of the probe's tests as a collection; empty cells are missing."""
    path: Path = tmp_path_factory.mktemp("compile") / "database"
    with Database.open(path) as database:
        schema = Schema({name: Field(FieldType.KEYWORD, declared=True) for name in TABLE})
        collection = database.create_collection("people", schema)
        rows = zip(*TABLE.values(), strict=True)
        documents: list[dict[str, Any]] = [
            {"id": str(number), **{name: cell for name, cell in zip(TABLE, row, strict=True) if cell}}
            for number, row in enumerate(rows)
        ]
        collection.add(documents)
        yield database


def no_embedder(name: str) -> Embedder:
    """Nothing is searched."""
    raise AssertionError(name)


@pytest.mark.parametrize("listed", [False, True])
@pytest.mark.parametrize("sketch", [sketch for sketch, _ in SKETCHES])
def test_plans_give_what_the_probe_gives(database: Database, sketch: Sketch, listed: bool) -> None:
    """Both as computed steps and with the values listed, before and after optimizing."""
    snapshots = database.snapshot()
    catalog = CatalogReader().read(snapshots)
    columns = {name: snapshots["people"].relation([name]).column(name) for name in TABLE}
    view = View({"people": columns})
    steps = compile_sketch(sketch, view, listed=listed)
    plan = Plan("", steps, steps[-1].id)
    validate(plan, catalog)
    last = steps[-1]
    assert isinstance(last, AnswerStep)
    assert last.fields is not None

    for tried in (plan, optimize(plan, catalog)[0]):
        rows = execute(tried, snapshots, no_embedder, Limits()).rows.relation.rows()
        found = [tuple(row[name] for name in last.fields) for row in rows]
        assert found == Probe(view).run(sketch)
