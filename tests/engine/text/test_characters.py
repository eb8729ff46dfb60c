"""engine.text.characters: folding and what makes a word."""

from __future__ import annotations

import sys
import unicodedata

import pytest

from engine.text.characters import fold, is_unspaced, word_pattern


@pytest.mark.parametrize(
    ("word", "folded"),
    [
        ("plain", "plain"),
        ("café", "cafe"),
        ("cafe\u0301", "cafe"),
        ("straße", "strasse"),
        ("łódź", "lodz"),
        ("smørrebrød", "smorrebrod"),
        ("ﬁne", "fine"),
        ("ｗｉｄｔｈ", "width"),
        ("i\u0307stanbul", "istanbul"),
        ("ısparta", "isparta"),
        ("ёлка", "елка"),
        ("новый", "новый"),
        ("λόγος", "λογοσ"),
        ("مُحَمَّد", "محمد"),
        ("أحمد", "احمد"),
        ("مـــرحبا", "مرحبا"),
        ("שָׁלוֹם", "שלום"),
        ("हिन्दी", "हिन्दी"),
        ("ガ", "ガ"),
        ("ｶﾞ", "ガ"),
        ("co\u00adoperate", "cooperate"),
        ("ﷺ", "صلياللهعليهوسلم"),
    ],
)
def test_folding_leaves_out_what_readers_leave_out(word: str, folded: str) -> None:
    """Diacritics, widths, ligatures and joiners go; letters of their own stay."""
    assert fold(word) == folded


def test_folding_twice_is_folding_once() -> None:
    """For every letter there is, so that documents and queries meet."""
    letters = (chr(code) for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code))[0] == "L")
    changed = [each for each in letters if fold(fold(each.lower())) != fold(each.lower())]
    assert changed == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("don't stop", ["don", "t", "stop"]),
        ("snake_case x2 m²", ["snake", "case", "x2", "m²"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("cafe\u0301 au lait", ["cafe\u0301", "au", "lait"]),
        ("Tokyo東京2020", ["Tokyo", "東京", "2020"]),
        ("می\u200cخواهم", ["می\u200cخواهم"]),
        ("კარგი დღე", ["კარგი", "დღე"]),
        ("😀 … — ·", []),
    ],
)
def test_words(text: str, words: list[str]) -> None:
    """Letters, digits and marks make words; scripts without spaces are cut from the others."""
    assert [match[0] for match in word_pattern().finditer(text)] == words


def test_scripts_without_spaces() -> None:
    """Chinese, Japanese, Korean, Thai; not Latin, Devanagari or Georgian."""
    assert all(map(is_unspaced, "東かカ한ไ"))
    assert not any(map(is_unspaced, "aéяहა1"))
