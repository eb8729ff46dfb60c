"""One database's life as a list of operations, done to the engine and to plain dictionaries alike.

Run as a program, it serves: each line on its input asks for one life, which is led in a forked child, since importing
the engine takes longer than most lives. `Operation.perform` may be repeated after it failed.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import engine
import engine.reclaim
from engine import (
    Database,
    EngineError,
    IdempotencyKey,
    Schema,
    failpoints,
    parse_filter,
    restore_archive,
    verify_archive,
)

Model = dict[str, dict[str, dict[str, Any]]]  # collection → id → document with vectors
Perform = Callable[[Database, Path], object]  # the database, and the folder that it is in; a `Database` takes over
SEAL_ROWS = 1_000_000


@dataclass(frozen=True, slots=True)
class Operation:
    """One step: what it does to the engine, and what it means."""

    name: str
    perform: Perform
    mean: Callable[[Model], object]


def documents(first: int, count: int, version: int) -> list[dict[str, Any]]:
    """With vectors that float32 holds exactly, a text, and a label."""
    return [
        {
            "id": f"d{i}",
            "n": i,
            "version": version,
            "vector": [1.0, float(i), float(version)],
            "text": f"common word{i}",
            "label": "common",
        }
        for i in range(first, first + count)
    ]


def _add(name: str, first: int, count: int, version: int, key: str | None = None) -> Operation:
    given = documents(first, count, version)

    def perform(database: Database, _: Path) -> None:
        database.collection(name).add(given, key=None if key is None else IdempotencyKey(key, "same"))

    def mean(model: Model) -> None:
        model[name].update({each["id"]: each for each in given})

    return Operation(f"add {name}", perform, mean)


def _delete(name: str, below: int) -> Operation:
    def perform(database: Database, _: Path) -> None:
        database.collection(name).delete(where=parse_filter({"n": {"$lt": below}}))

    def mean(model: Model) -> None:
        model[name] = {id_: each for id_, each in model[name].items() if each["n"] >= below}

    return Operation(f"delete {name}", perform, mean)


def _patch(name: str, ids: list[str]) -> Operation:
    def perform(database: Database, _: Path) -> None:
        database.collection(name).patch([{"id": id_, "patched": True, "version": None} for id_ in ids])

    def mean(model: Model) -> None:
        for id_ in ids:
            kept = {key: value for key, value in model[name][id_].items() if key != "version"}
            model[name][id_] = {**kept, "patched": True}

    return Operation(f"patch {name}", perform, mean)


def _lengthen(name: str, number: int) -> Operation:
    """A label so long that labels are text from here on: the text index lacks those that were given before."""
    [given] = documents(number, 1, 9)
    given["label"] = "common and long enough to be taken for text, " * 5

    def mean(model: Model) -> None:
        model[name][given["id"]] = given

    return Operation(f"lengthen {name}", lambda database, _: database.collection(name).add([given]), mean)


def _search(name: str) -> Operation:
    """By words: the text index takes in what it lacks."""
    return _upkeep(f"search {name}", lambda database, _: search_words(database, name))


def search_words(database: Database, name: str) -> None:
    """Every document is found by its words, and no other."""
    snapshot = database.collection(name).snapshot()
    ids = snapshot.ids(snapshot.ordinals(parse_filter({"text": {"$exists": True}})))
    if ids:
        assert sorted(snapshot.keyword("common", len(ids) + 1, fields=["text"]).ids) == sorted(ids)
        word = snapshot.get(ids[:1])[0]["text"].split()[1]  # type: ignore[index]
        assert snapshot.keyword(word, 2).ids[0] == ids[0]


def _create(name: str) -> Operation:
    def perform(database: Database, _: Path) -> None:
        if name not in database.collections():
            database.create_collection(name, Schema())

    return Operation(f"create {name}", perform, lambda model: model.setdefault(name, {}))


def _drop(name: str) -> Operation:
    def perform(database: Database, _: Path) -> None:
        if name in database.collections():
            database.drop_collection(name)

    return Operation(f"drop {name}", perform, lambda model: model.pop(name, None))


def _exchange(larger: str, smaller: str) -> Operation:
    """Two collections take each other's place, unless they have: what a kill cut off is done again."""

    def perform(database: Database, _: Path) -> None:
        counts = [database.collection(name).snapshot().count() for name in (larger, smaller)]
        if counts[0] > counts[1]:
            database.exchange_collections(larger, smaller, lambda: None)

    def mean(model: Model) -> None:
        model[larger], model[smaller] = model[smaller], model[larger]

    return Operation(f"exchange {larger} and {smaller}", perform, mean)


def _upkeep(name: str, perform: Perform) -> Operation:
    """What changes no document."""
    return Operation(name, perform, lambda _: None)


def _archive(kind: str) -> Operation:
    def perform(database: Database, folder: Path) -> None:
        if (folder / kind).exists():  # done the last time, but for saying so
            verify_archive(folder / kind)
        else:
            database.archive(folder / kind)

    return _upkeep(f"archive {kind}", perform)


def _restore(kind: str, state: Callable[[], Model]) -> Operation:
    def mean(model: Model) -> None:
        model.clear()
        model.update(deepcopy(state()))

    return Operation(f"restore {kind}", lambda database, folder: database.restore(folder / kind), mean)


def _restore_elsewhere(database: Database, folder: Path) -> None:
    restore_archive(folder / "copy", folder / "elsewhere", replace=True)
    with Database.open(folder / "elsewhere") as copy:
        assert "a" in copy.collections()
    assert database.sequence


def _reopen(database: Database, folder: Path, before: Callable[[Path], object] = lambda _: None) -> Database:
    database.close()
    before(folder / "db")
    return Database.open(folder / "db", seal_rows=SEAL_ROWS)


def _make_format_1(path: Path) -> None:
    (path / "lumaai.json").write_text('{"format": 1}')
    (path / "highwater.counter").unlink(missing_ok=True)


def _damage_segment(database: Database, folder: Path) -> None:
    """A check then builds it again."""
    file = next((folder / "db" / "indexes").rglob("columns.arrow"))
    data = file.read_bytes()
    with file.open("r+b") as opened:
        opened.write(bytes([data[0] ^ 1]))
    assert database.check().problems


def _seal(name: str) -> Operation:
    return _upkeep(f"seal {name}", lambda database, _: database.collection(name).state.seal())


def _optimize(name: str) -> Operation:
    return _upkeep(f"optimize {name}", lambda database, _: database.collection(name).optimize())


OPERATIONS = (
    _create("a"),
    _add("a", 0, 40, 0),
    _search("a"),
    _patch("a", ["d30", "d31"]),
    _seal("a"),
    _delete("a", 5),
    _search("a"),
    _add("a", 35, 10, 1, key="once"),
    _seal("a"),
    _optimize("a"),
    _create("b"),
    _add("b", 0, 20, 0),
    _exchange("a", "b"),
    _exchange("b", "a"),
    _upkeep("compact", lambda database, _: database.compact()),
    _archive("copy"),
    _archive("copy.tar"),
    _add("a", 100, 5, 2),
    _delete("b", 10),
    _restore("copy.tar", lambda: after("archive copy.tar")),
    _upkeep("restore elsewhere", _restore_elsewhere),
    _search("a"),
    _add("a", 20, 5, 3),
    _lengthen("a", 60),
    _search("a"),
    _seal("a"),
    _upkeep("damage and check", _damage_segment),
    _upkeep("purge", lambda database, _: database.purge()),
    _drop("b"),
    _upkeep("reopen", _reopen),
    _upkeep("migrate", lambda database, folder: _reopen(database, folder, _make_format_1)),
    _add("a", 50, 5, 4),
)


def after(name: str) -> Model:
    """The model after the operation of that name; empty for none."""
    model: Model = {}
    for operation in OPERATIONS:
        operation.mean(model)
        if operation.name == name:
            break
    return model


def models() -> list[Model]:
    """The model before each operation, and after the last."""
    found: list[Model] = [{}]
    for operation in OPERATIONS:
        model = deepcopy(found[-1])
        operation.mean(model)
        found.append(model)
    return found


def read(database: Database) -> Model:
    """All that a database holds, by every way of reading it, which must agree."""
    found: Model = {}
    for name in database.collections():
        snapshot = database.collection(name).snapshot()
        ids = snapshot.ids(snapshot.ordinals())
        found[name] = {str(each["id"]): each for each in snapshot.get(ids, vectors=True) if each is not None}
        assert snapshot.count() == len(ids) == len(found[name])
        for id_ in ids[:3]:
            assert snapshot.count(parse_filter({"n": found[name][id_]["n"]})) == 1
            vector = found[name][id_]["vector"]
            assert id_ in snapshot.search(np.array(vector), 3, exact=True).ids
    return found


def open_database(folder: Path) -> Database:
    return Database.open(folder / "db", seal_rows=SEAL_ROWS)


def lead(folder: Path, armed: str) -> dict[str, Any]:
    """One life, with failpoints armed from its first operation on; what became of it."""
    engine.reclaim.DROPPED_DOCUMENTS_MIN = 1
    folder.mkdir(parents=True, exist_ok=True)
    journal = (folder / "journal").open("a")
    failures: list[str] = []
    failpoints.arm(armed)
    database = _patiently(lambda: open_database(folder), failures)
    expected = models()
    for number, operation in enumerate(OPERATIONS):
        print(json.dumps({"begin": number}), file=journal, flush=True)
        try:
            database = _perform(operation, database, folder)
        except (EngineError, OSError) as error:
            failures.append(f"{operation.name}: {type(error).__name__}: {error}")
            database = _recover(database, folder, operation, expected[number : number + 2], failures)
        assert read(database) == expected[number + 1], operation.name
        print(json.dumps({"done": number}), file=journal, flush=True)
        os.fsync(journal.fileno())
    problems = [problem.what for problem in database.check().problems]
    database.close()
    return {"hits": failpoints.hits(), "failures": failures, "problems": problems}


def _recover(
    database: Database, folder: Path, operation: Operation, allowed: list[Model], failures: list[str]
) -> Database:
    """After a failure: reads go on, nothing is half done, and opening again lets it be done."""
    with suppress(engine.DatabaseClosedError):  # it failed while closing, or after
        assert read(database) in allowed, f"{operation.name}: reads after a failure"
    with suppress(EngineError, OSError):
        database.close()
    database = _patiently(lambda: open_database(folder), failures)
    found = read(database)
    assert found in allowed, f"{operation.name}: after opening again"
    if found != allowed[-1] or allowed[0] == allowed[-1]:
        database = _perform(operation, database, folder)
    return database


def _perform(operation: Operation, database: Database, folder: Path) -> Database:
    answer = operation.perform(database, folder)
    return answer if isinstance(answer, Database) else database


def _patiently(opening: Callable[[], Database], failures: list[str]) -> Database:
    """Open; once more, if a failpoint was in the way."""
    try:
        return opening()
    except (EngineError, OSError) as error:
        failures.append(f"open: {type(error).__name__}: {error}")
        return opening()


def serve() -> None:
    """Lead a life in a child for each line; answer with its exit code, and with what it said."""
    for line in sys.stdin:
        folder, armed = json.loads(line)
        child = os.fork()
        if child == 0:
            code = 0
            try:
                answer = lead(Path(folder), armed)
            except BaseException:  # noqa: BLE001
                answer, code = {"error": traceback.format_exc()}, 1
            Path(folder, "answer.json").write_text(json.dumps(answer))
            os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(json.dumps(code), flush=True)


def clear(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    serve()
