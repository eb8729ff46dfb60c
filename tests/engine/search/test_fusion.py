"""engine.search.fusion: one ranking out of several; expected values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import Fusion, FusionMethod, InvalidInputError, Passage, SearchRequest
from engine.search.fusion import fuse, scaled_by_distribution, scaled_by_range
from engine.search.ranking import NOTHING, Ranking, collect
from engine.search.request import Nearest


def ranking(scores: dict[int, float], *, whole: bool = True) -> Ranking:
    best = sorted(scores, key=lambda ordinal: (-scores[ordinal], ordinal))
    return Ranking(
        np.array(best, dtype=np.uint32),
        np.array([scores[each] for each in best], dtype=np.float32),
        [None] * len(best),
        whole,
    )


def test_reciprocal_ranks_are_summed() -> None:
    """With k = 1: 5 has 1/2 + 1/3, 7 has 1/3 + 1/2, 9 only 1/4; equal scores come by ordinal."""
    fused = fuse([ranking({7: 1.0, 5: 3.0, 9: 0.5}), ranking({5: 8.0, 7: 9.0})], Fusion(rank_constant=1))
    assert fused.ordinals.tolist() == [5, 7, 9]
    np.testing.assert_allclose(fused.scores, [5 / 6, 5 / 6, 1 / 4])


def test_weighted_scores_are_on_the_scale_of_each_ranking() -> None:
    """Best 1, worst 0: 5 → 2 × 1 + 0, 7 → 2 × 0.2 + 1, 9 → 0."""
    fusion = Fusion(FusionMethod.WEIGHTED, weights=(2.0, 1.0))
    fused = fuse([ranking({7: 1.0, 5: 3.0, 9: 0.5}), ranking({5: 8.0, 7: 9.0})], fusion)
    assert fused.ordinals.tolist() == [5, 7, 9]
    np.testing.assert_allclose(fused.scores, [2.0, 1.4, 0.0], rtol=1e-6)


def test_distributions_are_scaled_by_mean_and_deviation() -> None:
    """1, 2, 3 have mean 2 and a sample deviation of 1, so the scale is from -1 to 5."""
    np.testing.assert_allclose(scaled_by_distribution(np.array([3.0, 2.0, 1.0])), [4 / 6, 3 / 6, 2 / 6])
    assert scaled_by_distribution(np.array([7.0])).tolist() == [0.5]
    assert scaled_by_distribution(np.array([7.0, 7.0])).tolist() == [0.5, 0.5]
    assert scaled_by_range(np.array([7.0, 7.0])).tolist() == [1.0, 1.0]
    fused = fuse([ranking({1: 3.0, 2: 2.0, 3: 1.0}), ranking({3: 9.0})], Fusion(FusionMethod.DBSF))
    np.testing.assert_allclose(fused.scores, [5 / 6, 4 / 6, 3 / 6])
    assert fused.ordinals.tolist() == [3, 1, 2]


def test_the_first_passage_stands_for_a_document() -> None:
    """Of the first ranking that has one."""
    passage = Passage("text", 0, 4)
    left = Ranking(np.array([1, 2], np.uint32), np.array([2.0, 1.0]), [None, None])
    right = Ranking(np.array([2, 1], np.uint32), np.array([2.0, 1.0]), [None, passage])
    assert fuse([left, right], Fusion()).passages == [passage, None]


scored = st.dictionaries(st.integers(0, 30), st.floats(-5, 5, width=32), max_size=20)


@given(scored, st.sampled_from(FusionMethod), st.floats(0.1, 10))
def test_an_empty_or_weightless_side_changes_nothing(
    scores: dict[int, float], method: FusionMethod, weight: float
) -> None:
    """The other's order, by every method."""
    one = ranking(scores)
    for others in ([one, NOTHING], [NOTHING, one]):
        assert fuse(others, Fusion(method)).ordinals.tolist() == one.ordinals.tolist()
    noise = ranking({99: 3.0, 5: -2.0})
    assert fuse([one, noise], Fusion(method, weights=(weight, 0.0))).ordinals.tolist() == one.ordinals.tolist()


@given(st.lists(scored, min_size=1, max_size=4), st.sampled_from(FusionMethod), st.data())
def test_fusion_is_the_weighted_sum_of_shares(
    sides: list[dict[int, float]], method: FusionMethod, data: st.DataObject
) -> None:
    """Against plain Python, for each method; every document of any side is there once."""
    weights = data.draw(st.lists(st.floats(0.125, 8), min_size=len(sides), max_size=len(sides)))
    rankings = [ranking(side) for side in sides]
    fused = fuse(rankings, Fusion(method, weights=tuple(weights)))
    expected: dict[int, float] = {}
    for each, weight in zip(rankings, weights, strict=True):
        values = [float(score) for score in each.scores]
        for rank, ordinal in enumerate(each.ordinals.tolist(), start=1):
            if method is FusionMethod.RRF:
                share = 1 / (60 + rank)
            elif method is FusionMethod.WEIGHTED:
                share = (
                    1.0
                    if max(values) == min(values)
                    else (values[rank - 1] - min(values)) / (max(values) - min(values))
                )
            else:
                deviation = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
                share = 0.5 if not deviation else (values[rank - 1] - float(np.mean(values))) / (6 * deviation) + 0.5
            expected[ordinal] = expected.get(ordinal, 0.0) + weight * share
    assert sorted(fused.ordinals.tolist()) == sorted(expected)
    np.testing.assert_allclose(fused.scores, [expected[each] for each in fused.ordinals.tolist()], atol=1e-9)
    assert (np.diff(fused.scores) <= 0).all()


def test_pages_do_not_move_when_a_ranking_looks_further() -> None:
    """A window that finds others than the narrower one before: what was given stays, the rest follows, scores fall."""
    windows = {
        2: ranking({1: 9.0, 2: 5.0}, whole=False),
        20: ranking({3: 10.0, 2: 8.0, 1: 7.0, 4: 1.0}),
    }
    found = collect(lambda window: windows[window], 2, 4)
    assert found.ordinals.tolist() == [1, 2, 3, 4]
    assert found.scores.tolist() == [9.0, 5.0, 5.0, 1.0]
    assert collect(lambda window: windows[window], 2, 2).ordinals.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("request_of", "pointer"),
    [
        ({"limit": 0}, "/limit"),
        ({"offset": -1}, "/offset"),
        ({"queries": ()}, "/query"),
        ({"fusion": Fusion(weights=(1.0, 2.0))}, "/fusion/weights"),
        ({"fusion": Fusion(weights=(-1.0,))}, "/fusion/weights/0"),
        ({"fusion": Fusion(weights=(float("nan"),))}, "/fusion/weights/0"),
        ({"fusion": Fusion(weights=(0.0,))}, "/fusion/weights"),
        ({"fusion": Fusion(rank_constant=0)}, "/fusion/k"),
        ({"diversity": 1.5}, "/diversity"),
        ({"score_threshold": float("inf")}, "/score_threshold"),
    ],
)
def test_bad_requests_name_the_place(request_of: dict[str, object], pointer: str) -> None:
    """Refused when they are made, before anything is searched."""
    with pytest.raises(InvalidInputError) as caught:
        SearchRequest(**{"queries": (Nearest(np.ones(2)),), **request_of})  # type: ignore[arg-type]
    assert caught.value.pointer == pointer


def test_prefetches_are_bounded() -> None:
    """Depth and number."""
    request = SearchRequest((Nearest(np.ones(2)),))
    for _ in range(4):
        request = SearchRequest(prefetch=(request,))
    with pytest.raises(InvalidInputError, match="nested too deep") as caught:
        SearchRequest(prefetch=(request,))
    assert caught.value.pointer == "/prefetch/0" * 5
    leaf = SearchRequest((Nearest(np.ones(2)),))
    SearchRequest(prefetch=(leaf,) * 32)
    with pytest.raises(InvalidInputError, match="too many prefetches"):
        SearchRequest(prefetch=(leaf,) * 33)
