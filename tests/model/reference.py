"""What a database must answer, in dicts: the model that the engine is held against.

An operation is plain data (`{"op": "add", "collection": "a", …}`), so that the same one runs here, on an engine in this
process, and on one in a process that is about to be killed. `Model.apply` says what its outcome must be.
"""

from __future__ import annotations

import json
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import numpy as np

from engine import Schema, parse_filter
from engine.writes.inference import parse_datetime
from tests.engine.fields.test_evaluate import FIELDS, holds

Operation: TypeAlias = dict[str, Any]
Outcome: TypeAlias = dict[str, Any]
Body: TypeAlias = dict[str, Any]

DIMS = {"v": 4, "w": 3}  # one under cosine, exact, with several passages a document; one by distance in a graph
EXPIRES = "expires_at"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def schema_of(ttl: Mapping[str, Any] | None) -> Schema:
    """The schema of every collection of the model: each type declared, so that no value can change it."""
    fields: dict[str, Any] = {
        name: {"type": spec.type.value, "many": spec.many, "declared": True} for name, spec in FIELDS.items()
    }
    fields[EXPIRES] = {"type": "datetime", "declared": True}
    fields["v"] = {"type": "vector", "dim": DIMS["v"], "metric": "cosine"}
    fields["w"] = {"type": "vector", "dim": DIMS["w"], "metric": "l2", "index": "hnsw", "m": 4}
    return Schema.from_json({"fields": fields} if ttl is None else {"fields": fields, "ttl": dict(ttl)})


@dataclass(frozen=True, slots=True)
class VectorsOf:
    """The rows of one vector field of one document, and the passage of each."""

    rows: np.ndarray[Any, np.dtype[np.float32]]
    passages: tuple[tuple[str, int, int] | None, ...]


@dataclass(frozen=True, slots=True)
class Stored:
    """One document, its version (the sequence of the write that stored it), and when it expires (µs)."""

    body: Body
    vectors: Mapping[str, VectorsOf]
    version: int
    expires: int | None


@dataclass(slots=True)
class ModelCollection:
    """Documents in the order in which they are scrolled: that of their last write."""

    ttl: dict[str, Any] | None
    documents: dict[str, Stored] = field(default_factory=dict)
    replies: dict[str, tuple[str, Outcome]] = field(default_factory=dict)

    def copy(self) -> ModelCollection:
        """One that changes apart from this one."""
        return ModelCollection(self.ttl, dict(self.documents), dict(self.replies))

    def expire(self, now: int) -> None:
        """Forget what has expired at `now`."""
        gone = [id_ for id_, each in self.documents.items() if each.expires is not None and each.expires <= now]
        for id_ in gone:
            del self.documents[id_]

    def matching(self, where: Any) -> list[str]:
        """Ids of the documents that satisfy a filter, in order."""
        tree = parse_filter(where)
        return [id_ for id_, each in self.documents.items() if holds(each.body, tree)]

    def expiry(self, body: Body, now: int) -> int | None:
        """When a document written at `now` expires."""
        if self.ttl is None:
            return None
        if "seconds" in self.ttl:
            return now + int(self.ttl["seconds"] * 1_000_000)
        value = body.get(self.ttl["field"])
        moment = None if value is None else parse_datetime(value)
        return None if moment is None else (moment - EPOCH) // timedelta(microseconds=1)


@dataclass(slots=True)
class Model:
    """All collections. `sequence` is that of the last change known."""

    collections: dict[str, ModelCollection] = field(default_factory=dict)
    sequence: int = 0

    def copy(self) -> Model:
        """One that changes apart from this one."""
        return Model({name: each.copy() for name, each in self.collections.items()}, self.sequence)

    def begin_above(self, sequence: int) -> None:
        """It was restored over a database: what is in it has that sequence for its version."""
        self.sequence = max(self.sequence, sequence)
        for collection in self.collections.values():
            for id_, each in collection.documents.items():
                collection.documents[id_] = replace(each, version=max(each.version, sequence))

    def expire(self, now: int) -> None:
        """Forget what has expired everywhere."""
        for collection in self.collections.values():
            collection.expire(now)

    def apply(self, operation: Operation, now: int, sequence: int) -> Outcome:
        """Do the operation, and say what comes of it.

        Args:
            operation: one of `generation`.
            now: µs since the epoch.
            sequence: the engine's answer to what the write became, if it became one.
        """
        self.expire(now)
        collection = self.collections.get(operation["collection"])
        match operation["op"]:
            case "create":
                if collection is not None:
                    return {"error": "collection_exists"}
                self.collections[operation["collection"]] = ModelCollection(operation["ttl"])
                return {}
            case "drop":
                if collection is None:
                    return {"error": "collection_not_found"}
                del self.collections[operation["collection"]]
                return {}
        if collection is None:
            return {"error": "collection_not_found"}
        outcome = self._keyed(collection, operation, now, sequence)
        if outcome.pop("changed", False):
            self.sequence = sequence
        return outcome

    def _keyed(self, collection: ModelCollection, operation: Operation, now: int, sequence: int) -> Outcome:
        key = operation.get("key")
        if key is None or operation.get("dry_run"):
            return _write(collection, operation, now, sequence)
        name, fingerprint = key
        if name in collection.replies:
            known, reply = collection.replies[name]
            if known != fingerprint:
                return {"error": "idempotency_key_reused"}
            counts = {name: value for name, value in reply.items() if name != "statuses"}
            return {**counts, "replayed": True}  # a purge takes ids out of the record, and their statuses
        outcome = _write(collection, operation, now, sequence)
        if "error" not in outcome:
            reply = {name: value for name, value in outcome.items() if name != "changed"}
            collection.replies[name] = (fingerprint, reply)
            outcome["changed"] = True  # the record of the key is written even where nothing else is
        return outcome


def _write(collection: ModelCollection, operation: Operation, now: int, sequence: int) -> Outcome:
    if operation["op"] == "delete":
        return _delete(collection, operation)
    before = collection.documents
    bodies: Sequence[Body] = operation["documents"]
    ids = [body["id"] for body in bodies]
    if operation["op"] == "insert" and (len(set(ids)) < len(ids) or any(id_ in before for id_ in ids)):
        return {"error": "document_exists"}
    if operation["op"] == "patch" and any(id_ not in before for id_ in ids):
        return {"error": "document_not_found"}
    if not _allowed(collection, operation, ids):
        return {"error": "precondition_failed"}
    if operation["op"] == "patch":
        return _patch(collection, operation, now, sequence)
    return _put(collection, bodies, _given_vectors(operation), now, sequence)


def _allowed(collection: ModelCollection, operation: Operation, ids: Sequence[str]) -> bool:
    """Whether the conditions of a write hold."""
    documents = collection.documents
    versions: Mapping[str, int] = operation.get("if_version") or {}
    for id_, version in versions.items():
        found = documents.get(id_)
        if (0 if found is None else found.version) != version:
            return False
    if operation.get("if_absent") and any(id_ in documents for id_ in ids):
        return False
    where = operation.get("if_matches")
    return where is None or set(ids) <= set(collection.matching(where))


def _put(
    collection: ModelCollection,
    bodies: Sequence[Body],
    vectors: Sequence[Mapping[str, VectorsOf]],
    now: int,
    sequence: int,
    touched: Container[str] | None = None,
) -> Outcome:
    """Of equal ids the last counts; what is stored already, exactly the same and without vectors, is skipped."""
    last = {body["id"]: place for place, body in enumerate(bodies)}
    statuses: list[str] = []
    for place, body in enumerate(bodies):
        full = {name: value for name, value in body.items() if name not in DIMS}
        known = collection.documents.get(full["id"])
        if last[full["id"]] != place:
            statuses.append("replaced")
        elif known is None:
            statuses.append("added")
        else:
            same = encoded(known.body) == encoded(full) and not vectors[place] and not _renews(collection)
            same = same if touched is None else full["id"] not in touched
            statuses.append("skipped" if same else "replaced")
    for place, body in enumerate(bodies):
        if last[body["id"]] == place and statuses[place] != "skipped":
            full = {name: value for name, value in body.items() if name not in DIMS}
            collection.documents.pop(body["id"], None)
            expires = collection.expiry(full, now)
            collection.documents[body["id"]] = Stored(full, vectors[place], sequence, expires)
    return _counted(statuses)


def _counted(statuses: Sequence[str]) -> Outcome:
    counts = {status: statuses.count(status) for status in ("added", "replaced", "skipped")}
    return {**counts, "statuses": list(statuses), "changed": counts["added"] + counts["replaced"] > 0}


def _renews(collection: ModelCollection) -> bool:
    return collection.ttl is not None and "seconds" in collection.ttl


def _delete(collection: ModelCollection, operation: Operation) -> Outcome:
    where = operation.get("where")
    ids: Sequence[str] = collection.matching(where) if where is not None else list(dict.fromkeys(operation["ids"]))
    if not _allowed(collection, operation, ids):
        return {"error": "precondition_failed"}
    found = [id_ for id_ in ids if id_ in collection.documents]
    if not operation.get("dry_run"):
        for id_ in found:
            del collection.documents[id_]
    return {"deleted": len(found), "changed": bool(found) and not operation.get("dry_run")}


def _patch(collection: ModelCollection, operation: Operation, now: int, sequence: int) -> Outcome:
    """RFC 7396, one patch after the other; vectors that no patch gives or takes away are carried over."""
    bodies: dict[str, Body] = {}
    given: dict[str, dict[str, VectorsOf | None]] = {}
    for patch, own in zip(operation["documents"], _given_vectors(operation), strict=True):
        id_ = patch["id"]
        plain = {name: value for name, value in patch.items() if name not in DIMS}
        bodies[id_] = merge_patch(bodies.get(id_, collection.documents[id_].body), plain)
        removed = {name: None for name in DIMS if name in patch and patch[name] is None}
        given[id_] = {**given.get(id_, {}), **removed, **own}
    vectors: list[Mapping[str, VectorsOf]] = []
    touched: set[str] = set()
    for id_, body in bodies.items():
        stored = collection.documents[id_]
        lost = any(value is None and name in stored.vectors for name, value in given[id_].items())
        own = {name: value for name, value in given[id_].items() if value is not None}
        if encoded(body) != encoded(stored.body) or own or lost or _renews(collection):
            touched.add(id_)
        carried = {name: each for name, each in stored.vectors.items() if name not in given[id_]}
        vectors.append({**carried, **own})
    outcome = _put(collection, list(bodies.values()), vectors, now, sequence, touched)
    status_of = dict(zip(bodies, outcome["statuses"], strict=True))
    return _counted([status_of[patch["id"]] for patch in operation["documents"]])  # one for each patch


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7396, section 2, word for word."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merge_patch(result.get(name), value)
    return result


def _given_vectors(operation: Operation) -> list[Mapping[str, VectorsOf]]:
    """The vectors that come with each document, within it or beside it."""
    result: list[dict[str, VectorsOf]] = [{} for _ in operation["documents"]]
    for place, body in enumerate(operation["documents"]):
        for name in DIMS:
            if body.get(name) is not None:
                result[place][name] = VectorsOf(np.array([body[name]], dtype=np.float32), (None,))
    for name, beside in (operation.get("vectors") or {}).items():
        for place in sorted(set(beside["documents"])):
            chosen = [row for row, document in enumerate(beside["documents"]) if document == place]
            passages = [beside["passages"][row] for row in chosen]
            rows = np.array([beside["rows"][row] for row in chosen], dtype=np.float32)
            result[place][name] = VectorsOf(rows, tuple(None if each is None else tuple(each) for each in passages))
    return [dict(each) for each in result]


def encoded(body: Body) -> str:
    """A document as JSON: equal where a document is exactly the same, key order included."""
    return json.dumps(body)
