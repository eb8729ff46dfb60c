"""The promise, over many simulated runs: it breaks no more often than delta, whatever the proxy is worth."""

from __future__ import annotations

import math

import numpy as np
import pytest

from promptql.cascade import Method
from promptql.cascade.head import Features
from tests.promptql.cascade.made import PRECISION, Labels, failures, labels_of, rows_of

ROWS = 300


def allowed(runs: int, delta: float = 0.1) -> float:
    """Broken promises at most: delta of the runs and three standard deviations."""
    return delta * runs + 3 * math.sqrt(runs * delta * (1 - delta))


def test_a_thousand_runs_with_a_fair_proxy_keep_the_promise_and_save_calls() -> None:
    """A quarter of the rows belongs; the proxy is right about most. Rows and labels are others in every run."""

    def made(run: int) -> tuple[Features, Labels]:
        labels = labels_of(ROWS, 0.25, run)
        return rows_of(labels, 3.0, run), labels

    broken, certificates = failures(1_000, made)
    assert broken <= allowed(1_000)
    assert all(certificate.met for certificate in certificates)
    left = [certificate.proxy_decided for certificate in certificates]
    assert np.mean(left) > 0.25 * ROWS
    assert any(certificate.method is Method.CASCADE for certificate in certificates)


@pytest.mark.parametrize(("share", "distance"), [(0.3, 0.0), (0.5, 1.0), (0.15, 5.0)], ids=["useless", "poor", "good"])
def test_the_promise_does_not_depend_on_the_proxy(share: float, distance: float) -> None:
    """A hundred runs each: a useless proxy costs calls, not recall."""

    def made(run: int) -> tuple[Features, Labels]:
        labels = labels_of(ROWS, share, run)
        return rows_of(labels, distance, run), labels

    broken, _ = failures(100, made)
    assert broken <= allowed(100)


def test_what_the_proxy_takes_for_the_opposite_is_not_lost() -> None:
    """Half of what belongs looks just like the others, far away from the half that can be learnt."""

    def made(run: int) -> tuple[Features, Labels]:
        labels = labels_of(ROWS, 0.3, run)
        shown = labels.copy()
        shown[np.flatnonzero(labels)[::2]] = 0
        return rows_of(shown, 6.0, run), labels

    broken, _ = failures(100, made)
    assert broken <= allowed(100)


def test_a_promise_of_precision_holds_too() -> None:
    """Nine in ten rows that are kept belong."""

    def made(run: int) -> tuple[Features, Labels]:
        labels = labels_of(ROWS, 0.5, run)
        return rows_of(labels, 2.0, run), labels

    broken, certificates = failures(100, made, PRECISION)
    assert broken <= allowed(100)
    assert sum(certificate.kept_unread > 0 for certificate in certificates) > 10
