"""What calls about the whole database answer, embedded and over HTTP alike: changes, snapshots, checks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from lumaai.errors import ErrorDetail, InvalidRequestError
from lumaai.results import Document
from lumaai.search import whole_number

SNAPSHOT_NAME = r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,127}"
# Endings of a snapshot in the making, and of one on its way out.
SNAPSHOT_UNFINISHED = (".partial", ".deleting")
SNAPSHOT_RESERVED = (".tar", *SNAPSHOT_UNFINISHED)  # ".tar": to the engine, one file

Progress = Callable[[str, float], None]  # told a stage, and how much of it is done: 0..1

CHANGES_LIMIT = 1000
CHANGES_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Change:
    """One write, as the change feed tells it.

    Attributes:
        sequence: of the write.
        collection: its name.
        documents: as they were written; without those that a later change carries in a newer version.
        deleted: ids of documents that the write deleted.
    """

    sequence: int
    collection: str
    documents: list[Document]
    deleted: list[str]

    def to_json(self) -> dict[str, Any]:
        """The change in the shape of the HTTP API."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Change:
        """Read the HTTP API's shape."""
        return cls(int(data["sequence"]), str(data["collection"]), list(data["documents"]), list(data["deleted"]))


@dataclass(frozen=True, slots=True)
class Changes(Sequence[Change]):
    """Writes in their order.

    Attributes:
        items: the changes.
        next: where the next call begins: its `after`.
    """

    items: tuple[Change, ...]
    next: int

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Change]:
        return iter(self.items)

    def __getitem__(self, index: Any) -> Any:
        return self.items[index]

    def to_json(self) -> dict[str, Any]:
        """The answer in the shape of the HTTP API."""
        return {"changes": [change.to_json() for change in self.items], "next": self.next}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Changes:
        """Read the HTTP API's shape."""
        return cls(tuple(Change.from_json(item) for item in data["changes"]), int(data["next"]))


@dataclass(frozen=True, slots=True)
class SnapshotInfo:
    """A snapshot of the whole database.

    Attributes:
        name: of the snapshot.
        sequence: of the last write in it.
        bytes: of its files together; files that have not changed share the disk with the database.
        files: how many.
        made: when, in UTC, such as "2025-01-31T12:00:00+00:00"; None where it is not known.
    """

    name: str
    sequence: int
    bytes: int
    files: int
    made: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The answer in the shape of the HTTP API."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> SnapshotInfo:
        """Read the HTTP API's shape."""
        return cls(str(data["name"]), int(data["sequence"]), int(data["bytes"]), int(data["files"]), data.get("made"))


@dataclass(frozen=True, slots=True)
class Reembedding:
    """A collection on its way to another model.

    Attributes:
        collection: its name.
        field: the vector field.
        model: the new model.
        state: "running", "switching", "done", "failed", "cancelled", or "interrupted": by the end of a process; the
            same call again goes on.
        documents: that the new model has embedded.
        total: documents of the collection.
        error: why it failed.
    """

    collection: str
    field: str
    model: str
    state: str
    documents: int
    total: int
    error: str | None = None

    @property
    def has_ended(self) -> bool:
        """Whether nothing more happens by itself."""
        return self.state not in {"running", "switching"}

    def to_json(self) -> dict[str, Any]:
        """The answer in the shape of the HTTP API."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Reembedding:
        """Read the HTTP API's shape."""
        collection, field, model, state = (str(data[key]) for key in ("collection", "field", "model", "state"))
        return cls(collection, field, model, state, int(data["documents"]), int(data["total"]), data.get("error"))


@dataclass(frozen=True, slots=True)
class CheckProblem:
    """Something that is wrong in the database's files.

    Attributes:
        file: where; "" where no file is.
        collection: whose it is; None for all.
        what: what is wrong.
        repaired: whether it was made good from the store.
        ids: of documents that were acknowledged and cannot be read.
    """

    file: str
    collection: str | None
    what: str
    repaired: bool
    ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What reading everything has shown.

    Attributes:
        files: read and compared with their checksums.
        documents: read and decoded.
        rows: of vectors compared with the store.
    """

    files: int
    documents: int
    rows: int
    problems: tuple[CheckProblem, ...]

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong now: there were no problems, or all are repaired."""
        return all(problem.repaired for problem in self.problems)

    def to_json(self) -> dict[str, Any]:
        """The answer in the shape of the HTTP API."""
        problems = [{**asdict(problem), "ids": list(problem.ids)} for problem in self.problems]
        return {"files": self.files, "documents": self.documents, "rows": self.rows, "problems": problems}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> CheckReport:
        """Read the HTTP API's shape."""
        problems = tuple(
            CheckProblem(
                str(item["file"]), item["collection"], str(item["what"]), bool(item["repaired"]), tuple(item["ids"])
            )
            for item in data["problems"]
        )
        return cls(int(data["files"]), int(data["documents"]), int(data["rows"]), problems)


def check_changes(after: object, limit: object) -> int:
    """The limit, if it and `after` are numbers as they should be.

    Raises:
        InvalidRequestError: they are not.
    """
    whole_number("after", after, least=0)
    rows = whole_number("limit", limit, least=1)
    if rows > CHANGES_MAX:
        raise InvalidRequestError(f"limit is too large: maximum={CHANGES_MAX} got={rows}")
    return rows


def check_flag(name: str, value: object) -> bool:
    """The value, if it is true or false.

    Raises:
        InvalidRequestError: it is neither.
    """
    if not isinstance(value, bool):
        raise InvalidRequestError(f"{name} must be true or false: got={type(value).__name__}", code="type_mismatch")
    return value


def check_snapshot_name(name: object) -> str:
    """The name, if it can be one: never a path.

    Raises:
        InvalidRequestError: it cannot.
    """
    if not isinstance(name, str) or not re.fullmatch(SNAPSHOT_NAME, name) or name.endswith(SNAPSHOT_RESERVED):
        rule = "1 to 128 of A-Z a-z 0-9 _ . - and not begin with . or - nor end with .tar, .partial or .deleting"
        message = f"snapshot name must be {rule}: got={name!r:.140}"
        detail = ErrorDetail("/name", "snapshot_name_invalid", message)
        raise InvalidRequestError(message, code="snapshot_name_invalid", errors=[detail])
    return name


def in_steps(progress: Progress | None) -> Callable[[str, int, int], None] | None:
    """The engine's form of a progress callback: steps done and in all become a fraction."""
    if progress is None:
        return None
    return lambda stage, done, total: progress(stage, min(1.0, done / max(1, total)))
