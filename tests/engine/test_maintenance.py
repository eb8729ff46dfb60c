"""engine.maintenance: the background thread."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engine import Database, Schema, maintenance
from engine.errors import CollectionNotFoundError, DatabaseClosedError
from engine.maintenance import Maintenance, Rounds


@pytest.mark.parametrize(
    "error", [OSError("disk"), RuntimeError("ours"), DatabaseClosedError("x"), CollectionNotFoundError("c")]
)
def test_the_thread_outlives_failures(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failing round is tried again, whatever it failed with."""
    monkeypatch.setattr(maintenance, "POLL_SECONDS", 0.005)
    rounds: list[int] = []
    done = threading.Event()

    def work() -> bool:
        rounds.append(1)
        if len(rounds) < 3:
            raise error
        done.set()
        return False

    upkeep = Maintenance(work)
    assert done.wait(5)
    upkeep.stop()
    upkeep.join()
    assert len(rounds) >= 3


def test_it_ends_soon_after_it_is_told() -> None:
    """Also while it has nothing to do."""
    upkeep = Maintenance(lambda: False)
    upkeep.stop()
    upkeep.join()
    assert not upkeep._thread.is_alive()


def test_one_that_fails_keeps_nothing_from_the_others(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is left alone ever longer, which is said with its name; what is dropped meanwhile is passed over."""
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    bad, gone, good = (SimpleNamespace(name=name, number=i) for i, name in enumerate(["bad", "gone", "good"]))
    tried: list[str] = []

    def work(each: SimpleNamespace) -> bool:
        tried.append(each.name)
        if each is bad:
            raise OSError("disk")
        if each is gone:
            raise CollectionNotFoundError("gone")
        return True

    rounds = Rounds()
    for moment in (0.0, 0.1, 0.6, 1.0, 1.7):
        now[0] = moment
        assert rounds.each([bad, gone, good], work)
    assert tried.count("bad") == 3  # at 0.0, 0.6 and 1.7: half a second later, and a whole one
    assert tried.count("gone") == tried.count("good") == 5
    details = [(record.message, vars(record)["collection"], vars(record)["retry_seconds"]) for record in caplog.records]
    assert details == [("maintenance.failed", "bad", pause) for pause in (0.5, 1.0, 2.0)]


def test_a_collection_that_cannot_be_sealed_lets_others_be(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sealing, merging and collecting of those behind it go on."""
    with Database.open(path) as database:
        first, second = (database.create_collection(name, Schema()) for name in "ab")

        def fail(*_: Any, **__: Any) -> bool:
            raise OSError(5, "disk fault in one file")

        for work in ("seal", "merge", "collect"):
            monkeypatch.setattr(first.state, work, fail)
        for collection in (first, second):
            collection.add([{"id": str(i)} for i in range(1000)])
        deadline = time.monotonic() + 10
        while not second.state.segments() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert len(second.state.segments()) == 1
        second.delete(ids=[str(i) for i in range(500)])
        while second.state.stored() > 500 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert second.state.stored() == 500
        while second.state.garbage() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert second.state.garbage() == 0
        assert not first.state.segments()
