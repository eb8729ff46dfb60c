"""Make the golden directories of format 1: run once, with the engine of commit c0e53f4 on PYTHONPATH.

    git archive c0e53f4 engine | tar -x -C /tmp/format-1
    PYTHONPATH=/tmp/format-1 python tests/golden/build_format_1.py tests/golden

`format-1-clean.tar.gz` was closed, `format-1-killed.tar.gz` ended by kill -9. Each has two collections with sealed
segments and a log behind them, documents replaced and deleted before and after sealing, passages, and a number that
a dropped collection left. `format-1.json` says what is in both: per collection its schema and id → document with
vectors.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import numpy as np

from engine import Database, Passage, Schema, VectorRows

DIM = 4


def fill(path: Path) -> Database:
    """All writes of the golden directories; the database is left open."""
    generator = np.random.default_rng(1)
    database = Database.open(path, seal_rows=1_000_000)
    films = database.create_collection("films", Schema())
    numbers = generator.integers(-50, 50, (60, DIM)) + np.eye(DIM, dtype=np.int64)[np.arange(60) % DIM] * 100
    vectors = (numbers / 4).tolist()  # exact in float32
    films.add([_film(i, 0) | {"vector": vectors[i]} for i in range(30)])
    database.create_collection("dropped", Schema()).add([{"id": "gone"}])
    notes = database.create_collection("notes", Schema())
    notes.add([{"id": f"n{i}", "text": f"note {i} über Flüsse 川"} for i in range(20)], {"passages": _passages(20)})
    films.add([_film(i, 1) | {"vector": vectors[i + 30]} for i in range(5)])
    films.delete(ids=["f6", "f7"])
    films.optimize()
    notes.optimize()
    database.drop_collection("dropped")
    films.add([_film(i, 2) | {"vector": vectors[i]} for i in (5, 8, 40, 41)])  # two replaced, two new
    films.delete(ids=["f9", "f40"])
    films.add([{"id": "ü/é", "nested": {"b": [1, {"a": None}], "a": 1e300}, "empty": ""}])
    notes.delete(ids=["n3"])
    notes.add([{"id": "n4", "text": "second version"}], {"passages": _passages(1)})
    return database


def _film(i: int, version: int) -> dict[str, object]:
    return {
        "id": f"f{i}",
        "title": f"Film {i}",
        "year": 1950 + i,
        "rating": i / 8,
        "seen": i % 3 == 0,
        "tags": [f"tag{i % 4}", "all"],
        "released": f"20{i % 30:02d}-01-02T03:04:05Z",
        "place": {"lat": float(i), "lon": -float(i)},
        "version": version,
    }


def _passages(count: int) -> VectorRows:
    """Two passages a document."""
    documents = np.repeat(np.arange(count), 2)
    vectors = np.stack([[1.0 + i, 2.0, -1.0 * i, 0.5] for i in range(2 * count)]).astype(np.float32)
    spans = [Passage("text", 0, 4) if i % 2 == 0 else Passage("text", 5, 10) for i in range(2 * count)]
    return VectorRows(vectors, documents, spans)


def expected(database: Database) -> dict[str, object]:
    """Everything that reads must find."""
    answer: dict[str, object] = {"sequence": database.sequence, "collections": {}}
    for name in database.collections():
        snapshot = database.collection(name).snapshot()
        ids = snapshot.ids(snapshot.ordinals())
        documents = snapshot.get(ids, vectors=True)
        answer["collections"][name] = {  # type: ignore[index]
            "schema": snapshot.schema.to_json(),
            "documents": dict(zip(ids, documents, strict=True)),
        }
    return answer


def main(target: Path) -> None:
    """Write both archives and the JSON."""
    with tempfile.TemporaryDirectory() as scratch:
        for how in ("clean", "killed"):
            path = Path(scratch, how)
            child = subprocess.run([sys.executable, __file__, "--child", how, str(path)], check=False)
            assert child.returncode == (0 if how == "clean" else -signal.SIGKILL)
            with tarfile.open(target / f"format-1-{how}.tar.gz", "w:gz") as archive:
                archive.add(path, arcname=".")
        text = Path(scratch, "clean.json").read_text()
        assert text == Path(scratch, "killed.json").read_text()
        (target / "format-1.json").write_text(text)


def child(how: str, path: Path) -> None:
    """Fill `path` and close it, or die."""
    database = fill(path)
    text = json.dumps(expected(database), indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    path.with_suffix(".json").write_text(text)
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    database.close()


if __name__ == "__main__":
    if sys.argv[1] == "--child":
        child(sys.argv[2], Path(sys.argv[3]))
    else:
        main(Path(sys.argv[1]).resolve())
