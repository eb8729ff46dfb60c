"""engine.vector.calibration: the cheapest effort that finds enough."""

from __future__ import annotations

import numpy as np

from engine.vector.calibration import Calibration, Level, recall_of
from engine.vector.parameters import Effort

LEVELS = (
    Level(Effort(nprobe=4, oversample=3.0), 0.90, 20.0),
    Level(Effort(nprobe=4, oversample=6.0), 0.96, 31.0),
    Level(Effort(nprobe=8, oversample=3.0), 0.957, 25.0),
    Level(Effort(nprobe=8, oversample=6.0), 0.999, 50.0),
)


def test_the_cheapest_effort_that_reaches_a_target_is_chosen() -> None:
    """With a margin for the sample; none where none reaches it."""
    calibration = Calibration(LEVELS)
    assert calibration.effort(0.95) == Effort(nprobe=8, oversample=3.0)
    assert Calibration((*LEVELS, Level(Effort(nprobe=16), 0.97, 28.0))).effort(0.95) == Effort(
        nprobe=16
    )  # about as cheap
    assert calibration.effort(0.96) == Effort(nprobe=8, oversample=6.0)
    assert calibration.effort(0.99) == Effort(nprobe=8, oversample=6.0)
    assert Calibration(LEVELS[:3]).effort(0.99) is None
    assert Calibration().effort(0.95) is None


def test_the_best_level_finds_most_and_of_equals_is_the_cheapest() -> None:
    """By recall first."""
    assert Calibration((*LEVELS, Level(Effort(nprobe=16), 0.999, 49.0))).best().microseconds == 49.0


def test_recall_counts_neighbours_without_the_query_itself() -> None:
    """Each query is one of the rows and finds itself; rows as near as the last true one count, whichever they are."""
    truth = np.array([[0.0, -1.0, -2.0], [0.0, -1.0, -1.0]], np.float32)
    rows = np.array([[5, 6, 9], [7, 8, -1]])
    scores = np.array([[0.0, -1.0, -3.0], [0.0, -1.0, 0.0]], np.float32)
    assert recall_of(scores, rows, truth) == 0.5  # one of two neighbours each
    assert recall_of(truth, np.zeros((2, 3), int), truth) == 1.0
