"""A reading of a question, small enough that hundreds of them are made and tried: what rows, and what of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

ROWS = -1  # in place of a column's number: the rows themselves


@dataclass(frozen=True, slots=True)
class Condition:
    """A comparison of a column with a value.

    Attributes:
        column: number of the column in the view.
        op: "=" and "!=" compare keys (text) or numbers; "~" looks for the words within the cell; "<", "<=",
            ">", ">="; "filled" and "missing" take no value; "in" a tuple of keys.
        value: a key, a number, a tuple of keys, or the sketch whose one value (or set) is compared with.
    """

    column: int
    op: str
    value: str | float | tuple[str, ...] | Sketch | None = None


Clause: TypeAlias = tuple[Condition, ...]  # any of them holds


@dataclass(frozen=True, slots=True)
class Item:
    """A column of the answer: `fn` of a column ("" as it is; count of ROWS counts rows)."""

    column: int
    fn: str = ""


@dataclass(frozen=True, slots=True)
class Pick:
    """Some rows in an order: "max"/"min" of an item (ties are kept for n = 1), "first"/"last" as written."""

    how: str
    item: Item = Item(ROWS)
    n: int = 1
    everything: bool = False  # only ordered, nothing left out


@dataclass(frozen=True, slots=True)
class Sketch:
    """Rows that satisfy all clauses → grouped → those groups that `having` admits → picked → shifted → the answer.

    Attributes:
        where: clauses, all of which hold.
        group: columns; then items are figures of groups or their columns.
        having: (item, op, number).
        pick: an order, and how many of it.
        shift: the row after (1) or before (-1) the one found, in the order of writing.
        select: the answer's columns.
        distinct: each answer once.
        tables: collections that are joined although no column of theirs is named.
        via: which of several relationships between the same two collections joins them, 0 the usual one.
        combine: ("minus" | "plus" | "ratio" | "abs", other) of two figures; ("union" | "intersect" | "except", other).
    """

    select: tuple[Item, ...]
    where: tuple[Clause, ...] = ()
    group: tuple[int, ...] = ()
    having: tuple[Item, str, float] | None = None
    pick: Pick | None = None
    shift: int = 0
    distinct: bool = False
    tables: tuple[int, ...] = ()
    via: int = 0
    combine: tuple[str, Sketch] | None = None
    named: frozenset[int] | None = field(default=None, init=False, compare=False, repr=False)  # by `columns_of`


def columns_of(sketch: Sketch) -> frozenset[int]:
    """Numbers of the columns that a sketch names itself, without those of sketches inside it."""
    known = sketch.named
    if known is None:
        known = frozenset(_columns_of(sketch))
        object.__setattr__(sketch, "named", known)
    return known


def _columns_of(sketch: Sketch) -> set[int]:
    found = set(sketch.group)
    for item in sketch.select:
        found.add(item.column)
    for clause in sketch.where:
        for test in clause:
            found.add(test.column)
    if sketch.pick is not None:
        found.add(sketch.pick.item.column)
    if sketch.having is not None:
        found.add(sketch.having[0].column)
    found.discard(ROWS)
    return found
