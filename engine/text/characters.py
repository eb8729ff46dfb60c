"""Which characters make words, and what they fold to: case, width, diacritics, letters with a stroke."""

from __future__ import annotations

import re
import unicodedata
from functools import cache

# Scripts written without spaces (and Hangul, whose particles cling to words): indexed as pairs of characters.
_UNSPACED = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Myanmar
    (0x1100, 0x11FF),  # Hangul Jamo
    (0x1780, 0x17FF),  # Khmer
    (0x2E80, 0x2FDF),  # CJK radicals
    (0x3005, 0x3007),
    (0x3040, 0x318F),  # kana, Bopomofo, Hangul compatibility Jamo
    (0x31A0, 0x31FF),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xA960, 0xA97F),
    (0xAC00, 0xD7FF),  # Hangul
    (0xF900, 0xFAFF),
    (0xFF66, 0xFFDC),  # half-width kana and Jamo
    (0x20000, 0x323AF),
)
_LAST = 0x323AF  # beyond it there are only variation selectors and private use
_JOINERS = "\u00ad\u200c\u200d\u2060\ufeff"  # soft hyphen, zero-width (non-)joiner, word joiner: inside words, unseen
_LETTERS = str.maketrans(
    {
        **dict.fromkeys(_JOINERS),
        "\u0640": None,  # Arabic tatweel
        "ø": "o", "ł": "l", "đ": "d", "ð": "d", "ħ": "h", "ı": "i", "ŋ": "n", "ŧ": "t",
        "æ": "ae", "œ": "oe", "þ": "th",
        "ى": "ي", "ی": "ي", "ک": "ك", "ة": "ه",  # letters that Arabic and Persian keyboards exchange
    }
)  # fmt: skip


def fold(word: str) -> str:
    """A lower-case word without what readers leave out: diacritics, widths, ligatures, joiners.

    Marks go that sit upon a letter (canonical class 200 and up) or are the points of Hebrew and Arabic (10 to 36);
    what is a letter of its own to its readers stays: vowel signs and viramas of Indic scripts, voiced kana, й.
    """
    if word.isascii():
        return word
    kept = [
        letter if letter in "йў" else "".join(filter(_is_kept, unicodedata.normalize("NFKD", letter)))
        for letter in unicodedata.normalize("NFC", word)
    ]
    folded = unicodedata.normalize("NFC", "".join(kept).casefold()).translate(_LETTERS)
    return folded if folded.isalnum() else "".join(folded.split())


def _is_kept(character: str) -> bool:
    combining = unicodedata.combining(character)
    return not (combining >= 200 or 10 <= combining <= 36)


def is_unspaced(character: str) -> bool:
    """Whether a character belongs to a script that is indexed in pairs."""
    code = ord(character)
    return code >= 0x0E00 and any(low <= code <= high for low, high in _UNSPACED)


@cache
def word_pattern() -> re.Pattern[str]:
    """Runs of characters that are one word, or one stretch of a script without spaces (the group `unspaced`).

    Built on first use, in a fifth of a second. Python's own idea of a word leaves out all marks, and with them the
    vowel signs of Indic scripts.
    """
    letters: list[int] = []
    marks: list[int] = [ord(each) for each in _JOINERS]
    unspaced: list[int] = []
    for code in range(_LAST + 1):
        kind = unicodedata.category(chr(code))[0]
        if kind not in "LNM":
            continue
        if is_unspaced(chr(code)):
            unspaced.append(code)
        else:
            (marks if kind == "M" else letters).append(code)
    inside = f"{_ranges(letters)}{_ranges(sorted(marks))}"
    return re.compile(f"(?P<unspaced>[{_ranges(unspaced)}]+)|[{_ranges(letters)}][{inside}]*")


def _ranges(codes: list[int]) -> str:
    """Ascending code points as the inside of a character class."""
    parts: list[str] = []
    start = previous = codes[0]
    for code in [*codes[1:], -1]:
        if code != previous + 1:
            parts.append(f"\\U{start:08x}-\\U{previous:08x}")
            start = code
        previous = code
    return "".join(parts)
