"""Floors on samples of the public question sets, through the product; `make eval` measures them in full."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from benchmarks.data import SHARED_DATA
from benchmarks.evaluation import run_spider, run_wikisql, run_wikitablequestions
from promptql.evaluation import Report

pytestmark = pytest.mark.skipif(
    not (SHARED_DATA / "wikisql-tabfact").is_dir(), reason="the public data is not beside the repository"
)
QUESTIONS = 150
ANSWER_PRECISION_MIN = 0.9


@pytest.mark.parametrize(
    ("run", "accuracy_min"), [(run_wikisql, 0.85), (run_wikitablequestions, 0.38), (run_spider, 0.45)]
)
def test_public_questions_are_answered(run: Callable[[int | None], Report], accuracy_min: float) -> None:
    """A sample of each set is answered as rightly as measured, with some room for chance; none breaks down."""
    report = run(QUESTIONS)

    assert report.accuracy >= accuracy_min, report.to_markdown()
    assert report.confusion().get("none", {}).get("error", 0) <= QUESTIONS // 10


def test_what_is_answered_without_reserve_is_right() -> None:
    """The band `answer` holds at least half of the questions of single tables, and they are right."""
    coverage, precision = run_wikisql(QUESTIONS).by_band()["answer"]

    assert coverage >= 0.5
    assert precision >= ANSWER_PRECISION_MIN
