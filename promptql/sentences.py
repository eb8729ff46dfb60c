"""Sentences of a text as character spans."""

from __future__ import annotations

import re

# A sentence ends at . ! ? before white space and something that begins one, or at an empty line.
_END = re.compile(r"(?<=[.!?])[\"'”’)\]]*\s+(?=[\"'“‘(\[`*]*[A-Z0-9\u00c0-\uffff])|\n\s*\n\s*|[。！？]")
_SIGNATURE = re.compile(r"[\w.]+\s*\(.*\)\s*(?:->.*)?", re.DOTALL)
_MARKS = re.compile(r"[()\[\]{}=<>|*/\\:;,@#]")
_WORDS = re.compile(r"[^\W\d_]{2,}")
MARKS_EACH_WORD = 0.5  # text with more marks than this is code or a table rather than prose
_LETTERS = re.compile(r"[^\W\d_]{2}")


def sentence_spans(text: str, start: int = 0, end: int | None = None) -> list[tuple[int, int]]:
    """Spans [start, end) of the sentences of text[start:end], without white space around them.

    Pieces without a word in them are left out.
    """
    end = len(text) if end is None else end
    spans = []
    begin = start
    for match in _END.finditer(text, start, end):
        spans.append((begin, match.end()))
        begin = match.end()
    spans.append((begin, end))
    trimmed = (_trim(text, *span) for span in spans)
    return [span for span in trimmed if _LETTERS.search(text, *span)]


def _trim(text: str, start: int, end: int) -> tuple[int, int]:
    piece = text[start:end]
    start += len(piece) - len(piece.lstrip())
    return start, max(start, end - (len(piece) - len(piece.rstrip())))


def is_code(sentence: str) -> bool:
    """Whether the sentence looks like a signature, an example or a table rather than prose."""
    if sentence.startswith(">>>") or _SIGNATURE.fullmatch(sentence):
        return True
    return len(_MARKS.findall(sentence)) > MARKS_EACH_WORD * len(_WORDS.findall(sentence))
