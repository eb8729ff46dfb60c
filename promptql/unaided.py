"""Plan by rules alone: tables as tables, all else by words; names spelt otherwise, words that mean the same."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial

from models import ModelError
from promptql.answer import Band
from promptql.catalog import Catalog
from promptql.compounds import Asking, plan_compound
from promptql.compounds.averages import plan_averages
from promptql.context import Context
from promptql.drawing import chart_asked, with_chart
from promptql.errors import QuestionError
from promptql.plan import IGNORED, Assumption, Support
from promptql.planned import Planned
from promptql.rules.concepts import COMPARATIVES
from promptql.rules.each_extreme import ranked_list
from promptql.rules.figures import asks_for_figure
from promptql.rules.fitting import unfitting_words
from promptql.rules.money import in_words_of_the_data
from promptql.rules.once import one_question
from promptql.rules.only import with_only
from promptql.rules.paraphrase import Paraphrase, paraphrases
from promptql.rules.respelling import Respelling, respellings
from promptql.rules.themes import plan_themes
from promptql.rules.trade import in_terms_of_sales
from promptql.rules.unheard import telling_words_unheard
from promptql.rules.units import in_units_of_the_data
from promptql.steps import Scan, step_to_json
from promptql.tabled import (
    GUESS_CONFIDENCE_MAX,
    ignored,
    read_across,
    read_by_form,
    read_by_rules,
    read_dated,
    words_ignored,
)

RESPELT_VALUES_MAX = 2_000  # looked through for a word beside a reading that makes sense: 10 ms
UNCOMPARED_FACTOR = 0.4  # of a reading that leaves out "cheaper"
RESPELT_FACTOR = 0.8  # what a name costs that had to be spelt otherwise


def plan_without_llm(context: Context) -> Planned:
    """The reading by rules; where there is none, that of the question with a name spelt as the data has it."""
    with one_question():
        return _plan(context)


def _plan(context: Context) -> Planned:
    question = context.question.text
    said, converted = in_units_of_the_data(question, context.catalog)
    if converted:
        return _understood(_plan_as_said(_asked(context, said)), question, converted)
    return _plan_as_said(context)


def _understood(planned: Planned, question: str, how: Sequence[Assumption]) -> Planned:
    """The plan of a question that was asked in other words."""
    plan = replace(planned.plan, question=question, assumptions=(*how, *planned.plan.assumptions))
    return replace(planned, plan=plan)


def _plan_as_said(context: Context) -> Planned:
    question = context.question.text
    if context.heard is not None and context.heard.text != question:
        heard = _asked(context, context.heard.text)
        planned = _compound(heard) or read_by_rules(context, context.heard.text)
        return _understood(planned, question, context.heard.assumptions)
    drawn = _drawn(context)
    if drawn is not None:
        return drawn
    sense = in_terms_of_sales(question, context.catalog)
    if sense is not None:
        said = _asked(context, sense.question)
        planned = read_dated(said, sense.question) or _compound(said) or _plan_with_money(said)
        read = {step.collection for step in planned.plan.steps if isinstance(step, Scan)}
        if planned.band in (Band.ANSWER, Band.ASSUMPTIONS) and sense.needs <= read:
            return _understood(planned, question, (sense.how,))
    about = plan_themes(question, context.catalog, context.question.asked_at)
    return about or _compound(context) or _plan_with_money(context)


def _drawn(context: Context) -> Planned | None:
    """The plan of what a chart is asked of, with the chart; None where none is, or it has no groups to draw."""
    asked = chart_asked(context.question.text)
    if asked is None or chart_asked(asked[1]) is not None:
        return None
    try:
        planned = _plan_as_said(_asked(context, asked[1]))
    except QuestionError:
        return None
    if planned.band not in (Band.ANSWER, Band.ASSUMPTIONS):
        return None
    plan = with_chart(replace(planned.plan, question=context.question.text), asked[0], context.catalog)
    return None if plan is None else replace(planned, plan=plan)


def _plan_with_money(context: Context) -> Planned:
    """The reading of a question with a word for money, such as "revenue", by what the data calls it, where it has one.

    Raises:
        QuestionError: there is none.
    """
    question = context.question.text
    said, assumed = in_words_of_the_data(question, context.catalog)
    if not assumed:
        return _plan_simple(context)
    formed = read_by_form(context, question)  # "who spent the most", where the word is a verb
    if formed is not None:
        return formed
    planned = _plan_simple(_asked(context, said))
    if not any(_reads(planned, field.text.rpartition("= ")[2]) for field in assumed):  # "revenue" of what has none
        across = read_across(context, said)
        if across is None:
            return _plan_simple(context)
        planned = across
    return _understood(planned, question, assumed)


def _asked(context: Context, question: str) -> Context:
    """The same context of another question."""
    return replace(context, question=replace(context.question, text=question), heard=None)


def _compound(context: Context) -> Planned | None:
    """The plan of a question that is made of several, each of which is planned by itself; None for others."""
    question = context.question
    text = " ".join(question.text.split()).rstrip(" .?!")
    found = plan_compound(Asking(text, context.catalog, question.asked_at, partial(_read_part, context)))
    return None if found is None else replace(found, plan=replace(found.plan, question=question.text))


def _read_part(context: Context, question: str) -> Planned:
    """A part by itself, which may be beside an average: "what share of members are older than average"."""
    read = partial(_read_simple_part, context)
    beside = plan_averages(Asking(question.rstrip(" .?!"), context.catalog, context.question.asked_at, read))
    return beside or _read_simple_part(context, question)


def _read_simple_part(context: Context, question: str) -> Planned:
    return _plan_with_money(_asked(context, question))


def _plan_simple(context: Context) -> Planned:
    """The reading of a question that is not made of several."""
    question = context.question.text
    listed = ranked_list(question)
    if listed is not None:
        try:
            return _understood(_plan_simple(_asked(context, listed)), question, ())
        except QuestionError:
            pass
    planned, unheard = with_only(question, _plan_heard(context), context.catalog)
    return _unheard(question, planned, context.catalog, unheard)


def _plan_heard(context: Context) -> Planned:
    question = context.question.text
    try:
        planned = read_by_rules(context, question)
    except QuestionError:
        for respelt in respellings(question, context.catalog):
            with suppress(QuestionError):
                return _corrected(read_by_rules(context, respelt.question), question, respelt)
        paraphrased = _paraphrased(context, None)
        if paraphrased is None:
            raise
        return paraphrased
    structured = context.tables is not None or asks_for_figure(question)
    ignored = bool(words_ignored(planned))
    doubtful = planned.band is Band.SEARCH or planned.confidence < GUESS_CONFIDENCE_MAX or ignored
    better = _respelt(context, planned) if ignored else None
    better = better or (_paraphrased(context, planned) if structured and doubtful else None) or planned
    if not COMPARATIVES.keys().isdisjoint(words_ignored(better)):  # what was compared was taken for something else
        return replace(better, confidence=UNCOMPARED_FACTOR * better.confidence)
    return better


def _unheard(question: str, planned: Planned, catalog: Catalog, words: Sequence[str]) -> Planned:
    """The reading with reserve where it leaves out what changes every answer, such as an ordinal; or `words`."""
    unheard = [*words, *telling_words_unheard(question, planned.plan)]
    unheard += unfitting_words(question, planned.plan, catalog)
    if not unheard or planned.band not in (Band.ANSWER, Band.ASSUMPTIONS):
        return planned
    said = (*planned.plan.assumptions, *(Assumption(f"{IGNORED}'{word}'", Support.INFERRED) for word in unheard))
    plan = replace(planned.plan, assumptions=tuple(dict.fromkeys(said)))
    return replace(planned, plan=plan, band=Band.ASSUMPTIONS, confidence=UNCOMPARED_FACTOR * planned.confidence)


def _respelt(context: Context, otherwise: Planned) -> Planned | None:
    """The reading with a word that nothing was made of as the data spells it; None where that makes no more of it."""
    question = context.question.text
    words = frozenset(words_ignored(otherwise))
    for respelt in respellings(question, context.catalog, among=words, values_max=RESPELT_VALUES_MAX):
        with suppress(QuestionError):
            planned = read_by_rules(context, respelt.question)
            if planned.band in (Band.ANSWER, Band.ASSUMPTIONS) and ignored(planned) < ignored(otherwise):
                return _corrected(planned, question, respelt)
    return None


def _paraphrased(context: Context, otherwise: Planned | None) -> Planned | None:
    """The reading of the question with words that mean what the data calls otherwise; None where that is no better."""
    question, asked_at = context.question.text, context.question.asked_at
    settled = otherwise is not None and otherwise.band is not Band.SEARCH and otherwise.confidence >= RESPELT_FACTOR
    if context.meanings is None or settled:  # no reading with other words is worth more
        return None
    try:
        found = paraphrases(question, context.catalog, context.meanings, asked_at)
    except ModelError:
        return None
    best, taken = otherwise, list[Paraphrase]()
    for some in ([found] if len(found) > 1 else []) + [[item] for item in found]:
        text = question
        for item in some:
            text = item.within(text)
        with suppress(QuestionError):
            planned = read_by_rules(context, text)
            heard = all(_reads(planned, item.field) for item in some)  # else the word would be heard and change nothing
            heard = heard and not unfitting_words(question, planned.plan, context.catalog)
            if heard and planned.band in (Band.ANSWER, Band.ASSUMPTIONS) and _is_better(planned, best):
                best, taken = planned, some
                break
    if best is None or not taken:
        return None
    said = [Assumption(item.explained(), Support.INFERRED) for item in taken]
    plan = replace(best.plan, question=question, assumptions=(*said, *best.plan.assumptions))
    return replace(best, plan=plan, band=Band.ASSUMPTIONS, confidence=RESPELT_FACTOR * best.confidence)


def _reads(planned: Planned, field: str) -> bool:
    """Whether a plan does anything with a field."""
    return any(f'"{field}"' in json.dumps(step_to_json(step), ensure_ascii=False) for step in planned.plan.steps)


def _is_better(planned: Planned, before: Planned | None) -> bool:
    """Whether a reading with other words is worth more: of one that made sense already, only where it is sure."""
    if before is None or before.band is Band.SEARCH:
        return True
    return planned.band is Band.ANSWER and planned.confidence * RESPELT_FACTOR > before.confidence


def _corrected(planned: Planned, question: str, respelt: Respelling) -> Planned:
    said = f"'{respelt.said}' is not in the data: {respelt.field} = {respelt.value}"
    assumptions = (Assumption(said, Support.FUZZY), *planned.plan.assumptions)
    plan = replace(planned.plan, question=question, assumptions=assumptions)
    band = Band.ASSUMPTIONS if planned.band is Band.ANSWER else planned.band
    return replace(planned, plan=plan, band=band, confidence=RESPELT_FACTOR * planned.confidence)
