"""engine.search.execute: every kind of request against brute force in numpy, over segments and a head."""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import (
    Collection,
    Database,
    DimensionMismatchError,
    Examples,
    Fusion,
    FusionMethod,
    GroupBy,
    InvalidInputError,
    Metric,
    Nearest,
    Rerank,
    Schema,
    SearchRequest,
    Snapshot,
    Strategy,
    VectorField,
    VectorRows,
    parse_filter,
)

DIM = 6
COUNT = 260


@dataclass(frozen=True)
class Truth:
    """A snapshot and what is in it: vectors by field, and the group of each document (None: it has none)."""

    snapshot: Snapshot
    ids: list[str]
    vectors: dict[str, np.ndarray]
    genres: list[Any]

    def scores(self, field: str, query: Any) -> np.ndarray:
        """(documents,) float64."""
        rows, query = self.vectors[field].astype(np.float64), np.asarray(query, dtype=np.float64)
        if field == "l2":
            return np.asarray(-np.linalg.norm(rows - query, axis=1))
        if field == "dot":
            return np.asarray(rows @ query)
        return np.asarray(rows @ query / np.linalg.norm(rows, axis=1) / np.linalg.norm(query))

    def best(self, scores: np.ndarray, allowed: Any = None) -> list[int]:
        """Places, best first."""
        order = np.lexsort((np.arange(len(scores)), -np.round(scores, 6)))
        return [int(place) for place in order if allowed is None or allowed[place]]


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Truth]:
    """260 documents, some deleted, in two segments and a head."""
    rng = np.random.default_rng(4)
    path: Path = tmp_path_factory.mktemp("search") / "db"
    with Database.open(path, seal_rows=1_000_000) as database:
        fields = {"cosine": Metric.COSINE, "dot": Metric.DOT, "l2": Metric.L2}
        schema = Schema(vectors={name: VectorField(DIM, metric) for name, metric in fields.items()})
        collection: Collection = database.create_collection("c", schema)
        vectors = {name: rng.standard_normal((COUNT, DIM)).astype(np.float32) for name in fields}
        # One genre is most of them, some documents have none.
        genres: list[Any] = [None if i % 13 == 0 else "drama" if i % 3 else f"g{i % 11}" for i in range(COUNT)]
        for begin, end in ((0, 100), (100, 200), (200, COUNT)):
            bodies = [
                {
                    "id": str(i),
                    "n": i,
                    "tags": [f"t{i % 4}", f"t{i % 5}"],
                    **({} if genres[i] is None else {"genre": genres[i]}),
                }
                for i in range(begin, end)
            ]
            rows = {name: VectorRows(array[begin:end], np.arange(end - begin)) for name, array in vectors.items()}
            collection.add(bodies, rows)
            if end < COUNT:
                collection.state.seal()
        gone = {3, 77, 150, 222}
        collection.delete(ids=[str(i) for i in gone])
        kept = [i for i in range(COUNT) if i not in gone]
        yield Truth(
            collection.snapshot(),
            [str(i) for i in kept],
            {name: array[kept] for name, array in vectors.items()},
            [genres[i] for i in kept],
        )


def ids(truth: Truth, places: list[int]) -> list[str]:
    return [truth.ids[place] for place in places]


def vector(seed: int) -> np.ndarray:
    return np.random.default_rng(1000 + seed).standard_normal(DIM).astype(np.float32)


FIELDS = st.sampled_from(["cosine", "dot", "l2"])
SEEDS = st.integers(0, 50)


@settings(max_examples=40, deadline=None)
@given(FIELDS, SEEDS, st.integers(1, 80), st.integers(0, 300))
def test_pages_are_slices_of_the_whole_order(truth: Truth, field: str, seed: int, limit: int, offset: int) -> None:
    """Any limit and offset, also behind the end."""
    query = vector(seed)
    expected = truth.best(truth.scores(field, query))[offset : offset + limit]
    hits = truth.snapshot.query(SearchRequest((Nearest(query, field),), limit, offset))
    assert hits.ids == ids(truth, expected)


def rrf(rankings: list[list[int]], weights: list[float], constant: int = 60) -> dict[int, float]:
    scores: dict[int, float] = {}
    for places, weight in zip(rankings, weights, strict=True):
        for rank, place in enumerate(places, start=1):
            scores[place] = scores.get(place, 0.0) + weight / (constant + rank)
    return scores


@settings(max_examples=30, deadline=None)
@given(SEEDS, SEEDS, st.floats(0.25, 4), st.sampled_from([10, 100, 1000]), st.integers(1, 40), st.integers(0, 40))
def test_several_vector_fields_are_fused(
    truth: Truth, left: int, right: int, weight: float, window: int, limit: int, offset: int
) -> None:
    """Reciprocal ranks over windows of both, in pages that do not move when a page needs the next window."""
    queries = (Nearest(vector(left), "cosine"), Nearest(vector(right), "l2"))
    orders = [truth.best(truth.scores(q.field or "", q.vector)) for q in queries]
    expected: list[int] = []
    width = window
    while len(expected) < limit + offset and len(expected) < len(truth.ids):
        scores = rrf([order[:width] for order in orders], [weight, 1.0])
        best = sorted(scores, key=lambda place: (-round(scores[place], 12), place))
        expected += [place for place in best if place not in expected]
        width *= 10
    request = SearchRequest(queries, limit, offset, fusion=Fusion(weights=(weight, 1.0), window=window))
    hits = truth.snapshot.query(request)
    assert hits.ids == ids(truth, expected[offset : offset + limit])
    assert (np.diff(hits.scores) <= 1e-12).all()


@settings(max_examples=20, deadline=None)
@given(SEEDS, st.sampled_from(FusionMethod), st.integers(1, 30))
def test_weight_zero_is_the_other_side(truth: Truth, seed: int, method: FusionMethod, limit: int) -> None:
    """The order of the side that counts, and the other is not even searched."""
    sides = (Nearest(vector(seed), "cosine"), Nearest(vector(seed), "dot"))
    for counted in (0, 1):
        weights = tuple(float(place == counted) for place in (0, 1))
        fused = truth.snapshot.query(SearchRequest(sides, limit, fusion=Fusion(method, weights=weights)))
        assert fused.ids == truth.snapshot.query(SearchRequest((sides[counted],), limit)).ids
        assert [step["step"] for step in fused.explain["steps"]] == ["semantic", "fusion"]


@settings(max_examples=20, deadline=None)
@given(SEEDS, st.integers(0, COUNT), st.integers(1, 50))
def test_filters_hold_on_all_sides(truth: Truth, seed: int, bound: int, limit: int) -> None:
    """No document that the filter excludes, and as many as there are."""
    where = parse_filter({"n": {"$gte": bound}})
    queries = tuple(Nearest(vector(seed), field) for field in ("cosine", "dot", "l2"))
    hits = truth.snapshot.query(SearchRequest(queries, limit, where=where))
    matching = [each for each in truth.ids if int(each) >= bound]
    assert set(hits.ids) <= set(matching)
    assert len(hits) == min(limit, len(matching))


@settings(max_examples=30, deadline=None)
@given(FIELDS, st.lists(SEEDS, min_size=1, max_size=4), st.lists(SEEDS, max_size=3))
def test_average_vector_is_beyond_the_positive_examples(
    truth: Truth, field: str, likes: list[int], dislikes: list[int]
) -> None:
    """2 × mean(positive) − mean(negative), of unit vectors under cosine."""

    def unit(v: np.ndarray) -> np.ndarray:
        return np.asarray(v / np.linalg.norm(v)) if field == "cosine" else v

    positive, negative = np.array([vector(s) for s in likes]), np.array([vector(s) for s in dislikes])
    target = np.mean([unit(v) for v in positive], axis=0)
    if len(negative):
        target = 2 * target - np.mean([unit(v) for v in negative], axis=0)
    expected = truth.best(truth.scores(field, target))[:10]
    if np.linalg.norm(target) < 1e-3:
        return
    hits = truth.snapshot.query(SearchRequest((Examples(positive, negative, field),)))
    assert hits.ids == ids(truth, expected)


@settings(max_examples=30, deadline=None)
@given(FIELDS, st.lists(SEEDS, max_size=4), st.lists(SEEDS, max_size=3), st.integers(0, 200))
def test_best_score_compares_with_every_example(
    truth: Truth, field: str, likes: list[int], dislikes: list[int], bound: int
) -> None:
    """Qdrant's formula, from its documentation, written out."""
    if not {*likes, *dislikes} or {*likes} & {*dislikes}:  # of one that is both, rounding decides which it is
        return
    positive = np.array([vector(s) for s in likes]).reshape(-1, DIM)
    negative = np.array([vector(s) for s in dislikes]).reshape(-1, DIM)
    near = np.max([truth.scores(field, v) for v in positive], axis=0) if likes else np.full(len(truth.ids), -np.inf)
    far = np.max([truth.scores(field, v) for v in negative], axis=0) if dislikes else np.full(len(truth.ids), -np.inf)

    def sigmoid(x: np.ndarray) -> np.ndarray:
        return np.asarray(0.5 * (x / (1 + np.abs(x)) + 1))

    with np.errstate(invalid="ignore"):
        scores = np.where(near > far, sigmoid(near), -sigmoid(far))
    allowed = [int(each) >= bound for each in truth.ids]
    request = SearchRequest(
        (Examples(positive, negative, field, Strategy.BEST_SCORE),), 15, 5, parse_filter({"n": {"$gte": bound}})
    )
    hits = truth.snapshot.query(request)
    expected = truth.best(scores, allowed)[5:20]
    np.testing.assert_allclose(hits.scores, scores[expected], atol=1e-5)
    assert set(hits.ids) <= {each for each, kept in zip(truth.ids, allowed, strict=True) if kept}


def test_examples_themselves_can_be_left_out(truth: Truth) -> None:
    """As many others in their place."""
    query = truth.vectors["cosine"][0]
    whole = truth.snapshot.query(SearchRequest((Nearest(query, "cosine"),), 12))
    assert whole.ids[0] == truth.ids[0]
    own = tuple(whole.ordinals[:2].tolist())
    rest = truth.snapshot.query(SearchRequest((Nearest(query, "cosine"),), 10, without=own))
    assert rest.ids == whole.ids[2:]


@settings(max_examples=25, deadline=None)
@given(SEEDS, SEEDS, st.integers(1, 60), st.integers(1, 30))
def test_a_prefetch_leaves_only_what_it_found(truth: Truth, first: int, second: int, taken: int, limit: int) -> None:
    """The second query ranks the documents of the first; the request's filter holds inside, too."""
    inner, outer = Nearest(vector(first), "l2"), Nearest(vector(second), "cosine")
    where = parse_filter({"n": {"$lt": 180}})
    allowed = [int(each) < 180 for each in truth.ids]
    candidates = set(truth.best(truth.scores("l2", inner.vector), allowed)[:taken])
    expected = [place for place in truth.best(truth.scores("cosine", outer.vector)) if place in candidates][:limit]
    request = SearchRequest((outer,), limit, where=where, prefetch=(SearchRequest((inner,), taken),))
    assert truth.snapshot.query(request).ids == ids(truth, expected)


def test_prefetches_alone_are_fused(truth: Truth) -> None:
    """As the same queries side by side, at the same depth; one prefetch alone is the ranking itself."""
    queries = (Nearest(vector(1), "cosine"), Nearest(vector(2), "dot"))
    beside = truth.snapshot.query(SearchRequest(queries, 20, fusion=Fusion(window=50)))
    prefetched = SearchRequest(limit=20, prefetch=tuple(SearchRequest((query,), 50) for query in queries))
    assert truth.snapshot.query(prefetched).ids == beside.ids
    nested = SearchRequest(limit=20, prefetch=(SearchRequest(limit=30, prefetch=prefetched.prefetch),))
    assert truth.snapshot.query(nested).ids == beside.ids
    alone = truth.snapshot.query(SearchRequest(limit=5, prefetch=(SearchRequest((queries[0],), 50),)))
    assert alone.ids == truth.snapshot.query(SearchRequest((queries[0],), 5)).ids
    nothing = SearchRequest((queries[0],), prefetch=(SearchRequest((queries[1],), where=parse_filter({"n": -1})),))
    assert truth.snapshot.query(nothing).ids == []


@settings(max_examples=25, deadline=None)
@given(SEEDS, st.floats(0, 1), st.integers(1, 60), st.integers(0, 30))
def test_maximal_marginal_relevance(truth: Truth, seed: int, diversity: float, limit: int, offset: int) -> None:
    """Chosen one by one out of the best hundred, by the formula."""
    query = vector(seed)
    scores = truth.scores("l2", query)
    pool = truth.best(scores)[:100]
    unit = truth.vectors["l2"] / np.linalg.norm(truth.vectors["l2"], axis=1, keepdims=True)
    relevance = (scores[pool] - scores[pool].min()) / (scores[pool].max() - scores[pool].min())
    chosen: list[int] = []
    for _ in range(limit + offset):
        likeness = [max((float(unit[p] @ unit[pool[c]]) for c in chosen), default=0.0) for p in pool]
        value = (1 - diversity) * relevance - diversity * np.array(likeness)
        value[chosen] = -np.inf
        # What is equal but for rounding may come in either order: then there is nothing to compare.
        two = np.sort(value)[-2:]
        if two[1] - two[0] < 1e-6:
            return
        chosen.append(int(np.argmax(value)))
    expected = [pool[c] for c in chosen][offset:]
    hits = truth.snapshot.query(SearchRequest((Nearest(query, "l2"),), limit, offset, diversity=diversity))
    assert hits.ids == ids(truth, expected)
    np.testing.assert_allclose(hits.scores, scores[expected], rtol=1e-4, atol=1e-4)


def test_diversity_reaches_every_document(truth: Truth) -> None:
    """Behind the first hundred, the rest follows, each once."""
    request = SearchRequest((Nearest(vector(1), "cosine"),), 1000, diversity=0.5)
    found = truth.snapshot.query(request).ids
    assert sorted(found) == sorted(truth.ids)
    pages = [truth.snapshot.query(replace(request, limit=70, offset=begin)).ids for begin in range(0, 280, 70)]
    assert functools.reduce(operator.iadd, pages, []) == found


@settings(max_examples=20, deadline=None)
@given(FIELDS, SEEDS, st.floats(-3, 3), st.integers(1, 300))
def test_a_threshold_cuts(truth: Truth, field: str, seed: int, threshold: float, limit: int) -> None:
    """All that score at least so much, and no others."""
    scores = truth.scores(field, vector(seed))
    if np.abs(scores - threshold).min() < 1e-5:
        return
    expected = truth.best(scores, scores >= threshold)[:limit]
    hits = truth.snapshot.query(SearchRequest((Nearest(vector(seed), field),), limit, score_threshold=threshold))
    assert hits.ids == ids(truth, expected)


def expected_groups(truth: Truth, order: list[int], size: int) -> dict[str, list[int]]:
    groups: dict[str, list[int]] = {}
    for place in order:
        if truth.genres[place] is not None:
            members = groups.setdefault(truth.genres[place], [])
            if len(members) < size:
                members.append(place)
    return groups


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.integers(1, 15), st.integers(0, 4), st.integers(1, 6), st.booleans())
def test_groups_are_filled(truth: Truth, seed: int, limit: int, offset: int, size: int, fused: bool) -> None:
    """As many groups as there are, each with its best documents, though one genre is most of the collection."""
    query = Nearest(vector(seed), "cosine")
    order = truth.best(truth.scores("cosine", query.vector))
    queries = (query, query) if fused else (query,)
    groups = list(expected_groups(truth, order, size).items())[offset : offset + limit]
    request = SearchRequest(queries, limit, offset, group_by=GroupBy("genre", size), fusion=Fusion(window=5))
    hits = truth.snapshot.query(request)
    assert hits.groups is not None
    assert [(group.value, group.count) for group in hits.groups] == [(name, len(places)) for name, places in groups]
    assert hits.ids == ids(truth, [place for _, places in groups for place in places])


def test_a_document_is_in_the_group_of_each_of_its_values(truth: Truth) -> None:
    """Lists: t0 to t4, and the best document of each."""
    hits = truth.snapshot.query(SearchRequest((Nearest(vector(3), "dot"),), 10, group_by=GroupBy("tags", 2)))
    order = truth.best(truth.scores("dot", vector(3)))
    assert hits.groups is not None
    assert sorted(str(group.value) for group in hits.groups) == ["t0", "t1", "t2", "t3", "t4"]
    begin = 0
    for group in hits.groups:
        tag = int(str(group.value)[1:])
        members = [place for place in order if tag in (int(truth.ids[place]) % 4, int(truth.ids[place]) % 5)][:2]
        assert hits.ids[begin : begin + group.count] == ids(truth, members)
        begin += group.count


def test_numbers_group_too(truth: Truth) -> None:
    """Every number is a group of one."""
    hits = truth.snapshot.query(SearchRequest((Nearest(vector(3), "dot"),), 7, group_by=GroupBy("n", 3)))
    assert hits.ids == ids(truth, truth.best(truth.scores("dot", vector(3)))[:7])


def test_the_top_is_ordered_anew(truth: Truth) -> None:
    """By the reranker's scores, which the answer then has; what it is given are the documents in order."""
    given_ordinals: list[int] = []

    def by_age(ordinals: np.ndarray, passages: Any) -> np.ndarray:
        assert len(passages) == len(ordinals) == 20
        given_ordinals.extend(ordinals.tolist())
        return -ordinals.astype(np.float64)

    top = truth.best(truth.scores("cosine", vector(5)))[:20]
    request = SearchRequest((Nearest(vector(5), "cosine"),), 8, 2, rerank=Rerank(20, by_age))
    hits = truth.snapshot.query(request)
    assert given_ordinals == [int(each) for each in ids(truth, top)]
    assert hits.ids == ids(truth, sorted(top))[2:10]
    assert hits.scores.tolist() == [-float(each) for each in hits.ids]
    with pytest.raises(InvalidInputError, match="finite score"):
        truth.snapshot.query(replace(request, rerank=Rerank(20, lambda ordinals, _: np.full(len(ordinals), np.nan))))
    with pytest.raises(InvalidInputError, match=r"rerank\.top must reach") as caught:
        replace(request, rerank=Rerank(9, by_age))
    assert caught.value.pointer == "/rerank/top"


@pytest.mark.parametrize(
    ("change", "error", "pointer"),
    [
        ({"queries": (Nearest(np.ones(DIM), "other"),)}, InvalidInputError, "/vector_field"),
        ({"queries": (Nearest(np.ones(DIM)),)}, InvalidInputError, "/vector_field"),
        ({"queries": (Nearest(np.ones(DIM + 1), "dot"),)}, DimensionMismatchError, "/vector"),
        ({"queries": (Nearest(np.full(DIM, np.nan), "dot"),)}, InvalidInputError, "/vector"),
        ({"queries": (Nearest(np.zeros(DIM), "cosine"),)}, InvalidInputError, "/vector"),
        ({"queries": (Examples(np.empty((0, DIM)), np.empty((0, DIM)), "dot"),)}, InvalidInputError, "/positive"),
        ({"queries": (Examples(np.empty((0, DIM)), np.ones((1, DIM)), "dot"),)}, InvalidInputError, "/positive"),
        ({"queries": (Examples(np.ones((1, 3)), np.empty((0, DIM)), "dot"),)}, DimensionMismatchError, "/positive/0"),
        ({"queries": (Examples(np.ones((1, DIM)), 2 * np.eye(DIM)[:0], "cosine"),), "group_by": GroupBy("none")},
         InvalidInputError, "/group_by/field"),
        ({"queries": (Examples(np.array([[1.0] * DIM, [-1.0] * DIM]), np.empty((0, DIM)), "cosine"),)},
         InvalidInputError, "/positive"),
        ({"diversity": 0.5, "diversity_field": "other"}, InvalidInputError, "/vector_field"),
        ({"prefetch": (SearchRequest((Nearest(np.ones(DIM), "other"),)),)}, InvalidInputError,
         "/prefetch/0/vector_field"),
    ],
)  # fmt: skip
def test_bad_requests_are_refused(truth: Truth, change: dict[str, Any], error: Any, pointer: str | None) -> None:
    """With the place of the fault, where the engine can know it."""
    request = replace(SearchRequest((Nearest(np.ones(DIM), "dot"),)), **change)
    with pytest.raises(error) as caught:
        truth.snapshot.query(request)
    assert caught.value.pointer == pointer


def test_explain_says_what_ran(truth: Truth) -> None:
    """Each step with what it found and how long it took."""
    request = SearchRequest(
        (Nearest(vector(1), "cosine"), Nearest(vector(2), "dot")),
        5,
        diversity=0.3,
        rerank=Rerank(30, lambda ordinals, _: -ordinals.astype(float)),
    )
    explain = truth.snapshot.query(request).explain
    assert [step["step"] for step in explain["steps"]] == ["semantic", "semantic", "fusion", "rerank", "diversity"]
    assert all(step["milliseconds"] >= 0 for step in explain["steps"])
    assert explain["steps"][2]["found"] == [30, 30]


def test_an_empty_collection_gives_nothing(tmp_path: Path) -> None:
    """Whatever is asked."""
    with Database.open(tmp_path / "db") as database:
        collection = database.create_collection("c", Schema(vectors={"v": VectorField(2)}))
        query = Nearest(np.ones(2))
        examples = Examples(np.ones((1, 2)), np.empty((0, 2)), strategy=Strategy.BEST_SCORE)
        for request in (
            SearchRequest((query,), offset=3),
            SearchRequest((query, query)),
            SearchRequest((examples,)),
            SearchRequest((query,), diversity=0.5),
            SearchRequest((query,), prefetch=(SearchRequest((query,)),)),
            SearchRequest((query,), rerank=Rerank(10, lambda ordinals, _: np.zeros(len(ordinals)))),
        ):
            hits = collection.snapshot().query(request)
            assert (hits.ids, hits.documents()) == ([], [])
