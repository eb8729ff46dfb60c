"""Which collections a sketch joins, over which relationships, and the rows of that join."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from promptql.rules.columns import View, text_of
from promptql.rules.sketch import Sketch, columns_of

JOINED_ROWS_MAX = 60_000  # a larger join is not tried while planning
NAMED_MAX = 20_000  # sets of columns whose collections are kept
LAID_CELLS_MAX = 1_000_000  # of columns along joins that are kept: 8 MB
TABLES_MAX = 6
T = TypeVar("T")


class NotJoinedError(Exception):
    """Nothing relates the collections, or their join is too large to be tried."""


@dataclass(frozen=True, slots=True)
class Edge:
    """Columns of two tables that hold the same keys."""

    left: int
    right: int


@dataclass(frozen=True, slots=True)
class Hop:
    """One more table of a join: `column` of it equals `key` of a table that is joined already."""

    table: int
    key: int
    column: int


class Laid:
    """Columns as they lie along joins, each made once and forgotten when there are many. Safe for many threads.

    `_lock` guards `_kept` and `_cells`.
    """

    def __init__(self, cells_max: int = LAID_CELLS_MAX) -> None:
        self._lock = threading.Lock()
        self._cells_max = cells_max
        self._cells = 0
        self._kept: dict[Hashable, Sequence[Any]] = {}

    def along(self, name: Hashable, own: Sequence[T], places: Sequence[int]) -> Sequence[T]:
        """(n,) the values of a collection's rows `own`, one for each row of a join; `name` says of which."""
        known: Sequence[T] | None = self._kept.get(name)
        if known is None:
            known = [own[place] for place in places]
            with self._lock:
                if self._cells + len(known) > self._cells_max:
                    self._kept, self._cells = {}, 0
                self._kept[name] = known
                self._cells += len(known)
        return known


class Joined:
    """The joins of a view's collections, each made once.

    Args:
        edges: which columns relate two collections; of several between the same two, the first is the usual one.
    """

    def __init__(self, view: View, edges: Sequence[Edge]) -> None:
        self.view = view
        self._tables = [column.table for column in view.columns]
        self._named: dict[frozenset[int], tuple[int, ...]] = {}
        self.edges: dict[int, list[tuple[int, int, int]]] = {}
        for edge in edges:
            left, right = view.columns[edge.left].table, view.columns[edge.right].table
            if left != right:
                self.edges.setdefault(left, []).append((right, edge.left, edge.right))
                self.edges.setdefault(right, []).append((left, edge.right, edge.left))
        pairs = Counter(frozenset((view.columns[e.left].table, view.columns[e.right].table)) for e in edges)
        self._doubled = {pair for pair, number in pairs.items() if number > 1}
        self.laid = Laid()
        self._rows: dict[tuple[object, ...], dict[int, Sequence[int]]] = {}
        self._paths: dict[tuple[object, ...], tuple[int, tuple[Hop, ...]]] = {}

    def tables_of(self, sketch: Sketch) -> tuple[int, ...]:
        """The collections that a sketch needs, in order; without those that only lead from one to another."""
        columns = columns_of(sketch)
        named = self._named.get(columns)
        if named is None:
            named = tuple(dict.fromkeys(self._tables[column] for column in sorted(columns)))
            if len(self._named) < NAMED_MAX:
                self._named[columns] = named
        return tuple(dict.fromkeys((*sketch.tables, *named))) if sketch.tables else named

    def path(self, sketch: Sketch) -> tuple[int, tuple[Hop, ...]]:
        """The first collection and those joined to it, each nearest to what is joined already.

        Raises:
            NotJoinedError: nothing relates them.
        """
        tables = self.tables_of(sketch)
        known = self._paths.get((tables, sketch.via))
        if known is None:
            known = self._paths[tables, sketch.via] = self._connected(tables, sketch.via)
        return known

    def parallel(self, sketch: Sketch) -> bool:
        """Whether two of the collections that it joins are related in more ways than one."""
        if not self._doubled or len(self.tables_of(sketch)) < 2:
            return False
        try:
            hops = self.path(sketch)[1]
        except NotJoinedError:
            return False
        return any(frozenset((hop.table, self.view.columns[hop.key].table)) in self._doubled for hop in hops)

    def role(self, sketch: Sketch) -> set[str]:
        """The words of the columns over which it joins what is related in more ways than one."""
        columns = self.view.columns
        found: set[str] = set()
        for hop in self.path(sketch)[1]:
            if frozenset((hop.table, columns[hop.key].table)) in self._doubled:
                found |= set(columns[hop.key].words) ^ set(columns[hop.column].words)
        return found

    def _connected(self, tables: tuple[int, ...], via: int) -> tuple[int, tuple[Hop, ...]]:
        if not tables:
            raise NotJoinedError("no collection")
        inside = {tables[0]}
        hops: list[Hop] = []
        for table in tables[1:]:
            if table in inside:
                continue
            for hop in self._way(inside, table, via):
                if hop.table not in inside:
                    inside.add(hop.table)
                    hops.append(hop)
        if len(inside) > TABLES_MAX:
            raise NotJoinedError("too many collections")
        return tables[0], tuple(hops)

    def _way(self, inside: set[int], goal: int, via: int) -> list[Hop]:
        """The shortest way by breadth first."""
        came: dict[int, Hop] = {}
        frontier = sorted(inside)
        while frontier:
            following = []
            for table in frontier:
                parallel: dict[int, list[tuple[int, int]]] = {}
                for other, key, column in self.edges.get(table, ()):
                    parallel.setdefault(other, []).append((key, column))
                for other, pairs in parallel.items():
                    if other not in came and other not in inside:
                        key, column = pairs[min(via, len(pairs) - 1)]
                        came[other] = Hop(other, key, column)
                        following.append(other)
            if goal in came:
                break
            frontier = following
        if goal not in came:
            raise NotJoinedError("nothing leads there")
        way = [came[goal]]
        while (before := self.view.columns[way[-1].key].table) not in inside:
            way.append(came[before])
        return way[::-1]

    def rows(self, sketch: Sketch) -> tuple[tuple[int, ...], Mapping[int, Sequence[int]]]:
        """A name of the join, and for each collection (n,) its row in each row of the join."""
        first, hops = self.path(sketch)
        name: tuple[int, ...] = (first, *(number for hop in hops for number in (hop.key, hop.column)))
        places = self._rows.get(name)
        if places is None:
            places = {first: range(self.view.rows[first])}
            for hop in hops:
                places = self._joined(places, hop)
            self._rows[name] = places
        return name, places

    def _joined(self, places: Mapping[int, Sequence[int]], hop: Hop) -> dict[int, Sequence[int]]:
        columns = self.view.columns
        cells, table = columns[hop.key].cells, columns[hop.key].table
        partners = columns[hop.column].rows_by_text
        taken: list[int] = []
        new: list[int] = []
        for row, place in enumerate(places[table]):
            key = text_of(cells[place])
            if key:
                for partner in partners.get(key, ()):
                    taken.append(row)
                    new.append(partner)
        if len(new) > JOINED_ROWS_MAX:
            raise NotJoinedError("too many rows")
        joined: dict[int, Sequence[int]] = {t: [p[row] for row in taken] for t, p in places.items()}
        joined[hop.table] = new
        return joined
