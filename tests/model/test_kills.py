"""P1: kill -9 of a writer with every kind of write under way, against an oracle; `make soak` kills it 200 times."""

from __future__ import annotations

from pathlib import Path

from tests.model.kills import kill_writers
from tests.model.pair import KINDS

KILLS = 12  # and eight in `tests/crash/test_kill.py`


def test_what_was_acknowledged_is_there_and_nothing_else(tmp_path: Path) -> None:
    """Nothing lost, nothing phantom, nothing resurrected: after each kill by scroll, get, count, filter and vector."""
    done = kill_writers(tmp_path, seed=20261122, kills=KILLS)
    assert done.keys() >= KINDS.keys() | {"optimize", "documents"}
    assert done["documents"] > 100
