"""Whether a plan tells what kind of thing a question asks for: a place of "where", a number of "how much"."""

from __future__ import annotations

import re
from collections.abc import Mapping

from engine import FieldType
from promptql.catalog import ID, NUMBER_TYPES, ORDERED_TYPES, STRING_TYPES, Catalog, FieldInfo, SemanticType
from promptql.errors import PlanError
from promptql.plan import Plan
from promptql.rules.cues import PLACE
from promptql.rules.words import name_words
from promptql.steps import AnswerStep, Group, Limit, Scan, Search
from promptql.validation.plan import columns_of

_ASKED = re.compile(r"^(?P<word>who|whom|whose|when|where|how\s+much|how\s+long|how\s+old)\b", re.IGNORECASE)
_RANKED = re.compile(
    r"\b(?P<word>by)\s+(?:the\s+|their\s+|its\s+)?(?:number|count|total|amount|average)\b", re.IGNORECASE
)
_MEASURE = re.compile(r"^how\b", re.IGNORECASE)


def unfitting_words(question: str, plan: Plan, catalog: Catalog) -> list[str]:
    """The word that asks for a kind of thing that the plan does not tell; none where it does, or for other questions.

    Searches tell sentences, in which anything may stand.
    """
    if any(isinstance(step, Search) for step in plan.steps):
        return []
    found = [match["word"].lower() for match in (_ASKED.match(question.strip()),) if match is not None]
    unfitting = [word for word in found if not _tells(word, plan, catalog)]
    ranked = _RANKED.search(question)
    groups = [step for step in plan.steps if isinstance(step, Group)]
    if ranked is not None and groups and not any(step.by for step in groups) and not _is_limited(plan):
        unfitting.append(ranked["word"].lower())
    return unfitting


def _is_limited(plan: Plan) -> bool:
    return any(isinstance(step, Limit) for step in plan.steps)


def _tells(word: str, plan: Plan, catalog: Catalog) -> bool:
    """Whether anything that is told can be such a thing; a yes or no never is."""
    told = _told(plan, catalog)
    if not told:
        return True
    if _MEASURE.match(word):
        measures = NUMBER_TYPES if word.endswith("much") else ORDERED_TYPES
        return any(
            kind in measures or (kind in STRING_TYPES and name != ID and _has_figures(field))
            for name, (kind, field) in told.items()
        )
    if word == "where":
        scanned = [step.collection for step in plan.steps if isinstance(step, Scan)]
        labels = {catalog.collections[name].label for name in scanned} if len(set(scanned)) == 1 else set()
        return any(
            kind in STRING_TYPES and (name not in labels or _is_place(name, field, scanned))
            for name, (kind, field) in told.items()
        )
    return any(
        kind is not FieldType.BOOLEAN and not (word != "when" and name == ID) for name, (kind, _) in told.items()
    )


def _told(plan: Plan, catalog: Catalog) -> Mapping[str, tuple[FieldType, FieldInfo | None]]:
    """The columns of the answer with their types, and the fields that they are of."""
    output = plan.by_id[plan.output]
    if not isinstance(output, AnswerStep):
        return {}
    try:
        columns = columns_of(plan, catalog)[plan.output]
    except PlanError:
        return {}
    infos = [catalog.collections[step.collection] for step in plan.steps if isinstance(step, Scan)]
    names = output.fields if output.fields is not None else tuple(columns)
    return {
        name: (columns[name].type, next((info.fields[name] for info in infos if name in info.fields), None))
        for name in names
        if name in columns
    }


def _is_place(name: str, field: FieldInfo | None, collections: list[str]) -> bool:
    words = {*name_words(name), *(word for each in collections for word in name_words(each))}
    singular = {word.removesuffix("s") for word in words} | words
    return (field is not None and field.semantic is SemanticType.PLACE) or bool(PLACE & singular)


def _has_figures(field: FieldInfo | None) -> bool:
    """Whether some of its values are written with digits; of what is computed nothing is known."""
    return field is None or any(any(c.isdigit() for c in str(value)) for value in field.samples) or not field.samples
