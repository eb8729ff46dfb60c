"""engine.fields.bitmaps: bitmaps to and from arrays."""

from __future__ import annotations

import numpy as np
import pytest
from pyroaring import BitMap

from engine.fields.bitmaps import bitmap_bytes, bitmap_of_mask, bitmap_of_places, mask_of_bitmap, places_of


@pytest.mark.parametrize("rows", [0, 1, 9, 65_535, 65_536, 65_537, 200_001])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.0624, 0.0626, 0.5, 1.0])
def test_there_and_back(rows: int, share: float) -> None:
    """Containers of all kinds, full and cut short: what pyroaring makes of the same places."""
    mask = np.random.default_rng(rows).random(rows) < share
    places = np.flatnonzero(mask)
    expected = BitMap(places.tolist())
    assert bitmap_of_mask(mask) == expected
    assert bitmap_of_places(places[::-1]) == expected
    assert places_of(expected).tolist() == places.tolist()
    assert (mask_of_bitmap(expected, rows) == mask).all()
    expected.run_optimize()
    assert (mask_of_bitmap(expected, rows) == mask).all()


def test_bytes_are_about_those_of_the_format() -> None:
    """Within a few hundred bytes of what it takes when written."""
    for bitmap in (BitMap(), BitMap([1, 5]), BitMap(range(0, 200_000, 2))):
        assert 0 <= bitmap_bytes(bitmap) - len(bitmap.serialize()) < 400
