"""engine.text.view: BM25 against plain Python, and its order under filters."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyroaring import BitMap

from engine.errors import InvalidInputError
from engine.text.index import TextIndex
from engine.text.query import Expansion, TextQuery, parse_query
from engine.text.view import TERM_SET_MAX, Allowed, TextView
from tests.engine.text.conftest import MakeIndex
from tests.engine.text.support import add, bm25, found, search

WORDS = ["a", "b", "c", "d", "e"]
TEXTS = st.lists(st.sampled_from(WORDS), min_size=1, max_size=20).map(" ".join)
DOCUMENTS = st.lists(
    st.fixed_dictionaries({"text": TEXTS}, optional={"title": TEXTS}),
    min_size=1,
    max_size=25,
)


@settings(max_examples=40, deadline=None)
@given(
    DOCUMENTS,
    st.lists(st.sampled_from([*WORDS, "zz"]), min_size=1, max_size=4),
    st.sampled_from([{"text": 1.0}, {"text": 1.0, "title": 1.0}, {"text": 0.5, "title": 3.0}]),
    st.integers(1, 3),
)
def test_scores_are_bm25(
    documents: list[dict[str, str]], words: list[str], boosts: dict[str, float], commits: int
) -> None:
    """In as many segments as there may be, fields and repeated words included."""
    with tempfile.TemporaryDirectory() as directory:
        index = TextIndex(Path(directory), {"text": None, "title": None})
        size = -(-len(documents) // commits)
        for start in range(0, len(documents), size):
            add(index, documents[start : start + size], start)
            index.commit()
        hits = search(index.view(), " ".join(words), len(documents), fields=boosts)
        index.close()
    expected = bm25(documents, words, boosts)
    assert sorted(hits.ordinals.tolist()) == [i for i, score in enumerate(expected) if score]
    np.testing.assert_allclose(hits.scores, [expected[i] for i in hits.ordinals], rtol=1e-5)
    assert (np.diff(hits.scores) <= 0).all()
    same = hits.scores[1:] == hits.scores[:-1]
    assert (np.diff(hits.ordinals.astype(np.int64))[same] > 0).all()


@pytest.fixture(scope="module")
def big_view(tmp_path_factory: pytest.TempPathFactory) -> TextView:
    """20,000 documents in several segments; "common" in half of them, "rare" in one of a hundred."""
    index = TextIndex(tmp_path_factory.mktemp("big"), {"text": None})
    random = np.random.default_rng(5)
    for first in range(0, 20_000, 4_000):
        texts = []
        for _ in range(4_000):
            words = [f"w{each}" for each in random.zipf(1.3, random.integers(5, 30)) if each < 5_000]
            words += ["common"] * int(random.integers(0, 2)) * int(random.integers(1, 4))
            words += ["rare"] * int(random.random() < 0.01)
            texts.append(" ".join(words))
        add(index, texts, first)
        index.commit()
    view = index.view()
    index.close()
    return view


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["common", "rare", "w1 w2 w3", "common rare w7", "+common w9", "rare -common", "w4000 w3000"]),
    st.sampled_from([1, 3, 10, 100]),
    st.sampled_from([0.0, 0.0001, 0.001, 0.01, 0.1, 0.5, 0.99, 1.0]),
    st.integers(0, 2**32 - 1),
)
def test_a_filter_leaves_the_order_of_the_others(
    big_view: TextView, text: str, k: int, share: float, seed: int
) -> None:
    """At every selectivity: what is found under a filter is what all results leave when it is applied to them."""
    chosen = BitMap(np.flatnonzero(np.random.default_rng(seed).random(20_000) < share).astype(np.uint32))
    check_filter(big_view, text, k, chosen)


@pytest.mark.parametrize("text", ["common", "rare", "w1 w2", "common rare"])
@pytest.mark.parametrize("count", [1, 50, TERM_SET_MAX, 3_000])
def test_a_filter_against_the_query_changes_nothing(big_view: TextView, text: str, count: int) -> None:
    """Only the worst results are allowed."""
    everything = search(big_view, text, 20_000).ordinals
    check_filter(big_view, text, 10, BitMap(everything[-count:]))


def check_filter(view: TextView, text: str, k: int, chosen: BitMap) -> None:
    everything = search(view, text, 20_000)
    kept = np.array([each in chosen for each in everything.ordinals.tolist()], dtype=bool)
    hits = search(view, text, k, Allowed.of(chosen))
    expected = dict(zip(everything.ordinals.tolist(), everything.scores.tolist(), strict=True))
    assert len(hits.ordinals) == min(k, int(kept.sum()))
    assert set(hits.ordinals.tolist()) <= set(chosen)
    # Scores, not ordinals: which of equal scores come in at the end is open. Sums of floats differ in the last bits.
    np.testing.assert_allclose(hits.scores, everything.scores[kept][:k], rtol=1e-5)
    np.testing.assert_allclose(hits.scores, [expected[each] for each in hits.ordinals.tolist()], rtol=1e-5)


def test_few_allowed_documents_are_asked_for_by_name(big_view: TextView) -> None:
    """Where thousands match; many allowed ones are found among the best."""
    few = search(big_view, "common w1", 10, Allowed.of(BitMap(range(0, 200, 20))))
    many = search(big_view, "common w1", 10, Allowed.of(BitMap(range(0, 20_000, 2))))
    assert few.explain["how"] == "best of a set"
    assert many.explain["how"] == "fetched until enough are allowed"
    assert many.explain["fetched"] < 200


def test_nothing_allowed_or_nothing_asked_finds_nothing(make_index: MakeIndex) -> None:
    """Nor does an empty index."""
    index = make_index()
    assert found(index, "a") == []
    add(index, ["a b"])
    assert found(index, "", 5) == []
    assert found(index, "-b") == []
    assert found(index, "… !") == []
    assert found(index, "a", allowed=Allowed.of(BitMap())) == []


def test_more_results_begin_with_fewer(big_view: TextView) -> None:
    """The first page is the beginning of both pages, where scores differ."""
    one, two = search(big_view, "common w1", 10), search(big_view, "common w1", 20)
    np.testing.assert_array_equal(one.scores, two.scores[:10])


def test_bad_requests_are_refused(make_index: MakeIndex) -> None:
    """No results asked for, and a field that is not there."""
    view = make_index().view()
    with pytest.raises(InvalidInputError, match="k must be at least 1: got=0"):
        search(view, "a", 0)
    with pytest.raises(InvalidInputError, match="no text field 'nope': expected one of text") as caught:
        view.search(TextQuery(parse_query("a"), fields={"nope": 1.0}), 5)
    assert caught.value.pointer == "/fields"


def test_a_view_stays_as_it_was(make_index: MakeIndex) -> None:
    """Later documents and deletions are seen by later views only."""
    index = make_index()
    add(index, ["one", "one two"])
    old = index.view()
    add(index, ["one three"], 2)
    index.delete(np.array([0], dtype=np.uint32))
    assert search(old, "one").ordinals.tolist() == [0, 1]
    assert found(index, "one") == [1, 2]
    index.close()
    assert search(old, "one").ordinals.tolist() == [0, 1]


def test_explain_says_what_ran(make_index: MakeIndex) -> None:
    """How, over how many documents, and what words stood for."""
    index = make_index()
    add(index, ["receive mail", "send mail"])
    explain = search(index.view(), "recieve", typos=Expansion.UNKNOWN).explain
    assert explain.pop("milliseconds") > 0
    assert explain == {
        "how": "best of all",
        "documents": 2,
        "allowed": 2,
        "fetched": 1,
        "expanded": {"recieve": ["receive"]},
    }
