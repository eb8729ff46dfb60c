"""Prose: paragraphs and sentences, in scripts with and without spaces."""

from __future__ import annotations

import re

from models.splitting.structure import Level, Structure

_PARAGRAPH = re.compile(r"\n[^\S\n]*\n\s*")
# Sentence marks with closing quotes or brackets, then space; or the CJK marks, which no space follows.
_SENTENCE = re.compile(r"""(?<=[.!?…।۔؟։።])["'”’»)\]]*\s+|(?<=[。！？｡])["'”’»）」』]*\s*""")
# A line that starts in lower case continues the sentence of a hard-wrapped text.
_LINE = re.compile(r"\n\s*+(?![a-zà-öø-ÿ])")
_ABBREVIATION = re.compile(
    r"(?:^|[\s(\[\"'])(?:[A-Za-z]|(?:[A-Za-z]\.)+[A-Za-z]|al|approx|bzw|ca|cf|col|dept|dr|ed|eds|eq|eqs|etc|fig|figs|"
    r"gen|gov|hon|inkl|jr|lt|mr|mrs|ms|mt|no|nos|nr|pp|prof|ref|refs|rep|rev|sec|sen|sgt|sr|st|usw|vgl|vol|vols|vs)\.$",
    re.IGNORECASE,
)
# "1." and "2.3." at the start of a line number what follows.
_NUMBERING = re.compile(r"(?:^|\n)[^\S\n]*(?:\d{1,3}\.)+$")
_LOOKED_BACK = 14


def prose(text: str) -> Structure:
    """Passages end at the last paragraph break in their second half, else at the last sentence end."""
    paragraphs = [match.end() for match in _PARAGRAPH.finditer(text)]
    return Structure((Level(paragraphs, least=0.5), Level(sentence_starts(text))))


def sentence_starts(text: str) -> list[int]:
    """Places where a sentence, or a line that does not go on with one, begins."""
    lines = [match.end() for match in _LINE.finditer(text)]
    return lines + [match.end() for match in _SENTENCE.finditer(text) if _ends_sentence(text, match)]


def _ends_sentence(text: str, match: re.Match[str]) -> bool:
    """Not after an abbreviation, an initial or a number of a list, and not before a word in lower case."""
    if text[match.end() : match.end() + 1].islower():
        return False
    before = text[max(0, match.start() - _LOOKED_BACK) : match.start()]
    return not (before.endswith(".") and (_ABBREVIATION.search(before) or _NUMBERING.search(before)))
