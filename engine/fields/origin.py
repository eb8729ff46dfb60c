"""Where rows came from: the documents behind each row of a relation, kept as arrays and put together when asked for.

A filter or a sort picks rows, a group gathers them, a union stacks them: each is a small object over the one before, so
that grouping a million rows costs one array of group numbers, and no list of ordinals is made that nobody asks for.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Places: TypeAlias = npt.NDArray[np.int64]  # rows of another relation; NOWHERE for none
NOWHERE = -1


class Origin(ABC):
    """The documents of one source behind each row."""

    @abstractmethod
    def __len__(self) -> int:
        """How many rows there are."""

    @abstractmethod
    def at(self, places: Places) -> Places:
        """Ordinals behind some rows, in any order, with repetitions; none for `NOWHERE`."""

    def take(self, places: Places) -> Origin:
        """Those of other rows: each is one of these, or has none."""
        return Picked(self, places)

    def gather(self, groups: Places, count: int) -> Origin:
        """Those of `count` groups; `groups` says of each row to which it belongs."""
        return Grouped(self, groups, count)


class Documents(Origin):
    """One document a row, by ordinal."""

    def __init__(self, ordinals: Places) -> None:
        self._ordinals = ordinals

    def __len__(self) -> int:
        return len(self._ordinals)

    def at(self, places: Places) -> Places:
        """What stands behind them; a row without a document has none."""
        ordinals = self._ordinals[places[places >= 0]]
        return ordinals[ordinals >= 0]

    def take(self, places: Places) -> Origin:
        """Other rows, at once: an array of ordinals costs no more than one of places."""
        if not len(self._ordinals):
            return Documents(np.full(len(places), NOWHERE, dtype=np.int64))
        return Documents(np.where(places < 0, NOWHERE, self._ordinals[places]))


class Picked(Origin):
    """Rows of another origin."""

    def __init__(self, inner: Origin, places: Places) -> None:
        self._inner = inner
        self._places = places

    def __len__(self) -> int:
        return len(self._places)

    def at(self, places: Places) -> Places:
        """What stands behind the rows picked."""
        return self._inner.at(self._places[places[places >= 0]])

    def take(self, places: Places) -> Origin:
        """Other rows, without going through these when asked."""
        if not len(self._places):
            return Picked(self._inner, np.full(len(places), NOWHERE, dtype=np.int64))
        return Picked(self._inner, np.where(places < 0, NOWHERE, self._places[places]))


class Grouped(Origin):
    """Groups of rows of another origin."""

    def __init__(self, inner: Origin, groups: Places, count: int) -> None:
        self._inner = inner
        self._groups = groups
        self._count = count

    def __len__(self) -> int:
        return self._count

    @cached_property
    def _sorted(self) -> tuple[Places, Places]:
        """Rows in order of their groups, and where each group begins."""
        order = np.argsort(self._groups, kind="stable")
        return order, np.searchsorted(self._groups[order], np.arange(self._count + 1))

    def at(self, places: Places) -> Places:
        """What stands behind all rows of the groups."""
        places = places[places >= 0]
        if len(places) == 1 and "_sorted" not in self.__dict__:  # one look costs less than sorting
            return self._inner.at(np.flatnonzero(self._groups == places[0]))
        order, bounds = self._sorted
        parts = [order[bounds[place] : bounds[place + 1]] for place in np.unique(places)]
        return self._inner.at(np.concatenate([np.empty(0, dtype=np.int64), *parts]))


class Listed(Origin):
    """Several rows of another origin behind each row, as lists: row i has those from `bounds[i]` to `bounds[i + 1]`."""

    def __init__(self, inner: Origin, bounds: Places, members: Places) -> None:
        self._inner = inner
        self._bounds = bounds
        self._members = members

    def __len__(self) -> int:
        return len(self._bounds) - 1

    def at(self, places: Places) -> Places:
        """What stands behind all rows of the lists."""
        bounds = self._bounds
        parts = [self._members[bounds[place] : bounds[place + 1]] for place in places[places >= 0]]
        return self._inner.at(np.concatenate([np.empty(0, dtype=np.int64), *parts]))


class Stacked(Origin):
    """The rows of several origins, one after the other."""

    def __init__(self, parts: Sequence[Origin]) -> None:
        self._parts = parts
        self._bounds = np.cumsum([0, *(len(part) for part in parts)])

    def __len__(self) -> int:
        return int(self._bounds[-1])

    def at(self, places: Places) -> Places:
        """What stands behind the rows of each part."""
        places = places[places >= 0]
        found = []
        for part, first, last in zip(self._parts, self._bounds[:-1], self._bounds[1:], strict=True):
            found.append(part.at(places[(places >= first) & (places < last)] - first))
        return np.concatenate(found)


class Nothing(Origin):
    """Rows without documents of this source."""

    def __init__(self, rows: int) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return self._rows

    def at(self, places: Places) -> Places:  # noqa: ARG002  (it is the interface's)
        """Nothing."""
        return np.empty(0, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Source:
    """A scan or a search that rows came from.

    Attributes:
        collection: its name.
        ids_of: ordinals → ids of documents, as of the snapshot that was read.
        origin: the documents behind each row.
    """

    collection: str
    ids_of: Callable[[Any], list[str]]
    origin: Origin

    def over(self, origin: Origin) -> Source:
        """The same source behind other rows."""
        return Source(self.collection, self.ids_of, origin)


@dataclass(frozen=True, slots=True)
class Provenance:
    """The documents of one collection behind a cell: the first ids, and how many there are in all."""

    collection: str
    ids: tuple[str, ...]
    count: int


def provenance(sources: Sequence[Source], row: int, limit: int) -> list[Provenance]:
    """The documents behind a row, each collection's together; collections without any are left out."""
    together: dict[str, tuple[Source, list[Places]]] = {}
    for source in sources:
        found = source.origin.at(np.array([row], dtype=np.int64))
        together.setdefault(source.collection, (source, []))[1].append(found)
    result = []
    for source, parts in together.values():
        ordinals = np.unique(np.concatenate(parts))
        if len(ordinals):
            ids = source.ids_of(ordinals[:limit].astype(np.uint32))
            result.append(Provenance(source.collection, tuple(ids), len(ordinals)))
    return result
