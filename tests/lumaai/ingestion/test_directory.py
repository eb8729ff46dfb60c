"""Directories into collections: what is new or has changed is read, and what is gone goes; killed runs are finished."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lumaai.collection import Collection
from lumaai.database import Database
from lumaai.errors import InvalidRequestError
from lumaai.ingestion import DirectorySummary, Progress
from lumaai.ingestion.manifest import Manifest, manifest_name
from tests.lumaai.films import CountingEmbedder, open_database


@pytest.fixture
def embedder() -> CountingEmbedder:
    return CountingEmbedder()


@pytest.fixture
def database(tmp_path: Path, embedder: CountingEmbedder) -> Iterator[Database]:
    with open_database(tmp_path / "db", embedder) as database:
        yield database


@pytest.fixture
def notes(database: Database) -> Collection:
    return database.create_collection("notes")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three texts and two records."""
    root = tmp_path / "files"
    write(root / "a.md", "# Alpha\n\nOf ships.")
    write(root / "sub" / "b.txt", "Of harbours.")
    write(root / "c.py", "def sail():\n    pass\n")
    write(root / "rows.jsonl", '{"id": "r1", "title": "one"}\n{"id": "r2", "title": "two"}\n')
    return root


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    old = time.time() - 60
    os.utime(path, (old, old))  # as files are that nobody is writing


def ids(collection: Collection) -> list[str]:
    return sorted(document["id"] for document in collection.scroll().documents)


def counts(summary: DirectorySummary) -> tuple[int, int, int, int]:
    return summary.read, summary.unchanged, summary.removed, summary.documents.failures


def test_a_directory_goes_in_once(notes: Collection, folder: Path, embedder: CountingEmbedder) -> None:
    """Ids are paths from the directory; a second run reads no file and embeds nothing."""
    assert counts(notes.ingest(folder)) == (4, 0, 0, 0)
    assert ids(notes) == ["a.md", "c.py", "r1", "r2", "sub/b.txt"]
    assert notes.get(["a.md"])[0] == {
        "id": "a.md", "title": "Alpha", "text": "# Alpha\n\nOf ships.", "path": "a.md",
        "modified": notes.get(["a.md"])[0]["modified"],  # type: ignore[index]
    }  # fmt: skip
    texts = len(embedder.texts)
    assert counts(notes.ingest(folder)) == (0, 4, 0, 0)
    assert len(embedder.texts) == texts


def test_changed_files_are_read_again_and_lose_what_they_no_longer_give(notes: Collection, folder: Path) -> None:
    """One record of two is left; the touched file is as it was."""
    notes.ingest(folder)
    write(folder / "rows.jsonl", '{"id": "r2", "title": "two"}\n{"id": "r3", "title": "three"}\n')
    (folder / "a.md").touch()
    assert counts(notes.ingest(folder)) == (1, 3, 1, 0)
    assert ids(notes) == ["a.md", "c.py", "r2", "r3", "sub/b.txt"]


def test_a_change_within_the_same_moment_is_seen(notes: Collection, folder: Path) -> None:
    """Of the same length and with the same time: a file that was just written is not taken at its word."""
    (folder / "a.md").write_text("# Alpha\n\nOf ships.")
    status = (folder / "a.md").stat()
    notes.ingest(folder)
    (folder / "a.md").write_text("# Alpha\n\nOf boats.")
    os.utime(folder / "a.md", ns=(status.st_mtime_ns, status.st_mtime_ns))
    assert notes.ingest(folder).read == 1


def test_vanished_files_are_reported_and_removed_on_request(notes: Collection, folder: Path) -> None:
    """Their documents go with `sync` only; those of other files stay."""
    notes.ingest(folder)
    (folder / "sub" / "b.txt").unlink()
    (folder / "rows.jsonl").unlink()
    summary = notes.ingest(folder)
    assert (summary.vanished, summary.removed, notes.count()) == (("rows.jsonl", "sub/b.txt"), 0, 5)
    assert notes.ingest(folder, sync=True).removed == 3
    assert ids(notes) == ["a.md", "c.py"]
    assert notes.ingest(folder).vanished == ()


def test_ids_of_two_files_are_named_and_go_back_to_the_one_that_stays(notes: Collection, tmp_path: Path) -> None:
    """What the file had taken that is gone is again what the other one says, and nothing is read twice for it."""
    root = tmp_path / "rows"
    write(root / "a.csv", "id,name\n1,fromA\n2,a2\n")
    write(root / "b.csv", "id,name\n1,fromB\n3,b3\n")
    summary = notes.ingest(root)
    assert [(shared.files, shared.ids, shared.example) for shared in summary.shared] == [(("a.csv", "b.csv"), 1, "1")]
    assert notes.get(["1"])[0]["name"] == "fromB"  # type: ignore[index]
    assert notes.ingest(root).shared == ()
    (root / "b.csv").unlink()
    summary = notes.ingest(root, sync=True)
    assert (counts(summary), summary.shared) == ((1, 0, 1, 0), ())
    assert {document["id"]: document["name"] for document in notes.scroll().documents} == {"1": "fromA", "2": "a2"}
    assert counts(notes.ingest(root, sync=True)) == (0, 1, 0, 0)


def test_what_is_noted_of_files_is_in_no_list(database: Database, notes: Collection, folder: Path) -> None:
    """Neither among the collections, nor the changes, nor the tables; and its name is taken."""
    notes.ingest(folder)
    assert database.collections() == ["notes"]
    assert {change.collection for change in database.changes()} == {"notes"}
    assert [change.collection for change in database.changes(collection=manifest_name("notes"))]
    assert database.sql("SHOW TABLES").rows == [["notes"]]
    with pytest.raises(InvalidRequestError, match="reserved"):
        database.create_collection(manifest_name("other"))


def test_an_id_that_a_changed_file_gives_back_is_the_other_ones_again(notes: Collection, tmp_path: Path) -> None:
    """Whichever of the two comes first by name; a renamed file is no second one."""
    root = tmp_path / "rows"
    for taker, other in (("a", "b"), ("b", "a")):
        write(root / f"{other}.csv", "id,name\n1,other\n2,two\n")
        notes.ingest(root, sync=True)
        write(root / f"{taker}.csv", "id,name\n1,taker\n3,three\n")
        notes.ingest(root)
        write(root / f"{taker}.csv", "id,name\n3,three\n")
        summary = notes.ingest(root)
        assert (counts(summary), summary.shared) == ((2, 0, 0, 0), ())
        assert notes.get(["1"])[0]["name"] == "other"  # type: ignore[index]
        (root / f"{taker}.csv").unlink()
        (root / f"{other}.csv").rename(root / "renamed.csv")
        summary = notes.ingest(root, sync=True)
        assert (summary.read, summary.shared, ids(notes)) == (1, (), ["1", "2"])
        assert counts(notes.ingest(root)) == (0, 1, 0, 0)
        (root / "renamed.csv").unlink()


def test_files_that_are_no_longer_selected_count_as_vanished(notes: Collection, folder: Path) -> None:
    """The end is that of one run with these patterns."""
    notes.ingest(folder)
    notes.ingest(folder, include=["*.md"], sync=True)
    assert ids(notes) == ["a.md"]


def test_what_could_not_be_looked_at_has_not_vanished(
    notes: Collection, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory that may not be listed keeps its documents, and is reported."""
    notes.ingest(folder)
    real = os.scandir

    def scandir(path: Any) -> Any:
        if Path(path).name == "sub":
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    summary = notes.ingest(folder, sync=True)
    assert (summary.vanished, summary.removed, summary.unreadable) == ((), 0, 1)
    assert "Permission denied" in summary.documents.failed[0].reason
    assert "sub/b.txt" in ids(notes)


def test_a_document_that_two_files_give_stays_while_one_does(notes: Collection, folder: Path) -> None:
    """The second file still has the record."""
    write(folder / "more.jsonl", '{"id": "r1", "title": "one"}\n')
    notes.ingest(folder)
    (folder / "rows.jsonl").unlink()
    notes.ingest(folder, sync=True)
    assert ids(notes) == ["a.md", "c.py", "r1", "sub/b.txt"]
    (folder / "more.jsonl").unlink()
    notes.ingest(folder, sync=True)
    assert ids(notes) == ["a.md", "c.py", "sub/b.txt"]


def test_two_files_that_give_up_the_same_document_lose_it(notes: Collection, folder: Path) -> None:
    """Neither is kept by what the other gave before."""
    write(folder / "more.jsonl", '{"id": "r1", "title": "one"}\n')
    notes.ingest(folder)
    write(folder / "rows.jsonl", '{"id": "r2", "title": "two"}\n')
    write(folder / "more.jsonl", '{"id": "r4", "title": "four"}\n')
    assert notes.ingest(folder).removed == 1
    assert ids(notes) == ["a.md", "c.py", "r2", "r4", "sub/b.txt"]


def test_bad_files_are_reported_the_others_go_in_and_all_are_tried_again(notes: Collection, folder: Path) -> None:
    """Empty, binary, damaged, with a bad line: each says why, each time, until it is mended."""
    write(folder / "empty.txt", " \n")
    (folder / "binary.txt").write_bytes(bytes(range(256)) * 4)
    (folder / "bad.docx").write_bytes(b"no zip")
    write(folder / "bad.jsonl", '{"id": "x1"}\noops\n')
    for _ in range(2):
        summary = notes.ingest(folder)
        reasons = {Path(failure.path).name: failure.reason for failure in summary.documents.failed}
        assert reasons["empty.txt"] == "file is empty"
        assert "it is binary" in reasons["binary.txt"]
        assert "is not a readable Word document" in reasons["bad.docx"]
        assert "malformed JSON" in reasons["bad.jsonl"]
        assert summary.documents.failures == 4
    assert ids(notes) == ["a.md", "c.py", "r1", "r2", "sub/b.txt", "x1"]
    write(folder / "bad.jsonl", '{"id": "x2"}\n')
    notes.ingest(folder)
    assert "x2" in ids(notes)
    assert "x1" not in ids(notes)


def test_a_file_that_cannot_be_read_any_more_keeps_its_documents(notes: Collection, folder: Path) -> None:
    """What was good yesterday is not given up for what is damaged today."""
    notes.ingest(folder)
    (folder / "a.md").write_bytes(b"\x00\x01\x02" * 50)
    summary = notes.ingest(folder)
    assert (summary.unreadable, summary.documents.failures) == (1, 1)
    assert "a.md" in ids(notes)


def test_strict_stops_at_the_first_bad_record(notes: Collection, folder: Path) -> None:
    """As for files."""
    write(folder / "bad.jsonl", "oops\n")
    with pytest.raises(InvalidRequestError, match="malformed JSON"):
        notes.ingest(folder, strict=True)


def test_directories_with_equal_names_in_them_need_a_prefix(notes: Collection, folder: Path, tmp_path: Path) -> None:
    """Else the one's file would replace the other's."""
    other = tmp_path / "other"
    write(other / "a.md", "# Other")
    notes.ingest(folder)
    summary = notes.ingest(other)
    assert "is there from" in summary.documents.failed[0].reason
    notes.ingest(other, prefix="other/")
    assert {"a.md", "other/a.md"} <= set(ids(notes))
    assert notes.ingest(other, prefix="other/", sync=True).removed == 0
    assert notes.ingest(folder, sync=True).removed == 0


def test_a_directory_that_was_moved_is_known_by_its_names(notes: Collection, folder: Path, tmp_path: Path) -> None:
    """The place where it was is no longer there."""
    notes.ingest(folder)
    folder.rename(tmp_path / "moved")
    assert counts(notes.ingest(tmp_path / "moved")) == (0, 4, 0, 0)


def test_the_manifest_is_nobodys_collection(database: Database, notes: Collection, folder: Path) -> None:
    """It is in no list, no question goes to it, and it goes with the collection."""
    notes.ingest(folder)
    assert database.collections() == ["notes"]
    assert [info.name for info in database.infos()] == ["notes"]
    assert database.collection(manifest_name("notes")).count() == 8
    assert "5" in database.ask("How many notes are there?").text
    database.drop("notes")
    again = database.create_collection("notes")
    assert again.ingest(folder).read == 4


def test_force_reads_everything(notes: Collection, folder: Path) -> None:
    """Unchanged documents still cost nothing."""
    notes.ingest(folder)
    summary = notes.ingest(folder, force=True)
    assert (summary.read, summary.documents.skipped) == (4, 5)


def test_one_file_can_be_ingested(notes: Collection, folder: Path) -> None:
    """The others have not vanished."""
    notes.ingest(folder / "a.md")
    assert notes.ingest(folder / "c.py", sync=True).vanished == ()
    assert ids(notes) == ["a.md", "c.py"]


def test_progress_ends_at_one(notes: Collection, folder: Path) -> None:
    """And never goes back."""
    seen: list[Progress] = []
    notes.ingest(folder, on_progress=seen.append)
    fractions = [progress.fraction for progress in seen]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert seen[-1].documents == 5


def test_a_file_of_many_documents_is_replaced_whole(notes: Collection, folder: Path) -> None:
    """More than a batch, in several parts of the manifest."""
    write(folder / "rows.jsonl", "".join(json.dumps({"id": f"n{i}", "title": str(i)}) + "\n" for i in range(700)))
    notes.ingest(folder)
    write(folder / "rows.jsonl", "".join(json.dumps({"id": f"n{i}", "title": str(i)}) + "\n" for i in range(650, 1200)))
    assert notes.ingest(folder).removed == 650
    assert notes.count() == 550 + 3


class KilledError(Exception):
    pass


def stop_before_it_is_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    def settle(self: Manifest, finished: Any) -> int:
        raise KilledError

    monkeypatch.setattr(Manifest, "settle", settle)


def test_a_file_that_goes_after_a_killed_run_leaves_nothing(
    notes: Collection, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its documents were written, and its entry was not finished."""
    stop_before_it_is_settled(monkeypatch)
    with pytest.raises(KilledError):
        notes.ingest(folder)
    assert "a.md" in ids(notes)
    monkeypatch.undo()
    (folder / "a.md").unlink()
    assert notes.ingest(folder, sync=True).vanished == ("a.md",)
    assert ids(notes) == ["c.py", "r1", "r2", "sub/b.txt"]


def test_a_file_that_is_put_back_after_a_killed_run_is_read_again(
    notes: Collection, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It looks as it did before, and what is stored is what it was in between."""
    notes.ingest(folder)
    before, status = (folder / "a.md").read_text(), (folder / "a.md").stat()
    write(folder / "a.md", "# Changed")
    stop_before_it_is_settled(monkeypatch)
    with pytest.raises(KilledError):
        notes.ingest(folder)
    monkeypatch.undo()
    (folder / "a.md").write_text(before)
    os.utime(folder / "a.md", ns=(status.st_atime_ns, status.st_mtime_ns))
    notes.ingest(folder)
    assert notes.get(["a.md"])[0]["text"] == before  # type: ignore[index]


CHILD = """
import sys, time
from tests.lumaai.films import CountingEmbedder, open_database

class Slow(CountingEmbedder):
    def embed_documents(self, texts):
        time.sleep(0.004 * len(texts))
        return super().embed_documents(texts)

with open_database(sys.argv[1], Slow()) as database:
    from lumaai.ingestion.directory import ingest_directory
    from lumaai.ingestion.walk import Selection
    notes = database.create_collection("notes", exist_ok=True)
    print("ready", flush=True)
    ingest_directory(notes, notes._manifest(), sys.argv[2], Selection(), sync=True, batch=7)
    print("done", flush=True)
"""


def ingest_in_a_child(directory: Path, folder: Path, *, seconds: float | None) -> bool:
    """Whether it came to its end; killed after some seconds from when it was ready."""
    root = Path(__file__).parents[3]
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(directory), str(folder)],
        stdout=subprocess.PIPE, text=True, cwd=root, env={**os.environ, "PYTHONPATH": str(root)},
    )  # fmt: skip
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    if seconds is not None:
        time.sleep(seconds)
        child.send_signal(signal.SIGKILL)
    rest = child.stdout.read()
    child.wait()
    child.stdout.close()
    return rest == "done\n"


def state(directory: Path) -> tuple[list[Any], list[Any]]:
    """The documents, and what the manifest says of the files and the documents that they gave."""
    with open_database(directory) as database:
        documents = sorted(database["notes"].scroll(limit=10_000).documents, key=lambda row: str(row["id"]))
        rows = database[manifest_name("notes")].scroll(limit=10_000).documents
    files = sorted((row["name"], row["hash"], row["documents"]) for row in rows if row["kind"] == "file")
    parts = sorted((row["file"], id_) for row in rows if row["kind"] == "ids" for id_ in row["ids"])
    return documents, [files, parts]


@pytest.mark.slow
def test_killed_in_the_middle_and_run_again_ends_as_one_run_does(tmp_path: Path) -> None:
    """Killed again and again, while files change, come and go: the end is that of a single run."""
    folder, chance = tmp_path / "files", random.Random(5)
    for i in range(40):
        write(folder / f"n{i:02}.txt", f"Text number {i}.")
    killed = 0
    for turn in range(4):
        rows = [{"id": f"r{chance.randrange(60)}", "title": f"row {turn}"} for _ in range(30)]
        write(folder / "rows.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
        write(folder / f"n{chance.randrange(40):02}.txt", f"Changed in turn {turn}.")
        (folder / f"n{chance.randrange(40):02}.txt").unlink(missing_ok=True)
        killed += not ingest_in_a_child(tmp_path / "db", folder, seconds=0.05 + 0.1 * turn)
    assert killed >= 2
    assert ingest_in_a_child(tmp_path / "db", folder, seconds=None)
    assert ingest_in_a_child(tmp_path / "clean", folder, seconds=None)
    assert state(tmp_path / "db") == state(tmp_path / "clean")
