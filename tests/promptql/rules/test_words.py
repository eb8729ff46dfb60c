from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptql.rules.mentions import find_numbers, find_quoted
from promptql.rules.words import forms, name_words, normalize, plural, root, singular, tokenize


def test_words_keep_their_places() -> None:
    """Possessives are dropped, "aren't" is a denial, accents are folded, offsets point into the question."""
    text = "Café's files aren't os.path"
    tokens = tokenize(text)
    assert [token.folded for token in tokens] == ["cafe", "files", "not", "os", "path"]
    assert [text[token.start : token.end] for token in tokens] == ["Café", "files", "aren't", "os", "path"]


@pytest.mark.parametrize(
    ("plural_form", "singular"),
    [("functions", "function"), ("classes", "class"), ("movies", "movie"), ("countries", "country"), ("boxes", "box")],
)
def test_plurals_meet_their_singulars(plural_form: str, singular: str) -> None:
    """The two have a form in common."""
    assert forms(plural_form) & forms(singular)
    assert plural(singular) == plural_form


@pytest.mark.parametrize(
    ("many", "one"),
    [
        ("cities", "city"),
        ("countries", "country"),
        ("genres", "genre"),
        ("currencies", "currency"),
        ("languages", "language"),
        ("movies", "movie"),
        ("classes", "class"),
        ("series", "series"),
        ("people", "person"),
        ("TV shows", "TV show"),
        ("status", "status"),
    ],
)
def test_singular_and_plural_are_a_pair(many: str, one: str) -> None:
    """Each leads to the other, and is left alone where it is right already."""
    assert (singular(many), singular(one)) == (one, one)
    if many != "status":
        assert (plural(one), plural(many)) == (many, many)


def test_a_word_that_ends_in_ss_is_no_plural() -> None:
    """The word "class" is not the plural of "clas"."""
    assert forms("class") == {"class"}


def test_endings_fall_off_down_to_a_root() -> None:
    """Loose comparison: directed and director, deprecated and deprecation."""
    assert root("directed") == root("director") == "direct"
    assert root("deprecated") == root("deprecation")
    assert root("os") == "os"


def test_names_of_fields_fall_into_words() -> None:
    """Underscores and capitals part them."""
    assert name_words("qualified_name") == ("qualified", "name")
    assert name_words("releaseYear") == ("release", "year")
    assert normalize("os.path") == "os path"


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("ten modules", [10]),
        ("top 5", [5]),
        ("more than two hundred", [200]),
        ("twenty five films", [25]),
        ("1,395.5 miles", [1395.5]),
        ("1.2 million people", [1_200_000]),
        ("between 1980 and 1999", [1980, 1999]),
        ("a dozen eggs", [12]),
        ("which one is it", []),
        ("one million people", [1_000_000]),
        ("between one and two", [1, 2]),
        ("f5 and x86", []),
        ("since 2000-01-01 with 3.11.2", []),
        ("9" * 40, []),
    ],
)
def test_numbers_are_read_in_digits_and_words(text: str, values: list[float]) -> None:
    """The longest reading of each."""
    assert [mention.value for mention in find_numbers(text, tokenize(text))] == values


def test_quoted_strings_are_found_and_apostrophes_are_not() -> None:
    """Double, curly, single quotes and backticks."""
    for text in ('called "Blade Runner"', "called “Blade Runner”", "called 'Blade Runner'", "called `Blade Runner`"):
        (mention,) = find_quoted(text, tokenize(text))
        assert (mention.text, mention.start, mention.end) == ("Blade Runner", 1, 3)
    text = "the program's output and the users' files"
    assert find_quoted(text, tokenize(text)) == ()


@given(st.text(max_size=200))
def test_any_text_has_words_in_order(text: str) -> None:
    """No string is too strange, and spans never overlap."""
    tokens = tokenize(text)
    find_numbers(text, tokens)
    find_quoted(text, tokens)
    assert all(left.end <= right.start for left, right in pairwise(tokens))
