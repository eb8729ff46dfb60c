"""engine.maintenance: the background thread."""

from __future__ import annotations

import threading

import pytest

from engine import maintenance
from engine.errors import CollectionNotFoundError, DatabaseClosedError
from engine.maintenance import Maintenance


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
