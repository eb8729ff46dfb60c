"""Operations on an engine, and what came of them, in the words of `reference.Model`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

import engine
from engine import Collection, Database, EngineError, Passage, VectorRows, WriteResult, parse_filter
from tests.model.reference import Operation, Outcome, schema_of


def execute(database: Database, operation: Operation) -> tuple[Outcome, int]:
    """Run an operation; its outcome, and the sequence of the change that it became (or of the last one)."""
    try:
        match operation["op"]:
            case "create":
                database.create_collection(operation["collection"], schema_of(operation["ttl"]))
                return {}, database.sequence
            case "drop":
                database.drop_collection(operation["collection"])
                return {}, database.sequence
        collection = database.collection(operation["collection"])
        result = _delete(collection, operation) if operation["op"] == "delete" else _store(collection, operation)
        return _outcome(operation, result), result.sequence
    except EngineError as error:
        return {"error": error.code}, database.sequence


def _store(collection: Collection, operation: Operation) -> WriteResult:
    documents, options = operation["documents"], _options(operation)
    vectors = {name: _rows(beside) for name, beside in (operation.get("vectors") or {}).items()}
    match operation["op"]:
        case "patch":
            return collection.patch(documents, vectors, **options)
        case "insert":
            return collection.add(documents, vectors, insert=True, **options)
        case _:
            return collection.add(documents, vectors, **options)


def _delete(collection: Collection, operation: Operation) -> WriteResult:
    where = operation.get("where")
    return collection.delete(
        ids=operation.get("ids"),
        where=None if where is None else parse_filter(where),
        dry_run=operation.get("dry_run", False),
        **_options(operation),
    )


def _options(operation: Operation) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if any(name in operation for name in ("if_version", "if_absent", "if_matches")):
        where = operation.get("if_matches")
        options["conditions"] = engine.Conditions(
            if_version=operation.get("if_version"),
            if_absent=operation.get("if_absent", False),
            if_matches=None if where is None else parse_filter(where),
        )
    if "durability" in operation:
        options["durability"] = engine.Durability(operation["durability"])
    if "key" in operation:
        options["key"] = engine.IdempotencyKey(*operation["key"])
    return options


def _rows(beside: Mapping[str, Any]) -> VectorRows:
    passages = [None if each is None else Passage(*each) for each in beside["passages"]]
    documents = np.array(beside["documents"], dtype=np.int64)
    return VectorRows(np.array(beside["rows"], dtype=np.float32), documents, passages)


def _outcome(operation: Operation, result: WriteResult) -> Outcome:
    if operation["op"] == "delete":
        outcome: Outcome = {"deleted": result.deleted}
    else:
        outcome = {"added": result.added, "replaced": result.replaced, "skipped": result.skipped}
        if not result.replayed:  # see `reference`
            outcome["statuses"] = list(result.statuses)
    return {**outcome, "replayed": True} if result.replayed else outcome
