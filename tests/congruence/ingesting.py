"""Scripts that ingest directories: into an embedded database and through a service alike."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from tests.congruence.agreement import outcome
from tests.congruence.material import AnyDatabase, Scenario, refused


def _folder(root: Path) -> None:
    texts = {
        "a.md": "# Ships\n\nOf ships.", "sub/b.txt": "Of harbours.", "rows.jsonl": '{"id": "r1"}\n', "empty.txt": "",
        "left/out.md": "x",
    }  # fmt: skip
    for name, text in texts.items():
        path = root / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        os.utime(path, (1_700_000_000, 1_700_000_000))  # the same for both, and settled


def _told(summary: Any, root: Path) -> Any:
    failed = [(failure.path.replace(str(root), ""), failure.position) for failure in summary.documents.failed]
    return summary.read, summary.unchanged, summary.removed, summary.vanished, summary.other, failed


def ingesting_a_directory(database: AnyDatabase) -> Any:
    files = database.create_collection("files")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        _folder(root)
        first = _told(files.ingest(root, exclude=["left/"]), root)
        second = _told(files.ingest(root, exclude=["left/"]), root)
        (root / "rows.jsonl").unlink()
        third = _told(files.ingest(root, include=["*.md", "*.txt"], exclude=["left/"], sync=True, prefix=""), root)
    assert first == (4, 0, 0, (), 0, [("/empty.txt", 1)])
    assert second == (1, 3, 0, (), 0, [("/empty.txt", 1)])
    assert third == (1, 2, 1, ("rows.jsonl",), 0, [("/empty.txt", 1)])
    documents = files.get(["a.md", "sub/b.txt", "r1"])
    assert documents[2] is None
    hits = files.search("Of ships.", limit=1)
    assert database.collections() == ["files"]
    return first, second, third, documents, hits.ids, [hit.passage for hit in hits]


def refusing_directories(database: AnyDatabase) -> Any:
    files = database.create_collection("files")
    results = [
        outcome(lambda: files.ingest("/no/such/directory")),
        outcome(lambda: files.ingest(tempfile.gettempdir(), include="*.md")),
    ]
    assert all(map(refused, results))
    return results


def declaring_splitters(database: AnyDatabase) -> Any:
    def made(name: str, splitter: Any) -> Any:
        return outcome(lambda: database.create_collection(name, embed={"vector": {"splitter": splitter}}).info())

    results = [*(made(name, name) for name in ("auto", "sentences", "markdown", "code", "none")), made("x", "lines")]
    assert [refused(result) for result in results] == [False] * 5 + [True]
    same = {"embed": {"vector": {"splitter": "code"}}, "exist_ok": True}
    again = outcome(lambda: database.create_collection("code", **same).info())  # type: ignore[arg-type]
    other = outcome(lambda: database.create_collection("none", **same))  # type: ignore[arg-type]
    assert [refused(again), refused(other)] == [False, True]
    return results, again, other


INGESTING: list[Scenario] = [ingesting_a_directory, refusing_directories, declaring_splitters]
