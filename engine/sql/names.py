"""The names that a query may use for collections."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypeAlias

from engine.errors import (
    CollectionNotFoundError,
    SqlError,
)

Visible: TypeAlias = Callable[[str], bool]


class Names:
    """The names that a query may use.

    Attributes:
        collections: that whoever asks may know of.
        visible: likewise; None: all.
        known: the collection of each name, aliases included.
    """

    def __init__(self, have: Sequence[str], visible: Visible | None, aliases: Mapping[str, str]) -> None:
        self.visible = visible
        self.collections = [name for name in have if visible is None or visible(name)]
        there = set(self.collections) if aliases else ()
        others = {alias: name for alias, name in aliases.items() if name in there}
        self.known = {**others, **dict(zip(self.collections, self.collections, strict=True))}

    def registered(self, name: str) -> str:
        """The name of a collection or alias that a name in a query means.

        Raises:
            CollectionNotFoundError: there is none.
            SqlError: there are several that differ by case.
        """
        return _resolved(name, self.known)

    def real(self, name: str) -> str:
        """The collection that a name in a query means; raises what `registered` does."""
        return self.known[self.registered(name)]


def _resolved(name: str, have: Collection[str]) -> str:
    """The name that a name in a query means: exactly, else the only one that differs by case.

    Raises:
        CollectionNotFoundError: there is none.
        SqlError: there are several.
    """
    if name in have:
        return name
    alike = [other for other in have if other.lower() == name.lower()]
    if len(alike) > 1:
        raise SqlError(f"collection {name!r} is ambiguous: {', '.join(alike)}")
    if not alike:
        raise CollectionNotFoundError(name)
    return alike[0]
