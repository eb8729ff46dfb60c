"""Passages: what is embedded of a document, and which characters of which field it shows."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from lumaai.environment import default_cache_directory
from lumaai.passages import SPECIAL_TOKENS, pieces_of
from models import load_embedder
from models.embedders.hashing import HashingEmbedder

SMALL = HashingEmbedder(8, max_tokens=40 + SPECIAL_TOKENS)  # words and marks are its tokens


def sentences(word: str, count: int) -> str:
    """`count` sentences of four words and a full stop: five tokens each."""
    return " ".join(f"{word.title()} {word} {word} number{i}." for i in range(count))


def spans(pieces: Any) -> Any:
    return [(p.passage.field, p.passage.start, p.passage.end) if p.passage else None for p in pieces]


def test_a_short_document_is_one_passage() -> None:
    """All fields in their order, a line each; shown is the longest of them, whole."""
    (piece,) = pieces_of({"id": "1", "title": "Alien", "plot": "A crew meets a creature."}, ["title", "plot"], SMALL)
    assert piece.text == "Alien\nA crew meets a creature."
    assert spans([piece]) == [("plot", 0, 24)]


def test_a_long_field_is_split_behind_the_short_ones() -> None:
    """Each passage carries the title, none is longer than the model reads, and the spans are exact."""
    document = {"title": "Alien", "plot": sentences("moon", 20)}
    pieces = pieces_of(document, ["title", "plot"], SMALL)
    assert len(pieces) > 2
    for piece in pieces:
        assert piece.passage is not None
        shown = document[piece.passage.field][piece.passage.start : piece.passage.end]
        assert piece.text == f"Alien\n{shown}"
        assert len(SMALL.token_offsets(piece.text)) <= 40
        assert shown.endswith(".")
    assert spans(pieces)[0][1] == 0
    assert spans(pieces)[-1][2] == len(document["plot"])


def test_every_long_field_gets_passages_of_its_own() -> None:
    """A second long field is no lead; both are covered."""
    document = {"a": sentences("sun", 12), "b": sentences("moon", 12), "title": "T"}
    pieces = pieces_of(document, ["title", "a", "b"], SMALL)
    assert {field for field, _, _ in spans(pieces)} == {"a", "b"}
    assert all(piece.text.startswith("T\n") for piece in pieces)


def test_the_lead_is_bounded() -> None:
    """Short fields beyond a quarter of the window become passages instead of crowding the text out."""
    document = {"a": "one " * 8, "b": "two " * 8, "text": sentences("moon", 20)}
    pieces = pieces_of(document, ["a", "b", "text"], SMALL)
    leads = {
        piece.text.partition("\n")[0].split()[0] for piece in pieces if piece.passage and piece.passage.field == "text"
    }
    assert leads == {"one"}
    assert [field for field, _, _ in spans(pieces) if field != "text"] == ["b"]
    assert all(len(SMALL.token_offsets(piece.text)) <= 40 for piece in pieces)


def test_lists_are_joined_and_show_no_span() -> None:
    """A list of strings has no characters of its own to point at; a string beside it has."""
    assert [(p.text, p.passage) for p in pieces_of({"tags": ["a", "b", 3]}, ["tags"], SMALL)] == [("a, b", None)]
    pieces = pieces_of({"tags": ["long tag"] * 2, "title": "T"}, ["tags", "title"], SMALL)
    assert spans(pieces) == [("title", 0, 1)]
    long_list = pieces_of({"tags": ["word"] * 100}, ["tags"], SMALL)
    assert len(long_list) > 1
    assert spans(long_list) == [None] * len(long_list)


def test_a_document_without_text_has_no_passage() -> None:
    """Blank strings, numbers and missing fields give nothing to embed."""
    assert pieces_of({"title": " \n", "year": 1979}, ["title", "year", "plot"], SMALL) == []


GUIDE = "# Guide\n\n" + "\n\n".join(f"## Part {i}\n\n{sentences('sun', 9)}" for i in range(3))


def test_markdown_passages_say_which_section_they_are_in() -> None:
    """The path of headings, without what the title says already, and what the passage begins with."""
    document = {"title": "Guide", "text": GUIDE, "path": "docs/guide.md"}
    pieces = pieces_of(document, ["title", "text"], SMALL)
    for piece in pieces:
        assert piece.passage is not None
        shown = GUIDE[piece.passage.start : piece.passage.end]
        part = GUIDE[: piece.passage.start].rpartition("\n## ")[2].partition("\n")[0]
        begins_a_section = shown.startswith("#")
        assert piece.text == f"Guide\n{shown}" if begins_a_section else piece.text == f"Guide\n{part}\n{shown}"
        assert len(SMALL.token_offsets(piece.text)) <= 40
        assert shown.count("## ") <= 1
    assert sum(piece.text.startswith("Guide\nPart 1\n") for piece in pieces) >= 1


def test_a_method_says_which_class_it_is_of() -> None:
    """By the suffix of the path, and just so where code is declared."""
    source = "class Point:\n" + "".join(f"    def f{i}(self):\n        return {i} + 1 + 2\n\n" for i in range(8))
    for document, splitter in (({"text": source, "path": "a.py"}, "auto"), ({"text": source}, "code")):
        pieces = pieces_of(document, ["text"], SMALL, splitter)
        assert all(piece.text.startswith("class Point\ndef f") for piece in pieces[1:])
    assert not any(piece.text.startswith("class Point\n") for piece in pieces_of({"text": source}, ["text"], SMALL)[1:])


def test_without_a_splitter_a_document_is_one_piece() -> None:
    """All of its text goes to the model, which reads the beginning; the span is that of the longest field."""
    document = {"title": "Alien", "plot": sentences("moon", 20)}
    (piece,) = pieces_of(document, ["title", "plot"], SMALL, "none")
    assert piece.text == f"Alien\n{document['plot']}"
    assert spans([piece]) == [("plot", 0, len(document["plot"]))]


TEXTS = st.lists(st.text(st.sampled_from("ab é漢\U0001f600.!?\n\t \u0301"), max_size=400), min_size=1, max_size=3)


@given(TEXTS)
def test_spans_cover_every_word_of_long_fields_exactly(texts: Any) -> None:
    """Whatever the text: spans lie inside their field, read out what the passage ends with, and miss no word."""
    document = {f"f{i}": text for i, text in enumerate(texts)}
    pieces = pieces_of(document, list(document), SMALL)
    shown: dict[str, set[int]] = {}
    for piece in pieces:
        passage = piece.passage
        assert passage is not None
        assert 0 <= passage.start < passage.end <= len(document[passage.field])
        assert document[passage.field][passage.start : passage.end] in piece.text
        shown.setdefault(passage.field, set()).update(range(passage.start, passage.end))
    for field, text in document.items():
        words = {match.start() for match in re.finditer(r"\S", text)}
        if len(pieces) > 1 and field in shown:
            assert words <= shown[field]
        elif text.strip():
            assert all(text in piece.text for piece in pieces)


def test_passages_fit_into_the_real_models_window() -> None:
    """all-MiniLM-L6-v2: every piece has at most 254 tokens of its own, so nothing embedded is cut off."""
    embedder = load_embedder(cache_directory=default_cache_directory())
    text = " ".join(f"Sentence {i} speaks of naïve café owners, 漢字 and re-entrancy." for i in range(120))
    document = {"title": "On owners and cafés", "author": "A. Writer", "text": text, "notes": text[:3000]}
    pieces = pieces_of(document, list(document), embedder)
    assert len(pieces) > 10
    assert {field for field, _, _ in spans(pieces)} == {"text", "notes"}
    for piece in pieces:
        assert piece.text.startswith("On owners and cafés\nA. Writer\n")
        assert len(embedder.token_offsets(piece.text)) <= embedder.max_tokens - SPECIAL_TOKENS
