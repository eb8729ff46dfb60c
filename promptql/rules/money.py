"""Words for money that is made or spent, and the field that holds it: "spending" of orders with a total."""

from __future__ import annotations

from typing import TYPE_CHECKING

from promptql.plan import Assumption, Support
from promptql.rules.words import forms, name_words, tokenize

if TYPE_CHECKING:
    from promptql.catalog import Catalog

_SPOKEN = frozenset(
    """revenue revenues sales turnover spending spend spends spent income earnings proceeds takings paid payments
    expenditure expenses""".split()
)
# What fields that hold it are called, the likeliest first. A price is none: it is of one piece.
_HELD = "revenue turnover sales spent spending paid total amount subtotal payment income earnings value".split()


def speaks_of_money(word: str) -> bool:
    """Whether a folded word means money that is made or spent."""
    return word in _SPOKEN


def in_words_of_the_data(question: str, catalog: Catalog) -> tuple[str, tuple[Assumption, ...]]:
    """A phrase or question with a word for money that names nothing in the data by what the data calls it."""
    for token in tokenize(question):
        field = money_field(token.folded, catalog) if speaks_of_money(token.folded) else None
        if field is not None:
            name = " ".join(name_words(field))
            said = Assumption(f"'{token.text}' = {field}", Support.FUZZY)
            return f"{question[: token.start]}{name}{question[token.end :]}", (said,)
    return question, ()


def money_field(word: str, catalog: Catalog) -> str | None:
    """The field that a word for money means; None where the word itself names something, or none or several do."""
    infos = [info for info in catalog.collections.values() if info.rows]
    names = [name for info in infos for name in (info.name, *info.synonyms, *info.fields)]
    if any(forms(word) & forms(own) for name in names for own in name_words(name)):
        return None
    found = {
        (_HELD.index(held[0]), info.name, field.name)
        for info in infos
        for field in info.fields.values()
        if field.numeric and (held := [word for word in name_words(field.name) if word in _HELD])
    }
    best = sorted(found)
    alone = len(best) == 1 or (len(best) > 1 and best[0][0] < best[1][0])
    return best[0][2] if alone else None
