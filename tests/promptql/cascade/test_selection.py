"""Single selections: odd populations, judges that fail or stop, helpers, and what the certificate says."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from promptql.cascade import FAILED, NOT_ASKED, UNREAD, Certificate, Method, Quality, Target, select
from tests.promptql.cascade.made import RECALL, CountingJudge, Labels, labels_of, precision, recall, rows_of


def test_few_rows_are_all_judged() -> None:
    """There is nothing to save."""
    labels = labels_of(60, 0.5)
    judge = CountingJudge(labels)
    selection = select(rows_of(labels, 3.0), judge, RECALL)
    assert sorted(judge.asked) == list(range(60))
    assert selection.kept.tolist() == (labels == 1).tolist()
    assert selection.certificate.method is Method.ALL
    assert selection.certificate.certified == 1.0


def test_no_row_at_all() -> None:
    """Nothing is kept, nothing asked."""
    labels = np.empty(0, dtype=np.int8)
    selection = select(np.empty((0, 3)), CountingJudge(labels), RECALL)
    assert not selection.kept.size
    assert selection.certificate.completeness == 1.0


def test_nobody_is_asked_about_twice_and_the_same_seed_asks_the_same() -> None:
    """So a judge that contradicts itself cannot: its first word stands."""
    labels = labels_of(600, 0.2)
    features = rows_of(labels, 4.0)
    judges = [CountingJudge(labels), CountingJudge(labels)]
    first, second = (select(features, judge, RECALL, seed=5) for judge in judges)
    assert len(judges[0].asked) == len(set(judges[0].asked)) == first.certificate.judged
    assert judges[0].asked == judges[1].asked
    assert first.certificate == second.certificate


def test_easy_rows_need_few_calls() -> None:
    """Two clusters far from each other: fewer than half of the rows are judged, and none is missed."""
    labels = labels_of(2_000, 0.1)
    selection = select(rows_of(labels, 8.0), CountingJudge(labels), RECALL)
    assert recall(selection, labels) >= 0.9
    assert precision(selection, labels) == 1.0
    assert selection.certificate.judged <= 0.35 * 2_000
    assert selection.certificate.dropped_unread == 2_000 - selection.certificate.judged


def test_where_most_rows_belong_some_are_kept_unread() -> None:
    """Reading nine tenths of what belongs would be nearly half of the rows."""
    labels = labels_of(2_000, 0.5)
    selection = select(rows_of(labels, 6.0), CountingJudge(labels), RECALL)
    certificate = selection.certificate
    assert certificate.kept_unread > 300
    assert certificate.judged <= 0.35 * 2_000
    assert min(recall(selection, labels), precision(selection, labels)) >= 0.9
    assert certificate.count_lower <= 1_000 <= certificate.count_upper


@pytest.mark.parametrize("share", [0.0, 0.005, 0.99, 1.0])
def test_none_few_and_all_belong(share: float) -> None:
    """Where no certificate can be had for less, all rows are judged; no answer is wrong."""
    labels = labels_of(500, share)
    selection = select(rows_of(labels, 2.0), CountingJudge(labels), RECALL, seed=3)
    assert recall(selection, labels) >= 0.9
    assert precision(selection, labels) >= 0.9
    if share < 0.01:
        assert selection.certificate.method is Method.ALL


def test_equal_rows_and_no_variance() -> None:
    """Vectors that say nothing at all."""
    labels = labels_of(300, 0.3)
    selection = select(np.ones((300, 4)), CountingJudge(labels), RECALL)
    assert recall(selection, labels) >= 0.9


def test_inputs_that_stand_for_many_rows_are_judged() -> None:
    """The promise counts rows: ten inputs hold half of them."""
    labels = labels_of(600, 0.2)
    weights = np.ones(600, dtype=np.int64)
    weights[:10] = 60
    judge = CountingJudge(labels)
    selection = select(rows_of(labels, 4.0), judge, RECALL, weights=weights)
    assert set(range(10)) <= set(judge.asked)
    kept = weights[selection.kept & (labels == 1)].sum()
    assert kept >= 0.9 * weights[labels == 1].sum()


def test_rows_that_the_judge_cannot_judge_are_counted() -> None:
    """They are not kept, and the answer is that much less complete."""
    labels = labels_of(300, 0.3)
    said = labels.copy()
    said[::10] = FAILED
    selection = select(rows_of(labels, 3.0), lambda places: said[places], RECALL)
    certificate = selection.certificate
    assert certificate.failed == int((selection.labels == FAILED).sum()) > 0
    assert not selection.kept[selection.labels == FAILED].any()
    assert certificate.completeness == pytest.approx(1 - certificate.failed / 300)


@pytest.mark.parametrize("limit", [0, 20, 120, 400, 900])
def test_no_more_is_asked_than_is_allowed(limit: int) -> None:
    """Whenever the budget ends, what was found is kept, and the truth lies within the bounds."""
    labels = labels_of(2_000, 0.2)
    judge = CountingJudge(labels)
    selection = select(rows_of(labels, 2.0), judge, RECALL, judged_max=limit)
    certificate = selection.certificate
    assert len(judge.asked) <= limit
    assert certificate.count_lower <= 400 <= certificate.count_upper <= 2_000
    if certificate.method is Method.INTERRUPTED:
        assert certificate.completeness < 1
        assert certificate.found == int(selection.kept.sum())
        assert recall(selection, labels) >= (certificate.certified or 0.0)


def test_bounds_of_answers_that_ended_early_hold() -> None:
    """A hundred runs that end anywhere: the true count is outside no more often than delta."""
    outside = 0
    for run in range(100):
        labels = labels_of(400, 0.2, run)
        limit = 60 + 3 * run
        certificate = select(
            rows_of(labels, 2.0, run), CountingJudge(labels), RECALL, seed=run, judged_max=limit
        ).certificate
        outside += not certificate.count_lower <= 80 <= certificate.count_upper
    assert outside <= 10 + 3 * np.sqrt(9)


def test_a_judge_that_stops_in_the_middle_of_a_batch() -> None:
    """Rows it says it was not asked about stay unread."""
    labels = labels_of(500, 0.3)
    left = [130]

    def judge(places: npt.NDArray[np.int64]) -> Labels:
        said = labels[places].copy()
        said[left[0] :] = NOT_ASKED
        left[0] = max(0, left[0] - len(places))
        return said

    selection = select(rows_of(labels, 2.0), judge, RECALL)
    assert selection.certificate.method is Method.INTERRUPTED
    assert selection.certificate.judged == 130
    assert int((selection.labels == UNREAD).sum()) == 370


def test_a_helper_saves_calls_and_its_errors_cost_no_recall() -> None:
    """A small model that errs on one row in ten, where the embeddings say little."""
    labels = labels_of(2_000, 0.15)
    features = rows_of(labels, 1.0)
    small = np.where(np.random.default_rng(7).random(2_000) < 0.1, 1 - labels, labels).astype(np.int8)
    alone = select(features, CountingJudge(labels), RECALL)
    helper = CountingJudge(small)
    helped = select(features, CountingJudge(labels), RECALL, helper=helper)
    assert recall(helped, labels) >= 0.9
    assert helped.certificate.judged < 0.8 * alone.certificate.judged
    assert helped.certificate.helper_judged == len(helper.asked)
    assert helped.certificate.helper_agreement == pytest.approx(0.9, abs=0.08)


def test_a_certificate_is_read_back() -> None:
    """To the fourth digit."""
    labels = labels_of(400, 0.3)
    certificate = select(rows_of(labels, 3.0), CountingJudge(labels), RECALL, judge_error_rate=0.05).certificate
    data = certificate.to_json()
    assert data["target"] == "recall 0.9"
    assert data["judge_error_rate"] == 0.05
    assert Certificate.from_json(data).to_json() == data


@pytest.mark.parametrize(("value", "delta"), [(0.0, 0.1), (1.0, 0.1), (0.9, 0.0), (0.9, 1.0)])
def test_promises_that_cannot_be_kept_are_refused(value: float, delta: float) -> None:
    """All rows, or certainty, mean judging all."""
    with pytest.raises(ValueError, match="between 0 and 1"):
        Quality(Target.RECALL, value, delta)
