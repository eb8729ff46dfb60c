"""Sentences about figures beside each other: two of them, one thing over time, two results side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from promptql.expressions import Compare, FieldRef, Operator, Predicate, Value
from promptql.plan import Plan
from promptql.predicate import conjuncts, describe
from promptql.rendering import shown
from promptql.steps import CompareStep, Comparison, Filter, Scan, Search

Number: TypeAlias = int | float
POINTS_MIN = 3  # fewer make no trend


def pair_sentence(first: tuple[str, Any], second: tuple[str, Any]) -> str:
    """As in "drama has 12, comedy 7: 5 more, 71 %."; empty where there is no number on either side."""
    (name, value), (other, against) = first, second
    if not is_number(value) or not is_number(against):
        return ""
    if value == against:
        return f"{name} and {other} have {shown(value)} each."
    difference = abs(value - against)
    share = f", {shown(round(100 * difference / abs(against), 1))} %" if against else ""
    return f"{name} has {shown(value)}, {other} {shown(against)}: {shown(difference)} {_more(value, against)}{share}."


def beside_sentence(points: Sequence[tuple[str, Any]], measure: str) -> str:
    """Figures of several things beside each other, with the difference and the ratio of the greatest and the least.

    As in "n: France 12, Spain 7; France has 5 more than Spain, 71.4 %, or 1.71 times as much."

    Args:
        points: what each thing is called, and its figure.
        measure: what the figures are.
    """
    said = f"{measure}: {', '.join(f'{name} {shown(value)}' for name, value in points)}"
    known = [(name, value) for name, value in points if is_number(value)]
    if len(known) < 2:
        return f"{said}."
    (most, value), (least, against) = max(known, key=lambda p: p[1]), min(known, key=lambda p: p[1])
    if value == against:
        return f"{said}; they are equal."
    apart = f"{most} has {shown(round(value - against, 6))} more than {least}"
    if against <= 0:
        return f"{said}; {apart}."
    share = shown(round(100 * (value - against) / against, 1))
    return f"{said}; {apart}, {share} %, or {shown(round(value / against, 2))} times as much."


def share_sentence(plan: Plan, step: CompareStep, row: Mapping[str, Any], measure: str) -> str:
    """As in "25 %: of 40 orders, 10 where status is cancelled."; columns: percent, part and whole, in that order.

    Args:
        plan: that answers with the share.
        step: the comparison of the part with the whole in it.
        row: of the answer.
        measure: what the whole is, with "{}" for how much: "{} orders".
    """
    percent, part, whole = row.values()
    of_part, of_whole = _all_conditions(plan, step.left), _all_conditions(plan, step.right)
    said = " and ".join(describe(item) for item in of_part if item not in of_whole)
    all_said = " and ".join(describe(item) for item in of_whole)
    of = f"of {measure.format(shown(whole))}{f' where {all_said}' if all_said else ''}"
    what = f"{of}, {shown(part)}{f' where {said}' if said else ''}"
    return f"The data does not say: {what}." if percent is None else f"{shown(percent)} %: {what}."


def _all_conditions(plan: Plan, name: str) -> list[Predicate]:
    """All conditions above a step, on whatever collection, each once."""
    found: dict[Predicate, None] = {}
    waiting = [name]
    while waiting:
        step = plan.by_id[waiting.pop()]
        if isinstance(step, (Filter, Scan, Search)):
            found |= dict.fromkeys(conjuncts(step.where))
        waiting += step.inputs
    return list(found)


def _more(value: Number, against: Number) -> str:
    return "more" if value > against else "less"


def trend_sentence(points: Sequence[tuple[Any, Any]]) -> str:
    """As in "It rose from 3 in 1990 to 12 in 2000, highest 14 in 1997."; empty where there are too few figures.

    Args:
        points: (when, figure), in any order; those without either are left out.
    """
    known = sorted((point for point in points if point[0] is not None and is_number(point[1])), key=lambda p: p[0])
    if len(known) < POINTS_MIN:
        return ""
    (begin, first), (end, last) = known[0], known[-1]
    verb = "rose" if last > first else "fell" if last < first else "was the same"
    moved = f"from {shown(first)} in {_when(begin)} to {shown(last)} in {_when(end)}"
    text = f"It {verb}, {shown(first)}, in {_when(begin)} and {_when(end)}" if first == last else f"It {verb} {moved}"
    extremes = [("highest", max(known, key=lambda p: p[1])), ("lowest", min(known, key=lambda p: p[1]))]
    said = [f"{word} {shown(value)} in {_when(when)}" for word, (when, value) in extremes if when not in (begin, end)]
    return ", ".join([text, *said]) + "."


def _when(moment: Any) -> str:
    """A moment without the parts that say nothing: "2000-01-01T00:00:00Z" as a day."""
    text = str(moment)
    return text.partition("T")[0] if "T00:00:00" in text else text


def is_number(value: object) -> bool:
    """Whether it is a figure; a boolean is none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def compared_sentence(plan: Plan, step: CompareStep, rows: Sequence[Mapping[str, Any]]) -> str:
    """What the comparison of two results comes to."""
    names = side_names(plan, step)
    columns = [name for name in rows[0] if name not in {*step.keys, step.alias}]
    field = step.field if step.field is not None else columns[0]
    right = f"right_{field}"
    if step.keys:
        return _most_changed(step, rows, field, right)
    row = rows[0]
    sentence = pair_sentence((names[0], row.get(field)), (names[1], row.get(right)))
    if sentence and step.comparison is Comparison.RATIO and row[step.alias] is not None:
        return f"{sentence[:-1]}; {names[0]} has {shown(row[step.alias])} times what {names[1]} has."
    if sentence:
        return sentence
    missing = [name for name, key in zip(names, (field, right), strict=True) if row.get(key) is None]
    return f"The data does not say: {' and '.join(missing) or 'it'} has no value of {field}."


def _most_changed(step: CompareStep, rows: Sequence[Mapping[str, Any]], field: str, right: str) -> str:
    known = [row for row in rows if is_number(row[step.alias])]
    if not known:
        return f"{len(rows)} compared; none has both values of {field}."
    names = {
        Comparison.DIFFERENCE: "difference",
        Comparison.RATIO: "ratio",
        Comparison.PERCENT_CHANGE: "change in percent",
    }
    said = []
    for word, row in (
        ("greatest", max(known, key=lambda r: r[step.alias])),
        ("least", min(known, key=lambda r: r[step.alias])),
    ):
        key = " / ".join(shown(row[name]) for name in step.keys)
        said.append(f"{word} for {key}: {shown(row[step.alias])} ({shown(row[field])} against {shown(row[right])})")
    return f"{len(rows)} compared; the {names[step.comparison]} is {', '.join(said[: min(2, len(known))])}."


def side_names(plan: Plan, step: CompareStep) -> tuple[str, str]:
    """What the two sides are called: by the conditions that only one of them has, else "the first" and "the second"."""
    left, right = _all_conditions(plan, step.left), _all_conditions(plan, step.right)
    names = (_name([part for part in left if part not in right]), _name([part for part in right if part not in left]))
    if names[0] == names[1]:
        return "the first", "the second"
    return names[0] or "all", names[1] or "all"


def _name(parts: Sequence[Predicate]) -> str:
    match parts:
        case [Compare(Operator.EQ, FieldRef(), Value(value))]:
            return shown(value)
        case _:
            return " and ".join(describe(part) for part in parts)
