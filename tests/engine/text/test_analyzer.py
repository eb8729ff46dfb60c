"""engine.text.analyzer: terms of documents and queries."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine.errors import InvalidInputError
from engine.text.analyzer import WORD_CHARACTERS_MAX, Analyzer, split_entry
from engine.text.languages import LANGUAGES

TEXTS = st.text() | st.text("abAB é\u0301ß東京かไ한й1_-'\u00ad\u200d İΣ²½")


def terms(text: str, language: str | None = None) -> list[str]:
    return [term.term for term in Analyzer(language).terms(text)]


def test_words_are_folded_and_none_is_dropped() -> None:
    """Lower case, no diacritics, no stop words left out."""
    assert terms("The CAFÉ at the États-Unis") == ["the", "cafe", "at", "the", "etats", "unis"]


@pytest.mark.parametrize(
    ("language", "one", "other"),
    [
        ("en", "running", "runs"),
        ("de", "Häuser", "haus"),
        ("fr", "aimées", "aimée"),
        ("es", "canciones", "canción"),
        ("ru", "книгами", "книга"),
        ("tr", "kitapları", "kitap"),
    ],
)
def test_inflected_words_meet_where_the_language_is_declared(language: str, one: str, other: str) -> None:
    """Stems are those of the declared language; without one there are none."""
    assert terms(one, language) == terms(other, language)
    assert terms(one) != terms(other)


def test_a_run_without_spaces_becomes_pairs() -> None:
    """And the last character alone; in a query only where it is all there is."""
    analyzer = Analyzer()
    assert terms("東京大学") == ["東京", "京大", "大学", "学"]
    assert [term.term for term in analyzer.query_terms("東京大学")] == ["東京", "京大", "大学"]
    assert [term.term for term in analyzer.query_terms("京")] == ["京"]


def test_a_dictionary_entry_keeps_the_word_that_is_stemmed() -> None:
    """It is found without diacritics and leads to the term of the word with them."""
    analyzer = Analyzer("fr")
    (term,) = analyzer.terms("Aimée")
    assert split_entry(term.entry) == ("aimee", "aimée")
    assert analyzer.stem_entry(term.entry) == term.term == "aim"


def test_long_words_are_cut() -> None:
    """A megabyte without a space makes a term that an index can hold."""
    assert terms("x" * 1_000_000) == ["x" * WORD_CHARACTERS_MAX]


@given(TEXTS)
@example("İ i̇ ſ K Å")
@example("\ufdfa a")
def test_tokens_agree_with_terms_and_point_into_the_text(text: str) -> None:
    """Every term of a document has its place in the text, in order, whichever way the text was cut."""
    analyzer = Analyzer()
    tokens = list(analyzer.tokens(text))
    assert [token.term for token in tokens] == [term.term for term in analyzer.terms(text)]
    assert [token.entry for token in tokens] == [term.entry for term in analyzer.terms(text)]
    assert all(0 <= token.start < token.end <= len(text) for token in tokens)
    assert [token.start for token in tokens] == sorted(token.start for token in tokens)
    assert all(token.term and not any(map(str.isspace, token.term)) for token in tokens)


@given(TEXTS, st.sampled_from(sorted(LANGUAGES)))
def test_every_entry_leads_to_its_term(text: str, language: str) -> None:
    """What expansion looks up in the dictionary is what was indexed."""
    analyzer = Analyzer(language)
    for term in analyzer.terms(text):
        assert analyzer.stem_entry(term.entry) == term.term


@given(TEXTS)
def test_query_terms_are_terms_of_the_same_text(text: str) -> None:
    """A document is found by its own words."""
    analyzer = Analyzer()
    assert {term.term for term in analyzer.query_terms(text)} <= {term.term for term in analyzer.terms(text)}


def test_an_unknown_language_is_refused() -> None:
    """The message names those there are."""
    with pytest.raises(InvalidInputError, match="unknown language 'tlh': expected one of ar, da"):
        Analyzer("tlh")
