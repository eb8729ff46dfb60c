"""What keys a body may have at a place, and which of them is meant by one that it may not have."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, RootModel
from pydantic.fields import FieldInfo

KNOWN_MAX = 40
NAME_CHARACTERS_MAX = 64  # of keys that are compared with those that are known
# What other databases and libraries call it; looked at where the key is known that it stands for here.
ELSEWHERE: Mapping[str, tuple[str, ...]] = {
    "condition": ("filter",),
    "dimension": ("dim",),
    "dimensions": ("dim",),
    "dims": ("dim",),
    "distance": ("metric",),
    "docs": ("documents",),
    "ef": ("ef_search",),
    "embedding": ("vector",),
    "embeddings": ("vectors",),
    "fields": ("select",),
    "filters": ("filter",),
    "from": ("offset",),
    "hnsw_ef": ("ef_search",),
    "include": ("select",),
    "items": ("documents",),
    "k": ("limit",),
    "mappings": ("fields",),
    "max_results": ("limit",),
    "n_results": ("limit",),
    "objects": ("documents",),
    "output_fields": ("select",),
    "page_size": ("limit",),
    "parameters": ("params",),
    "points": ("documents",),
    "properties": ("fields",),
    "q": ("query",),
    "query_embedding": ("vector",),
    "query_filter": ("filter",),
    "query_vector": ("vector",),
    "records": ("documents",),
    "schema": ("fields",),
    "search_params": ("params",),
    "similarity": ("metric",),
    "size": ("limit", "dim"),
    "skip": ("offset",),
    "sort": ("order_by",),
    "sort_by": ("order_by",),
    "text": ("query",),
    "top_k": ("limit",),
    "top_n": ("limit",),
    "topk": ("limit",),
    "vectors": ("fields",),
    "vectors_config": ("fields",),
    "where": ("filter",),
    "with_payload": ("select",),
    "with_vectors": ("vectors",),
}


def unknown_key(model: type[BaseModel], loc: Sequence[int | str]) -> str:
    """What is said of a key that is not known: the nearest that is, and all.

    Args:
        model: of the whole body.
        loc: pydantic's path to the key.
    """
    known = _keys(model, loc[:-1])
    if not known:
        return "unknown key: there is none to give here"
    name = str(loc[-1])
    meant = [other for other in ELSEWHERE.get(name.lower(), ()) if other in known]
    if not meant and len(name) <= NAME_CHARACTERS_MAX:
        meant = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {meant[0]}? " if meant else ""
    more = ", …" if len(known) > KNOWN_MAX else ""
    return f"unknown key: {hint}known are {', '.join(known[:KNOWN_MAX])}{more}"


def _keys(model: type[BaseModel], loc: Sequence[int | str]) -> list[str]:
    """The keys of the object at a path, in order; of a union that the path does not choose from, those of all."""
    models = [model]
    for part in loc:
        if isinstance(part, int):
            continue
        below = [inner for each in models for field in _named(each, part) for inner in _models(field.annotation)]
        # Pydantic also names the member of a union: by its class, or by what tells it from the others.
        chosen = [each for each in models if each.__name__ == part or _is_told_by(each, part)]
        models = below or chosen or models
    return sorted({info.alias or name for each in models for name, info in each.model_fields.items()})


def _named(model: type[BaseModel], part: str) -> Iterator[FieldInfo]:
    return (info for name, info in model.model_fields.items() if part in (name, info.alias))


def _is_told_by(model: type[BaseModel], tag: str) -> bool:
    literals = (info.annotation for info in model.model_fields.values() if get_origin(info.annotation) is Literal)
    return any(tag in get_args(literal) for literal in literals)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models in an annotation: of an object, of items of a list, of values of an object, of members of a union."""
    if isinstance(annotation, type) and issubclass(annotation, RootModel):
        annotation = annotation.model_fields["root"].annotation
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)
