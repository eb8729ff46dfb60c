"""engine.segments.pins: which snapshots are still read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pyroaring import BitMap

from engine import Schema
from engine.segments.pins import Pins
from engine.segments.sources import StoreReader
from engine.snapshot import Snapshot
from engine.store.rocks import Store


@pytest.fixture
def made(tmp_path: Path) -> Iterator[list[Snapshot]]:
    store = Store(tmp_path / "s")
    reader = StoreReader(store, 1, "c")
    yield [Snapshot("c", i, Schema(), (), BitMap(), reader) for i in range(4)]
    store.close()


def test_the_oldest_alive_is_known(made: list[Snapshot]) -> None:
    """Numbers from 1; when the last is gone, the oldest is the one to come."""
    pins = Pins()
    assert pins.oldest() == 1
    for snapshot in made:
        pins.add(snapshot)
    del snapshot
    assert (pins.latest, pins.oldest(), pins.alive(4)) == (4, 1, 4)
    del made[1]
    assert (pins.oldest(), pins.alive(4), pins.alive(2)) == (1, 3, 1)
    del made[0]
    assert (pins.oldest(), pins.alive(4), pins.alive(2)) == (3, 2, 0)
    made.clear()
    assert (pins.oldest(), pins.alive(4)) == (5, 0)


def test_many_that_come_and_go_take_no_room(made: list[Snapshot]) -> None:
    """Also behind one that stays."""
    pins = Pins()
    pins.add(made[0])
    for i in range(10_000):
        pins.add(Snapshot("c", i, Schema(), (), BitMap(), made[0]._reader))
    assert len(pins._alive) < 200
    assert pins.oldest() == 1
