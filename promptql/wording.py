"""Template sentences and Markdown tables for figures, groups and lists."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from promptql.catalog import LABEL_NAMES
from promptql.expressions import Compare, DateUnit, Not, Operator, Predicate, Value
from promptql.plan import Plan
from promptql.predicate import conjunction, conjuncts, describe
from promptql.rendering import TABLE_ROWS_MAX, shown
from promptql.rules.concepts import TIME
from promptql.rules.linking import telling_words
from promptql.rules.words import name_words, plural, singular
from promptql.shape import Shape, upwards
from promptql.steps import (
    Aggregation,
    Bucket,
    Filter,
    Function,
    Group,
    GroupKey,
    LookupStep,
    Order,
    Scan,
    Step,
    step_to_json,
)

NAMED_MAX = 3  # rows named in the sentence above a table
NAMED_ALL = 5  # … but so few are all named
_PLACE = re.compile(r"\{([^{}]{1,256})\}")
_KINDS = frozenset({"kind", "type"})  # fields whose values are nouns for their documents


def noun_of(shape: Shape, count: int | None) -> str:
    """What the documents are called: the value of their kind, else the collection's name, with the conditions."""
    rest = []
    word = None
    for part in conjuncts(shape.where):
        kind = _kind(part)
        if kind is not None and word is None:
            word = kind
        else:
            rest.append(part)
    one, many = (singular(word), plural(word)) if word else _collection_noun(shape.source.collection)
    where = conjunction(*rest)
    return (one if count == 1 else many) + (f" where {describe(where)}" if where is not None else "")


def _kind(part: Predicate) -> str | None:
    if isinstance(part, Compare) and part.op is Operator.EQ and isinstance(part.right, Value):
        value = part.right.value
        if (part.field or "").casefold() in _KINDS and isinstance(value, str):
            return _common_noun(value)
    return None


def _common_noun(kind: str) -> str:
    """A kind as a noun within a sentence: "TV Show" → "TV show"."""
    return " ".join(word.lower() if word[1:].islower() else word for word in kind.split())


def _collection_noun(collection: str) -> tuple[str, str]:
    words = telling_words(collection)
    if words and words[-1].isalpha() and singular(words[-1]) != words[-1]:
        many = " ".join(words)
        return singular(many), many
    return "document", "documents"


def documents_noun(collection: str, count: int) -> str:
    """What so many documents of a collection are called."""
    one, many = _collection_noun(collection)
    return one if count == 1 else many


def figure_sentence(shape: Shape, row: Mapping[str, Any], documents: int) -> str:
    """One sentence a figure, for a group of everything."""
    assert shape.group is not None
    return " ".join(_figure(item, row[item.alias], shape, documents) for item in shape.group.aggs)


def _figure(item: Aggregation, value: Any, shape: Shape, documents: int) -> str:
    noun = noun_of(shape, documents)
    if item.fn is Function.COUNT:
        held = f" with a value of {item.field}" if item.field else ""
        return f"There {'is' if value == 1 else 'are'} {value} {noun_of(shape, value)}{held}."
    if value is None:
        return f"The data does not say: no {noun_of(shape, 1)} has a value of {item.field}."
    if item.fn is Function.COUNT_DISTINCT:
        verb = "is" if value == 1 else "are"
        return f"There {verb} {value} different {_values_of(item.field, value)} among {documents} {noun}."
    if item.fn in (Function.ARGMAX, Function.ARGMIN):
        return f"Over {documents} {noun}, {_function_name(item)} is {shown(value)}."
    return f"The {_function_name(item)} of {item.field} over {documents} {noun} is {shown(value)}."


_FUNCTIONS = {
    Function.AVG: "average",
    Function.SUM: "total",
    Function.MIN: "least",
    Function.MAX: "greatest",
    Function.STDDEV: "standard deviation",
    Function.COUNT_DISTINCT: "number of different",
}


def _function_name(item: Aggregation) -> str:
    match item.fn:
        case Function.PERCENTILE:
            return f"{shown(100 * (item.p or 0.0))} % percentile"
        case Function.ARGMAX | Function.ARGMIN:
            return f"the {item.field} with the {'greatest' if item.fn is Function.ARGMAX else 'least'} {item.by}"
        case _:
            return _FUNCTIONS.get(item.fn, item.fn.value)


def _values_of(field: str | None, count: int | None = None) -> str:
    if field and field.isalpha():
        return singular(field) if count == 1 else plural(field)
    return f"{'value' if count == 1 else 'values'} of {field}"


def rows_sentence(rows: Sequence[Mapping[str, Any]], values: Sequence[str], total: int) -> str:
    """The sentence above any table, where no more is known of it than its columns; `values` are those asked for."""
    columns = [name for name in values if name in rows[0]] or [*rows[0]]
    if total == 1 and all(rows[0][name] is None for name in columns):
        return f"The data does not say: there is no value of {' or '.join(columns)}."
    if total == 1:
        return f"The answer: {', '.join(f'{name} is {shown(rows[0][name])}' for name in columns)}."
    named = [" / ".join(shown(row[name]) for name in columns[:2]) for row in rows[:NAMED_ALL]]
    return f"{total} rows: {_enumerated(named, total)}."


def filled(template: str, rows: Sequence[Mapping[str, Any]], total: int) -> str:
    """A plan's own words, with `{column}` replaced by values of the first row, and `{rows}` by how many there are."""
    first = rows[0] if rows else {}

    def value(match: re.Match[str]) -> str:
        name = match[1]
        return str(total) if name == "rows" and name not in first else shown(first[name]) if name in first else match[0]

    return _PLACE.sub(value, template)


def spelled(text: str, plan: Plan) -> str:
    """The text with parameters by their values, and figures that were looked up on the way by what they are."""
    for name, parameter in plan.params.items():
        if parameter.value is not None:
            value = shown(parameter.value).replace("\\", r"\\")
            text = re.sub(rf":{re.escape(name)}\b", value, text)
    for step in plan.steps:
        if isinstance(step, LookupStep):
            group = next((item for item in upwards(plan, step.input) if isinstance(item, Group)), None)
            item = next((item for item in group.aggs if item.alias == step.field), None) if group else None
            words = None
            if item is not None:
                words = f"the {_function_name(item)} {item.field}" if item.field else "the number of documents"
            elif group is None:
                words = _of_one(plan, step)
            if words is not None:
                text = re.sub(rf"the value of {re.escape(step.id)}\b", words.replace("\\", r"\\"), text)
    return text


def _of_one(plan: Plan, step: LookupStep) -> str | None:
    """As in "that of Max", where a document is looked up by one value."""
    steps = upwards(plan, step.input)
    where = [part for item in steps if isinstance(item, (Scan, Filter)) for part in conjuncts(item.where)]
    match where:
        case [Compare(Operator.EQ, _, Value(str(value)))]:
            return f"that of {value}"
    return None


def groups_sentence(shape: Shape, rows: Sequence[Mapping[str, Any]], total: int) -> str:
    """The sentence above a table of groups."""
    group = shape.group
    assert group is not None
    item = group.aggs[0]
    noun = _collection_noun(shape.source.collection)[0]
    counts = item.fn is Function.COUNT  # documents by their own name are not counted
    key = " and ".join(_key_noun(by, "" if counts else noun) for by in group.by)
    measure = _measure(item, shape)
    named = [(_key(row, group), shown(row[item.alias])) for row in rows]
    ranked = shape.sort is not None and shape.sort.by[0].field == item.alias
    if ranked and shape.limit is not None and shape.sort is not None:
        extreme = _extreme(item, shape, descending=shape.sort.by[0].descending)
        if len(named) == 1:
            return f"The {key} with {extreme} is {named[0][0]}: {named[0][1]}."
        if shape.limit.ties:
            names = ", ".join(name for name, _ in named)
            return f"{len(named)} share {extreme} ({named[0][1]} each): {names}."
        return f"The {len(named)} {_values_of(key)} with {extreme}: {_listed(named, total)}."
    suffix = f" ({describe(shape.having)})" if shape.having is not None else ""
    return f"{measure[0].upper()}{measure[1:]} by {key}{suffix}, {total} in all: {_listed(named, total)}."


def _measure(item: Aggregation, shape: Shape) -> str:
    if item.fn is Function.COUNT:
        return f"number of {noun_of(shape, None)}"
    if item.fn in (Function.ARGMAX, Function.ARGMIN):
        return f"{_function_name(item)} of {_ranked_noun(shape)}"
    return f"{_function_name(item)} {item.field} of {_ranked_noun(shape)}"


def _ranked_noun(shape: Shape) -> str:
    """The documents that are ranked; that those without a value are left out goes without saying."""
    parts = (part for part in conjuncts(shape.where) if not _is_known(part))
    return noun_of(replace(shape, where=conjunction(*parts)), None)


def _is_known(part: Predicate) -> bool:
    return isinstance(part, Not) and isinstance(part.item, Compare) and part.item.op is Operator.IS_NULL


def _extreme(item: Aggregation, shape: Shape, *, descending: bool) -> str:
    if item.fn is Function.COUNT:
        return f"the {'most' if descending else 'fewest'} {_ranked_noun(shape)}"
    if item.fn is Function.COUNT_DISTINCT:
        return f"the {'most' if descending else 'fewest'} different {_values_of(item.field)}"
    return f"the {'highest' if descending else 'lowest'} {_measure(item, shape)}"


def _extreme_word(key: Order) -> str:
    words = name_words(key.field)
    if any(word in TIME for word in words):
        return "latest" if key.descending else "earliest"
    if words and words[-1].endswith("s") and not words[-1].endswith("ss"):
        return "most" if key.descending else "fewest"
    return "highest" if key.descending else "lowest"


def _key(row: Mapping[str, Any], group: Group) -> str:
    return " / ".join(key_shown(key, row[name]) for key, name in zip(group.by, group.names, strict=True))


def key_shown(key: GroupKey, value: Any) -> str:
    """What tells a group apart, for reading: of a time its month or year, say."""
    if not isinstance(key, Bucket) or key.unit is None or not isinstance(value, str):
        return shown(value)
    match key.unit:
        case DateUnit.YEAR:
            return value[:4]
        case DateUnit.QUARTER:
            return f"{value[:4]}-Q{(int(value[5:7]) + 2) // 3}"
        case DateUnit.MONTH:
            return value[:7]
        case _:
            return shown(value)


def _key_noun(key: GroupKey, noun: str) -> str:
    if isinstance(key, Bucket):
        return f"{key.unit.value} of {key.field}" if key.unit is not None else f"range of {key.field}"
    return noun if noun and key in LABEL_NAMES else singular(key)


def _listed(named: Sequence[tuple[str, str]], total: int) -> str:
    return _enumerated([f"{name} ({value})" for name, value in named[:NAMED_ALL]], total)


def _enumerated(names: Sequence[str], total: int) -> str:
    """All names where they are few, else the first and how many more there are."""
    if total <= NAMED_ALL:
        return ", ".join(names)
    return f"{', '.join(names[:NAMED_MAX])} and {total - NAMED_MAX} more"


def documents_sentence(
    shape: Shape,
    rows: Sequence[Mapping[str, Any]],
    values: Sequence[str],
    total: int,
    called: Sequence[str],
    *,
    named: bool = True,
) -> str:
    """The sentence above a list of documents.

    Args:
        shape: of the plan.
        rows: the first of them.
        values: the columns that were asked for.
        total: how many there are.
        called: (rows,) what they are called.
        named: the first column is what documents are called by.
    """
    label = next(iter(rows[0]))
    if shape.sort is not None and shape.limit is not None:
        key = shape.sort.by[0]
        extreme = f"the {_extreme_word(key)} {key.field}"
        figures = [(name, shown(row.get(key.field))) for name, row in zip(called, rows, strict=True)]
        if len(rows) == 1:
            asked = {name: rows[0][name] for name in values if name not in (label, key.field) and name in rows[0]}
            said = f"; {_told_cells(asked)}" if asked else ""  # "who wrote the longest book"
            return f"The {noun_of(shape, 1)} with {extreme} is {figures[0][0]}: {figures[0][1]}{said}."
        if shape.limit.ties:
            names = ", ".join(name for name, _ in figures[:TABLE_ROWS_MAX])
            return f"{len(rows)} {noun_of(shape, len(rows))} share {extreme} ({figures[0][1]}): {names}."
        return f"The {len(rows)} {noun_of(shape, len(rows))} with {extreme}: {_listed(figures, total)}."
    if total == 1 and not named and len(values) == 1 and values[0] in rows[0] and shape.where is not None:
        return _facts(f"The {noun_of(shape, 1)}", {values[0]: rows[0][values[0]]})
    if total == 1 and [*values] != [label]:
        return _facts(called[0], {name: rows[0][name] for name in values if name in rows[0]})
    return f"{total} {noun_of(shape, total)}: {_enumerated(called[:NAMED_ALL], total)}."


def _facts(name: str, cells: Mapping[str, Any]) -> str:
    """What one document says."""
    if all(cell is None or cell == [] for cell in cells.values()):
        return f"The data does not say: {name} has no value of {' or '.join(cells)}."
    return f"{name}: {_told_cells(cells)}."


def _told_cells(cells: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{field} {'are' if isinstance(cell, list) and len(cell) > 1 else 'is'} {shown(cell)}"
        for field, cell in cells.items()
    )


def described(plan: Plan) -> str:
    """The steps of a plan in words, one a line, each after those that it reads."""
    return "\n".join(f"{step.id}: {_step_words(step)}" for step in plan.order())


def _step_words(step: Step) -> str:
    """One step: what it does to what."""
    data = step_to_json(step)
    where = getattr(step, "where", None)
    rest = {key: value for key, value in data.items() if key not in {"id", "op", "input", "left", "right", "where"}}
    of = " and ".join(step.inputs) if step.inputs else ""
    parts = [step.op, *([f"of {of}"] if of else [])]
    parts += [f"{key} {_plain(value)}" for key, value in rest.items()]
    return ", ".join([" ".join(parts[:2]), *parts[2:], *([f"where {describe(where)}"] if where is not None else [])])


def _plain(value: Any) -> str:
    match value:
        case dict() if set(value) == {"field"}:
            return str(value["field"])
        case dict():
            return " ".join(f"{key} {_plain(item)}" for key, item in value.items())
        case list():
            return "; ".join(_plain(item) for item in value)
        case _:
            return shown(value)
