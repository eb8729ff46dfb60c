"""Whether a reading over several collections leaves out what the question says, or goes a way it does not speak of."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from engine import FieldType
from promptql.catalog import ORDERED_TYPES, Catalog, CollectionInfo
from promptql.plan import Plan
from promptql.rules.concepts import SUPERLATIVES
from promptql.rules.linking import mentions_collection
from promptql.rules.words import WHO, Token, name_words, root, tokenize
from promptql.steps import AnswerStep, CompareStep, Filter, Function, Group, Join, Scan, Sort, step_to_json
from promptql.validation.plan import columns_of

BRIDGES_MAX = 1  # collections that are joined, of which neither the question nor a condition says anything
_ORDINALS = frozenset({"first", "last"})
_PERIODS = frozenset("day week month quarter year decade century hour name names".split())
_YEARS = re.compile(r"\b([12]\d{3})\s*(?:,|or|and|to|vs\.?|versus|than)\s+(?:in\s+)?([12]\d{3})\b", re.IGNORECASE)
_ENDS = frozenset({Function.MIN, Function.MAX})


def is_astray(question: str, plan: Plan, catalog: Catalog) -> bool:
    """Whether nothing was made of "last" or of "than", or collections are joined by a way that is not spoken of."""
    tokens = tokenize(question)
    infos = [catalog.collections[step.collection] for step in plan.steps if isinstance(step, Scan)]
    return (
        (_asks_for_an_end(tokens, infos) and not _gives_an_end(plan))
        or (any(token.folded == "than" for token in tokens) and not _compares(plan, infos))
        or _tells_no_name(tokens, plan, catalog)
        or _parts_years(question, plan)
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


def _tells_no_name(tokens: Sequence[Token], plan: Plan, catalog: Catalog) -> bool:
    """As in "who inspected it", where only times or numbers are told."""
    if not tokens or tokens[0].folded not in WHO:
        return False
    output = plan.by_id[plan.output]
    columns = columns_of(plan, catalog)[plan.output]
    told = output.fields if isinstance(output, AnswerStep) and output.fields is not None else tuple(columns)
    return all(columns[name].type in ORDERED_TYPES for name in told)


def _parts_years(question: str, plan: Plan) -> bool:
    """Whether two years that are said in one breath are compared with different fields."""
    said = _YEARS.search(question)
    if said is None:
        return False
    conditions = [step_to_json(step)["where"] for step in plan.steps if isinstance(step, Filter)]
    return len({name for where in conditions for name in _fields_with(where, said.groups())}) > 1


def _fields_with(where: Any, years: tuple[str, ...]) -> Iterator[str]:
    """The fields that are compared with one of the years, or a day of it."""
    match where:
        case {"l": {"field": str(name)}, "r": {"value": int(value) | str(value)}} if str(value)[:4] in years:
            yield name
        case dict():
            for item in where.values():
                yield from _fields_with(item, years)
        case list():
            for item in where:
                yield from _fields_with(item, years)


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
