"""Random operations, by a `random.Random`: seeded in the long runs, hypothesis's own (which shrinks) in the short ones.

Ids and values come from small sets, so that operations meet: the same id is written, deleted and written again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from random import Random
from typing import Any

from tests.model.reference import DIMS, EPOCH, EXPIRES, Body, Model, Operation

NAMES = ("a", "b", "fading")
TTLS: Mapping[str, list[dict[str, Any] | None]] = {
    "a": [None],
    "b": [None],
    "fading": [{"field": EXPIRES}, {"seconds": 3600}],
}
IDS = (*(f"d{i}" for i in range(60)), "é😀", "a/b", "with space", "0", "x" * 512, "\x00nul")
INTEGERS = (0, 1, 2, -1, 2**53 + 1, 2**63 - 1, -(2**63))
NUMBERS = (0.0, 0.5, 1.0, 2.0, -1.5, 1e300, 9007199254740992.0, 1, 2, 2**53 + 1)
WORDS = ("", "a", "ab", "b", "None", "é😀")
DATES = ("2020-01-01", "2020-01-01T00:00Z", "2021-06-01T12:00+02:00", "1969-12-31")
POINTS: tuple[Body, ...] = ({"lat": 1.0, "lon": 2.0}, {"lat": -3.5, "lon": 0.0})
OPERATORS: tuple[str, ...] = ("$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin", "$exists", "$is_null")
OPERATORS += ("$contains", "$contains_any", "$contains_all", "$starts_with", "$ends_with")
FILTERED = ("i", "n", "b", "k", "d", "g", "j", "is", "ks", "j.p", "j.q", "unknown", "id")
LIFETIMES = (-1, 0, 1, 60, 7200)  # seconds from now
DURABILITIES = ("sync", "interval", "none")
BATCH_MAX = 8


def make_operation(kind: str, random: Random, model: Model, name: str, now: int | None = None) -> Operation:
    """An operation of a kind on a collection; most will succeed, some are meant to fail.

    Args:
        kind: create, drop, add, insert, patch or delete.
        random: what chooses.
        model: as it is before.
        name: of the collection.
        now: µs since the epoch, for documents that soon expire; without it they expire in the past or never.
    """
    operation: Operation = {"op": kind, "collection": name}
    match kind:
        case "create":
            operation["ttl"] = random.choice(TTLS[name])
        case "drop":
            pass
        case "delete":
            _fill_delete(operation, random, model)
        case _:
            _fill_store(operation, random, model)
            if name == "fading":
                _fill_expiries(operation, random, now)
    return operation


def _fill_expiries(operation: Operation, random: Random, now: int | None) -> None:
    for body in operation["documents"]:
        choice = random.random()
        if choice < 0.2:
            body[EXPIRES] = random.choice(("2001-01-01", "2999-12-31T23:59:59+01:00", None))
        elif choice < 0.8 and now is not None:
            moment = EPOCH + timedelta(microseconds=now, seconds=random.choice(LIFETIMES))
            body[EXPIRES] = moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _fill_delete(operation: Operation, random: Random, model: Model) -> None:
    if random.random() < 0.5:
        operation["ids"] = random.sample(IDS, random.randint(0, 4))
    else:
        operation["where"] = make_filter(random)
    if random.random() < 0.2:
        operation["dry_run"] = True
    _fill_options(operation, random, model, operation.get("ids") or [])


def _fill_store(operation: Operation, random: Random, model: Model) -> None:
    collection = model.collections.get(operation["collection"])
    known = list(collection.documents) if collection is not None else []
    size = random.randint(1, BATCH_MAX)
    unknown = [id_ for id_ in IDS if id_ not in known]
    most: Mapping[str, list[str]] = {"patch": known, "insert": unknown}
    pool = most.get(operation["op"]) if random.random() < 0.8 else None
    ids = [random.choice(pool or IDS) for _ in range(size)]
    if random.random() < 0.9:
        ids = list(dict.fromkeys(ids))
    if operation["op"] == "patch":
        documents = [{"id": id_, **_values(random, 3)} for id_ in ids]
    else:
        documents = [_document(random, id_) for id_ in ids]
        if collection is not None and known and random.random() < 0.3:  # what is there already, exactly the same
            again = collection.documents[random.choice(known)].body
            documents = [each for each in documents if each["id"] != again["id"]] + [dict(again)]
    operation["documents"] = documents
    _fill_vectors(operation, random)
    _fill_options(operation, random, model, [body["id"] for body in documents])


def _document(random: Random, id_: str) -> Body:
    body = {"id": id_, **_values(random, 6)}
    if random.random() < 0.2:  # the order of keys is kept, wherever the id stands
        body = {name: body[name] for name in random.sample(list(body), len(body))}
    return body


def _values(random: Random, most: int) -> Body:
    names = random.sample(tuple(_MAKERS), random.randint(0, most))
    return {name: None if random.random() < 0.1 else _MAKERS[name](random) for name in names}


def _json(random: Random) -> Any:
    scalar = random.choice((*INTEGERS, 0.5, *WORDS, True, False))
    kind = random.randrange(4)
    if kind == 0:
        return [scalar, random.choice(WORDS)]
    if kind == 1:
        return {"p": scalar, "q": random.choice(WORDS)}
    return {"p": {"deep": scalar}} if kind == 2 else scalar


_MAKERS: dict[str, Callable[[Random], Any]] = {
    "i": lambda random: random.choice(INTEGERS),
    "n": lambda random: random.choice(NUMBERS),
    "b": lambda random: random.random() < 0.5,
    "k": lambda random: random.choice(WORDS),
    "d": lambda random: random.choice(DATES),
    "g": lambda random: dict(random.choice(POINTS)),
    "j": _json,
    "is": lambda random: [random.choice((*INTEGERS, None)) for _ in range(random.randint(0, 3))],
    "ks": lambda random: [random.choice((*WORDS, None)) for _ in range(random.randint(0, 3))],
}


def _fill_vectors(operation: Operation, random: Random) -> None:
    """Some documents carry a vector of their own in `w`; `v` comes beside them, in one row a document or several."""
    documents = operation["documents"]
    for body in documents:
        if random.random() < 0.3:
            body["w"] = make_vector(random, "w")
    if random.random() < 0.5:
        return
    rows: list[list[float]] = []
    places: list[int] = []
    passages: list[list[Any] | None] = []
    for place in range(len(documents)):
        for passage in range(random.choice((0, 1, 1, 2))):
            rows.append(make_vector(random, "v"))
            places.append(place)
            passages.append(None if random.random() < 0.5 else ["k", passage, passage + 1])
    if rows:
        operation["vectors"] = {"v": {"rows": rows, "documents": places, "passages": passages}}


def make_vector(random: Random, name: str) -> list[float]:
    """A vector of a field, not zero."""
    return [random.choice((-1, 1)) * random.randint(1, 1000) / 1000 for _ in range(DIMS[name])]


def _fill_options(operation: Operation, random: Random, model: Model, ids: list[str]) -> None:
    if random.random() < 0.7:
        operation["durability"] = random.choice(DURABILITIES)
    if random.random() < 0.15:
        operation["key"] = [f"key {random.randrange(20)}", f"{operation['op']} {random.choice('xy')}"]
    collection = model.collections.get(operation["collection"])
    condition = random.random()
    if condition > 0.2 or collection is None:
        return
    if condition < 0.1:
        right = {id_: collection.documents[id_].version if id_ in collection.documents else 0 for id_ in ids}
        wrong = {id_: version + 1 for id_, version in right.items()}
        operation["if_version"] = wrong if random.random() < 0.3 else right
    elif condition < 0.15:
        operation["if_absent"] = True
    else:
        operation["if_matches"] = make_filter(random)


def make_filter(random: Random, depth: int = 0) -> dict[str, Any]:
    """A filter in its JSON form: any operator on any field, right type or not."""
    kind = random.random()
    if depth < 3 and kind < 0.1:
        return {"$not": make_filter(random, depth + 1)}
    if depth < 3 and kind < 0.3:
        clauses = [make_filter(random, depth + 1) for _ in range(random.randint(0, 3))]
        return {random.choice(("$and", "$or")): clauses}
    return {random.choice(FILTERED): _comparison(random)}


def _comparison(random: Random) -> dict[str, Any]:
    op = random.choice(OPERATORS)
    if op in ("$exists", "$is_null"):
        return {op: random.random() < 0.5}
    if op in ("$in", "$nin", "$contains_any", "$contains_all"):
        return {op: [_operand(random) for _ in range(random.randint(0, 3))]}
    if op in ("$starts_with", "$ends_with"):
        return {op: random.choice(WORDS)}
    if op in ("$gt", "$gte", "$lt", "$lte"):
        return {op: random.choice((*INTEGERS, *NUMBERS, *WORDS, *DATES))}
    return {op: _operand(random)}


def _operand(random: Random) -> Any:
    return random.choice((*INTEGERS, *NUMBERS, *WORDS, *DATES, *IDS[:3], True, False, None))
