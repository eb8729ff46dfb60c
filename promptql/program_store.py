"""Where programs are kept: a hidden collection of the database, so that they are durable and in its snapshots."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from engine import (
    HIDDEN_PREFIX,
    Collection,
    CollectionExistsError,
    CollectionNotFoundError,
    Database,
    Field,
    FieldType,
    Schema,
)
from promptql.errors import ProgramError, ProgramNotFoundError
from promptql.plan import Plan
from promptql.programs import DESCRIPTION_CHARACTERS_MAX, Program, check_program_name, input_schema
from promptql.validation import Columns

COLLECTION = f"{HIDDEN_PREFIX}programs"
PROGRAMS_MAX = 1_000
VERSIONS_MAX = 20  # kept of a program; older ones are forgotten
_VERSIONS = "versions"
_JSON_TYPES: dict[FieldType, dict[str, Any]] = {
    FieldType.TEXT: {"type": "string"},
    FieldType.KEYWORD: {"type": "string"},
    FieldType.INTEGER: {"type": "integer"},
    FieldType.NUMBER: {"type": "number"},
    FieldType.BOOLEAN: {"type": "boolean"},
    FieldType.DATETIME: {"type": "string", "format": "date-time"},
    FieldType.GEO: {"type": "object"},
    FieldType.JSON: {},
}


class ProgramStore:
    """The programs of a database: one document each, with its versions.

    `_lock` lets one change at a time be made; reading needs none.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()

    def save(self, name: str, plan: Plan, columns: Columns, description: str | None) -> tuple[Program, bool]:
        """Keep a plan under a name, and tell whether that changed anything: the same plan is no new version.

        Args:
            name: letters, digits, `_`, `.` and `-`.
            plan: valid.
            columns: what it answers with.
            description: what it is for; None leaves that of the version before.

        Raises:
            ProgramError: a malformed name or description, or too many programs.
        """
        check_program_name(name)
        _check_description(description)
        with self._lock:
            collection = self._collection(make=True)
            assert collection is not None
            versions = self._versions(collection, name) or []
            last = versions[-1] if versions else None
            said = description if description is not None or last is None else last["description"]
            if last is not None and last["plan_hash"] == plan.hash and last["description"] == said:
                return _program(name, versions, last), False
            if last is None and collection.snapshot().count() >= PROGRAMS_MAX:
                raise ProgramError(f"too many programs: maximum={PROGRAMS_MAX}", code="too_many_programs")
            made = {
                "version": 1 if last is None else last["version"] + 1,
                "plan": plan.to_json(),
                "plan_hash": plan.hash,
                "inputs": input_schema(plan),
                "outputs": output_schema(columns),
                "description": said,
                "created": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
            }
            versions = [*versions, made][-VERSIONS_MAX:]
            collection.add([{"id": name, _VERSIONS: {"all": versions}}])
            return _program(name, versions, made), True

    def get(self, name: str, version: int | None = None) -> Program:
        """A program, as of its last version or of the one named.

        Raises:
            ProgramNotFoundError: there is none, or it has no such version (any more).
        """
        collection = self._collection(make=False)
        versions = None if collection is None else self._versions(collection, check_program_name(name))
        if not versions:
            raise ProgramNotFoundError(f"program does not exist: {name!r:.140}")
        for item in reversed(versions):
            if version is None or item["version"] == version:
                return _program(name, versions, item)
        known = ", ".join(str(item["version"]) for item in versions)
        raise ProgramNotFoundError(f"program has no such version: {name!r:.140} expected={known} got={version}")

    def all(self) -> list[Program]:
        """All programs as of their last versions, by name."""
        collection = self._collection(make=False)
        if collection is None:
            return []
        snapshot = collection.snapshot()
        documents = snapshot.documents(snapshot.ordinals())
        found = {item["id"]: item[_VERSIONS]["all"] for item in documents}
        return [_program(name, versions, versions[-1]) for name, versions in sorted(found.items())]

    def delete(self, name: str) -> None:
        """Forget a program with all its versions.

        Raises:
            ProgramNotFoundError: there is none.
        """
        with self._lock:
            collection = self._collection(make=False)
            if collection is None or not collection.delete(ids=[check_program_name(name)]).deleted:
                raise ProgramNotFoundError(f"program does not exist: {name!r:.140}")

    def _collection(self, *, make: bool) -> Collection | None:
        try:
            return self._database.collection(COLLECTION)
        except CollectionNotFoundError:
            if not make:
                return None
        try:
            schema = Schema({_VERSIONS: Field(FieldType.JSON, declared=True)}, strict=True)
            return self._database.create_collection(COLLECTION, schema, hidden=True)
        except CollectionExistsError:  # of another `ProgramStore` of this database
            return self._database.collection(COLLECTION)

    def _versions(self, collection: Collection, name: str) -> list[dict[str, Any]] | None:
        (document,) = collection.snapshot().get([name])
        if document is None:
            return None
        versions: list[dict[str, Any]] = document[_VERSIONS]["all"]
        return versions


def _program(name: str, versions: list[dict[str, Any]], item: Mapping[str, Any]) -> Program:
    return Program.from_json({**item, "name": name, "versions": [each["version"] for each in versions]})


def output_schema(columns: Columns) -> dict[str, Any]:
    """JSON Schema (2020-12) of the rows that an answer has: objects by column; what is missing is null."""

    def of(type_: FieldType, *, many: bool) -> dict[str, Any]:
        one = _JSON_TYPES[type_]
        known = {"type": "array", "items": one} if many else one
        return {"anyOf": [known, {"type": "null"}]} if known else {}

    properties = {name: of(field.type, many=field.many) for name, field in columns.items()}
    row = {"type": "object", "properties": properties, "required": list(columns)}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "array", "items": row}


def _check_description(description: object) -> None:
    is_text = isinstance(description, str) and all(not "\ud800" <= character <= "\udfff" for character in description)
    if description is not None and not (is_text and len(str(description)) <= DESCRIPTION_CHARACTERS_MAX):
        raise ProgramError(
            f"description must be text of at most {DESCRIPTION_CHARACTERS_MAX} characters", code="program_invalid"
        )
