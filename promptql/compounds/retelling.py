"""A question that goes on from a share or a comparison, in the words of that: "and in 2024?"."""

from __future__ import annotations

import re
from datetime import datetime

from promptql.catalog import Catalog
from promptql.compounds.shares import within_share
from promptql.compounds.spans import PERIOD, YEAR, Named, all_named
from promptql.rules.words import STOPWORDS, tokenize

_LEANS = re.compile(
    r"^(?:(?:ok(?:ay)?|so|then)[,\s]+)?(?P<only>(?:and|but|now)?\s*(?:only|just)\s+)?(?:and|but|now|what\s+about|how\s+about|what\s+if)?"
    r"\s*(?P<rest>.{1,80}?)[\s?.!]*$",
    re.IGNORECASE,
)
_PLACED = re.compile(r"^(?:in|from|for|of|by|to|with|since|during|before|after|until)\b", re.IGNORECASE)
_SMALL = STOPWORDS | {"only", "just", "now", "since", "during", "before", "after", "until"}


def retold(question: str, before: str, catalog: Catalog, asked_at: datetime) -> str | None:
    """The question before with what this one names in the place of its like, or added; None where it names more."""
    match = _LEANS.match(" ".join(question.split()))
    if match is None:
        return None
    rest = match["rest"]
    found = [item for items in all_named(rest, catalog, asked_at).values() for item in items]
    named = max(found, key=lambda item: item.end - item.start, default=None)
    if named is None or not _is_all(rest, named):
        return None
    like = [
        items
        for items in all_named(before, catalog, asked_at).values()
        if items[0].key in ({YEAR, PERIOD} if named.key in (YEAR, PERIOD) else {named.key})
    ]
    if not match["only"] and like and len(like[0]) == 1:
        old = like[0][0]
        return f"{before[: old.start]}{rest[named.start : named.end]}{before[old.end :]}"
    if like:
        return None
    words = rest if _PLACED.match(rest) else f"{'in' if named.key == YEAR else 'from'} {rest}"
    return within_share(before, words) or f"{before.rstrip(' ?.!')} {words}?"


def _is_all(rest: str, named: Named) -> bool:
    """Whether nothing else is said than what is named."""
    others = (token for token in tokenize(rest) if not named.start <= token.start < named.end)
    return all(token.folded in _SMALL for token in others)
