"""engine.text.index: what it takes in, covers, survives and gives back."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.text.errors import TextIndexDamagedError, TextIndexOutdatedError
from engine.text.index import HEAP_BYTES, TextIndex
from engine.text.view import TextView
from tests.engine.text.conftest import MakeIndex
from tests.engine.text.support import add, found, search


def test_a_search_after_a_write_sees_it(make_index: MakeIndex) -> None:
    """The view commits what is pending; without a write it stays the same view."""
    index = make_index()
    add(index, ["one"])
    before = index.dirty
    assert found(index, "one") == [0]
    assert (before, index.dirty) == (True, False)
    view = index.view()
    assert index.view() is view
    assert not index.commit()
    add(index, ["one"], 1)
    assert found(index, "one") == [0, 1]


def test_lists_strings_and_other_values(make_index: MakeIndex) -> None:
    """Lists are texts of their own, which no phrase crosses; what is no string is left alone."""
    index = make_index({"text": None, "tags": None})
    add(index, [{"text": ["red fox", "blue sky", None, 5], "tags": {"a": 1}}, {"text": 7}, {"other": "red"}, {}])
    assert found(index, "red") == [0]
    assert found(index, '"red fox"') == [0]
    assert found(index, '"fox blue"') == []
    assert index.view().documents == 1
    assert index.next_ordinal == 4


def test_an_index_knows_how_far_it_reaches(make_index: MakeIndex) -> None:
    """What was committed is there when it is opened again; adding it again changes nothing."""
    index = make_index()
    add(index, ["one", "two", "three"])
    index.commit()
    index = make_index()
    assert index.next_ordinal == 3
    add(index, ["one", "two", "three", "four"])
    assert index.view().documents == 4
    assert found(index, "four") == [3]


def test_what_was_not_committed_is_not_covered(tmp_path: Path) -> None:
    """After a crash the store has to give it again."""
    index = TextIndex(tmp_path / "text", {"text": None})
    add(index, ["one"])
    index.commit()
    add(index, ["two"], 1)
    index._writer = None  # its process is gone
    again = TextIndex(tmp_path / "text", {"text": None})
    assert again.next_ordinal == 1
    assert found(again, "two") == []
    again.close()


def test_deleted_documents_are_forgotten(make_index: MakeIndex) -> None:
    """At once for new views, and for good."""
    index = make_index()
    add(index, ["one a", "one b", "one c"])
    index.delete(np.array([1, 99], dtype=np.uint32))
    assert set(found(index, "one")) == {0, 2}
    assert set(found(make_index(), "one")) == {0, 2}


def test_fields_can_join_later(make_index: MakeIndex) -> None:
    """Into free slots, while the index is open or when it is opened again."""
    index = make_index({"text": None})
    add(index, [{"text": "x"}])
    index.set_fields({"text": None, "title": "en"})
    add(index, [{"title": "running"}], 1)
    assert found(index, "title:runs") == [1]
    index = make_index({"text": None, "title": "en", "body": None})
    add(index, [{"body": "y"}], 2)
    assert found(index, "body:y") == [2]
    assert found(index, "title:runs") == [1]
    with pytest.raises(TextIndexOutdatedError, match="field 'title' has another language: en → de"):
        make_index({"title": "de"})
    with pytest.raises(TextIndexOutdatedError, match="no slot is free: slots=8 fields=11"):
        index.set_fields({f"f{i}": None for i in range(8)})


def test_many_fields_have_room(make_index: MakeIndex) -> None:
    """A new index has twice the slots that it needs."""
    languages: dict[str, str | None] = {f"f{i}": None for i in range(20)}
    index = make_index(languages)
    index.set_fields({f"g{i}": None for i in range(20)})
    add(index, [{"f19": "x", "g19": "y"}])
    assert found(index, "f19:x") == found(index, "g19:y") == [0]


@pytest.mark.parametrize("damage", ["missing", "truncated", "flipped", "table", "version"])
def test_damage_is_found(make_index: MakeIndex, tmp_path: Path, damage: str) -> None:
    """By opening, or by the checksums; never by wrong answers alone."""
    index = make_index()
    add(index, [f"word{i} common" for i in range(500)])
    index.close()
    assert index.check() == []
    directory = tmp_path / "text"
    files = [path for path in directory.iterdir() if path.suffix == ".idx" and path.stat().st_size > 500]
    match damage:
        case "missing":
            files[0].unlink()
        case "truncated":
            files[0].write_bytes(files[0].read_bytes()[:-50])
        case "flipped":
            data = bytearray(files[0].read_bytes())
            data[100] ^= 0xFF
            files[0].write_bytes(data)
            assert index.check() == [files[0].name]
            return
        case "table":
            (directory / "fields.json").write_text('{"format": 1')
        case _:
            table = directory / "fields.json"
            table.write_text(table.read_text().replace('"analyzer":1', '"analyzer":0'))
    expected = TextIndexOutdatedError if damage == "version" else TextIndexDamagedError
    with pytest.raises(expected):
        search(TextIndex(directory, {"text": None}).view(), "common")


def test_an_index_without_its_table_is_made_anew(make_index: MakeIndex, tmp_path: Path) -> None:
    """As after a crash while it was being made."""
    add(make_index(), ["one"])
    index = make_index()
    (tmp_path / "text" / "fields.json").unlink()
    index.close()
    index = make_index()
    assert index.next_ordinal == 0
    add(index, ["two"])
    assert found(index, "two") == [0]


def test_a_failing_writer_forgets_what_was_not_committed(make_index: MakeIndex) -> None:
    """It passes for whole no more; what was committed is there when it is opened again."""

    class Broken:
        def add_document(self, document: Any) -> None:
            raise ValueError("no space left on device")

    index = make_index()
    add(index, ["one"])
    index.commit()
    add(index, ["two"], 1)
    index._writer = Broken()
    with pytest.raises(TextIndexDamagedError, match="text index cannot be written: reason=no space left"):
        add(index, ["three"], 2)
    assert index.broken
    with pytest.raises(TextIndexDamagedError, match="must be opened again"):
        index.view()
    again = make_index()
    assert again.next_ordinal == 1
    add(again, ["two", "three"], 1)
    assert found(again, "two three") == [1, 2]


def test_a_failure_behind_a_commit_adds_nothing_twice(make_index: MakeIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where even the last commit cannot be read, the index must be opened again."""
    index = make_index()
    add(index, ["one"])
    load = index._load

    def fail() -> Any:
        raise TextIndexDamagedError("too many open files")

    monkeypatch.setattr(index, "_load", fail)
    with pytest.raises(TextIndexDamagedError, match="too many open files"):
        index.commit()
    monkeypatch.setattr(index, "_load", load)
    with pytest.raises(TextIndexDamagedError, match="must be opened again"):
        add(index, ["one"])
    again = make_index()
    assert again.next_ordinal == 1
    assert found(again, "one") == [0]


def test_a_writer_is_let_go(make_index: MakeIndex) -> None:
    """Its heap counts as memory for as long as it is open."""
    index = make_index()
    assert index.memory_bytes() == 0
    add(index, ["one"])
    assert index.memory_bytes() == HEAP_BYTES
    index.close_writer()
    assert index.memory_bytes() == 0
    assert index.view().documents == 1
    add(index, ["two"], 1)
    assert found(index, "two") == [1]
    assert index.files_bytes() > 0


def test_destroy_leaves_nothing(make_index: MakeIndex, tmp_path: Path) -> None:
    """Views that are in use stay usable."""
    index = make_index()
    add(index, ["one"])
    view = index.view()
    index.destroy()
    assert not (tmp_path / "text").exists()
    assert search(view, "one").ordinals.tolist() == [0]


def test_readers_and_a_writer_at_once(make_index: MakeIndex) -> None:
    """Every reader sees all that was acknowledged before it looked, and documents come in order."""
    index = make_index()
    acknowledged = 0
    problems: list[str] = []
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            before = acknowledged
            ordinals = sorted(found(index, "common", 1_000))
            if ordinals != list(range(len(ordinals))) or len(ordinals) < before:
                problems.append(f"{before} {ordinals}")

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    until = time.monotonic() + 2
    while time.monotonic() < until and acknowledged < 500:
        add(index, [f"common x{acknowledged + i}" for i in range(5)], acknowledged)
        acknowledged += 5
    stop.set()
    for reader in readers:
        reader.join()
    assert problems == []
    assert acknowledged > 20


def test_what_tantivy_is_merging_is_no_damage(make_index: MakeIndex) -> None:
    """Files that come and go while it is checked: those of no commit, half written, and those taken away."""
    index = make_index()
    stop = threading.Event()
    found: list[str] = []

    def check() -> None:
        while not stop.is_set():
            found.extend(index.check())

    checker = threading.Thread(target=check)
    checker.start()
    for i in range(40):  # many small commits make Tantivy merge
        add(index, [f"word{i} common text number {j}" for j in range(50)], first=50 * i)
        index.commit()
    stop.set()
    checker.join()
    assert found == []


def merging(index: TextIndex, first: int = 0) -> TextView:
    """A view that was made just before Tantivy merged some of its segments."""
    for i in range(first, first + 100):
        add(index, [f"common word{i}"], i)
        index.commit()
        view = index.view()
        index.close_writer()  # waits for merges
        if len(list(index.directory.glob("*.term"))) < view.segments:
            return view
    raise AssertionError("nothing was merged")


def test_views_pass_on_to_what_tantivy_merged(make_index: MakeIndex) -> None:
    """Fewer segments, the same documents and scores."""
    index = make_index()
    old = merging(index)
    assert index.adopt_merges()
    merged = old.successor
    assert merged is index.view()
    assert merged.segments < old.segments
    before, after = search(old, "common word3"), search(merged, "common word3")
    assert before.ordinals.tolist() == after.ordinals.tolist()
    assert before.scores.tolist() == after.scores.tolist()
    assert not index.adopt_merges()


def test_a_view_that_counts_deleted_documents_has_no_successor(make_index: MakeIndex) -> None:
    """Merging them away changes the scores of the rest."""
    index = make_index()
    add(index, ["common gone", "common kept"])
    index.commit()
    index.delete(np.array([0], dtype=np.uint32))
    old = merging(index, 2)
    assert old.dead
    assert index.adopt_merges()
    assert old.successor is None
