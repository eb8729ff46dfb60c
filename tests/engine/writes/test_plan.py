"""engine.writes.plan: what a write says it did."""

from __future__ import annotations

from dataclasses import replace

from engine import Collection, Durability, WriteResult


def test_every_document_has_its_status(collection: Collection) -> None:
    """Of equal ids those before the last count as replaced; the counts are those of the statuses."""
    first = collection.add([{"id": "a", "n": 1}, {"id": "b"}, {"id": "a", "n": 2}])
    assert first.statuses == ("replaced", "added", "added")
    second = collection.add(
        [{"id": "a", "n": 1}, {"id": "c"}, {"id": "b"}, {"id": "a", "n": 2}, {"id": "b"}, {"id": "c", "n": 1}]
    )
    assert second.statuses == ("replaced", "replaced", "replaced", "skipped", "skipped", "added")
    for result in (first, second):
        counts = tuple(result.statuses.count(status) for status in ("added", "replaced", "skipped"))
        assert counts == (result.added, result.replaced, result.skipped)
    assert collection.snapshot().get(["a", "b", "c"]) == [{"id": "a", "n": 2}, {"id": "b"}, {"id": "c", "n": 1}]


def test_a_result_survives_its_record() -> None:
    """What an idempotency key keeps is the whole result, but for the mark of the replay."""
    result = WriteResult(7, Durability.NONE, 1, 2, 3, 4, ("a", "b"), (), ("added", "skipped"))
    again = WriteResult.from_record(result.to_record(b"own"))
    assert again == replace(result, replayed=True, context=b"own")


def test_a_replay_leaves_out_what_was_purged() -> None:
    """Ids and their statuses; the counts are those of then."""
    record = WriteResult(3, added=1, replaced=1, ids=("", "b"), statuses=("added", "replaced")).to_record(b"")
    replay = WriteResult.from_record(record)
    assert (replay.ids, replay.statuses) == (("b",), ("replaced",))
    assert (replay.added, replay.replaced, replay.replayed) == (1, 1, True)
