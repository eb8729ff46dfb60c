"""Whether a reading over several collections leaves out what the question says, or goes a way it does not speak of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine import FieldType
from promptql.catalog import Catalog, CollectionInfo
from promptql.plan import Plan
from promptql.rules.concepts import SUPERLATIVES
from promptql.rules.linking import mentions_collection
from promptql.rules.words import Token, name_words, root, tokenize
from promptql.steps import CompareStep, Filter, Function, Group, Join, Scan, Sort, step_to_json

BRIDGES_MAX = 1  # collections that are joined, of which neither the question nor a condition says anything
_ORDINALS = frozenset({"first", "last"})
_PERIODS = frozenset("day week month quarter year decade century hour name names".split())
_ENDS = frozenset({Function.MIN, Function.MAX})


def is_astray(question: str, plan: Plan, catalog: Catalog) -> bool:
    """Whether nothing was made of "last" or of "than", or collections are joined by a way that is not spoken of."""
    tokens = tokenize(question)
    infos = [catalog.collections[step.collection] for step in plan.steps if isinstance(step, Scan)]
    return (
        (_asks_for_an_end(tokens, infos) and not _gives_an_end(plan))
        or (any(token.folded == "than" for token in tokens) and not _compares(plan, infos))
        or _bridges(tokens, plan, infos) > BRIDGES_MAX
    )


def _asks_for_an_end(tokens: Sequence[Token], infos: Sequence[CollectionInfo]) -> bool:
    """As in "the last inspection", "the cheapest"; "last year" is a period, and "first name" a field."""
    named = {word for info in infos for field in info.fields for word in name_words(field)}
    following = [*(token.forms for token in tokens[1:]), frozenset[str]()]
    return any(
        token.folded not in named
        and (token.folded in SUPERLATIVES or (token.folded in _ORDINALS and not after & _PERIODS))
        for token, after in zip(tokens, following, strict=True)
    )


def _gives_an_end(plan: Plan) -> bool:
    ends = (agg.fn in _ENDS for step in plan.steps if isinstance(step, Group) for agg in step.aggs)
    return any(isinstance(step, Sort) for step in plan.steps) or any(ends)


def _compares(plan: Plan, infos: Sequence[CollectionInfo]) -> bool:
    """Whether figures are put beside each other, or something else than times is compared."""
    times = {name for info in infos for name, field in info.fields.items() if field.type is FieldType.DATETIME}
    if any(isinstance(step, CompareStep) for step in plan.steps):
        return True
    return any(_orders(step_to_json(step)["where"], times) for step in plan.steps if isinstance(step, Filter))


def _orders(where: Any, times: set[str]) -> bool:
    match where:
        case {"op": "<" | "<=" | ">" | ">=", "l": left}:
            return not (isinstance(left, dict) and left.get("field") in times)
        case dict():
            return any(_orders(item, times) for item in where.values())
        case list():
            return any(_orders(item, times) for item in where)
        case _:
            return False


def _bridges(tokens: Sequence[Token], plan: Plan, infos: Sequence[CollectionInfo]) -> int:
    """How many collections are joined that the question does not name, and of which it says and asks nothing."""
    said = {token.root for token in tokens}
    used = " ".join(str(step_to_json(step)) for step in plan.steps if not isinstance(step, (Scan, Join)))
    return sum(
        not any(mentions_collection(token, info) for token in tokens)
        and not any(f"'{name}'" in used or f"_{name}'" in used for name in info.fields)
        and not {root(word) for name in info.fields for word in name_words(name)} & said
        for info in infos
    )
