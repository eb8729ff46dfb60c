"""The counting half of a collection: what its calls take, the same for a directory and for a service."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

Filter = Mapping[str, Any] | str


class CountableCollection(ABC):
    """Counts, figures and how filters are evaluated."""

    def facets(
        self,
        facets: Mapping[str, Mapping[str, Any]] | Sequence[str],
        *,
        filter: Filter | None = None,  # noqa: A002 - the API's word
    ) -> dict[str, Any]:
        """Counts and figures of fields, by name.

        Args:
            facets: names of fields, whose values are counted; or by name what is wanted: `{"genre": {"limit": 10,
                "sort": "count", "prefix": "dr"}, "price": {"ranges": [{"to": 10}, {"from": 10}]},
                "added": {"interval": "month"}, "figures": {"field": "price", "stats": True}}`.
            filter: only documents that match.

        Raises:
            InvalidRequestError: a facet is malformed or does not fit its field, or a bad filter.
        """
        return self._facets(facets, filter)

    def statistics(self) -> dict[str, Any]:
        """What the values of each field are like: how many, how many different, bounds, the most frequent, steps."""
        return self._statistics()

    def explain(self, filter: Filter) -> dict[str, Any]:  # noqa: A002 - the API's word
        """How a filter is evaluated: what ran on which part, documents considered and found, milliseconds.

        Raises:
            InvalidRequestError: a bad filter.
        """
        return self._explain(filter)

    @abstractmethod
    def _facets(self, facets: Any, filter: Filter | None) -> dict[str, Any]: ...  # noqa: A002

    @abstractmethod
    def _statistics(self) -> dict[str, Any]: ...

    @abstractmethod
    def _explain(self, filter: Filter) -> dict[str, Any]:  # noqa: A002 - the API's word
        """Do it."""
