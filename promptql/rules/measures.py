"""What superlatives and comparatives measure: "oldest" and "older" an age or a year."""

from __future__ import annotations

from promptql.rules.asked import Asked

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
_MEASURED = [(frozenset(names.split()), frozenset(words.split())) for names, words in MEASURES.items()]


def measured(asked: Asked, cue: int, words: tuple[str, ...]) -> bool:
    """Whether a column of that name is what the words of the cue measure: "oldest" an age or a year."""
    cued = {word for index, word in enumerate(asked.words) if cue >> index & 1}
    cued |= {f"{word[:-2]}est" for word in cued if word.endswith("er")}  # "older" looks for what "oldest" does
    return any(not names.isdisjoint(words) and not said.isdisjoint(cued) for names, said in _MEASURED)
