"""Operators on strings that are more than a comparison: patterns by RE2, words by the analyser of the text index."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa

from engine.arrays import Mask
from engine.errors import FilterError
from engine.fields import kernels as pc
from engine.text.analyzer import WORD_CHARACTERS_MAX, Analyzer

_SPECIAL = re.compile(r"\\(.)|([%_])|([^\\%_]+)|(\\)", re.DOTALL)


def check_regex(pattern: str, pointer: str) -> None:
    """Refuse what RE2 does not take.

    Raises:
        FilterError: with RE2's reason.
    """
    try:
        pc.match_substring_regex(pa.array([""]), pattern)
    except pa.ArrowInvalid as error:
        reason = str(error).rpartition("regular expression: ")[2].splitlines()[0]
        raise FilterError(f"regular expression cannot be used: reason={reason:.120}", pointer=pointer) from error


def match_strings(strings: Any, op: str, value: str, language: str | None) -> Mask:
    """Which strings satisfy `$like`, `$regex`, `$match` or `$phrase`; null never does.

    Args:
        strings: Arrow array or chunked array.
        op: the operator.
        value: its operand.
        language: of the stems of a text field.
    """
    match op:
        case "$regex":
            return _flags(pc.match_substring_regex(strings, value))
        case "$like":
            return _flags(pc.match_substring_regex(strings, like_regex(value)))
        case _:
            return _match_words(strings, value, language, in_order=op == "$phrase")


def like_regex(pattern: str) -> str:
    """A pattern of `$like` as one of RE2 that matches the same whole strings."""
    parts = [r"(?s)\A"]
    for escaped, wildcard, plain, slash in _SPECIAL.findall(pattern):
        parts.append({"%": ".*", "_": "."}[wildcard] if wildcard else re.escape(escaped or plain or slash))
    return "".join([*parts, r"\z"])


def _match_words(strings: Any, words: str, language: str | None, *, in_order: bool) -> Mask:
    analyzer = _analyzer(language)
    wanted = [term.term for term in analyzer.query_terms(words)]
    if not wanted:
        return np.zeros(len(strings), dtype=bool)
    needed = frozenset(wanted)

    def holds(text: str) -> bool:
        terms = [term.term for term in analyzer.terms(text)]
        return needed.issubset(terms) and (not in_order or _follow(terms, wanted))

    mask = _may_hold(strings, needed, language)
    places = np.flatnonzero(mask)
    texts = strings.take(pa.array(places)).to_pylist()
    mask[places] = np.fromiter(map(holds, texts), dtype=bool, count=len(texts))
    return mask


def _may_hold(strings: Any, terms: frozenset[str], language: str | None) -> Mask:
    """Which strings are worth an analysis: where nothing is stemmed, the words of ASCII stand in it as they are."""
    mask = _flags(strings.is_valid())
    if language is None:
        plain = _flags(pc.string_is_ascii(strings))
        for term in terms:
            if term.isascii():
                end = "" if len(term) == WORD_CHARACTERS_MAX else "([^a-z0-9]|$)"  # longer words are cut
                mask &= ~plain | _flags(pc.match_substring_regex(strings, f"(?i)(^|[^a-z0-9]){term}{end}"))
    return mask


def _follow(terms: list[str], wanted: list[str]) -> bool:
    """Whether `wanted` stands in `terms` without a gap."""
    places = (place for place, term in enumerate(terms) if term == wanted[0])
    return any(terms[place : place + len(wanted)] == wanted for place in places)


@lru_cache(maxsize=32)
def _analyzer(language: str | None) -> Analyzer:
    return Analyzer(language)


def _flags(array: Any) -> Mask:
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    flags: Mask = array.fill_null(False).to_numpy(zero_copy_only=False)
    return flags.astype(bool, copy=True)
