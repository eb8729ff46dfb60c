"""Runs sketches over columns in memory, some tens of microseconds each: the planner tries what it considers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from promptql.rules.columns import MISSING, Column, View
from promptql.rules.joins import Joined, NotJoinedError
from promptql.rules.sketch import ROWS, Condition, Item, Pick, Sketch

Rows: TypeAlias = Sequence[int]
Group: TypeAlias = tuple[Rows, tuple[object, ...]]
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
        rows = source.rows
        for clause in sketch.where:
            admitted = self._admits(clause[0], source)
            for test in clause[1:]:
                admitted = admitted | self._admits(test, source)
            rows = [row for row in rows if row in admitted] if len(admitted) < len(source.rows) else rows
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
        answer = list(zip(*(source.cells(item.column, rows) for item in sketch.select), strict=True))
        return list(dict.fromkeys(answer)) if sketch.distinct else answer

    def _source(self, sketch: Sketch) -> Source:
        if self._joined is None:
            return Source(self.view, range(self.view.rows[0]))
        try:
            path, places = self._joined.rows(sketch)
        except NotJoinedError as error:
            raise CannotRunError(str(error)) from error
        return Source(self.view, range(len(next(iter(places.values())))), path, places)

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
        if source.path:
            held = set(holding(column, test.op, value))
            places = source.places(column.table)
            return [row for row in source.rows if places[row] in held]
        return holding(column, test.op, value)

    def _inner(self, test: Condition, sketch: Sketch) -> str | float | tuple[str, ...] | None:
        answer = self.run(sketch)
        if test.op in ("in", "not in"):
            return tuple(dict.fromkeys(_key(row[0]) for row in answer))
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
            return source.cells(item.column, rows[:1])[0]
        if item.column == ROWS:
            return len(rows)
        column = self.view.columns[item.column]
        if item.fn == "count":
            keys = column.keys
            return sum(keys[place] not in MISSING for place in source.place(column.table, rows))
        if item.fn == "distinct":
            keys, cells = column.keys, column.cells
            return len({cells[place] for place in source.place(column.table, rows) if keys[place] not in MISSING})
        numbers = column.numbers
        known = [number for place in source.place(column.table, rows) if (number := numbers[place]) is not None]
        if not known:
            raise NothingKnownError("no number")
        if item.fn in ("max", "min") and not column.ordered:
            raise CannotRunError("not ordered")
        if item.fn in ("sum", "avg", "range") and column.kind != "number":
            raise CannotRunError("not a number")
        if item.fn in ("max", "min") and column.kind == "date":
            best = FIGURES[item.fn](known)
            return next(column.cells[p] for p in source.place(column.table, rows) if numbers[p] == best)
        return FIGURES[item.fn](known)

    def _picked(self, pick: Pick, source: Source, rows: Rows) -> Rows:
        if pick.how == "first":
            return rows[: pick.n]
        if pick.how == "last":
            return rows[-pick.n :]
        if pick.how == "nth":
            return rows[pick.n - 1 : pick.n]
        column = self.view.columns[pick.item.column]
        numbers = column.numbers if column.ordered else None
        places = source.place(column.table, rows)
        if numbers is None:
            known_keys = [
                (column.keys[place], row) for place, row in zip(places, rows, strict=True) if column.keys[place]
            ]
            return _best(known_keys, pick)
        known = [(n, row) for place, row in zip(places, rows, strict=True) if (n := numbers[place]) is not None]
        return _best(known, pick)

    def _grouped(self, sketch: Sketch, source: Source, rows: Rows) -> list[tuple[object, ...]]:
        groups = self._groups(sketch, source, rows)
        if sketch.having is not None:
            item, op, bound = sketch.having
            figured = ((self._known(item, source, group), group) for group in groups)
            groups = [group for found, group in figured if found is not None and COMPARE[op](_number(found), bound)]
        if sketch.pick is not None:
            item = sketch.pick.item
            if len(groups) > GROUPS_RANKED_MAX and item.column != ROWS:
                raise CannotRunError("too many groups to be tried")
            ranked: list[tuple[object, int]]
            if item.column == ROWS:
                ranked = [(len(group), number) for number, group in enumerate(groups)]
            else:
                known = [(self._known(item, source, group), number) for number, group in enumerate(groups)]
                ranked = [(_sortable(found), number) for found, number in known if found is not None]
            groups = [groups[number] for number in _best(ranked, sketch.pick)]
        return [tuple(self._known(item, source, group) for item in sketch.select) for group in groups]

    def _known(self, item: Item, source: Source, rows: Rows) -> object:
        """The figure of a group; None where no cell holds a number."""
        try:
            return self._figure(item, source, rows)
        except NothingKnownError:
            return None

    def _groups(self, sketch: Sketch, source: Source, rows: Rows) -> list[list[int]]:
        """The rows of each group, in the order of first appearance; groups without a name are left out."""
        name = (source.path, sketch.where, sketch.group)
        known = self._grouped_rows.get(name)
        if known is None:
            columns = [self.view.columns[number] for number in sketch.group]
            keys = []
            for column in columns:
                cells, own = column.cells, column.keys
                places = source.place(column.table, rows)
                keys.append([cells[place] if own[place] not in MISSING else None for place in places])
            keyed: dict[object, list[int]] = {}
            for row, key in zip(rows, keys[0] if len(keys) == 1 else zip(*keys, strict=True), strict=True):
                keyed.setdefault(key, []).append(row)
            if len(keys) == 1:
                known = [group for key, group in keyed.items() if key is not None]
            else:
                known = [g for key, g in keyed.items() if any(part is not None for part in key)]  # type: ignore[attr-defined]
            self._grouped_rows[name] = known
        return known


class Source:
    """Rows to read from: a collection's own, or those of a join (`path` names it; empty for one collection)."""

    def __init__(
        self, view: View, rows: Rows, path: tuple[int, ...] = (), joined: Mapping[int, Sequence[int]] | None = None
    ) -> None:
        self.view = view
        self.rows = rows
        self.path = path
        self._places = joined or {}

    def places(self, table: int) -> Sequence[int]:
        """(n,) for each row of the join its row in a collection."""
        return self._places[table]

    def place(self, table: int, rows: Rows) -> Rows:
        """The rows of a collection that rows of the join come from."""
        if not self.path:
            return rows
        places = self._places[table]
        return [places[row] for row in rows]

    def cells(self, column: int, rows: Rows) -> list[object]:
        """The cells of a column in those rows."""
        chosen = self.view.columns[column]
        cells = chosen.cells
        return [cells[place] for place in self.place(chosen.table, rows)]


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
