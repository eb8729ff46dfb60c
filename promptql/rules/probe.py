"""Runs sketches over columns in memory, some tens of microseconds each: the planner tries what it considers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias, TypeVar

from promptql.rules.columns import MISSING, Column, View
from promptql.rules.joins import Joined, Laid, NotJoinedError
from promptql.rules.sketch import ROWS, Clause, Condition, Item, Pick, Sketch

Rows: TypeAlias = Sequence[int]
T = TypeVar("T")
NUMBER_TOLERANCE = 1e-9
GROUPS_RANKED_MAX = 2_000


class CannotRunError(Exception):
    """The sketch has no meaning over these columns (an average of text, two tables that nothing joins)."""


class NothingKnownError(CannotRunError):
    """A figure of cells none of which holds a number."""


class Probe:
    """Runs sketches over one view; remembers the rows that tests admit. For one question, in one thread."""

    def __init__(self, view: View, joined: Joined | None = None) -> None:
        self.view = view
        self._joined = joined
        self.rows_seen = 0
        self._alone = Source(view, range(view.rows[0]))
        self._sources: dict[tuple[int, ...], Source] = {}
        self._rows: dict[tuple[tuple[int, ...], tuple[Clause, ...]], Rows] = {}
        self._grouped_rows: dict[object, list[list[int]]] = {}
        self._admitted: dict[tuple[Condition, tuple[int, ...]], frozenset[int]] = {}

    def run(self, sketch: Sketch) -> list[tuple[object, ...]]:
        """The answer's rows.

        Raises:
            CannotRunError: the sketch has no meaning here.
        """
        answer = self._simple(sketch)
        if sketch.combine is None:
            return answer
        how, other = sketch.combine
        return _combined(how, answer, self.run(other))

    def _simple(self, sketch: Sketch) -> list[tuple[object, ...]]:
        source = self._source(sketch)
        rows = self._narrowed(sketch.where, source)
        self.rows_seen = len(rows)
        figures = any(item.fn for item in sketch.select)
        if sketch.group:
            return self._grouped(sketch, source, rows)
        if sketch.pick is not None:
            rows = self._picked(sketch.pick, source, rows)
        if sketch.shift:
            rows = [row + sketch.shift for row in rows if 0 <= row + sketch.shift < len(source.rows)]
        if figures:
            return [tuple(self._figure(item, source, rows) for item in sketch.select)]
        answer = list(zip(*(source.cells_at(item.column, rows) for item in sketch.select), strict=True))
        return list(dict.fromkeys(answer)) if sketch.distinct else answer

    def _source(self, sketch: Sketch) -> Source:
        if self._joined is None:
            return self._alone
        try:
            path, places = self._joined.rows(sketch)
        except NotJoinedError as error:
            raise CannotRunError(str(error)) from error
        known = self._sources.get(path)
        if known is None:
            rows = range(len(next(iter(places.values()))))
            known = self._sources[path] = Source(self.view, rows, path, places, self._joined.laid)
        return known

    def _narrowed(self, where: tuple[Clause, ...], source: Source) -> Rows:
        """The rows for which all clauses hold, in order; not to be changed."""
        if not where:
            return source.rows
        known = self._rows.get((source.path, where))
        if known is None:
            known = self._rows[source.path, where] = self._held(where, source)
        return known

    def _held(self, where: tuple[Clause, ...], source: Source) -> Rows:
        rows = self._narrowed(where[:-1], source)
        admitted = self._admits(where[-1][0], source)
        for test in where[-1][1:]:
            admitted = admitted | self._admits(test, source)
        if len(admitted) >= len(source.rows):
            return rows
        return sorted(admitted) if rows is source.rows else [row for row in rows if row in admitted]

    def _admits(self, test: Condition, source: Source) -> frozenset[int]:
        known = self._admitted.get((test, source.path))
        if known is None:
            known = self._admitted[test, source.path] = frozenset(self._holding(test, source))
        return known

    def _holding(self, test: Condition, source: Source) -> Sequence[int]:
        column = self.view.columns[test.column]
        value = test.value
        if isinstance(value, Sketch):
            value = self._inner(test, value)
        held = holding(column, test.op, value)
        places = source.places(column.table)
        if places is None:
            return held
        among = set(held)
        return [row for row, place in enumerate(places) if place in among]

    def _inner(self, test: Condition, sketch: Sketch) -> str | float | tuple[str, ...] | None:
        answer = self.run(sketch)
        if test.op in ("in", "not in"):
            return tuple(dict.fromkeys(_key(value) for value in dict.fromkeys(row[0] for row in answer)))
        values = list(dict.fromkeys(row[0] for row in answer))
        if len(values) != 1:
            raise CannotRunError("a comparison needs one value")
        if test.op in ("=", "!=") and isinstance(values[0], str):
            return _key(values[0])
        return _number(values[0])

    def _figure(self, item: Item, source: Source, rows: Rows) -> object:
        if item.fn == "":
            if not rows:
                raise CannotRunError("no row")
            return source.cells(item.column)[rows[0]]
        figure = self._known_figures(item, source, (rows,))[0]
        if figure is None:
            raise NothingKnownError("no number")
        return figure

    def _known_figures(self, item: Item, source: Source, groups: Sequence[Rows]) -> list[object]:
        """The figure of each group; None where no cell of it holds a number."""
        if item.column == ROWS:
            return [len(group) for group in groups]
        if item.fn == "":
            cells = source.cells(item.column)
            return [cells[group[0]] for group in groups]
        if item.fn == "count":
            filled = source.filled(item.column)
            return [sum([filled[row] for row in group]) for group in groups]
        if item.fn == "distinct":
            cells, filled = source.cells(item.column), source.filled(item.column)
            return [len({cells[row] for row in group if filled[row]}) for group in groups]
        return self._measured(item, source, groups)

    def _measured(self, item: Item, source: Source, groups: Sequence[Rows]) -> list[object]:
        """Greatest, least, sums, averages of each group."""
        column, numbers = self.view.columns[item.column], source.numbers(item.column)
        known = [[number for row in group if (number := numbers[row]) is not None] for group in groups]
        if not any(known):
            return [None] * len(known)
        if item.fn in ("max", "min") and not column.ordered:
            raise CannotRunError("not ordered")
        if item.fn in ("sum", "avg", "range") and column.kind != "number":
            raise CannotRunError("not a number")
        figure = FIGURES[item.fn]
        figures: list[object] = [figure(held) if held else None for held in known]
        if item.fn not in ("max", "min") or column.kind != "date":
            return figures
        cells = source.cells(item.column)  # the day as it is written
        return [
            None if best is None else next(cells[row] for row in group if numbers[row] == best)
            for best, group in zip(figures, groups, strict=True)
        ]

    def _picked(self, pick: Pick, source: Source, rows: Rows) -> Rows:
        if pick.how == "first":
            return rows[: pick.n]
        if pick.how == "last":
            return rows[-pick.n :]
        if pick.how == "nth":
            return rows[pick.n - 1 : pick.n]
        column = self.view.columns[pick.item.column]
        if not column.ordered:
            keys = source.keys(pick.item.column)
            return _best([(key, row) for row in rows if (key := keys[row])], pick)
        numbers = source.numbers(pick.item.column)
        return _best([(number, row) for row in rows if (number := numbers[row]) is not None], pick)

    def _grouped(self, sketch: Sketch, source: Source, rows: Rows) -> list[tuple[object, ...]]:
        groups = self._groups(sketch, source, rows)
        if sketch.having is not None:
            item, op, bound = sketch.having
            figured = zip(self._known_figures(item, source, groups), groups, strict=True)
            groups = [group for found, group in figured if found is not None and COMPARE[op](_number(found), bound)]
        if sketch.pick is not None:
            item = sketch.pick.item
            if len(groups) > GROUPS_RANKED_MAX and item.column != ROWS:
                raise CannotRunError("too many groups to be tried")
            found = self._known_figures(item, source, groups)
            if item.column == ROWS:
                ranked: list[tuple[object, int]] = [(size, number) for number, size in enumerate(found)]
            else:
                ranked = [(_sortable(key), number) for number, key in enumerate(found) if key is not None]
            groups = [groups[number] for number in _best(ranked, sketch.pick)]
        return list(zip(*(self._known_figures(item, source, groups) for item in sketch.select), strict=True))

    def _groups(self, sketch: Sketch, source: Source, rows: Rows) -> list[list[int]]:
        """The rows of each group, in the order of first appearance; groups without a name are left out."""
        name = (source.path, sketch.where, sketch.group)
        known = self._grouped_rows.get(name)
        if known is None:
            keyed: defaultdict[object, list[int]] = defaultdict(list)
            named = [source.named(column) for column in sketch.group]
            if len(named) == 1:
                (cells,) = named
                for row in rows:
                    keyed[cells[row]].append(row)
                keyed.pop(None, None)
            else:
                for row, key in zip(
                    rows, zip(*([cells[row] for row in rows] for cells in named), strict=True), strict=True
                ):
                    keyed[key].append(row)
                keyed.pop((None,) * len(named), None)
            known = self._grouped_rows[name] = list(keyed.values())
        return known


class Source:
    """Rows to read from: a collection's own, or those of a join (`path` names it; empty for one collection).

    Args:
        joined: for each collection (n,) its row in each row of the join.
        laid: keeps columns as they lie along joins.
    """

    def __init__(
        self,
        view: View,
        rows: Rows,
        path: tuple[int, ...] = (),
        joined: Mapping[int, Sequence[int]] | None = None,
        laid: Laid | None = None,
    ) -> None:
        self.view = view
        self.rows = rows
        self.path = path
        self._places = joined or {}
        self._laid = laid

    def places(self, table: int) -> Sequence[int] | None:
        """(n,) for each row of the join its row in a collection; None where they are the same."""
        places = self._places.get(table)
        return None if isinstance(places, range) else places

    def cells(self, column: int) -> Sequence[object]:
        """(n,) the cells of a column, a row of the join each."""
        return self._along(column, "cells", self.view.columns[column].cells)

    def keys(self, column: int) -> Sequence[str]:
        """(n,) its cells as they are compared."""
        return self._along(column, "keys", self.view.columns[column].keys)

    def numbers(self, column: int) -> Sequence[float | None]:
        """(n,) its numbers, or dates as numbers."""
        return self._along(column, "numbers", self.view.columns[column].numbers)

    def filled(self, column: int) -> Sequence[bool]:
        """(n,) which cells hold something."""
        return self._along(column, "filled", self.view.columns[column].held)

    def named(self, column: int) -> Sequence[object]:
        """(n,) its cells, None for those that hold nothing."""
        return self._along(column, "named", self.view.columns[column].named)

    def cells_at(self, column: int, rows: Rows) -> Sequence[object]:
        """Its cells in those rows."""
        cells = self.cells(column)
        return cells if rows is self.rows else [cells[row] for row in rows]

    def _along(self, column: int, kind: str, own: Sequence[T]) -> Sequence[T]:
        places = self.places(self.view.columns[column].table)
        if places is None or self._laid is None:
            return own
        return self._laid.along((self.path, column, kind), own, places)


def _best(ranked: Sequence[tuple[object, int]], pick: Pick) -> list[int]:
    if not ranked:
        return []
    down = pick.how == "max"
    if pick.n == 1 and not pick.everything:
        best = (max if down else min)(key for key, _ in ranked)  # type: ignore[type-var]
        return [row for key, row in ranked if key == best]
    ordered = sorted(ranked, key=lambda item: item[0], reverse=down)  # type: ignore[arg-type,return-value]
    return [row for _, row in (ordered if pick.everything else ordered[: pick.n])]


def holding(column: Column, op: str, value: object) -> Sequence[int]:
    """The rows of a column for which a comparison holds."""
    by_key = column.rows_by_key
    if op == "=":
        if isinstance(value, str):
            return by_key.get(value, ())
        return [row for row, n in enumerate(column.numbers) if n is not None and abs(n - value) < NUMBER_TOLERANCE]  # type: ignore[operator]
    if op == "!=":
        if isinstance(value, str):
            return [row for row, key in enumerate(column.keys) if key != value and key not in MISSING]
        return [row for row, n in enumerate(column.numbers) if n is not None and n != value]
    if op == "~":
        padded = f" {value} "
        return [row for key, rows in by_key.items() if padded in f" {key} " for row in rows]
    if op == "!~":
        padded = f" {value} "
        return [row for key, rows in by_key.items() if padded not in f" {key} " and key not in MISSING for row in rows]
    if op == "in":
        return [row for key in value for row in by_key.get(key, ())]  # type: ignore[attr-defined]
    if op == "not in":
        out = set(value)  # type: ignore[call-overload]
        return [row for row, key in enumerate(column.keys) if key not in out]
    if op == "filled":
        return [row for row, key in enumerate(column.keys) if key not in MISSING]
    if op == "missing":
        return [row for row, key in enumerate(column.keys) if key in MISSING]
    compare = COMPARE[op]
    bound = _number(value)
    if column.kind == "date" and 1000 <= bound <= 2100:
        return [r for r, n in enumerate(column.numbers) if n is not None and n >= 1e7 and compare(n // 10_000, bound)]
    return [row for row, n in enumerate(column.numbers) if n is not None and compare(n, bound)]


def _combined(how: str, left: list[tuple[object, ...]], right: list[tuple[object, ...]]) -> list[tuple[object, ...]]:
    if how in ("union", "intersect", "except"):
        ours, theirs = list(dict.fromkeys(left)), list(dict.fromkeys(right))
        known = set(theirs)
        if how == "union":
            return list(dict.fromkeys([*ours, *theirs]))
        return [row for row in ours if (row in known) == (how == "intersect")]
    if len({row[0] for row in left}) != 1 or len({row[0] for row in right}) != 1:
        raise CannotRunError("a difference needs two figures")
    one, two = _number(left[0][0]), _number(right[0][0])
    if how == "ratio":
        if two == 0:
            raise CannotRunError("divided by nothing")
        return [(one / two,)]
    return [({"minus": one - two, "plus": one + two, "abs": abs(one - two)}[how],)]


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        from promptql.rules.quantities import date_in, number_in, year_in

        if isinstance(value, str):
            date = date_in(value)
            if date is not None and date[0]:
                return float(date[0] * 10_000 + date[1] * 100 + date[2])
            found = number_in(value)
            if found is not None:
                return found[0]
            year = year_in(value)
            if year is not None:
                return float(year)
        raise CannotRunError("not a number")
    return float(value)


def _key(value: object) -> str:
    from promptql.rules.columns import key_of, text_of

    return key_of(text_of(value))


def _sortable(value: object) -> float:
    return _number(value)


FIGURES: dict[str, Callable[[list[float]], float]] = {
    "max": max,
    "min": min,
    "sum": sum,
    "avg": lambda known: sum(known) / len(known),
    "range": lambda known: max(known) - min(known),
}
COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "=": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
}
