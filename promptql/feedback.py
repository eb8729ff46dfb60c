"""Feedback: what an answer that was right, or wrong, teaches: words of the askers, and questions with their plans."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from promptql.catalog import Catalog
from promptql.errors import FeedbackError, PlanError, nearest_name
from promptql.lesson_store import Teaching
from promptql.lessons import LearnedWord
from promptql.llm.manual import Example
from promptql.plan import Plan
from promptql.rules.planning import read_question
from promptql.rules.words import fold
from promptql.steps import AnswerStep
from promptql.validation import validate

WORDS_MAX = 20  # of one correction
WORD_CHARACTERS_MAX = 100


def teachings_of(plan: Plan, *, right: bool, correction: Mapping[str, Any] | None, catalog: Catalog) -> list[Teaching]:
    """What feedback on the answer of a plan teaches; nothing where it was wrong and nobody says what were right.

    Args:
        plan: of the answer, with its question.
        right: whether the answer was.
        correction: ``{"plan": the right one}``, or ``{"words": [{"said", "collection", "field"?, "value"?}]}``, or
            both.
        catalog: of what whoever says so may ask about.

    Raises:
        FeedbackError: a right answer is corrected, the correction says nothing, or the plan has no question.
        PlanError: the right plan is not valid.
    """
    if right:
        if correction:
            raise FeedbackError("an answer that is right needs no correction")
        return [_example(plan.question, plan, catalog)]
    if correction is None:
        return []
    unknown = set(correction) - {"plan", "words"}
    if unknown or not correction:
        raise FeedbackError(
            f'a correction has "plan" or "words": got={", ".join(sorted(map(str, unknown)))[:60] or "{}"}'
        )
    teachings: list[Teaching] = [_word(item, catalog) for item in _items(correction.get("words"))]
    if correction.get("plan") is not None:
        corrected = Plan.from_json(correction["plan"])
        teachings.append(_example(plan.question, corrected, catalog))
        found = None if teachings[:-1] else derived_word(plan, corrected, catalog)
        teachings += [] if found is None else [found]
    return teachings


def _example(question: str, plan: Plan, catalog: Catalog) -> Example:
    validate(plan, catalog)
    if not question.strip() or not isinstance(plan.by_id[plan.output], AnswerStep):
        raise FeedbackError("the plan has no question, or no answer, to be learned")
    return Example(question, plan.to_json() | {"question": question, "assumptions": []})


def _items(data: object) -> Sequence[object]:
    if data is None:
        return []
    if not isinstance(data, list) or len(data) > WORDS_MAX:
        raise FeedbackError(f'"words" must be a list of at most {WORDS_MAX}')
    return data


def _word(data: object, catalog: Catalog) -> LearnedWord:
    keys = ("said", "collection", "field", "value")
    if not isinstance(data, Mapping) or not set(data) <= set(keys):
        raise FeedbackError(f"a word has {', '.join(keys)}")
    texts = [data.get(key) for key in keys]
    if not all(isinstance(text, str) and 1 <= len(text) <= WORD_CHARACTERS_MAX for text in texts if text is not None):
        raise FeedbackError(f"the parts of a word are texts of 1 to {WORD_CHARACTERS_MAX} characters")
    said, collection, field, value = texts
    info = catalog.collections.get(str(collection))
    if said is None or not str(said).strip() or info is None:
        raise FeedbackError(f"a word says what a collection or its field is called: collection={collection!r:.60}")
    if (value is not None and field is None) or (field is not None and field not in info.fields):
        hint = nearest_name(str(field), info.fields)
        raise FeedbackError(f"unknown field of {info.name}: {field!r:.60}{f' ({hint})' if hint else ''}")
    return LearnedWord(" ".join(fold(str(said)).split()), info.name, field, value)


def derived_word(wrong: Plan, right: Plan, catalog: Catalog) -> LearnedWord | None:
    """The word that was not understood, where it is one, and one field or value is new in the right plan.

    "Flicks by Scott" whose right plan is about the director "Ridley Scott" teaches that "scott" is that value.
    """
    collections = [step["collection"] for step in right.to_json()["steps"] if "collection" in step]
    info = catalog.collections.get(collections[0]) if len(set(collections)) == 1 else None
    if info is None:
        return None
    unheard = list(dict.fromkeys(read_question(wrong.question, info).unexplained()))
    values = set(_values(right.to_json()["steps"])) - set(_values(wrong.to_json()["steps"]))
    fields = set(_fields(right.to_json()["steps"])) - set(_fields(wrong.to_json()["steps"]))
    if len(unheard) != 1:
        return None
    if len(values) == 1:
        ((field, value),) = values
        return LearnedWord(unheard[0], info.name, field, value) if field in info.fields else None
    known = [field for field in fields if field in info.fields]
    return LearnedWord(unheard[0], info.name, known[0]) if len(known) == 1 and not values else None


def _values(data: object) -> Iterator[tuple[str, str]]:
    """Pairs of a field and the string that it must be equal to."""
    match data:
        case {"op": "=", "l": {"field": str(field)}, "r": {"value": str(value)}}:
            yield field, value
        case Mapping():
            for item in data.values():
                yield from _values(item)
        case list():
            for item in data:
                yield from _values(item)


def _fields(data: object) -> Iterator[str]:
    match data:
        case Mapping():
            for key, item in data.items():
                if key == "field" and isinstance(item, str):
                    yield item
                yield from _fields(item)
        case list():
            for item in data:
                yield from _fields(item)


def plan_of(data: object) -> Plan:
    """The plan that feedback is on.

    Raises:
        FeedbackError: it is none.
    """
    try:
        return data if isinstance(data, Plan) else Plan.from_json(data)
    except PlanError as error:
        raise FeedbackError(f"feedback is on the plan of an answer: {error}") from error
