"""engine.arrays: the append-only array."""

from __future__ import annotations

import numpy as np

from engine.arrays import GrowingArray


def test_views_stay_while_the_array_grows() -> None:
    """Within the buffer and beyond it."""
    array = GrowingArray(np.float32, 2, capacity=4)
    array.extend(np.array([[1, 2], [3, 4]]))
    view = array.view(2)
    array.extend(np.array([[5, 6]]))
    array.extend(np.zeros((100, 2)))
    assert view.tolist() == [[1, 2], [3, 4]]
    assert len(array) == 103
    assert array.view(3).tolist() == [[1, 2], [3, 4], [5, 6]]
