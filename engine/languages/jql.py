"""JQL: statements as JSON.

```
{"find": "films", "filter": {…}, "fields": ["title"], "sort": {"year": -1}, "skip": 0, "limit": 10}
{"count": "films", "filter": {…}}
{"aggregate": "films", "pipeline": [{"$match": {…}}, {"$group": {"_id": "$genre", "n": {"$sum": 1}}},
                                    {"$sort": {"n": -1}}, {"$limit": 5}, {"$project": {"genre": "$_id", "n": 1}}]}
{"insert": "films", "documents": [{…}]}
{"update": "films", "filter": {…}, "set": {…}}
{"delete": "films", "filter": {…}}
{"create": "films", "fields": {…}}
{"drop": "films"}
```
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from engine.errors import QueryError
from engine.fields.aggregates import Aggregate
from engine.fields.order import SortKey
from engine.languages.tree import (
    COUNT_MAX,
    CreateCollection,
    Delete,
    Drop,
    Group,
    Insert,
    Match,
    Project,
    Query,
    Slice,
    Sort,
    Stage,
    Statement,
    Update,
)
from engine.schema import ID, JSON

CHARACTERS_MAX = 16 * 1024 * 1024
STAGES_MAX = 100
_KEYS: Mapping[str, frozenset[str]] = {
    "find": frozenset({"filter", "fields", "sort", "skip", "limit", "explain"}),
    "count": frozenset({"filter", "explain"}),
    "aggregate": frozenset({"pipeline", "explain"}),
    "insert": frozenset({"documents"}),
    "update": frozenset({"filter", "set"}),
    "delete": frozenset({"filter"}),
    "create": frozenset({"fields"}),
    "drop": frozenset(),
}
_FIGURES = {"$sum": "sum", "$avg": "avg", "$min": "min", "$max": "max", "$median": "median", "$count": "count"}


def read_jql(query: str | Mapping[str, JSON]) -> Statement:
    """Parse a statement.

    Raises:
        QueryError: it is malformed; `pointer` says where.
    """
    body = _decoded(query) if isinstance(query, str) else query
    if not isinstance(body, Mapping):
        raise _fault("", f"a statement is an object: got={type(body).__name__}")
    named = [key for key in body if key in _KEYS]
    if len(named) != 1:
        raise _fault("", f"give exactly one of {', '.join(_KEYS)}: got={', '.join(named) or 'none'}")
    operation = named[0]
    for key in body:
        if key != operation and key not in _KEYS[operation]:
            known = ", ".join(sorted(_KEYS[operation])) or "nothing else"
            raise _fault(f"/{key}", f"{operation} takes {known}: got={key!r:.60}")
    collection = body[operation]
    if not isinstance(collection, str):
        raise _fault(f"/{operation}", f"name of a collection must be a string: got={type(collection).__name__}")
    return _READERS[operation](collection, body)


def _decoded(text: str) -> Any:
    if len(text) > CHARACTERS_MAX:
        raise QueryError(f"query is too long: maximum={CHARACTERS_MAX} got={len(text)} characters")
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise _fault("", f"query is not JSON: {error}") from error


def _find(collection: str, body: Mapping[str, Any]) -> Query:
    stages: list[Stage] = _matched(body)
    if "sort" in body:
        stages.append(_sort(body["sort"], "/sort"))
    skip, limit = _count(body, "skip", 0), _count(body, "limit", None)
    if skip or limit is not None:
        stages.append(Slice(skip or 0, limit))
    if "fields" in body:
        stages.append(Project({name: name for name in [ID, *_names(body["fields"], "/fields")]}))
    return Query(collection, tuple(stages), explain=_flag(body, "explain"))


def _count_rows(collection: str, body: Mapping[str, Any]) -> Query:
    figures = (Aggregate("count", None, "count"),)
    return Query(collection, (*_matched(body), Group((), figures)), explain=_flag(body, "explain"))


def _aggregate(collection: str, body: Mapping[str, Any]) -> Query:
    pipeline = body.get("pipeline")
    if not isinstance(pipeline, list) or len(pipeline) > STAGES_MAX:
        raise _fault("/pipeline", f"pipeline must be a list of at most {STAGES_MAX} stages")
    stages: list[Stage] = []
    for place, item in enumerate(pipeline):
        stages += _stage(item, f"/pipeline/{place}")
    return Query(collection, tuple(stages), explain=_flag(body, "explain"))


def _stage(item: Any, pointer: str) -> list[Stage]:
    if not isinstance(item, Mapping) or len(item) != 1:
        raise _fault(pointer, "a stage is an object with one key")
    name, value = next(iter(item.items()))
    match name:
        case "$match":
            return [Match(_filter(value, f"{pointer}/$match"), f"{pointer}/$match")]
        case "$group":
            return _group(value, f"{pointer}/$group")
        case "$sort":
            return [_sort(value, f"{pointer}/$sort")]
        case "$limit":
            return [Slice(0, _whole(value, f"{pointer}/$limit"))]
        case "$skip":
            return [Slice(_whole(value, f"{pointer}/$skip"), None)]
        case "$project":
            return [_project(value, f"{pointer}/$project")]
        case "$count":
            return [Group((), (Aggregate("count", None, _string(value, f"{pointer}/$count")),))]
        case _:
            known = "$match, $group, $sort, $limit, $skip, $project, $count"
            raise _fault(pointer, f"unknown stage {name!r:.60}: expected one of {known}")


def _group(value: Any, pointer: str) -> list[Stage]:
    if not isinstance(value, Mapping) or "_id" not in value:
        raise _fault(pointer, '$group needs _id: null, "$field", or an object of those')
    keys = _group_keys(value["_id"], f"{pointer}/_id")
    figures = tuple(_figure(name, given, f"{pointer}/{name}") for name, given in value.items() if name != "_id")
    names = {**keys, **{figure.alias: figure.alias for figure in figures}}
    return [Group(tuple(dict.fromkeys(keys.values())), figures), Project(names)]


def _group_keys(value: Any, pointer: str) -> dict[str, str]:
    if value is None:
        return {}
    if isinstance(value, str):
        return {"_id": _field(value, pointer)}
    if isinstance(value, Mapping):
        return {str(name): _field(given, f"{pointer}/{name}") for name, given in value.items()}
    raise _fault(pointer, '_id must be null, "$field", or an object of those')


def _figure(name: str, value: Any, pointer: str) -> Aggregate:
    if not isinstance(value, Mapping) or len(value) != 1:
        raise _fault(pointer, f"a figure is an object with one of {', '.join(_FIGURES)}")
    function, given = next(iter(value.items()))
    if function not in _FIGURES:
        raise _fault(pointer, f"unknown figure {function!r:.60}: expected one of {', '.join(_FIGURES)}")
    if (function == "$sum" and given == 1) or (function == "$count" and not isinstance(given, str)):
        return Aggregate("count", None, name)
    return Aggregate(_FIGURES[function], _field(given, f"{pointer}/{function}"), name)


def _project(value: Any, pointer: str) -> Project:
    if not isinstance(value, Mapping) or not value:
        raise _fault(pointer, "$project needs an object of columns")
    columns = {}
    for name, given in value.items():
        if given in (0, False) and not isinstance(given, str):
            continue
        columns[str(name)] = str(name) if given in (1, True) else _field(given, f"{pointer}/{name}")
    return Project(columns)


def _insert(collection: str, body: Mapping[str, Any]) -> Insert:
    documents = body.get("documents")
    if not isinstance(documents, list) or not documents or not all(isinstance(item, Mapping) for item in documents):
        raise _fault("/documents", "documents must be a list of objects, and not empty")
    return Insert(collection, tuple(documents))


def _update(collection: str, body: Mapping[str, Any]) -> Update:
    changes = body.get("set")
    if not isinstance(changes, Mapping) or not changes:
        raise _fault("/set", "set must be an object of changes, and not empty")
    return Update(collection, _filter(body.get("filter", {}), "/filter"), changes)


def _delete(collection: str, body: Mapping[str, Any]) -> Delete:
    if "filter" not in body:
        raise _fault("/filter", "delete needs a filter; {} deletes everything")
    return Delete(collection, _filter(body["filter"], "/filter"))


def _create(collection: str, body: Mapping[str, Any]) -> CreateCollection:
    fields = body.get("fields", {})
    if not isinstance(fields, Mapping):
        raise _fault("/fields", f"fields must be an object: got={type(fields).__name__}")
    return CreateCollection(collection, fields)


def _matched(body: Mapping[str, Any]) -> list[Stage]:
    return [Match(_filter(body["filter"], "/filter"), "/filter")] if "filter" in body else []


def _filter(value: Any, pointer: str) -> Any:
    if not isinstance(value, Mapping | str):
        raise _fault(pointer, f"filter must be an object or a string: got={type(value).__name__}")
    return value


def _sort(value: Any, pointer: str) -> Sort:
    if not isinstance(value, Mapping) or not value:
        raise _fault(pointer, "sort must be an object of columns with 1 or -1")
    for name, direction in value.items():
        if direction not in (1, -1) or isinstance(direction, bool):
            raise _fault(f"{pointer}/{name}", f"direction must be 1 or -1: got={direction!r:.40}")
    return Sort(tuple(SortKey(str(name), direction == -1) for name, direction in value.items()))


def _names(value: Any, pointer: str) -> list[str]:
    if not isinstance(value, list) or not value:
        raise _fault(pointer, "fields must be a list of names, and not empty")
    return [_string(item, f"{pointer}/{place}") for place, item in enumerate(value)]


def _field(value: Any, pointer: str) -> str:
    if not isinstance(value, str) or not value.startswith("$") or len(value) == 1:
        raise _fault(pointer, f'expected "$field": got={value!r:.40}')
    return value[1:]


def _string(value: Any, pointer: str) -> str:
    if not isinstance(value, str):
        raise _fault(pointer, f"expected a string: got={type(value).__name__}")
    return value


def _count(body: Mapping[str, Any], key: str, default: int | None) -> int | None:
    return _whole(body[key], f"/{key}") if body.get(key) is not None else default


def _whole(value: Any, pointer: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise _fault(pointer, f"expected a whole number of at least 0: got={value!r:.40}")
    if value > COUNT_MAX:
        raise _fault(pointer, f"number is too large: maximum={COUNT_MAX} got={value!r:.40}")
    return value


def _flag(body: Mapping[str, Any], key: str) -> bool:
    value = body.get(key, False)
    if not isinstance(value, bool):
        raise _fault(f"/{key}", f"{key} must be true or false: got={value!r:.40}")
    return value


def _fault(pointer: str, message: str) -> QueryError:
    return QueryError(message, pointer=pointer)


_READERS: Mapping[str, Callable[[str, Mapping[str, Any]], Statement]] = {
    "find": _find,
    "count": _count_rows,
    "aggregate": _aggregate,
    "insert": _insert,
    "update": _update,
    "delete": _delete,
    "create": _create,
    "drop": lambda collection, _: Drop(collection),
}
