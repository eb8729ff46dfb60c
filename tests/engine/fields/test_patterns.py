"""engine.fields.patterns: $like, $regex, $match, $phrase."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine.errors import FilterError
from engine.fields.patterns import check_regex, match_strings
from engine.text.analyzer import Analyzer
from tests.engine.fields.plain import like


def matches(strings: Sequence[str | None], op: str, value: str, language: str | None = None) -> list[bool]:
    flags: list[bool] = match_strings(pa.array(strings, type=pa.large_string()), op, value, language).tolist()
    return flags


TEXTS = st.text(st.characters(exclude_categories=["Cs"])) | st.text("ab%_\\\n.*é😀")


@given(st.lists(st.none() | TEXTS, max_size=5), st.text("ab%_\\\n.*(é😀") | TEXTS)
@example(["a\nb"], "a%b")
@example(["é"], "_")
@example(["\\"], "\\")
@example(["x\n"], "x")
def test_like_is_the_textbook_s(strings: list[str | None], pattern: str) -> None:
    """% is any characters, _ one, a backslash takes the next as it is; the whole string counts, lines or not."""
    assert matches(strings, "$like", pattern) == [each is not None and like(each, pattern) for each in strings]


@pytest.mark.parametrize("pattern", ["^a", "b$", "[a-c]+d", "(?i)AB", "a|b", "^$", ".", r"\bword\b", "é", "(a*)*b"])
def test_regex_finds_a_match_anywhere(pattern: str) -> None:
    """As Python's `re.search` does, for what both understand."""
    strings = ["", "a", "ab", "bad", "AB", "a word", "words", "caféd", "ca d"]
    assert matches(strings, "$regex", pattern) == [re.search(pattern, each) is not None for each in strings]


@pytest.mark.parametrize("pattern", ["(", "[", "a**", "(?=x)", r"(a)\1", "a{1001}", "(?P<n", "(((a{100}){100}){100})"])
def test_a_regex_that_re2_does_not_take_is_refused(pattern: str) -> None:
    """With its reason; so are those that would need too much memory."""
    with pytest.raises(FilterError, match=r"regular expression cannot be used: reason=.") as caught:
        check_regex(pattern, "/a/$regex")
    assert caught.value.pointer == "/a/$regex"


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|aa)+$", "(.*a){12}b", "^(a?){100}a{100}$", "(x+x+)+y"])
def test_no_regex_is_catastrophic(pattern: str) -> None:
    """Patterns that take Python's `re` forever take moments."""
    started = time.thread_time()
    matches(["a" * 5_000 + "!", "x" * 5_000] * 10, "$regex", pattern)
    assert time.thread_time() - started < 10  # what tracks back does not end


def test_words_are_those_of_the_text_index() -> None:
    """All of them for $match, in this order for $phrase; folded and stemmed alike."""
    strings = ["The Café runs late", "late café", "running cafés", None, "", "東京大学に行く"]
    assert matches(strings, "$match", "CAFE late") == [True, True, False, False, False, False]
    assert matches(strings, "$match", "run") == [False] * 6
    assert matches(strings, "$match", "run cafe", "en") == [True, False, True, False, False, False]
    assert matches(strings, "$phrase", "cafe runs") == [True, False, False, False, False, False]
    assert matches(strings, "$phrase", "late cafe") == [False, True, False, False, False, False]
    assert matches(strings, "$phrase", "大学") == [False, False, False, False, False, True]
    assert matches(strings, "$match", "…") == [False] * 6


@given(st.lists(st.text("aB é1.\n_"), max_size=5), st.text("aBé1 .", max_size=4))
@example(["x" * 200, "x" * 100], "x" * 150)
@example(["a_b", "A\nB"], "b")
def test_no_string_is_passed_over(strings: list[str], query: str) -> None:
    """What is left out unread has not the words."""
    wanted = {term.term for term in Analyzer().query_terms(query)}
    expected = [bool(wanted) and wanted <= {term.term for term in Analyzer().terms(each)} for each in strings]
    assert matches(strings, "$match", query) == expected
