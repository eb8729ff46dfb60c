"""Words of a question, folded for comparison, with their offsets kept."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

_TOKEN = re.compile(
    r"\d+(?:,\d{3})+(?:\.\d+)?(?!\w)|\d+\.\d+(?!\w)"  # 1,395.5 and 7.5 are one word
    r"|[^\W_]+n['’]t\b"  # aren't
    r"|['’]s\b"  # program's: dropped
    r"|[^\W_]+"
    r"|[<>!]=?|="
)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_ENDINGS = ("ings", "ing", "ions", "ion", "ors", "ers", "ed", "or", "er", "es", "s", "e", "y")
ROOT_CHARACTERS_MIN = 3

NEGATIONS = frozenset({"not", "no", "non", "never", "nor", "neither", "without", "except", "excluding", "none"})
WHO = frozenset({"who", "whom", "whose"})
WHETHER = frozenset({"is", "are", "was", "were", "does", "do", "did", "has", "have"})  # a yes or no is asked for
STOPWORDS = frozenset(
    """a about across all also am an and any are as at available be been being by can could data database dataset
    collection contain contained containing contains did do document documents does doing each entries entry every
    exist exists find for from get give given got had has have having here how i if in into is it item items its list
    made make makes many me much my name named names not number numbers of off on one ones only or our out overall
    please record records row rows s same say set she show so some such t tell than that the but their them then there
    these they this those thing things to total us value values was we were what when where which who whose will with
    within would you your called dated amount count not isn aren currently really actually just take
    takes accept accepts sorted ordered ranked""".split()
)


@dataclass(frozen=True, slots=True)
class Token:
    """A word of the question.

    Attributes:
        text: as written; start, end: its characters in the question.
        folded: case and accents folded.
        forms: the word and what it could be the plural of.
        root: the word without its ending, for loose comparison ("directed" and "director").
    """

    text: str
    folded: str
    start: int
    end: int
    forms: frozenset[str]
    root: str


def fold(text: str) -> str:
    """Case and accents folded: "Café" → "cafe"."""
    if text.isascii():
        return text.lower()
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(c for c in decomposed if not unicodedata.combining(c)).casefold()


def tokenize(text: str) -> tuple[Token, ...]:
    """The words and comparison signs of a text, in order."""
    tokens = []
    for match in _TOKEN.finditer(text):
        raw = match.group()
        if raw[0] in "'’":
            continue
        folded = "not" if raw[-2:] in {"'t", "’t"} else fold(raw)
        tokens.append(Token(raw, folded, match.start(), match.end(), forms(folded), root(folded)))
    return tuple(tokens)


@lru_cache(maxsize=65_536)
def forms(word: str) -> frozenset[str]:
    """The folded word and the singulars that it could be the plural of."""
    found = {word}
    if len(word) > 3 and word.endswith("s") and not word.endswith("ss"):
        found.add(word[:-1])
        if word.endswith("es"):
            found.add(word[:-2])
        if word.endswith("ies"):
            found.add(word[:-3] + "y")
    return frozenset(found)


@lru_cache(maxsize=65_536)
def root(word: str) -> str:
    """The word without its ending, at least three characters long."""
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= ROOT_CHARACTERS_MIN:
            return word[: -len(ending)]
    return word


def _words(folded: str) -> list[str]:
    return [match.group() for match in _TOKEN.finditer(folded) if match.group()[0] not in "'’"]


@lru_cache(maxsize=65_536)  # values are normalized once, not once a question
def normalize(text: str) -> str:
    """A stored value as the words of a question would be: folded, joined by single spaces."""
    return fold(text) if text.isalnum() else " ".join(_words(fold(text)))


@lru_cache(maxsize=16_384)  # of fields and collections, asked about in every question
def name_words(name: str) -> tuple[str, ...]:
    """The folded words of a field's or collection's name: "releaseYear", "release_year" → release, year."""
    return tuple(token.folded for token in tokenize(_CAMEL.sub(" ", name)))


_IRREGULAR = {  # plural → singular, where the endings mislead
    "movies": "movie", "cookies": "cookie", "zombies": "zombie", "ties": "tie", "series": "series",
    "species": "species", "news": "news", "people": "person", "children": "child", "men": "man", "women": "woman",
}  # fmt: skip
_IRREGULAR_PLURALS = {one: many for many, one in _IRREGULAR.items()}
_NOT_PLURAL = ("ss", "us", "is")
_WITH_ES = ("sses", "xes", "zzes", "ches", "shes")


def singular(word: str) -> str:
    """The English singular, by rule, of a word or of the last word of a phrase; a singular stays as it is."""
    folded = word.rpartition(" ")[2].lower()
    if folded in _IRREGULAR:
        return word[: len(word) - len(folded)] + _IRREGULAR[folded]
    if len(folded) < 4 or not folded.endswith("s") or folded.endswith(_NOT_PLURAL):
        return word
    if folded.endswith("ies"):
        return f"{word[:-3]}y"
    return word[:-2] if folded.endswith(_WITH_ES) else word[:-1]


def plural(word: str) -> str:
    """The English plural, by rule, of a word or of the last word of a phrase; a plural stays as it is."""
    folded = word.rpartition(" ")[2].lower()
    if folded in _IRREGULAR or singular(word) != word:
        return word
    if folded in _IRREGULAR_PLURALS:
        return word[: len(word) - len(folded)] + _IRREGULAR_PLURALS[folded]
    if folded.endswith(("s", "x", "z", "ch", "sh")):
        return f"{word}es"
    if folded.endswith("y") and folded[-2:-1] not in "aeiou":
        return f"{word[:-1]}ies"
    return f"{word}s"
