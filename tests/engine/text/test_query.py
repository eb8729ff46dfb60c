"""engine.text.query: free text into clauses."""

from __future__ import annotations

import functools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import InvalidInputError
from engine.text.query import CLAUSES_MAX, TEXT_CHARACTERS_MAX, Clause, Occur, parse_boosts, parse_query
from tests.work import calls_of

MUST, MUST_NOT = Occur.MUST, Occur.MUST_NOT


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        ("", []),
        ("  ", []),
        ("space opera", [Clause("space"), Clause("opera", open=True)]),
        ("space opera ", [Clause("space"), Clause("opera")]),
        ("+space -opera", [Clause("space", MUST), Clause("opera", MUST_NOT, open=True)]),
        ('"space opera"', [Clause("space opera", phrase=True)]),
        ('-"space opera" x.', [Clause("space opera", MUST_NOT, phrase=True), Clause("x.")]),
        ("„space opera“ «x»", [Clause("space opera", phrase=True), Clause("x", phrase=True)]),
        ("title:space", [Clause("space", field="title", open=True)]),
        ('+title:"a b"^2.5', [Clause("a b", MUST, phrase=True, field="title", boost=2.5)]),
        ("space^3 opera", [Clause("space", boost=3.0), Clause("opera", open=True)]),
        ("http://x.org 12:30", [Clause("http://x.org"), Clause("12:30", open=True)]),
        ("title: x", [Clause("title:"), Clause("x", open=True)]),
        ("-5 +3 - +", [Clause("-5"), Clause("+3"), Clause("-"), Clause("+")]),
        ("state-of-the-art C++", [Clause("state-of-the-art"), Clause("C++")]),
        ('say "hello', [Clause("say"), Clause('"hello', open=True)]),
        ('a"b c"d', [Clause("a"), Clause("b c", phrase=True), Clause("d", open=True)]),
        ('"" x^', [Clause("x^")]),
    ],
)
def test_what_is_written_and_what_it_means(text: str, clauses: list[Clause]) -> None:
    """The table of the module, and what fits none of its rows."""
    assert list(parse_query(text, ["title"])) == clauses


@given(st.text() | st.text('ab" +-:^1.“”„«»\\()[]{}*?~'))
def test_no_text_is_an_error(text: str) -> None:
    """Whatever is typed means something, and no clause is empty."""
    assert all(clause.text for clause in parse_query(text, ["a", "b"]))


def test_strict_says_where_a_quote_was_opened() -> None:
    """For callers who rather hear of it."""
    with pytest.raises(InvalidInputError, match="quote is not closed: place=4") as caught:
        parse_query('say "hello', strict=True)
    assert (caught.value.pointer, caught.value.details) == ("/query", {"offset": 4})
    assert parse_query('say "hello"', strict=True)[1] == Clause("hello", phrase=True)


def test_long_queries_are_bounded() -> None:
    """Too many words are cut; too many characters are refused; neither takes long."""
    assert len(parse_query("+w " * 20_000)) == CLAUSES_MAX
    assert len(parse_query("w " * 20_000)) == CLAUSES_MAX
    with pytest.raises(InvalidInputError, match="query is too long: maximum=65536 got=65537"):
        parse_query("x" * (TEXT_CHARACTERS_MAX + 1))
    for nasty in ("“" * TEXT_CHARACTERS_MAX, '"' * TEXT_CHARACTERS_MAX, "a:" * 32_768, "^1" * 32_768):
        assert calls_of(functools.partial(parse_query, nasty, ["a"])) < 100 * TEXT_CHARACTERS_MAX


def test_boosts_of_fields() -> None:
    """`title^3` counts three times; a caret without a number is refused with its place."""
    assert parse_boosts(["title^3", "text", "x^0.5"]) == {"title": 3.0, "text": 1.0, "x": 0.5}
    for wrong in ("title^x", "title^0", "title^-1", "title^1e9", "title^nan", "title^"):
        with pytest.raises(InvalidInputError, match="boost") as caught:
            parse_boosts(["text", wrong])
        assert caught.value.pointer == "/fields/1"
