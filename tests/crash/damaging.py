"""Damage to one file after another, each looked at in a process that may die of it.

Each line on the input of this program is a job: a copy of a database, one file in it, and what to do to it. The
answer says what became of opening and reading it.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np

from engine import CorruptionError, Database, EngineError, Schema, parse_filter

PAGE = 4096
DOCUMENTS = 40


def build(path: Path, *, killed: bool) -> None:
    """Two collections, one with a segment and a log behind it; closed, or as `kill -9` leaves it."""
    with Database.open(path, seal_rows=1_000_000) as database:
        database.create_collection("dropped", Schema()).add([{"id": "x"}])
        for name in ("sealed", "head"):
            collection = database.create_collection(name, Schema())
            collection.add(
                [
                    {"id": f"{i}", "n": i, "text": f"{name} {i} " * 20, "vector": [1.0, float(i)]}
                    for i in range(DOCUMENTS)
                ]
            )
        database.collection("sealed").delete(ids=["0"])
        database.collection("sealed").optimize()
        database.collection("sealed").add([{"id": "1", "n": 1, "text": "again", "vector": [2.0, 1.0]}])
        database._store.flush()
        database.drop_collection("dropped")
        for name in ("sealed", "head"):
            database.collection(name).add([{"id": "tail", "n": 99, "text": name, "vector": [3.0, 1.0]}])
        if killed:
            shutil.copytree(path, path.with_suffix(".killed"))
    if killed:
        shutil.rmtree(path)
        path.with_suffix(".killed").rename(path)


def damage(file: Path, how: str, place: int) -> None:
    """`cut` at a place, `flip` a bit there, or `zero` the page there."""
    data = bytearray(file.read_bytes())
    match how:
        case "cut":
            del data[place:]
        case "flip":
            data[place] ^= 1 << place % 8
        case _:
            data[place : place + PAGE] = bytes(len(data[place : place + PAGE]))
    file.write_bytes(data)


def read(database: Database, name: str) -> dict[str, Any]:
    """What reading a collection finds, and whether all ways of reading agree."""
    snapshot = database.collection(name).snapshot()
    ids = sorted(snapshot.ids(snapshot.ordinals()))
    documents = snapshot.get(ids, vectors=True)
    assert snapshot.count() == len(ids)
    assert snapshot.count(parse_filter({"n": {"$gte": 0}})) == len(ids)
    assert snapshot.search(np.array([3.0, 1.0]), 1, exact=True).ids == ["tail"]
    return dict(zip(ids, documents, strict=True))


def look(path: Path) -> dict[str, Any]:
    """Open and read; what each collection holds, or why it cannot be read."""
    answer: dict[str, Any] = {"sequence": None, "collections": {}, "refused": None}
    try:
        with Database.open(path, seal_rows=1_000_000) as database:
            answer["sequence"] = database.sequence
            for name in database.collections():
                try:
                    answer["collections"][name] = read(database, name)
                except CorruptionError as error:
                    answer["collections"][name] = str(error)
    except EngineError as error:
        answer["refused"] = f"{type(error).__name__}: {error}"
    return answer


def serve() -> None:
    for line in sys.stdin:
        source, work, file, how, place = json.loads(line)
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(source, work)
        damage(Path(work, file), how, place)
        print(json.dumps(look(Path(work))), flush=True)


if __name__ == "__main__":
    serve()
