"""What a caller may say about how hard to search, and what one index makes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from engine.errors import InvalidInputError

EF_SEARCH_DEFAULT = 64
EF_SEARCH_MAX = 100_000
NPROBE_MAX = 65_536
OVERSAMPLE_MAX = 1_000
RECALLS = (0.95, 0.99)


@dataclass(frozen=True, slots=True)
class SearchParameters:
    """How hard to search. What is None is chosen by each index, from its calibration when it was built.

    Attributes:
        ef_search: graphs, candidates kept while searching; 1 to 100,000.
        nprobe: inverted lists searched; 1 to 65,536.
        oversample: quantized vectors, candidates compared again exactly, a result; 1 to 1,000.
        exact: compare with every vector.
        recall: 0.95 or 0.99, the share of the true nearest that must be found; instead of the others.

    Raises:
        InvalidInputError: one is out of range, or they contradict each other.
    """

    ef_search: int | None = None
    nprobe: int | None = None
    oversample: float | None = None
    exact: bool = False
    recall: float | None = None

    def __post_init__(self) -> None:
        _check_range("ef_search", self.ef_search, EF_SEARCH_MAX, whole=True)
        _check_range("nprobe", self.nprobe, NPROBE_MAX, whole=True)
        _check_range("oversample", self.oversample, OVERSAMPLE_MAX, whole=False)
        if not isinstance(self.exact, bool):
            raise _refused("exact", "true or false", self.exact)
        if self.recall is None:
            return
        if isinstance(self.recall, bool) or self.recall not in RECALLS:
            raise _refused("recall", " or ".join(map(str, RECALLS)), self.recall)
        others = [self.ef_search, self.nprobe, self.oversample, self.exact or None]
        if any(other is not None for other in others):
            raise _refused("recall", "no ef_search, nprobe, oversample or exact beside it", self.recall)


@dataclass(frozen=True, slots=True)
class Effort:
    """The parameters of one search of one index, all of them."""

    ef_search: int = EF_SEARCH_DEFAULT
    nprobe: int = 1
    oversample: float = 1.0


def _check_range(name: str, value: Any, most: int, *, whole: bool) -> None:
    if value is None:
        return
    known = isinstance(value, int) or (not whole and isinstance(value, float))
    if isinstance(value, bool) or not known or not 1 <= value <= most:
        raise _refused(name, f"{'a whole number' if whole else 'a number'} from 1 to {most}", value)


def _refused(name: str, expected: str, got: Any) -> InvalidInputError:
    return InvalidInputError(f"{name} must be {expected}: got={got!r:.40}", pointer=f"/params/{name}")


DEFAULT = SearchParameters()
