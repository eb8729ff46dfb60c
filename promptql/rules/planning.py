"""The rules planner: the best candidate over all collections, with its confidence and the runners-up."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from itertools import pairwise

from promptql.catalog import Catalog, CollectionInfo
from promptql.errors import PlanError, QuestionError
from promptql.expressions import And, Compare, Operator, Or, Predicate, Value, fields_of
from promptql.plan import IGNORED, Assumption, Plan, Support
from promptql.planned import Planned
from promptql.predicate import describe
from promptql.rules.absences import read_absences, read_presences
from promptql.rules.comparisons import read_comparisons, read_flags, read_plain_numbers
from promptql.rules.concepts import COMPARATIVES
from promptql.rules.conditions import (
    read_how_many_listed,
    read_label_nouns,
    read_named_values,
    read_nouns,
    read_values,
    read_when,
    read_where,
    read_who,
)
from promptql.rules.figures import read_figures
from promptql.rules.groups import read_groups
from promptql.rules.linking import EXACT
from promptql.rules.measures import is_intensive
from promptql.rules.periods import read_buckets, read_periods, read_time_verbs
from promptql.rules.ranking import ANSWER_CONFIDENCE_MIN, Candidate, band, score
from promptql.rules.reading import Condition, Reading, begin_reading
from promptql.rules.superlatives import read_superlatives
from promptql.rules.templates import AMOUNTS, TEMPLATES, Template, asks_for_each
from promptql.rules.values import Trust
from promptql.rules.words import Token
from promptql.steps import Function
from promptql.validation import validate

ALTERNATIVES_MAX = 2
SHOWN_MAX = 10  # collections, and fields of each, that a refusal names
ALTERNATIVE_SCORE_MIN = 0.3
SCORE_MIN = 0.4  # a structured reading less sure than this is none
CLEAR_MARGIN = 0.2  # by so much the chosen collection's reading is better than any other's

# The order matters: what an earlier trigger has explained, a later one leaves alone.
TRIGGERS: tuple[Callable[[Reading], None], ...] = (
    read_named_values,
    read_periods,
    read_absences,
    read_comparisons,
    read_superlatives,
    read_buckets,
    read_presences,
    read_groups,
    read_plain_numbers,
    read_flags,
    read_figures,
    read_values,
    read_when,
    read_where,
    read_who,
    read_time_verbs,
    read_how_many_listed,
    read_nouns,
    read_label_nouns,
)


def plan_by_rules(question: str, catalog: Catalog, asked_at: datetime | None = None) -> Planned:
    """The plan that explains the question best; a search where no structured reading explains enough.

    Args:
        question: in English.
        catalog: of the collections that may answer it.
        asked_at: when, in the asker's time zone; None: now, in UTC.

    Raises:
        QuestionError: nothing fits and no collection can be searched.
    """
    candidates = [
        candidate
        for collection in catalog.collections.values()
        for candidate in read_candidates(question, collection, asked_at)
    ]
    candidates.sort(key=lambda item: (-item.score, -item.reading.collection.rows, item.reading.collection.name))
    usable = [item for item in candidates if item.draft.template is Template.SEARCH or item.score >= SCORE_MIN]
    plans = [(item, plan) for item in usable if (plan := _plan(question, item, candidates, catalog)) is not None]
    if not plans:
        held = "; ".join(_held(catalog.collections[name]) for name in sorted(catalog.collections)[:SHOWN_MAX])
        raise QuestionError(
            f"no reading of the question fits the data, and there is no text to search; the data has {held}",
            code="question_not_understood",
        )
    best, plan = plans[0]
    return Planned(plan, best.score, band(best, plan.assumptions), _alternatives(plans))


def _held(collection: CollectionInfo) -> str:
    names = list(collection.fields)
    more = ", …" if len(names) > SHOWN_MAX else ""
    return f"{collection.name} ({', '.join(names[:SHOWN_MAX])}{more})"


def read_question(question: str, collection: CollectionInfo, asked_at: datetime | None = None) -> Reading:
    """Every trigger applied in turn."""
    reading = begin_reading(question, collection, asked_at)
    for trigger in TRIGGERS:
        trigger(reading)
    _read_bare_category(reading)
    _read_either(reading)
    _read_held(reading)
    _read_amounts_of_each(reading)
    if reading.ranking is not None and reading.ranking.field is None and reading.groups:
        what = " and ".join(field.name for field in reading.groups)
        more = "most" if reading.ranking.descending else "fewest"
        if reading.ranking.word not in {"most", "fewest", "least"}:
            reading.assume(
                f"'{reading.ranking.word}' {what} = {what} with the {more} of what is counted", Support.FUZZY
            )
    return reading


def _read_amounts_of_each(reading: Reading) -> None:
    """As in "most pages per author", which may be of one book or of all together: they are added up, with reserve."""
    if not reading.groups or reading.ranking is None or reading.ranking.field is None or reading.aggregate is not None:
        return
    if reading.ranking.word in AMOUNTS and asks_for_each(reading) and reading.ranking.field.numeric:
        said = f"'{reading.ranking.word}' of each = the order of the total {reading.ranking.field.name}"
        reading.assume(said, Support.INFERRED)


def _read_held(reading: Reading) -> None:
    """As in "how many chairs are in stock": how many the field says, and not how many documents there are."""
    if not reading.counted or reading.aggregate is not None or len(reading.wanted) != 1 or reading.groups:
        return
    field = reading.wanted[0]
    held = next((link for link in reading.fields if link.field is field), None)
    if field.numeric and held is not None and reading.word(held.start - 1) == "in" and not is_intensive(field.name):
        reading.aggregate, reading.wanted = (Function.SUM, field), []
        said = reading.raw(held.start - 1, held.end)
        reading.assume(f"'{said}' = the total {field.name}", Support.FUZZY)


def _read_either(reading: Reading) -> None:
    """As in "calm or with more than 10 mites": two conditions are alternatives where "or" stands between them.

    So are those of one field, as in "in April or May", however many others there are, and periods with "and" between.
    """
    found = [(place, item) for item in reading.conditions if (place := _place_of(reading, item)) is not None]
    if len(found) < len(reading.conditions):
        return
    found.sort(key=lambda item: item[0])
    ors = [token.start for token, after in pairwise(reading.tokens) if _joins(token, after)]
    joined, said = False, dict[int, str]()  # the condition's place, and the word that joins its parts
    for index in range(len(found) - 2, -1, -1):
        (one, first), (other, second) = found[index], found[index + 1]
        alternatives = any(one[1] <= at < other[0] for at in ors)
        same = fields_of(first.predicate) == fields_of(second.predicate)
        listed = same and reading.text[one[1] : other[0]].strip(" ,").lower() == "and" and _are_periods(first, second)
        if listed or (alternatives and (same or len(found) == 2)):
            rest = second.predicate.items if isinstance(second.predicate, Or) else (second.predicate,)
            either = Condition(Or((first.predicate, *rest)), min(first.trust, second.trust))
            found[index : index + 2] = [((one[0], other[1]), either)]
            said.pop(other[0], None)
            said[one[0]] = "and" if listed else "or"
        elif alternatives:
            joined = True
    if joined:
        reading.assume("'or' was read as 'and'", Support.INFERRED)
    for place, item in found:
        if place[0] in said:
            reading.assume(f"'{said[place[0]]}' = {describe(item.predicate)}", Support.EXACT)
    if said:
        reading.conditions = [item for _, item in found]


def _are_periods(*conditions: Condition) -> bool:
    """Whether each is a time with a beginning and an end, or a year."""
    return all(_is_period(item.predicate) for item in conditions)


def _is_period(predicate: Predicate) -> bool:
    match predicate:
        case And(items):
            return len(items) == 2
        case Compare(Operator.EQ, _, Value(int())):  # names of a list with "and" between are to be there all
            return True
        case _:
            return False


def _joins(token: Token, after: Token) -> bool:
    return token.folded == "or" and after.folded not in COMPARATIVES.keys() | {"more", "less", "fewer", "not"}


def _place_of(reading: Reading, condition: Condition) -> tuple[int, int] | None:
    """Where the words stand that a condition was read from, by what was assumed of them."""
    end = f"' = {describe(condition.predicate)}"
    said = next((item.text[1 : -len(end)] for item in reading.assumptions if item.text.endswith(end)), None)
    at = -1 if said is None else reading.text.find(said)
    return None if said is None or at < 0 else (at, at + len(said))


def _read_bare_category(reading: Reading) -> None:
    """As in "what kinds are there": a category alone asks for its values."""
    asked = reading.counted or reading.aggregate or reading.ranking or reading.having or reading.conditions
    if asked or reading.groups or len(reading.wanted) != 1:
        return
    field = reading.wanted[0]
    named = any(link.field is field and link.strength == EXACT for link in reading.fields)
    if named and field.groupable and not field.identifier and not field.ordered:
        reading.groups, reading.wanted = [field], []


def read_candidates(question: str, collection: CollectionInfo, asked_at: datetime | None = None) -> list[Candidate]:
    """The drafts of all templates that apply, scored."""
    reading = read_question(question, collection, asked_at)
    drafts = [draft for template in TEMPLATES if (draft := template(reading)) is not None]
    return [Candidate(reading, draft, score(reading, draft)) for draft in drafts]


def _plan(question: str, candidate: Candidate, others: list[Candidate], catalog: Catalog) -> Plan | None:
    """The candidate as a plan; None where it breaks a static rule (a reading that types do not bear out)."""
    steps = candidate.draft.steps
    plan = Plan(question, steps, steps[-1].id, assumptions=_assumptions(candidate, others))
    try:
        validate(plan, catalog)
    except PlanError:
        return None
    return plan


def _assumptions(candidate: Candidate, others: list[Candidate]) -> tuple[Assumption, ...]:
    found = list(candidate.reading.assumptions)
    if candidate.draft.template is Template.SEARCH:
        found = [item for item in found if _concerns_search(item, candidate)]
    else:
        words = dict.fromkeys(candidate.reading.unexplained())
        found += (Assumption(f"{IGNORED}'{word}'", Support.INFERRED) for word in words)
    collection = candidate.reading.collection.name
    rivals = [item.score for item in others if item.reading.collection.name != collection]
    if rivals:
        named = any(candidate.reading.names_collection(i) for i in range(len(candidate.reading.tokens)))
        clear = candidate.score - max(rivals) >= CLEAR_MARGIN
        support = Support.EXACT if named else Support.FUZZY if clear else Support.INFERRED
        found.append(Assumption(f"the question is about the collection {collection}", support))
    return tuple(dict.fromkeys(found))


def _concerns_search(assumption: Assumption, candidate: Candidate) -> bool:
    """A search uses only the conditions; how superlatives and the like were read says nothing about it."""
    sure = [describe(item.predicate) for item in candidate.reading.conditions if item.trust is Trust.SURE]
    return any(assumption.text.endswith(f"= {text}") for text in sure)


def _alternatives(plans: list[tuple[Candidate, Plan]]) -> tuple[dict[str, object], ...]:
    """The runners-up; beside a sure structured reading, a search is no other reading of the question."""
    best, chosen = plans[0]
    found: list[dict[str, object]] = []
    for candidate, plan in plans[1:]:
        search = candidate.draft.template is Template.SEARCH
        if plan.steps == chosen.steps or candidate.score < ALTERNATIVE_SCORE_MIN:
            continue
        if not (search and best.score >= ANSWER_CONFIDENCE_MIN):
            text = f"{candidate.draft.template.value} over {candidate.reading.collection.name}"
            found.append({"text": text, "confidence": round(candidate.score, 3), "plan": plan.to_json()})
    return tuple(found[:ALTERNATIVES_MAX])
