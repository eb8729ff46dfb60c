"""What superlatives and comparatives measure: "oldest" and "older" an age or a year."""

from __future__ import annotations

from promptql.rules.asked import Asked
from promptql.rules.words import name_words

MEASURES = {
    "size area population": "largest biggest smallest greatest",
    "length distance duration time runtime": "longest shortest",
    "height elevation altitude ft m": "tallest highest shortest",
    "year date founded opened built established": "oldest newest earliest latest recent youngest",
    "age born": "oldest youngest",
    "weight mass": "heaviest lightest",
    "speed time": "fastest slowest",
    "price cost": "cheapest expensive",
    "points score rating": "best worst highest lowest top",
    "attendance": "attended",
    "population": "populous",
    "rank position place pos": "top best first worst last bottom",
}
# Measures that do not add up: what is asked of several documents is their average.
_INTENSIVE = frozenset(
    """price rate rates rating ratings score scores age year percent percentage pct ratio temperature height weight
    length duration runtime speed latitude longitude rank grade stars gpa level density depth width share elevation
    altitude average""".split()
)
_MEASURED = [(frozenset(names.split()), frozenset(words.split())) for names, words in MEASURES.items()]


def measured(asked: Asked, cue: int, words: tuple[str, ...]) -> bool:
    """Whether a column of that name is what the words of the cue measure: "oldest" an age or a year."""
    cued = {word for index, word in enumerate(asked.words) if cue >> index & 1}
    cued |= {f"{word[:-2]}est" for word in cued if word.endswith("er")}  # "older" looks for what "oldest" does
    return any(not names.isdisjoint(words) and not said.isdisjoint(cued) for names, said in _MEASURED)


def is_intensive(name: str) -> bool:
    """Whether values of a field of that name do not add up, as prices and ages do not."""
    return bool(_INTENSIVE & set(name_words(name)))
