"""P8 (the same answers as the simple model): hypothesis chooses the steps; and a longer walk by a seed.

`make soak` runs 200,000 operations of the same (`tests/model/walk.py`).
"""

from __future__ import annotations

from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model.machine import StoreMachine
from tests.model.pair import KINDS, RARE_STEPS, STEPS
from tests.model.walk import walk

PROFILE = settings(
    max_examples=20, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True
)


def test_the_store_answers_as_the_model_does() -> None:
    """Every kind of write, maintenance, archives, restarts and time, in the orders that hypothesis thinks of."""
    run_state_machine_as_test(StoreMachine, settings=PROFILE)


def test_a_long_walk_agrees_with_the_model(tmp_path: Path) -> None:
    """1,200 operations by a seed; every kind of step occurs, and writes succeed as well as fail."""
    done = walk(tmp_path, seed=20261122, operations=1_200)
    assert done.keys() >= KINDS.keys() | STEPS.keys() | RARE_STEPS.keys()
    assert done["accepted"] > 150
    assert done["refused"] > 50
