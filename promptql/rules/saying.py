"""Sketches in words: what was assumed of the question's words, and what rival readings are."""

from __future__ import annotations

from promptql.plan import IGNORED, Assumption, Support
from promptql.rules.asked import Asked
from promptql.rules.columns import View
from promptql.rules.parts import Part
from promptql.rules.sketch import ROWS, Condition, Item, Sketch

_WORDS = {
    "=": "is", "!=": "is not", "~": "has", "!~": "has not", "<": "<", "<=": "≤", ">": ">", ">=": "≥", "in": "is among",
    "not in": "is not among", "filled": "is given", "missing": "is missing",
}  # fmt: skip
_FIGURES = {
    "avg": "average",
    "sum": "total",
    "max": "greatest",
    "min": "least",
    "distinct": "number of different",
    "count": "number of",
}


def say(sketch: Sketch, view: View) -> str:
    """A sketch in words: "average age where city is paris, the greatest by year"."""
    text = " and ".join(_item(item, view) for item in sketch.select)
    if sketch.distinct:
        text = f"different {text}"
    if sketch.shift:
        text += " of the row after" if sketch.shift > 0 else " of the row before"
    if sketch.where:
        text += " where " + " and ".join(" or ".join(_test(test, view) for test in clause) for clause in sketch.where)
    if sketch.group:
        text += " for each " + " and ".join(view.columns[number].name for number in sketch.group)
    if sketch.having is not None:
        item, op, bound = sketch.having
        text += f" with {_item(item, view)} {_WORDS[op]} {bound:g}"
    if sketch.pick is not None:
        text += f", the {sketch.pick.how}" + (
            ""
            if sketch.pick.item.column == ROWS and not sketch.pick.item.fn
            else f" by {_item(sketch.pick.item, view)}"
        )
    if sketch.combine is not None:
        text += f" {sketch.combine[0]} ({say(sketch.combine[1], view)})"
    return text


def _item(item: Item, view: View) -> str:
    name = "rows" if item.column == ROWS else view.columns[item.column].name
    return f"{_FIGURES.get(item.fn, item.fn)} {name}" if item.fn else name


def _test(test: Condition, view: View) -> str:
    value = (
        f"({say(test.value, view)})"
        if isinstance(test.value, Sketch)
        else ""
        if test.value is None
        else f" {test.value}"
    )
    return f"{view.columns[test.column].name} {_WORDS[test.op]} {value}".replace("  ", " ").strip()


def assumptions(asked: Asked, view: View, parts: tuple[Part, ...], mask: int) -> tuple[Assumption, ...]:
    """How the words of conditions were read, and which words nothing was made of."""
    found = []
    for part in parts:
        if part.value:
            said = _quoted(asked, part.value)
            meant = " and ".join(_test(clause[0], view) for clause in part.clauses)
            exact = part.clauses[0][0].op != "~"
            found.append(Assumption(f"'{said}' = {meant}", Support.EXACT if exact else Support.FUZZY))
    left = asked.content & ~mask
    found += (Assumption(f"{IGNORED}'{word}'", Support.INFERRED) for i, word in enumerate(asked.words) if left >> i & 1)
    return tuple(dict.fromkeys(found))


def _quoted(asked: Asked, mask: int) -> str:
    start = (mask & -mask).bit_length() - 1
    return asked.text[asked.places[start][0] : asked.places[mask.bit_length() - 1][1]]
