"""engine.text.highlight: spans and fragments."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.text.analyzer import Analyzer
from engine.text.highlight import best_fragment, find_spans

TEXT = "The Café serves café au lait. A café is a coffee house; coffee houses serve coffee."


def shown(text: str, spans: list[tuple[int, int]]) -> list[str]:
    return [text[start:end] for start, end in spans]


def test_spans_are_of_the_text_as_it_was_given() -> None:
    """Whatever the analyser made of it."""
    assert shown(TEXT, find_spans(Analyzer("en"), TEXT, {"cafe", "hous"})) == [
        "Café",
        "café",
        "café",
        "house",
        "houses",
    ]
    decomposed = "Cafe\u0301 İstanbul"
    assert shown(decomposed, find_spans(Analyzer(), decomposed, {"cafe", "istanbul"})) == ["Cafe\u0301", "İstanbul"]


def test_a_phrase_is_shown_only_where_its_words_follow_one_another() -> None:
    """Its words elsewhere are not."""
    spans = find_spans(Analyzer("en"), TEXT, (), [("coffe", "hous")])
    assert shown(TEXT, spans) == ["coffee", "house", "coffee", "houses"]


def test_pairs_of_characters_are_joined() -> None:
    """A run that matches is one span."""
    text = "私は東京大学に行く"
    assert shown(text, find_spans(Analyzer(), text, {"東京", "京大", "大学"})) == ["東京大学"]


def test_the_best_fragment_holds_most_matches() -> None:
    """And is cut between words."""
    text = "alpha " + "x " * 200 + "alpha beta alpha " + "y " * 200
    spans = find_spans(Analyzer(), text, {"alpha", "beta"})
    fragment = best_fragment(text, spans, 60)
    assert fragment is not None
    assert shown(text, list(fragment.spans)) == ["alpha", "beta", "alpha"]
    assert fragment.end - fragment.start <= 60
    assert text[fragment.start : fragment.end].split(maxsplit=1)[0] in ("x", "alpha")
    assert best_fragment(text, []) is None


@given(st.lists(st.sampled_from(["a", "bb", "match", "東京", "é", " ", "\n"])).map(" ".join), st.integers(1, 40))
def test_fragments_hold_their_spans(text: str, characters: int) -> None:
    """Within the text, no longer than asked for unless a match is."""
    spans = find_spans(Analyzer(), text, {"match", "東京"})
    fragment = best_fragment(text, spans, characters)
    assert (fragment is None) == (not spans)
    if fragment is not None:
        assert 0 <= fragment.start <= fragment.spans[0][0]
        assert fragment.spans[-1][1] <= fragment.end <= len(text)
        assert fragment.end - fragment.start <= max(characters, 5)
