"""engine.text.compile: what queries find."""

from __future__ import annotations

import pytest

from engine.text.query import Expansion
from tests.engine.text.conftest import MakeIndex
from tests.engine.text.support import add, found, search

FILMS = [
    {"title": "Alien", "text": "a crew meets a hostile creature in deep space"},
    {"title": "Space Jam", "text": "a basketball player plays with cartoons"},
    {"title": "Solaris", "text": "a psychologist on a space station, and an ocean that thinks"},
    {"title": "The Deep", "text": "divers find a treasure in the ocean"},
]


def test_words_are_alternatives_and_signs_are_not(make_index: MakeIndex) -> None:
    """Should, must, must not; also for phrases and fields."""
    index = make_index({"title": None, "text": None})
    add(index, FILMS)
    assert set(found(index, "ocean space")) == {0, 1, 2, 3}
    assert found(index, "ocean space")[0] == 2
    assert set(found(index, "+ocean space")) == {2, 3}
    assert found(index, "ocean -space") == [3]
    assert found(index, "+ocean +space") == [2]
    assert found(index, "ocean space", match_all=True) == [2]
    assert found(index, '"deep space"') == [0]
    assert set(found(index, 'space -"deep space"')) == {1, 2}
    assert found(index, "title:space") == [1]
    assert set(found(index, "-title:space space")) == {0, 2}
    assert found(index, "+nowhere space", typos=Expansion.NEVER) == []
    assert found(index, '"space deep"') == []
    assert found(index, '+"space deep" ocean') == []
    assert set(found(index, "-nowhere +ocean", typos=Expansion.NEVER)) == {2, 3}


def test_boosts_change_the_order(make_index: MakeIndex) -> None:
    """Of fields, words and phrases."""
    index = make_index({"title": None, "text": None})
    add(index, FILMS)
    assert found(index, "space", fields={"title": 5.0, "text": 1.0})[0] == 1
    assert found(index, "space", fields={"title": 0.1, "text": 5.0})[0] != 1
    assert found(index, "space", fields={"text": 1.0}, k=9).count(1) == 0
    assert found(index, "basketball treasure^9")[0] == 3
    assert found(index, "basketball^9 treasure")[0] == 1
    assert found(index, 'basketball^3 "space station"^9')[0] == 2


def test_a_repeated_word_counts_as_often(make_index: MakeIndex) -> None:
    """As the formula says."""
    index = make_index()
    add(index, ["a", "b", "a b"])
    one, two = search(index.view(), "a b", 3).scores, search(index.view(), "a a b b", 3).scores
    assert two.tolist() == pytest.approx((2 * one).tolist())


def test_hyphenated_words_are_phrases_where_they_must_be(make_index: MakeIndex) -> None:
    """`+wi-fi` asks for both in this order, `wi-fi` for either."""
    index = make_index()
    add(index, ["wi fi", "fi wi", "wi"])
    assert set(found(index, "wi-fi")) == {0, 1, 2}
    assert found(index, "+wi-fi") == [0]
    assert set(found(index, "wi -wi-fi")) == {1, 2}


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("recieve", 0),
        ("recive", 0),
        ("receivee", 0),
        ("eceive", 0),
        ("universitties", 1),
        ("nuiversities", 1),
        ("uinversitise", 1),
        ("ecole", 2),
        ("ecloe", 2),
    ],
)
def test_misspelt_words_are_found(make_index: MakeIndex, typed: str, meant: int) -> None:
    """One edit from five letters, two from nine; stems and diacritics do not stand in the way."""
    index = make_index({"text": "en"})
    add(index, ["they receive mail", "old universities", "une école", "another thing altogether"])
    assert found(index, typed) == [meant]
    assert found(index, typed, typos=Expansion.NEVER) in ([], [meant])


def test_short_and_known_words_stand_for_themselves(make_index: MakeIndex) -> None:
    """A word of four letters is not corrected, nor one that occurs, unless that is asked for."""
    index = make_index()
    add(index, ["mail", "trail", "train", "email"])
    assert found(index, "mial") == []
    assert found(index, "train") == [2]
    assert found(index, "train", typos=Expansion.ALWAYS) == [2, 1]
    assert found(index, "train", typos=Expansion.ALWAYS)[0] == 2


def test_only_short_queries_are_corrected(make_index: MakeIndex) -> None:
    """Each word takes a look at the whole dictionary; in a long text there are others that count."""
    index = make_index()
    add(index, ["receive", "mail"])
    assert found(index, "recieve " + "x " * 20) == [0]
    assert found(index, "recieve mail " + "xx " * 500) == [1]
    assert found(index, "recieve,mail," + ",".join(f"robots{number}film" for number in range(4_000))) == [1]


def test_an_unfinished_last_word_is_completed(make_index: MakeIndex) -> None:
    """Only the last one, only without a space behind it, and only if nothing has it as it stands."""
    index = make_index({"text": "en"})
    add(index, ["universities teach", "universal truth", "cat", "category"])
    assert set(found(index, "universi")) == {0}
    assert set(found(index, "univers")) == {0, 1}
    assert found(index, "teach unive") == [0, 1]
    assert found(index, "unive teach") == [0]
    assert found(index, "unive ", typos=Expansion.NEVER) == []
    assert found(index, "cat") == [2]
    assert found(index, "cat", prefix=Expansion.ALWAYS) == [2, 3]
    assert found(index, "u") == []
    assert found(index, "univ", prefix=Expansion.NEVER) == []


def test_expansions_are_bm25_of_the_best_word(make_index: MakeIndex) -> None:
    """A corrected word scores as the word that was meant would, times its boost."""
    index = make_index()
    add(index, ["receive x", "deceive receive", "nothing here at all"])
    view = index.view()
    right, wrong = search(view, "receive"), search(view, "recieve")
    assert wrong.ordinals.tolist() == right.ordinals.tolist()
    assert wrong.scores.tolist() == pytest.approx((0.8 * right.scores).tolist())


def test_expansions_are_bounded(make_index: MakeIndex) -> None:
    """To the fifty most frequent."""
    index = make_index()
    add(index, [f"prefix{i}" for i in range(200)] + ["prefix7"] * 3)
    hits = search(index.view(), "prefix", 300)
    assert len(hits.matching.expanded["prefix"]) == 50
    assert hits.matching.expanded["prefix"][0] == "prefix7"
    assert len(hits.ordinals) == 53


def test_words_added_after_the_first_correction_are_found(make_index: MakeIndex) -> None:
    """The packed dictionary keeps up with writes."""
    index = make_index()
    add(index, ["alpha"])
    assert found(index, "bravvo") == []
    add(index, ["bravo"], 1)
    assert found(index, "bravvo") == [1]


def test_what_matched_is_told_for_highlights(make_index: MakeIndex) -> None:
    """By field: terms, with what they stood for, and phrases; nothing that must not be there."""
    index = make_index({"title": None, "text": "en"})
    add(index, FILMS)
    matching = search(index.view(), 'oceean "space station" -cartoons').matching
    assert matching.terms["text"] == {"ocean"}
    assert matching.phrases == {"text": {("space", "station")}}
    assert matching.expanded == {"oceean": ("ocean",)}


def test_one_character_finds_every_run_that_holds_it(make_index: MakeIndex) -> None:
    """In scripts without spaces: at the beginning, inside and at the end of a run."""
    index = make_index()
    add(index, ["水道", "香水瓶", "香水", "火山"])
    assert set(found(index, "水")) == {0, 1, 2}
    assert found(index, "香水")[:2] == [2, 1]
    assert found(index, '"水瓶"') == [1]
    assert set(found(index, "+水")) == {0, 1, 2}
