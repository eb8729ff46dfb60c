"""How far each family of the store has come: who reads beside the owner must see all of them as of one moment.

RocksDB's secondary instances do not promise that. They read the manifest, then the log; where the owner flushes or
compacts meanwhile, one family may stay behind, or hide newer tables behind what an older log had put into memory, and
nothing is said. So every write leaves RocksDB's own number of its last operation in each family that it touches, and in
`system` a list of the last one of each.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec
from rocksdict import ColumnFamily, Rdict

from engine.errors import CorruptionError, StorageError
from engine.store.pieces import Piece

if TYPE_CHECKING:
    from engine.store.rocks import Store

STAMP = b"\xff" * 10  # behind all keys of content; the list stands under it in `system`
_SYSTEM = "system"


class UnevenError(StorageError):
    """Some families are behind others."""


class Stamps:
    """Stamps the writes of one store. Safe for many threads; `_lock` keeps them in the order of their numbers."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: dict[str, int] | None = None

    def write(self, piece: Piece, db: Rdict, system: Rdict, handles: Mapping[str, ColumnFamily]) -> None:
        """Write a piece with its stamps, atomically; raises what rocksdict raises."""
        with self._lock:
            if self._last is None:
                self._last = _decode(system.get(STAMP)) or {}
            batch = piece.batch(handles)
            others = piece.families - {_SYSTEM}
            stamp = db.latest_sequence_number() + batch.len() + len(others) + 1
            last = {**self._last, **dict.fromkeys(others, stamp), _SYSTEM: stamp}
            for family in others:
                batch.put(STAMP, b"%d" % stamp, handles[family])
            batch.put(STAMP, msgspec.json.encode(last), handles[_SYSTEM])
            db.write(batch)
            self._last = last


def check_stamps(store: Store) -> int:
    """RocksDB's number of the last write, which is seen in all families. Nobody else lets the store catch up meanwhile.

    Raises:
        UnevenError: it is not, or something newer is known of.
        CorruptionError: a stamp is none.
    """
    number = store.written()
    last = _decode(store.get(_SYSTEM, STAMP))
    if last is None:  # an earlier version wrote it
        return number
    found = {family: _number(store.get(family, STAMP)) for family in last if family != _SYSTEM}
    if {**found, _SYSTEM: number} != last:
        facts = f"last write={number} expected={last} found={found}"
        raise UnevenError(f"store cannot be read as of one moment: path={store.path} {facts}")
    return number


def _decode(value: bytes | None) -> dict[str, int] | None:
    try:
        return None if value is None else msgspec.json.decode(value, type=dict[str, int])
    except msgspec.MsgspecError as error:
        raise CorruptionError(f"store is damaged: stamps={value!r:.80}: {error}") from error


def _number(value: bytes | None) -> int:
    try:
        return int(value or 0)
    except ValueError as error:
        raise CorruptionError(f"store is damaged: stamp={value!r:.40}") from error
