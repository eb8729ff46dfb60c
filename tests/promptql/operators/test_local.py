"""Steps on text without a model, over a real collection with stored embeddings."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from engine import Database, Snapshot
from models import Embedder
from promptql.errors import LimitExceededError, PlanError
from promptql.executor import Executed, Limits, execute
from promptql.operators.extraction import EXTRACTORS
from promptql.operators.local import category_shares
from promptql.plan import Plan
from promptql.steps import ExtractKind
from promptql.validation import validate
from promptql.vectors import unit
from tests.promptql.conftest import fill

TEXTS = [
    ("late", "The parcel arrived two weeks late and delivery was slow."),
    ("late", "Delivery was slow and the parcel arrived late."),
    ("late", "The parcel arrived two weeks late and delivery was slow!"),
    ("broken", "The screen was cracked and the device broken."),
    ("broken", "A broken device with a cracked screen."),
    (None, ""),
]


@pytest.fixture
def reviews(empty_database: Database, embedder: Embedder) -> Mapping[str, Snapshot]:
    documents = [{"id": f"r{n}", "text": text, "n": n} for n, (_, text) in enumerate(TEXTS)]
    fill(empty_database, "reviews", {"text": "text", "n": "integer"}, documents, embedder, "text")
    return empty_database.snapshot()


def run(snapshots: Mapping[str, Snapshot], embedder_of: Callable[[str], Embedder], *steps: dict[str, Any]) -> Executed:
    """A scan of the reviews, the steps, each of the one before."""
    from promptql.catalog import read_catalog

    data: list[dict[str, Any]] = [{"id": "s0", "op": "scan", "collection": "reviews"}]
    for step in steps:
        data.append({"id": f"s{len(data)}", "input": data[-1]["id"], **step})
    data.append({"id": "end", "op": "answer", "input": data[-1]["id"]})
    plan = Plan.from_json({"steps": data, "output": "end"})
    validate(plan, read_catalog(snapshots))
    return execute(plan, snapshots, embedder_of, Limits())


def test_rows_get_the_nearest_category(reviews: Mapping[str, Snapshot], embedder_of: Callable[[str], Embedder]) -> None:
    """By examples; a row without text has no category."""
    categories = {"late": ["delivery was slow", "arrived late"], "broken": ["cracked screen", "broken device"]}
    step = {"op": "classify_local", "fields": ["text"], "categories": categories, "as": "kind"}
    relation = run(reviews, embedder_of, step).rows.relation
    assert relation.column("kind") == [kind for kind, _ in TEXTS]
    sure = relation.column("kind_confidence")
    assert all(0.5 < value <= 1 for value in sure[:5])
    assert sure[5] is None


def test_a_category_with_two_sides_is_told_by_a_head() -> None:
    """Five examples here and five there have the mean of the other category's examples, which tells nothing."""
    one, other = np.eye(3, dtype=np.float32)[:2]
    between = unit((one + other)[None, :])[0]
    examples = np.array([*[one] * 5, *[other] * 5, *[between] * 10], dtype=np.float32)
    owners = np.array([0] * 10 + [1] * 10)
    shares = category_shares(np.array([one, other, between]), examples, owners)
    assert shares.argmax(axis=1).tolist() == [0, 0, 1]
    assert shares.max(axis=1) == pytest.approx(1.0, abs=0.3)
    assert shares.sum(axis=1) == pytest.approx(1.0)
    few = category_shares(np.array([one, other]), examples[[0, 5, 10]], np.array([0, 0, 1]))
    assert few == pytest.approx(0.5, abs=1e-5)  # by means, which are the same


class Silent:
    """An embedder that must not be asked, where stored vectors do."""

    name, dim = "hashing", 384

    def embed_documents(self, texts: Any) -> Any:
        raise AssertionError(texts)

    embed_queries = embed_documents


def test_stored_vectors_are_used_where_they_are_of_the_text(
    reviews: Mapping[str, Snapshot], embedder_of: Callable[[str], Embedder]
) -> None:
    """Near copies and clusters of the collection's own text embed nothing."""
    silent: Any = lambda _: Silent()  # noqa: E731
    rows = run(reviews, silent, {"op": "dedupe", "threshold": 0.9}).rows.relation
    made = run(reviews, embedder_of, {"op": "dedupe", "threshold": 0.9, "fields": ["text"]}).rows.relation
    assert rows.column("n") == made.column("n")
    assert 2 not in rows.column("n")
    assert rows.sources(0) == (["r0", "r2"], 2)


def test_clusters_are_named_by_telling_words(
    reviews: Mapping[str, Snapshot], embedder_of: Callable[[str], Embedder]
) -> None:
    """Two clusters, each with words of its own; a row without text is in none."""
    relation = run(reviews, embedder_of, {"op": "cluster", "k": 2, "as": "c"}).rows.relation
    numbers = relation.column("c")
    assert len({*numbers[:3]}) == 1
    assert numbers[0] != numbers[3] == numbers[4]
    assert numbers[5] is None
    labels = relation.column("c_label")
    assert "late" in labels[0] or "slow" in labels[0] or "parcel" in labels[0]
    assert "broken" in labels[3] or "cracked" in labels[3]


def test_a_summary_says_where_its_sentences_stand(
    reviews: Mapping[str, Snapshot], embedder_of: Callable[[str], Embedder]
) -> None:
    """Each sentence is that stretch of its document's field, and cites it."""
    relation = run(reviews, embedder_of, {"op": "summarize_local", "fields": ["text"], "sentences": 2}).rows.relation
    assert len(relation) == 2
    for place, row in enumerate(relation.rows()):
        text = TEXTS[int(row["id"][1:])][1]
        assert text[row["start"] : row["end"]] == row["sentence"]
        assert relation.sources(place) == ([row["id"]], 1)


def test_after_a_search_the_new_columns_are_the_answer(
    reviews: Mapping[str, Snapshot], embedder_of: Callable[[str], Embedder]
) -> None:
    """Not the passages that it found."""
    from promptql.catalog import read_catalog

    step = {"id": "s1", "op": "extract_local", "input": "s0", "field": "text", "kind": "quoted", "as": "q"}
    search = {"id": "s0", "op": "search", "collection": "reviews", "query": "delivery", "k": 2, "mode": "semantic"}
    end = {"id": "end", "op": "answer", "input": "s1"}
    plan = Plan.from_json({"steps": [search, step, end], "output": "end"})
    validate(plan, read_catalog(reviews))
    rows = execute(plan, reviews, embedder_of, Limits()).rows
    assert rows.passages is None
    assert "q" in rows.relation.fields


def test_steps_on_no_rows_give_no_rows(reviews: Mapping[str, Snapshot], embedder_of: Callable[[str], Embedder]) -> None:
    """Every one of them."""
    none = {"op": "filter", "where": {"op": "<", "l": {"field": "n"}, "r": {"value": 0}}}
    for step in (
        {"op": "classify_local", "fields": ["text"], "categories": ["a", "b"], "as": "k"},
        {"op": "extract_local", "field": "text", "kind": "number", "as": "k"},
        {"op": "summarize_local", "fields": ["text"]},
        {"op": "cluster", "as": "k"},
        {"op": "cluster", "k": 3, "as": "k"},
        {"op": "dedupe", "threshold": 0.5},
    ):
        assert len(run(reviews, embedder_of, none, step).rows.relation) == 0


def test_rows_without_their_text_name_fields(
    reviews: Mapping[str, Snapshot], embedder_of: Callable[[str], Embedder]
) -> None:
    """After a projection there is nothing to compare."""
    with pytest.raises(PlanError, match="no embedded text"):
        run(reviews, embedder_of, {"op": "project", "fields": ["n"]}, {"op": "cluster", "as": "c"})


def test_too_much_to_embed_is_refused(
    reviews: Mapping[str, Snapshot], embedder_of: Callable[[str], Embedder], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is embedded."""
    monkeypatch.setattr("promptql.operators.embeddings.EMBEDDED_TEXTS_MAX", 2)
    step = {"op": "classify_local", "fields": ["text"], "categories": ["a", "b", "c"], "as": "k"}
    with pytest.raises(LimitExceededError, match="got=3 limit=2"):
        run(reviews, embedder_of, step)


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("number", "From -3 to 1,395.5, not v2 nor 1.2.3", [-3.0, 1395.5]),
        ("money", "It cost $1,200.50, then €3 million, then 40 dollars; 7 apples", [1200.5, 3e6, 40.0]),
        ("percent", "up 12.5% or 3 percent, not 5", [12.5, 3.0]),
        ("email", "Write to ann.lee+x@example.co.uk, or bob@x.", ["ann.lee+x@example.co.uk"]),
        ("url", "See https://example.com/a?b=1. And www.test.org!", ["https://example.com/a?b=1", "www.test.org"]),
        ("phone", "Call +1 (555) 010-9999 or 12.", ["+1 (555) 010-9999"]),
        ("quoted", 'He said “come in” and "sit down".', ["come in", "sit down"]),
        (
            "date",
            "On 2024-02-29, March 5th, 2023 and 7 Sept 1999; not 2023-02-30.",
            ["2024-02-29T00:00:00Z", "2023-03-05T00:00:00Z", "1999-09-07T00:00:00Z"],
        ),
        ("keyphrase", "Linear diophantine sets and the linear systems.", ["linear diophantine sets", "linear systems"]),
    ],
)  # fmt: skip
def test_things_are_found_in_text(kind: str, text: str, expected: list[Any]) -> None:
    """In the order of the text; key phrases best first."""
    assert EXTRACTORS[ExtractKind(kind)](text) == expected


@pytest.mark.parametrize("kind", list(ExtractKind))
def test_hostile_text_is_read_in_linear_time(kind: ExtractKind) -> None:
    """A long run of anything ends within seconds, and gives at most a hundred things."""
    for piece in ("1", "1,111", "a@", "$1 ", "“", "March ", "http://", "+1 (", "a b. "):
        began = time.perf_counter()
        assert len(EXTRACTORS[kind](piece * (20_000 // len(piece)))) <= 100
        assert time.perf_counter() - began < 5


def test_extracted_columns_cite_their_text(
    reviews: Mapping[str, Snapshot], embedder_of: Callable[[str], Embedder]
) -> None:
    """Lists of the right type, from the row's own document."""
    relation = run(
        reviews, embedder_of, {"op": "extract_local", "field": "text", "kind": "quoted", "as": "q"}
    ).rows.relation
    assert relation.column("q") == [[]] * 6
    assert [p.ids for p in relation.provenance(1, "q")] == [("r1",)]
    assert relation.types["q"].many
