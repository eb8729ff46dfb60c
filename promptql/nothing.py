"""What to say where nothing was found: that there is none, and the nearest thing that the data does say."""

from __future__ import annotations

import difflib

from promptql.answer import Band, Notice
from promptql.catalog import CollectionInfo
from promptql.context import Context
from promptql.evidence import nearest_facts
from promptql.expressions import Operator, Predicate, Value
from promptql.operators.rows import Rows
from promptql.plan import Plan
from promptql.planned import Planned
from promptql.predicate import comparisons, describe
from promptql.rendering import shown
from promptql.rules.words import normalize
from promptql.said import Said
from promptql.shape import Shape, is_plain, shape_of
from promptql.wording import noun_of, spelled

EMPTY_FACTOR = 0.7  # an empty result is a sign of a wrong reading
VALUES_NEAR_MAX = 3
NEAR_CUTOFF = 0.6  # of difflib: about every third character may differ


def nothing_said(context: Context, planned: Planned, plan: Plan, rows: Rows) -> Said:
    """That no document (or no row) is left, and what is nearest."""
    shape = shape_of(plan)
    if is_plain(plan):
        having = f" with {describe(shape.having)}" if shape.having is not None else ""
        text = spelled(f"No document matches: there are no {noun_of(shape, None)}{having}.", plan)
    else:
        text = "The data does not say: no row is left."
    text += nearest_sentence(context, shape, plan)
    band = Band.SEARCH if rows.passages is not None else Band.ASSUMPTIONS
    warning = Notice("empty_result", "no document matches")
    return Said(text, (), None, (), planned.confidence * EMPTY_FACTOR, band, warnings=(warning,))


def nearest_sentence(context: Context, shape: Shape, plan: Plan) -> str:
    """What the data does say about each condition alone, ranges, and values that are written alike."""
    info = context.catalog.collections[shape.source.collection]
    params = {key: parameter.value for key, parameter in plan.params.items()}
    facts = nearest_facts(shape.where, info, context.snapshots[info.name], params)
    facts += _values_near(shape.where, info)
    return f" What it does say: {'; '.join(facts)}." if facts else ""


def _values_near(where: Predicate | None, info: CollectionInfo) -> list[str]:
    """Stored values that look like those that nothing has."""
    found = []
    for _, item in comparisons(where):
        field = info.fields.get(item.field or "")
        if field is None or item.op is not Operator.EQ or not isinstance(item.right, Value):
            continue
        word = normalize(str(item.right.value))
        if word in field.index:
            continue
        near = difflib.get_close_matches(word, list(field.index), VALUES_NEAR_MAX, NEAR_CUTOFF)
        if near:
            found.append(f"{field.name} has {', '.join(shown(field.index[key][0]) for key in near)}")
    return found
