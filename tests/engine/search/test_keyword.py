"""engine.search.keyword: what is looked for, where it stands, and which documents a filter of words may concern."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import Collection, Database, InvalidInputError, Schema, parse_filter
from engine.search.keyword import Highlight, may_hold, text_query
from engine.text.query import TextQuery, parse_query

FIELDS = {
    "title": "text",
    "text": {"type": "text", "language": "en"},
    "tags": {"type": "text", "many": True},
    "n": "integer",
}
TEXT = "The foxes ran over the hill. " * 20 + "A fox was running."
DOCUMENTS: list[dict[str, Any]] = [
    {"id": "1", "title": "Running foxes", "text": TEXT, "tags": ["red fox", "hill"]},
    {"id": "2", "title": "Crème brûlée", "text": "Burnt cream, a dessert.", "tags": ["sweet"]},
    {"id": "3", "title": "東京大学", "text": "A university in Tokyo: 東京の大学。", "tags": ["blue fox red", "red"]},
    {"id": "4", "n": 4},
]  # fmt: skip


@pytest.fixture
def collection(database: Database) -> Collection:
    made = database.create_collection("things", Schema.from_json({"fields": FIELDS}))
    made.add(DOCUMENTS)
    return made


def test_boosts_and_fields_choose_where_to_look(collection: Collection) -> None:
    """By mapping, by list, by name; a query that was read before is taken as it is."""
    snapshot = collection.snapshot()
    assert snapshot.keyword("hill", 5, fields="title").ids == []
    assert set(snapshot.keyword("fox", 5, fields=["tags", "text^2"]).ids) == {"1", "3"}
    light = snapshot.keyword("hill", 5, fields={"tags": 1.0}).scores[0]
    assert snapshot.keyword("hill", 5, fields={"tags": 3.0}).scores[0] == pytest.approx(3 * light)
    query = TextQuery(parse_query("tags:fox", ["tags"]))
    assert set(snapshot.keyword(query, 5).ids) == {"1", "3"}
    with pytest.raises(InvalidInputError, match="no text field 'nowhere'"):
        snapshot.keyword(TextQuery(parse_query("fox"), {"nowhere": 1.0}), 5)
    with pytest.raises(InvalidInputError, match="boost is not a number"):
        snapshot.keyword("fox", 5, fields=["text^much"])
    with pytest.raises(InvalidInputError, match="quote is not closed"):
        text_query(snapshot, 'a "b', strict=True)


def test_misspelt_unfinished_and_accented_words_are_found(collection: Collection) -> None:
    """Expanded to words of the dictionary, as the explanation says."""
    snapshot = collection.snapshot()
    hits = snapshot.keyword("univercity", 5)
    assert (hits.ids, hits.explain["expanded"]) == (["3"], {"univercity": ["university"]})
    assert snapshot.keyword("dess", 5).ids == ["2"]
    assert snapshot.keyword("creme brulee", 5).ids == ["2"]
    assert snapshot.keyword("大学", 5).ids == ["3"]
    assert snapshot.keyword("京", 5).ids == ["3"]


def test_highlights_are_spans_of_the_text_as_it_is(collection: Collection) -> None:
    """Stems, accents, lists and phrases; a document without a match has none."""
    snapshot = collection.snapshot()
    hits = snapshot.keyword("creme", 5)
    [[found]] = snapshot.highlights("creme", hits.ordinals)
    assert found == Highlight("title", None, "Crème brûlée", 0, ((0, 5),))
    first, other = snapshot.highlights("run fox", snapshot.ordinals()[:2])
    marked = {each.field: [_text(each.field)[start:end] for start, end in each.spans] for each in first}
    assert marked == {"text": ["fox", "running"], "tags": ["fox"]} or set(marked["text"]) <= {"fox", "foxes", "running"}
    assert [(each.item, each.text) for each in first if each.field == "tags"] == [(0, "red fox")]
    assert other == []
    for each in first:
        assert all(each.start <= start < end <= each.start + len(each.text) for start, end in each.spans)
    phrase = snapshot.highlights('tags:"red fox"', snapshot.ordinals())
    assert [[(each.field, each.spans) for each in some] for some in phrase] == [
        [("tags", ((0, 3), (4, 7)))],
        [],
        [],
        [],
    ]


def _text(field: str) -> str:
    value = DOCUMENTS[0][field]
    return str(value[0] if isinstance(value, list) else value)


WORDS = st.lists(st.sampled_from(["red", "fox", "blue", "東京", "京", "a-b", "b", "Foxes", "!!"]), max_size=5).map(
    " ".join
)


@settings(max_examples=40, deadline=None)
@given(texts=st.lists(WORDS, min_size=1, max_size=8), words=WORDS.filter(str.strip))
def test_documents_that_words_may_concern_are_those_of_the_filter(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], words: str
) -> None:
    """All that `$match` and `$phrase` find, and of a field that is no list, nothing else."""
    with Database.open(tmp_path_factory.mktemp("db")) as database:
        fields = {"text": "text", "stemmed": {"type": "text", "language": "en"}, "many": {"type": "text", "many": True}}
        collection = database.create_collection("c", Schema.from_json({"fields": fields}))
        pairs = zip(texts, [*texts[1:], texts[0]], strict=True)
        collection.add([{"text": a, "stemmed": a, "many": [a, b]} for a, b in pairs])
        snapshot = collection.snapshot()
        for field in fields:
            for op in ("$match", "$phrase"):
                expected = set(snapshot.ordinals(parse_filter({field: {op: words}})).tolist())
                found = may_hold(snapshot, field, words, in_order=op == "$phrase")
                assert found is not None
                assert expected <= set(found)
                if field != "many" and "京" not in words.split():
                    assert expected == set(found)
        assert may_hold(snapshot, "id", words, in_order=True) is None
