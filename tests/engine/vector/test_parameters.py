"""engine.vector.parameters: what may be said about how hard to search."""

from __future__ import annotations

from typing import Any

import pytest

from engine.errors import InvalidInputError
from engine.vector.parameters import DEFAULT, SearchParameters


@pytest.mark.parametrize(
    ("given", "pointer", "expected"),
    [
        ({"ef_search": 0}, "/params/ef_search", "a whole number from 1 to 100000: got=0"),
        ({"ef_search": 64.0}, "/params/ef_search", "a whole number"),
        ({"ef_search": True}, "/params/ef_search", "got=True"),
        ({"nprobe": 65_537}, "/params/nprobe", "from 1 to 65536: got=65537"),
        ({"oversample": 0.5}, "/params/oversample", "a number from 1 to 1000: got=0.5"),
        ({"oversample": float("nan")}, "/params/oversample", "got=nan"),
        ({"exact": 1}, "/params/exact", "true or false: got=1"),
        ({"recall": 0.9}, "/params/recall", "0.95 or 0.99: got=0.9"),
        ({"recall": "0.95"}, "/params/recall", "0.95 or 0.99"),
        ({"recall": 0.95, "nprobe": 3}, "/params/recall", "no ef_search, nprobe, oversample or exact beside it"),
        ({"recall": 0.99, "exact": True}, "/params/recall", "beside it"),
    ],
)
def test_what_is_out_of_range_is_named_with_what_was_expected(
    given: dict[str, Any], pointer: str, expected: str
) -> None:
    """The parameter, its range, and what came."""
    with pytest.raises(InvalidInputError, match="must be") as caught:
        SearchParameters(**given)
    assert caught.value.pointer == pointer
    assert expected in str(caught.value)


def test_the_bounds_themselves_are_allowed() -> None:
    """And equal parameters are equal: they key caches."""
    given = {"ef_search": 100_000, "nprobe": 65_536, "oversample": 1}
    assert SearchParameters(**given) == SearchParameters(**given)  # type: ignore[arg-type]
    assert SearchParameters(recall=0.99, exact=False).recall == 0.99
    assert SearchParameters() == DEFAULT
