"""P13: count, scroll, groups, field values and searches agree after random operations, embedded and over HTTP."""

from __future__ import annotations

import shutil
from collections import Counter
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest

from engine import Aggregate, Snapshot, parse_filter
from lumaai.database import Database
from lumaai.errors import InvalidRequestError
from tests.lumaai.serving import Service, serving
from tests.model.clock import Clock
from tests.model.generation import make_filter
from tests.model.pair import Pair

STEPS = 250
GROUPED = ("k", "i", "n", "b", "d", "is", "ks")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory after random operations, in part sealed."""
    path = tmp_path_factory.mktemp("counts")
    random = Random(13)
    with Clock() as clock:
        pair = Pair(path, random, clock)
        for name in ("create", "create", "create", "create"):
            pair.step(name)
        for step in range(STEPS):
            pair.step(random.choices(["add", "insert", "patch", "delete"], [12, 4, 4, 1])[0])
            if step % 60 == 59:
                pair.step("seal")
        pair.close()
    return path / "db"


def elements(document: dict[str, Any], field: str) -> list[Any]:
    """The values that a document adds to the groups of a field."""
    value = document.get(field)
    if field in ("is", "ks"):
        return value or [None]
    return [value]


def test_count_scroll_groups_and_field_values_agree(written: Path) -> None:
    """Under 40 random filters: as many by counting as by scrolling, in each group as many as plain Python finds."""
    random = Random(31)
    compared = 0
    with Clock(), Database(written) as database:
        for name in database.collections():
            snapshot = database[name]._native.snapshot()
            for _ in range(40):
                where = make_filter(random)
                compared += compare(snapshot, where)
                with suppress(InvalidRequestError):  # an operand that is not of its field's type is refused there
                    assert database[name].count(where) == snapshot.count(parse_filter(where)), where
                    page = database[name].scroll(limit=10_000, filter=where)
                    assert len(page.documents) == database[name].count(where), where
    assert compared > 500


def compare(snapshot: Snapshot, where: dict[str, Any]) -> int:
    """All ways to count what one filter holds for; how many documents that are."""
    tree = parse_filter(where)
    documents = snapshot.documents(snapshot.ordinals(tree))
    assert snapshot.count(tree) == len(documents), where
    relation = snapshot.relation(None, tree)
    for field in GROUPED:
        grouped = relation.project(["id", field]).group([field], [Aggregate("count", None, "documents")])
        expected = Counter(len(elements(document, field)) for document in documents)
        total = sum(size * count for size, count in expected.items())
        assert sum(grouped.column("documents")) == total, (field, where)
        distinct = relation.group([], [Aggregate("count_distinct", field, "found")]).column("found")[0]
        assert distinct == len([value for value in grouped.column(field) if value is not None]), (field, where)
    return len(documents)


def test_field_values_add_up_to_the_count(tmp_path: Path) -> None:
    """Worked out by hand: four documents, of which two have the value, one has null, and one has nothing."""
    with Database(tmp_path) as database:
        things = database.create_collection("things", embed={})
        things.add([{"id": "1", "k": "a"}, {"id": "2", "k": None}, {"id": "3"}, {"id": "4", "k": "a"}])
        assert things._native.snapshot().field_values("k") == [("a", 2)]
        assert things.count() == 4
        assert things.count({"k": None}) == 2


def test_counts_over_http_are_those_of_the_directory(written: Path, tmp_path: Path) -> None:
    """The count of a collection, of a filter, and of a scroll's pages."""
    shutil.copytree(written, tmp_path / "data")
    where = {"b": True}
    with Clock():
        with Database(written) as database:
            names = database.collections()
            expected = [(database[name].count(), database[name].count(where)) for name in names]
        with serving(tmp_path) as service:
            assert [(count(service, name, {}), count(service, name, where)) for name in names] == expected
            assert [(scrolled(service, name, {}), scrolled(service, name, where)) for name in names] == expected


def count(service: Service, name: str, where: dict[str, Any]) -> int:
    found: int = service.post(f"/v1/collections/{name}/count", {"filter": where}).json()["count"]
    return found


def scrolled(service: Service, name: str, where: dict[str, Any]) -> int:
    """Documents of all pages."""
    number, cursor = 0, None
    while True:
        body = {"limit": 7, "filter": where, **({} if cursor is None else {"cursor": cursor})}
        page = service.post(f"/v1/collections/{name}/scroll", body).json()
        number += len(page["documents"])
        cursor = page.get("next_cursor")
        if cursor is None:
            return number
