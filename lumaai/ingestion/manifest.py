"""What a directory's files have become: kept beside the collection, in the same database, by the same durable writes.

For each file there is an entry with its hash, and in parts the ids of the documents that it gave. The ids are written
before the documents are, with an entry that has no hash; the one with the hash after them: whoever is killed in between
leaves no document that the manifest does not know of, and no hash that stands for documents which are not there.
Being a collection, the manifest is in the snapshots of the database, goes back with it when it is restored, and is
behind a service where the collection is.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from lumaai.errors import ErrorDetail, InvalidRequestError
from lumaai.results import DeleteResult, ScrollPage, WriteResult

_PREFIX = "_files."
_NAME_CHARACTERS_MAX = 128
_IDS_AT_ONCE = 200
_IDS_ASKED = 1000  # at once: what a filter takes
_SHARED_KEPT_MAX = 10_000

FIELDS: Mapping[str, Any] = {
    "kind": {"type": "keyword"},
    "file": {"type": "keyword"},
    "run": {"type": "keyword"},
    "ids": {"type": "keyword", "many": True},
    "name": {"type": "keyword"},
    "source": {"type": "keyword"},
    "hash": {"type": "keyword"},
    "size": {"type": "integer"},
    "modified_ns": {"type": "keyword"},
    "documents": {"type": "integer"},
    "reader": {"type": "integer"},
}


def manifest_name(collection: str) -> str:
    """The collection that is the manifest of another one."""
    name = f"{_PREFIX}{collection}"
    if len(name) <= _NAME_CHARACTERS_MAX:
        return name
    return f"{_PREFIX}{hashlib.blake2b(collection.encode(), digest_size=32).hexdigest()}"


def is_manifest(collection: str) -> bool:
    """Whether a collection is the manifest of another one, and no business of those who look at collections."""
    return collection.startswith(_PREFIX)


def check_name(collection: str, fields: object, embed: object, *, strict: object, ttl: object) -> None:
    """Refuse names that are kept for manifests, unless a manifest is what is declared: what a client of ours does.

    Raises:
        InvalidRequestError: code "name_reserved".
    """
    if is_manifest(collection) and not (fields == FIELDS and embed == {} and not strict and ttl is None):
        message = f"collection names that begin with {_PREFIX!r} are reserved: got={collection!r:.140}"
        detail = ErrorDetail("/name", "name_reserved", message)
        raise InvalidRequestError(message, code="name_reserved", errors=[detail])


class Kept(Protocol):
    """What is asked of the collections: embedded and remote ones have it."""

    def add(self, documents: Sequence[Mapping[str, Any]], *, atomic: bool) -> WriteResult:
        """Add or replace."""

    def delete(self, *, ids: Sequence[str]) -> DeleteResult:
        """Delete."""

    def scroll(self, *, limit: int, cursor: str | None, filter: Mapping[str, Any]) -> ScrollPage:  # noqa: A002
        """A page of what matches."""


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A file that was read.

    Attributes:
        name: in the collection.
        source: the directory that it is in.
        hash: of its bytes; empty where something of it failed, so that it is read again.
        size: in bytes.
        modified_ns: when it was changed, in nanoseconds; empty where that tells nothing.
        documents: that it gave.
        reader: version of the readers.
    """

    name: str
    source: str
    hash: str
    size: int
    modified_ns: str
    documents: int
    reader: int


@dataclass(slots=True)
class Finished:
    """A file that has been read, and whether what it gave before may go."""

    entry: FileEntry
    ids: set[str]
    is_whole: bool


@dataclass(frozen=True, slots=True)
class SharedIds:
    """Ids that several files give: the document is that of the file that was read last.

    Attributes:
        files: their names, sorted.
        ids: how many they are; at most 10,000 of one run are looked at.
        example: the first of them.
    """

    files: tuple[str, ...]
    ids: int
    example: str

    def __str__(self) -> str:
        what = f"the id {self.example!r}" if self.ids == 1 else f"{self.ids:,} ids ({self.example!r}, …)"
        return f"{', '.join(self.files)}: give the same documents, {what}: what was read last is kept"


class Manifest:
    """The entries of one collection's files, for one run.

    Args:
        collection: the documents.
        kept: the collection that is the manifest.

    Attributes:
        reopened: names of the files that have to be read again, for another file had taken over documents of theirs
            and no longer gives them; their entries have lost their hashes.
    """

    def __init__(self, collection: Kept, kept: Kept) -> None:
        self._collection, self._kept = collection, kept
        self._run = uuid.uuid4().hex
        self._parts = 0
        self._shared: set[str] = set()
        self.reopened: set[str] = set()

    def entries(self) -> dict[str, FileEntry]:
        """All files by name."""
        rows = self._matching({"kind": "file"})
        return {row["name"]: FileEntry(**{key: row.get(key, "") for key in FileEntry.__slots__}) for row in rows}

    def intend(self, ids_by_file: Mapping[str, Sequence[str]], begun: Sequence[FileEntry]) -> None:
        """Say which documents are about to be written, by the file that they are from.

        Args:
            ids_by_file: the ids by the files' names.
            begun: entries of the files that give their first ones, without a hash: what was known of them holds no
                longer, and should this run be killed, they are read again whatever they look like then.
        """
        parts: list[dict[str, Any]] = [_head(entry) for entry in begun]
        for name, ids in ids_by_file.items():
            for start in range(0, len(ids), _IDS_AT_ONCE):
                self._parts += 1
                part = list(ids[start : start + _IDS_AT_ONCE])
                about = {"kind": "ids", "file": _key(name), "run": self._run, "ids": part}
                parts.append({"id": f"ids:{self._run}:{self._parts}", **about})
        if parts:
            self._kept.add(parts, atomic=True)

    def settle(self, finished: Sequence[Finished]) -> int:
        """Remove what files gave before and give no longer, then remember the files; how many documents went."""
        if not finished:
            return 0
        old = self._parts_of([item.entry.name for item in finished], but_run=self._run)
        for item in finished:
            if not item.is_whole:
                old.pop(_key(item.entry.name), None)
        gone = {
            _key(item.entry.name): {id_ for _, ids in old.get(_key(item.entry.name), ()) for id_ in ids} - item.ids
            for item in finished
        }
        removed = self._remove(set().union(*gone.values()), old)
        self._kept.add([_head(item.entry) for item in finished], atomic=True)
        self._note_shared(set().union(*(item.ids for item in finished)))
        return removed

    def shared(self, names: Iterable[str]) -> tuple[SharedIds, ...]:
        """The ids that several of these files give, as far as one of them was read in this run."""
        known = {_key(name): name for name in names}
        givers: dict[str, set[str]] = {}
        for row in self._claims(self._shared):
            if row["file"] in known:
                for id_ in self._shared.intersection(row["ids"]):
                    givers.setdefault(id_, set()).add(known[row["file"]])
        together: dict[tuple[str, ...], list[str]] = {}
        for id_, files in givers.items():
            if len(files) > 1:
                together.setdefault(tuple(sorted(files)), []).append(id_)
        return tuple(SharedIds(files, len(ids), min(ids)) for files, ids in sorted(together.items()))

    def remember(self, entries: Sequence[FileEntry]) -> None:
        """Files that are as they were, but for their times."""
        self._kept.add([_head(entry) for entry in entries], atomic=True)

    def forget(self, names: Sequence[str]) -> int:
        """Remove the documents of files, and the files; how many documents went."""
        removed = 0
        for start in range(0, len(names), _IDS_AT_ONCE):
            some = names[start : start + _IDS_AT_ONCE]
            old = self._parts_of(some)
            removed += self._remove({id_ for parts in old.values() for _, ids in parts for id_ in ids}, old)
            self._kept.delete(ids=[_head_id(name) for name in some])
        return removed

    def _remove(self, ids: set[str], old: Mapping[str, Sequence[tuple[str, Sequence[str]]]]) -> int:
        """Remove documents that no file gives besides in these old parts, then the parts."""
        parts = [id_ for rows in old.values() for id_, _ in rows]
        free = sorted(ids - self._claimed(ids, set(parts)))
        removed = sum(self._collection.delete(ids=some).deleted for some in _slices(free))
        for some in _slices(parts):
            self._kept.delete(ids=some)
        return removed

    def _claimed(self, ids: set[str], old_parts: set[str]) -> set[str]:
        """Those of some ids that are given by a file, as far as other parts than these say.

        A file that gave them before this run may have been overruled by the one that they go with: it is reopened.
        """
        claimed: set[str] = set()
        overruled: set[str] = set()
        for row in self._claims(ids):
            if row["id"] not in old_parts:
                claimed.update(ids.intersection(row["ids"]))
                if row["run"] != self._run:
                    overruled.add(row["file"])
        self._reopen(overruled)
        return claimed

    def _reopen(self, keys: set[str]) -> None:
        """Take the hashes of files, before what overruled them goes: whoever is killed then reads them next time."""
        for some in _slices(sorted(keys)):
            heads = [dict(row) for row in self._matching({"kind": "file", "file": {"$in": some}})]
            self.reopened.update(head["name"] for head in heads)
            if heads:
                self._kept.add([{**head, "hash": "", "modified_ns": ""} for head in heads], atomic=True)

    def _note_shared(self, ids: set[str]) -> None:
        """Remember those of some ids that several files give, until it is known which files stay."""
        givers: dict[str, str] = {}
        for row in self._claims(ids):
            for id_ in ids.intersection(row["ids"]):
                if givers.setdefault(id_, row["file"]) != row["file"] and len(self._shared) < _SHARED_KEPT_MAX:
                    self._shared.add(id_)

    def _claims(self, ids: set[str]) -> Iterator[Mapping[str, Any]]:
        """The parts that have one of some ids."""
        for some in _slices(sorted(ids), _IDS_ASKED):
            yield from self._matching({"kind": "ids", "ids": {"$contains_any": some}})

    def _parts_of(self, names: Sequence[str], but_run: str | None = None) -> dict[str, list[tuple[str, list[str]]]]:
        """The ids that files gave, in their parts, by the file's key; without those of a run."""
        found: dict[str, list[tuple[str, list[str]]]] = {}
        for some in _slices([_key(name) for name in names]):
            for row in self._matching({"kind": "ids", "file": {"$in": some}}):
                if row["run"] != but_run:
                    found.setdefault(row["file"], []).append((row["id"], row["ids"]))
        return found

    def _matching(self, where: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        cursor = None
        while True:
            page = self._kept.scroll(limit=1000, cursor=cursor, filter=where)
            yield from page.documents
            cursor = page.next_cursor
            if cursor is None:
                return


def _slices(ids: Sequence[str], size: int = _IDS_AT_ONCE) -> Iterable[list[str]]:
    return (list(ids[start : start + size]) for start in range(0, len(ids), size))


def _key(name: str) -> str:
    """Of a file, however long its name."""
    return hashlib.blake2b(name.encode(), digest_size=16).hexdigest()


def _head_id(name: str) -> str:
    return f"file:{_key(name)}"


def _head(entry: FileEntry) -> dict[str, Any]:
    return {"id": _head_id(entry.name), "kind": "file", "file": _key(entry.name), **asdict(entry)}
