"""What scenarios start from: two kinds of database, and a few films and points to put into either."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lumaai import Client, Collection, Database, RemoteCollection
from tests.congruence.agreement import Refused

AnyDatabase = Database | Client
AnyCollection = Collection | RemoteCollection
Scenario = Callable[[AnyDatabase], Any]

FILMS: list[dict[str, Any]] = [
    {"id": "1", "title": "Metropolis", "year": 1927, "genre": "science fiction", "rating": 8.3, "tags": ["robot"],
     "plot": "In a future city, its lord's son falls in love with a worker. A robot replaces her."},
    {"id": "2", "title": "Alien", "year": 1979, "genre": "horror", "rating": 8.5, "tags": ["space", "monster"],
     "plot": "The crew of a freighter in space answers a distress call and brings back a deadly creature."},
    {"id": "3", "title": "Casablanca", "year": 1942, "genre": "drama", "rating": 8.5, "tags": ["war", "love"],
     "plot": "A bar owner in Morocco must choose between his love for a woman and helping her husband escape."},
    {"id": "4", "title": "Solaris", "year": 1972, "genre": "science fiction", "rating": 8.0, "tags": ["space", "love"],
     "plot": "A psychologist is sent to a station in orbit of a distant planet, where his dead wife appears."},
    {"id": "5", "title": "Stalker", "year": 1979, "genre": "science fiction", "rating": 8.1, "tags": [],
     "plot": "A guide leads two men through the Zone to a room that grants one's innermost wishes."},
]  # fmt: skip

VECTOR_FIELDS: dict[str, dict[str, Any]] = {
    "vector": {"type": "vector", "dim": 4, "metric": "cosine"},
    "color": {"type": "keyword"},
}
VECTORS = np.array([[1, 0, 0, 0], [0.8, 0.6, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0.6, 0.8]], dtype=np.float32)
COLORS = ["red", "red", "blue", "green", "blue"]


def films(database: AnyDatabase) -> AnyCollection:
    collection = database.create_collection("films")
    assert collection.add(FILMS).added == 5
    return collection


def points(database: AnyDatabase, metric: str = "cosine") -> AnyCollection:
    fields = {**VECTOR_FIELDS, "vector": {**VECTOR_FIELDS["vector"], "metric": metric}}
    collection = database.create_collection("points", fields)
    collection.add(ids=list("abcde"), vectors=VECTORS, fields={"color": COLORS})
    return collection


def refused(result: Any) -> bool:
    return isinstance(result, Refused)
