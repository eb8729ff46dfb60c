"""The texts that rows are judged by, each distinct one once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine import Relation
from promptql.expressions import Scalar

CHARACTERS_MAX = 12_000  # of one row that a model reads; about 3,000 tokens
NO_TEXT = -1


@dataclass(frozen=True, slots=True)
class Inputs:
    """Distinct texts, and of each row the place of its own.

    Attributes:
        texts: JSON: a string where one column is read, else an object by column.
        owners: of each row, `NO_TEXT` where it has nothing to read.
        cut: rows whose text was too long.
    """

    texts: list[str]
    owners: list[int]
    cut: int = 0

    @classmethod
    def of(cls, relation: Relation, fields: Sequence[str], places: Sequence[int] | None = None) -> Inputs:
        """What some columns of these rows say (None: of all rows); of other rows nothing is read."""
        rows = relation if places is None else relation.take(np.asarray(places, dtype=np.int64))
        columns = [rows.column(name) for name in fields]
        known: dict[str, int] = {}
        owners = []
        cut = 0
        for values in zip(*columns, strict=True):
            text, whole = _text(fields, values)
            cut += not whole
            owners.append(NO_TEXT if text is None else known.setdefault(text, len(known)))
        return cls(list(known), owners, cut)


def _text(fields: Sequence[str], values: Sequence[Scalar | list[Scalar]]) -> tuple[str | None, bool]:
    """The text of a row, None where there is none; and whether all of it could be taken."""
    said = {name: value for name, value in zip(fields, values, strict=True) if not _is_empty(value)}
    if not said:
        return None, True
    room = max(1, CHARACTERS_MAX // len(said))
    short = {name: value[:room] if isinstance(value, str) else value for name, value in said.items()}
    text = json.dumps(next(iter(short.values())) if len(fields) == 1 else short, ensure_ascii=False, default=str)
    return text, short == said


def _is_empty(value: object) -> bool:
    return value is None or value == [] or (isinstance(value, str) and not value.strip())
