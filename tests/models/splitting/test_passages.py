from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import Embedder, Splitter, split_passages, structure_of
from models.embedders.hashing import HashingEmbedder

WORDS = HashingEmbedder()


def passages(text: str, max_tokens: int, overlap_tokens: int = 0) -> list[str]:
    """Passages by the hashing embedder's tokens: words and marks."""
    offsets = WORDS.token_offsets(text)
    spans = split_passages(text, offsets, max_tokens=max_tokens, overlap_tokens=overlap_tokens)
    return [text[start:end] for start, end in spans]


def test_text_that_fits_is_one_passage() -> None:
    """Its span leaves out the space around it."""
    text = "  One sentence. Another.\n"
    assert split_passages(text, WORDS.token_offsets(text), max_tokens=20) == [(2, 24)]


@pytest.mark.parametrize("text", ["", "  \n\t "])
def test_empty_text_has_no_passages(text: str) -> None:
    """Nothing but space is nothing to embed."""
    assert passages(text, 5) == []


def test_passages_end_at_sentences() -> None:
    """Four tokens a sentence, nine allowed: two sentences fit."""
    text = "Cats eat fish. Dogs eat meat. Cows eat grass."
    assert passages(text, 9) == ["Cats eat fish. Dogs eat meat.", "Cows eat grass."]


def test_a_paragraph_break_in_the_second_half_is_preferred() -> None:
    """Three sentences would fit, but the paragraph ends after two."""
    text = "Cats eat fish. Dogs eat meat.\n\nCows eat grass. Hens eat corn."
    assert passages(text, 12) == ["Cats eat fish. Dogs eat meat.", "Cows eat grass. Hens eat corn."]


def test_lines_that_start_anew_are_boundaries_and_wrapped_lines_are_not() -> None:
    """A list item starts a new line; a line in lower case goes on."""
    assert passages("- red apples\n- green pears", 5) == ["- red apples", "- green pears"]
    assert passages("One two\n  three. Four five six", 5) == ["One two\n  three.", "Four five six"]
    assert passages("One two\nthree. Four five six", 5) == ["One two\nthree.", "Four five six"]


def test_abbreviations_and_initials_do_not_end_sentences() -> None:
    """The names after "Dr." and "J." stay with them although a capital follows the full stop."""
    text = "We met Dr. Smith today. Then J. Doe came."
    assert passages(text, 8) == ["We met Dr. Smith today.", "Then J. Doe came."]


def test_chinese_sentences_end_without_space() -> None:
    """The ideographic full stop is enough."""
    text = "我喜欢猫。你喜欢狗。"
    offsets = np.array([[i, i + 1] for i in range(len(text))])
    assert split_passages(text, offsets, max_tokens=7) == [(0, 5), (5, 10)]


def test_a_sentence_longer_than_a_passage_is_cut_between_words() -> None:
    """Seven words at three a passage."""
    assert passages("a b c d e f g", 3) == ["a b c", "d e f", "g"]


def test_a_word_is_cut_only_if_it_is_longer_than_a_passage() -> None:
    """The word "don't" is three tokens: it moves to the next passage whole if it fits there."""
    assert passages("we really don't know", 4) == ["we really", "don't know"]
    assert passages("a-b-c-d", 3) == ["a-b", "-c-", "d"]


def test_overlap_repeats_whole_sentences() -> None:
    """The last sentence of a passage starts the next one."""
    text = "Cats eat fish. Dogs eat meat. Cows eat grass."
    assert passages(text, 9, 4) == ["Cats eat fish. Dogs eat meat.", "Dogs eat meat. Cows eat grass."]


def test_overlap_repeats_words_within_a_long_sentence() -> None:
    """Where no sentence fits into the overlap, words do."""
    assert passages("a b c d e f g", 4, 1) == ["a b c d", "d e f g"]


def test_overlap_gives_way_to_whole_sentences() -> None:
    """With the overlap the long sentence would not fit, without it it does."""
    text = "Up we go. One two three four five six seven."
    assert passages(text, 8, 4) == ["Up we go.", "One two three four five six seven."]


def test_overlap_never_repeats_a_whole_passage() -> None:
    """The short sentence would fit into the overlap, but then the second passage would contain the first.

    The last passage gives its overlap up to reach the end of the text.
    """
    assert passages("Up. one-two-three-four", 3, 2) == ["Up.", "one-two", "-two-", "three-four"]


def test_characters_that_no_token_covers_are_kept() -> None:
    """A tokenizer may drop a character; the passage before it carries it."""
    text = "a b\x00 c d"
    offsets = np.array([[0, 1], [2, 3], [5, 6], [7, 8]])
    assert split_passages(text, offsets, max_tokens=2) == [(0, 4), (5, 8)]
    assert split_passages("\x00", np.empty((0, 2), dtype=np.int64), max_tokens=2) == [(0, 1)]


@pytest.mark.parametrize(("max_tokens", "overlap"), [(0, 0), (4, 4), (4, -1)])
def test_overlap_must_be_less_than_a_passage(max_tokens: int, overlap: int) -> None:
    """Otherwise no passage would get anywhere."""
    with pytest.raises(ValueError, match="overlap must be"):
        split_passages("a b", WORDS.token_offsets("a b"), max_tokens=max_tokens, overlap_tokens=overlap)


prose = st.lists(
    st.sampled_from(
        ["cat", "Dog", "3.14", "don't", ".", "!", "?", "\n", "\n\n", " ", "  ", "- ", "Dr.", "猫。", "é", "\x00"]
    ),
    max_size=120,
).map("".join) | st.text(max_size=200)


def test_numbers_of_lists_do_not_end_sentences() -> None:
    """A number with its full stop at the start of a line is no sentence."""
    assert passages("It was in 2024. Then\n2. Green pears", 8) == ["It was in 2024. Then", "2. Green pears"]


def test_sentences_of_other_scripts_end_at_their_marks() -> None:
    """The danda and the Arabic question mark end sentences as the full stop does."""
    first, second = "एक दो तीन।", "चार पाँच छह।"
    assert passages(f"{first} {second}", len(WORDS.token_offsets(first)) + 2) == [first, second]
    assert passages("هل هذا جيد؟ نعم هو كذلك", 5) == ["هل هذا جيد؟", "نعم هو كذلك"]


marked = st.lists(
    st.sampled_from(
        ["# One\n", "## Two\n", "text. ", "More text", "\n", "\n\n", "```\n", "~~~~\n", "| a | b |\n", "|---|---|\n",
         "- it\n", "def f(x):\n", "    return 1\n", "class A:\n", "{", "}\n", '"', "'''", "/*", "*/", "// x\n",
         "Title\n===\n", "---\n", "\r"]
    ),
    max_size=60,
).map("".join)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(
    text=prose | marked, max_tokens=st.integers(1, 12), splitter=st.sampled_from(list(Splitter)[:4]),
    path=st.sampled_from(["", "a.md", "a.py", "a.c", "a.rb"]), data=st.data(),
)  # fmt: skip
def test_passages_cover_the_text_and_cut_no_token(
    text: str, max_tokens: int, splitter: Splitter, path: str, data: st.DataObject
) -> None:
    """For any text: all that is not space is covered, in order, with no token cut and none too long."""
    overlap = data.draw(st.integers(0, max_tokens - 1))
    offsets = WORDS.token_offsets(text)
    structure = structure_of(text, splitter, path)
    spans = split_passages(text, offsets, max_tokens=max_tokens, overlap_tokens=overlap, structure=structure)
    covered = np.zeros(len(text), dtype=bool)
    for start, end in spans:
        covered[start:end] = True
        assert text[start:end] == text[start:end].strip() != ""
        inside = (offsets[:, 0] >= start) & (offsets[:, 1] <= end)
        touching = (offsets[:, 0] < end) & (offsets[:, 1] > start)
        assert (inside == touching).all()
        assert inside.sum() <= max_tokens
    assert all(covered[i] for i, character in enumerate(text) if not character.isspace())
    starts = [start for start, _ in spans]
    ends = [end for _, end in spans]
    assert starts == sorted(set(starts))
    assert ends == sorted(set(ends))
    for (_, end), (start, _) in pairwise(spans):
        shared = (offsets[:, 0] >= start) & (offsets[:, 1] <= end)
        assert shared.sum() <= overlap


@settings(max_examples=60, deadline=None)
@given(text=prose, max_tokens=st.integers(1, 12))
def test_passages_of_the_real_tokenizer_cover_the_text(embedder: Embedder, text: str, max_tokens: int) -> None:
    """WordPiece drops control characters and splits accents; coverage holds all the same."""
    text = text.encode("utf-8", "replace").decode("utf-8")
    offsets = embedder.token_offsets(text)
    spans = split_passages(text, offsets, max_tokens=max_tokens, overlap_tokens=max_tokens // 3)
    covered = {i for start, end in spans for i in range(start, end)}
    assert all(i in covered for i, character in enumerate(text) if not character.isspace())
