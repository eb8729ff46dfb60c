"""Small named values beside the collections, for whoever runs the database: settings, keys, names of other names.

They lie in the `system` family, in archives with everything else, and each is written durably. What is restored over a
database brings its own; only *lasting* records stay as they were: what has been forbidden since an archive was made
must not become allowed again by going back to it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from engine.errors import InvalidInputError, ReadOnlyError
from engine.store import keys
from engine.store.pieces import Pieces
from engine.store.rocks import SYSTEM, Store

RECORD_BYTES_MAX = 1 << 20


class Records:
    """The records of one kind. Safe for many threads; what one call writes is written at once, or not at all.

    Args:
        store: the database's store in use now; raises where the database is closed.
        kind: letters, digits and `_`.
        lasting: they stay as they are when an archive is restored over the database.
    """

    def __init__(self, store: Callable[[], Store], kind: str, *, lasting: bool) -> None:
        if not kind.replace("_", "").isalnum() or not kind.isascii():
            raise InvalidInputError(f"kind of records must be letters, digits and _: got={kind!r:.40}")
        self._store = store
        self._kind = kind
        self._lasting = lasting

    def get(self, name: str) -> bytes | None:
        """The value of that name, or None."""
        return self._store().get(SYSTEM, self._key(name))

    def items(self) -> dict[str, bytes]:
        """All values, by name and in its order."""
        prefix = self._key("")
        found = self._store().items(SYSTEM, prefix, prefix + b"\xff")
        return {key[len(prefix) :].decode(): value for key, value in found}

    def write(self, changes: Mapping[str, bytes | None]) -> None:
        """Store values under their names, and delete those whose value is None; durable when this returns.

        Raises:
            InvalidInputError: a value is larger than `RECORD_BYTES_MAX`.
            ReadOnlyError: the database was opened to be read only.
            StorageError: the disk refuses it.
        """
        store = self._store()
        if store.read_only:
            raise ReadOnlyError(f"database was opened to be read only: records of kind {self._kind!r} stay as they are")
        batch = store.batch()
        for name, value in changes.items():
            if value is None:
                batch.delete(SYSTEM, self._key(name))
            elif len(value) > RECORD_BYTES_MAX:
                raise InvalidInputError(f"record is too large: maximum={RECORD_BYTES_MAX} got={len(value)} bytes")
            else:
                batch.put(SYSTEM, self._key(name), value)
        batch.flush()
        store.sync()

    def _key(self, name: str) -> bytes:
        return keys.record_key(self._kind, name, lasting=self._lasting)


def read_lasting(store: Store) -> dict[bytes, bytes]:
    """The lasting records of a store, by their keys."""
    return dict(store.items(SYSTEM, keys.LASTING_PREFIX, keys.LASTING_PREFIX + b"\xff"))


def put_lasting(store: Store, batch: Pieces, kept: Mapping[bytes, bytes]) -> None:
    """Give a store the lasting records of another one, and no others, with what else is in a batch."""
    for key in read_lasting(store).keys() - kept.keys():
        batch.delete(SYSTEM, key)
    for key, value in kept.items():
        batch.put(SYSTEM, key, value)
