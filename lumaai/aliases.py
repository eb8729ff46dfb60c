"""Other names of collections: each leads to one collection at a time, and is switched to another at once, for all."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

from lumaai.errors import ConflictError, ErrorDetail, InvalidRequestError, NotFoundError
from lumaai.ingestion.manifest import is_manifest, manifest_name

if TYPE_CHECKING:
    from engine import Records
    from lumaai.opened import Opened

ALIASES_MAX = 10_000


class Aliases:
    """The aliases of one database. Safe for many threads.

    Whoever makes a collection or an alias holds `lock`, so that no name becomes both. Reading takes no lock: the table
    is replaced as a whole.

    Args:
        opened: the database; a restored one has the aliases of its snapshot.
    """

    def __init__(self, opened: Opened) -> None:
        self._opened = opened
        self.lock = threading.RLock()
        self._generation = -1
        self._table: dict[str, str] = {}
        self._resolved: dict[str, str] = {}

    @property
    def table(self) -> Mapping[str, str]:
        """The collection of each alias, by the alias's name."""
        if self._generation != self._opened.generation:
            self._read()
        return self._table

    def resolve(self, name: str) -> str:
        """The collection that a name means: where it is an alias, the one that it leads to.

        What is noted of the files of an alias is noted of those of its collection.
        """
        if self._generation != self._opened.generation:
            self._read()
        return self._resolved.get(name, name)

    def set(self, alias: str, collection: str) -> bool:
        """Let an alias lead to a collection from now on, also after a crash; whether there was no such alias before.

        Raises:
            ConflictError: there is a collection of that name (code "collection_exists"), or too many aliases.
            InvalidRequestError: it is no name.
            NotFoundError: there is no such collection; an alias is none.
        """
        _check_name(alias)
        with self.lock:
            table, names = dict(self.table), self._opened.native.collections()
            if alias in names:
                raise ConflictError(f"there is a collection of that name: {alias!r}", code="collection_exists")
            if collection in table:
                message = f"this is an alias itself: give the collection that it leads to: {collection!r:.140}"
                raise NotFoundError(message, code="collection_not_found")
            if collection not in names or is_manifest(collection):
                raise NotFoundError(f"collection does not exist: {collection!r:.140}", code="collection_not_found")
            is_new = alias not in table
            if is_new and len(table) >= ALIASES_MAX:
                raise ConflictError(f"too many aliases: maximum={ALIASES_MAX}", code="too_many_aliases")
            self._write({alias: collection}, {**table, alias: collection})
        return is_new

    def drop(self, alias: str) -> None:
        """Remove an alias; the collection stays.

        Raises:
            NotFoundError: there is none of that name.
        """
        with self.lock:
            table = dict(self.table)
            if table.pop(alias, None) is None:
                raise NotFoundError(f"alias does not exist: {alias!r:.140}", code="alias_not_found")
            self._write({alias: None}, table)

    def forget_of(self, collection: str) -> None:
        """Remove the aliases that lead to a collection, which is about to go."""
        with self.lock:
            gone = [alias for alias, target in self.table.items() if target == collection]
            if gone:
                left = {alias: target for alias, target in self.table.items() if target != collection}
                self._write(dict.fromkeys(gone), left)

    def check_free(self, name: str) -> None:
        """Refuse a name for a collection that is an alias; to be called with `lock` held.

        Raises:
            ConflictError: code "alias_exists".
        """
        if name in self.table:
            raise ConflictError(f"there is an alias of that name: {name!r}", code="alias_exists")

    @property
    def _records(self) -> Records:
        return self._opened.native.records("alias")

    def _read(self) -> None:
        generation = self._opened.generation
        self._show({alias: value.decode() for alias, value in self._records.items().items()})
        self._generation = generation

    def _write(self, changes: Mapping[str, str | None], table: dict[str, str]) -> None:
        self._records.write({alias: None if to is None else to.encode() for alias, to in changes.items()})
        self._show(table)

    def _show(self, table: dict[str, str]) -> None:
        manifests = {manifest_name(alias): manifest_name(target) for alias, target in table.items()}
        self._resolved, self._table = {**manifests, **table}, table


def _check_name(alias: object) -> None:
    import engine

    if not isinstance(alias, str) or not engine.COLLECTION_NAME.fullmatch(alias) or is_manifest(alias):
        message = (
            f"alias must be 1 to 128 of A-Z a-z 0-9 _ . - and not begin with . or -, or _files.: got={alias!r:.140}"
        )
        detail = ErrorDetail("/alias", "invalid_value", message)
        raise InvalidRequestError(message, code="invalid_value", errors=[detail])
