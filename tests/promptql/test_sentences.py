from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptql.sentences import is_code, sentence_spans


def test_sentences_end_at_stops_and_empty_lines() -> None:
    """Abbreviations inside a sentence and numbers do not end one; white space is not part of any."""
    text = "Run a command.  It costs 1.5 ms! Really?\n\nNew paragraph, no stop"
    found = [text[start:end] for start, end in sentence_spans(text)]
    assert found == ["Run a command.", "It costs 1.5 ms!", "Really?", "New paragraph, no stop"]


def test_only_the_asked_stretch_is_read() -> None:
    """Spans are places in the whole text."""
    text = "First one. Second one. Third one."
    assert [text[start:end] for start, end in sentence_spans(text, 11, 22)] == ["Second one."]


@given(st.text(max_size=300))
def test_spans_are_ordered_and_inside(text: str) -> None:
    """Any text gives spans in order that hold something."""
    spans = sentence_spans(text)
    assert all(0 <= start < end <= len(text) for start, end in spans)
    assert spans == sorted(spans)


@pytest.mark.parametrize(
    ("sentence", "code"),
    [
        ("dumps(obj, *, skipkeys=False, indent=None) -> str", True),
        (">>> dumps([1, 2])", True),
        ("{'a': [1, 2], 'b': (3,)}", True),
        ("Return the square root of x.", False),
        ('Copy data and mode bits ("cp src dst").', False),
    ],
)
def test_signatures_and_examples_are_code(sentence: str, *, code: bool) -> None:
    """Prose may hold some marks; code is mostly marks."""
    assert is_code(sentence) == code
