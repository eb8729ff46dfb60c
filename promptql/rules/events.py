"""Verbs for what documents are records of: orders are placed, sold and bought, loans are lent."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from promptql.rules.words import name_words, singular

_SALES = frozenset("sale order purchase transaction invoice sold checkout orderline orderitem".split())
_NOUNS = {
    "sold": _SALES, "sell": _SALES, "sells": _SALES, "selling": _SALES, "sale": _SALES,
    "ordered": _SALES, "bought": _SALES, "buy": _SALES, "purchased": _SALES, "purchase": _SALES,
    "placed": _SALES, "place": _SALES,
    "booked": frozenset({"booking", "reservation"}), "reserved": frozenset({"booking", "reservation"}),
    "borrowed": frozenset({"loan"}), "loaned": frozenset({"loan"}), "lent": frozenset({"loan"}),
    "rented": frozenset({"rental", "lease"}), "paid": frozenset({"payment", "invoice"}),
    "visited": frozenset({"visit"}), "reviewed": frozenset({"review"}), "enrolled": frozenset({"enrollment"}),
    "attended": frozenset({"attendance", "visit"}), "shipped": frozenset({"shipment", "delivery"}),
}  # fmt: skip
QUANTITIES = frozenset("quantity qty units pieces copies".split())
_PARTS = frozenset("date number no status total time day".split())  # of a document's own: "order_date"


def is_recorded(verb: str, names: Iterable[str]) -> bool:
    """Whether things of one of these names are records of what a folded verb says: orders of what was sold."""
    nouns = _NOUNS.get(verb)
    if nouns is None:
        return False
    return any(singular(word) in nouns for name in names for word in name_words(name))


@lru_cache(maxsize=4_096)
def recorded_in(fields: tuple[str, ...]) -> frozenset[str]:
    """What documents are, by the names of their fields: orders, which have an "order_date"."""
    known = frozenset().union(*_NOUNS.values())
    found = (name_words(field) for field in fields)
    return frozenset(words[0] for words in found if len(words) == 2 and words[0] in known and words[1] in _PARTS)
