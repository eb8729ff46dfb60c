"""A small database of a library, for tests of readings over several collections; nothing of it is from a public set."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from promptql.rules.columns import View
from promptql.rules.generate import Candidate, Reading, read, understood
from promptql.rules.joins import Edge, Joined
from promptql.rules.links import Headers
from promptql.rules.model import Model
from promptql.rules.priors import PRIOR

TABLES: dict[str, dict[str, Sequence[object]]] = {
    "writers": {
        "writer_id": [1, 2, 3, 4],
        "first_name": ["Ada", "Bruno", "Cleo", "Dora"],
        "last_name": ["Moss", "Reed", "Vane", "Reed"],
        "country": ["France", "Norway", "France", "Peru"],
        "age": [30, 41, 52, 65],
    },
    "books": {
        "book_id": [1, 2, 3, 4, 5],
        "title": ["Tides", "Embers", "Dunes", "Frost", "Cliffs"],
        "author_id": [1, 1, 2, 3, 3],
        "editor_id": [2, 3, 3, 1, 1],
        "genre": ["poem", "novel", "novel", "essay", "novel"],
        "pages": [90, 310, 250, 120, 400],
        "printed": ["T", "F", "T", "T", "F"],
    },
    "loans": {
        "loan_id": [1, 2, 3, 4],
        "book_id": [1, 2, 2, 5],
        "reader": ["Ivo", "Ivo", "Una", "Una"],
        "fee": [2, 3, 5, 1],
    },
}
EDGES = (
    ("books", "author_id", "writers", "writer_id"),
    ("books", "editor_id", "writers", "writer_id"),
    ("loans", "book_id", "books", "book_id"),
)


@cache
def library() -> tuple[View, Headers, Joined]:
    """Its columns, the words of their names, and its joins."""
    view = View(TABLES)
    places = {(view.names[column.table], column.name): number for number, column in enumerate(view.columns)}
    return view, Headers(view), Joined(view, [Edge(places[a, b], places[c, d]) for a, b, c, d in EDGES])


def reading(question: str) -> Reading:
    """What a question's words name there."""
    view, headers, joined = library()
    return Reading(understood(question, view), view, headers, Model(PRIOR), joined)


def readings(question: str) -> list[Candidate]:
    """The readings of a question that ran, ranked by what an untrained model believes."""
    view, headers, joined = library()
    return read(question, view, headers, Model(PRIOR), joined)


def answers(question: str) -> list[list[tuple[object, ...]]]:
    """What the readings of a question give, rows sorted unless an order is asked for."""
    found = [candidate.answer for candidate in readings(question)]
    ordered = any(word in question for word in ("order", "sorted"))
    return found if ordered else [sorted(answer, key=repr) for answer in found]


def column(table: str, name: str) -> int:
    """The number of a column."""
    view = library()[0]
    return next(n for n, c in enumerate(view.columns) if view.names[c.table] == table and c.name == name)
