"""How people speak of what is sold, bought and spent, as questions of the same sense that the forms over tables know.

"What are our best selling products" is the top of them by the quantity of the orders, "how much did V spend" the total
of what V ordered. Only where one collection records sales, and tells by its fields how much was sold or paid.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from promptql.catalog import Catalog, CollectionInfo
from promptql.plan import Assumption, Support
from promptql.rules.events import QUANTITIES, is_recorded
from promptql.rules.money import money_field
from promptql.rules.words import forms, name_words, normalize, plural, singular

RELATIONSHIP_CONFIDENCE_MIN = 0.6
TOP_MANY = 10
NAME_CHARACTERS_MAX = 80
Said: TypeAlias = tuple[str, tuple[CollectionInfo, ...]]  # the question, and what it is about beside the sales
_NAME = rf"(?P<name>.{{1,{NAME_CHARACTERS_MAX}}}?)"
_REST = r"(?P<rest>(?: (?:in|on|since|during|before|after|last|this|between|from)\b.*)?)"


@dataclass(frozen=True, slots=True)
class Trade:
    """The collection that records sales, and what its documents refer to.

    Attributes:
        quantity: the field of pieces; None where there is none.
        money: the field of what was paid; None where there is none.
    """

    sales: CollectionInfo
    sides: tuple[CollectionInfo, ...]
    quantity: str | None
    money: str | None


@dataclass(frozen=True, slots=True)
class Sense:
    """A question of the same sense.

    Attributes:
        question: as the data could answer it.
        needs: the collections that its answer is made from.
        how: it was understood.
    """

    question: str
    needs: frozenset[str]
    how: Assumption


def in_terms_of_sales(question: str, catalog: Catalog) -> Sense | None:
    """The question as the data could answer it; None where it does not speak of sales, or the data does not."""
    text = " ".join(question.split()).rstrip(" ?.!")
    for pattern, rewrite in _PATTERNS:
        match = pattern.fullmatch(text)
        if match is None:
            continue
        trade = _trade(catalog)
        said = None if trade is None else rewrite(match, trade)
        if said is not None and trade is not None:
            needs = frozenset({trade.sales.name, *(side.name for side in said[1])})
            return Sense(said[0], needs, Assumption(f"'{text}' = {said[0]}", Support.FUZZY))
    return None


def _trade(catalog: Catalog) -> Trade | None:
    """What is sold to whom; None where no collection records it, or several do."""
    found = [
        info for info in catalog.collections.values() if info.rows and is_recorded("sold", (info.name, *info.synonyms))
    ]
    if len(found) != 1:
        return None
    (sales,) = found
    sides = {
        item.right_collection: catalog.collections[item.right_collection]
        for item in catalog.relationships
        if item.left_collection == sales.name and item.confidence >= RELATIONSHIP_CONFIDENCE_MIN
    }
    quantities = [
        field.name for field in sales.fields.values() if field.numeric and QUANTITIES & set(name_words(field.name))
    ]
    money = money_field("revenue", catalog)
    return Trade(
        sales,
        tuple(sides.values()),
        quantities[0] if len(quantities) == 1 else None,
        money if money in sales.fields else None,
    )


def _side_called(trade: Trade, word: str) -> CollectionInfo | None:
    """The collection of whom or what is sold that a noun names."""
    found = [side for side in trade.sides if _is_called(side, word)]
    return found[0] if len(found) == 1 else None


def _is_called(info: CollectionInfo, word: str) -> bool:
    return any(forms(word.lower()) & forms(own) for own in name_words(info.name))


def _owner(trade: Trade, name: str) -> CollectionInfo | None:
    """The collection that has a document of that name."""
    key = normalize(name)
    found = [side for side in trade.sides if side.label in side.fields and key in side.fields[side.label].index]
    return found[0] if len(found) == 1 else None


def _other(trade: Trade, side: CollectionInfo) -> CollectionInfo | None:
    others = [other for other in trade.sides if other is not side]
    return others[0] if len(others) == 1 else None


def _noun(info: CollectionInfo) -> str:
    return plural(singular(" ".join(name_words(info.name))))


def _most_sold(match: re.Match[str], trade: Trade) -> Said | None:
    """As in "the 3 best selling products", "which product sold the most": by the pieces sold."""
    side = _side_called(trade, match["noun"])
    if side is None or trade.quantity is None:
        return None
    worst = match["way"].lower() in {"worst", "least", "fewest"}
    many = singular(match["noun"].lower()) != match["noun"].lower()
    count = match.groupdict().get("count") or (TOP_MANY if many else 1)
    return f"{'bottom' if worst else 'top'} {count} {_noun(side)} by {trade.quantity}{match['rest']}", (side,)


def _spent(match: re.Match[str], trade: Trade) -> Said | None:
    """As in "how much did Ann spend in May": the total of what Ann ordered."""
    owner = _owner(trade, match["name"])
    if trade.money is None or owner is None:
        return None
    return f"total {trade.money} of {match['name']}{match['rest']}", (owner,)


def _bought(match: re.Match[str], trade: Trade) -> Said | None:
    """As in "what did Ann buy": the things that Ann ordered."""
    owner = _owner(trade, match["name"])
    things = None if owner is None else _other(trade, owner)
    if owner is None or things is None:
        return None
    return f"{_noun(things)} ordered by {match['name']}{match['rest']}", (owner, things)


def _buyers(match: re.Match[str], trade: Trade) -> Said | None:
    """As in "who bought the lamp": those that ordered it."""
    thing = _owner(trade, match["name"])
    buyers = None if thing is None else _other(trade, thing)
    if thing is None or buyers is None:
        return None
    return f"Which {_noun(buyers)} ordered the {match['name']}{match['rest']}", (thing, buyers)


def _mean_value(match: re.Match[str], trade: Trade) -> Said | None:
    """As in "the average order value"."""
    if trade.money is None or not _is_called(trade.sales, match["noun"]):
        return None
    return f"average {trade.money} of {_noun(trade.sales)}{match['rest']}", ()


def _placed(match: re.Match[str], trade: Trade) -> Said | None:
    """As in "how many orders did each customer place"."""
    side = _side_called(trade, match["side"])
    if side is None or not _is_called(trade.sales, match["noun"]):
        return None
    return f"number of {match['noun']} per {singular(match['side'])}{match['rest']}", (side,)


def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


_SHOW = r"(?:(?:what|which) (?:are|is|were|was) |show (?:me )?|list |give me )?(?:the |our |my )?"
_SELLING = r"(?:top )?(?:(?P<count>\d{1,3}) )?(?P<way>best|worst|most|least|top)[- ](?:selling|sold) (?P<noun>\w+)"
_BE = r"(?:is |are |was |were )?"
_SOLD = rf"(?:which|what) (?P<noun>\w+) (?:{_BE}sold|sells?) (?:the )?(?P<way>most|best|worst|least)(?: often)?"
_DO = r"(?:did|does|do|has|have)"
_PATTERNS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str], Trade], Said | None]], ...] = (
    (_compiled(rf"{_SHOW}{_SELLING}{_REST}"), _most_sold),
    (_compiled(rf"{_SOLD}{_REST}"), _most_sold),
    (_compiled(rf"how much (?:money )?{_DO} {_NAME} (?:spend|spent|pay|paid)(?: with us)?{_REST}"), _spent),
    (_compiled(rf"what {_DO} {_NAME} (?:order|buy|purchase|ordered|bought|purchased){_REST}"), _bought),
    (_compiled(rf"who (?:has )?(?:bought|ordered|purchased) (?:the |a |an )?{_NAME}{_REST}"), _buyers),
    (_compiled(rf"(?:what (?:is|was) )?(?:the |our )?(?:average|mean) (?P<noun>\w+) value{_REST}"), _mean_value),
    (
        _compiled(rf"how many (?P<noun>\w+) {_DO} (?:each|every) (?P<side>\w+) (?:place|placed|make|made|have){_REST}"),
        _placed,
    ),
)
