"""Plan by rules alone: tables as tables, all else by words; names spelt otherwise, words that mean the same."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from functools import partial

from engine import FieldType
from models import ModelError
from promptql.answer import Band
from promptql.catalog import CollectionInfo
from promptql.compounds import Asking, plan_compound
from promptql.context import Context
from promptql.drawing import chart_asked, with_chart
from promptql.errors import QuestionError
from promptql.plan import Assumption, Support, ignored_words
from promptql.planned import Planned
from promptql.rules.absences import speaks_of_absence, speaks_of_amounts
from promptql.rules.amounts import plan_amount
from promptql.rules.concepts import APPEARING, COMPARATIVES, LIGHT_VERBS, SUPERLATIVES, is_unmeasured, measured_by
from promptql.rules.conditions import speaks_of_labels
from promptql.rules.figures import asks_for_figure
from promptql.rules.linking import mentions_collection
from promptql.rules.money import in_words_of_the_data
from promptql.rules.once import one_question
from promptql.rules.owned import plan_owned
from promptql.rules.paraphrase import Paraphrase, paraphrases
from promptql.rules.periods import speaks_of_time
from promptql.rules.planning import plan_by_rules
from promptql.rules.reading import begin_reading
from promptql.rules.relevance import nearest_collections
from promptql.rules.respelling import Respelling, respellings
from promptql.rules.roles import speaks_of_roles
from promptql.rules.strays import is_astray
from promptql.rules.tabular import plan_by_tables
from promptql.rules.themes import plan_themes
from promptql.rules.tops import plan_top
from promptql.rules.units import in_units_of_the_data
from promptql.rules.unrecorded import plan_unrecorded
from promptql.rules.words import NEGATIONS, STOPWORDS, name_words, root, tokenize
from promptql.steps import AnswerStep, Filter, Function, Group, Scan, Sort, step_to_json

GUESS_CONFIDENCE_MAX = 0.45  # of a reading by tables
LABELS_CONFIDENCE_MAX = 0.65  # of a reading by tables beside which a noun may narrow to names that end with it
ACROSS_CONFIDENCE_MIN = 0.5  # of a reading over collections that are searched as well
GROUPING = frozenset({"each", "every", "per"})
WORDED = frozenset({"neither", "median"})  # which the tables' weights do not know
SMALL_VERBS = LIGHT_VERBS | APPEARING
FORMS = (plan_top, plan_unrecorded, plan_owned)
WORDS_CONFIDENCE_MAX = 0.62  # where tables are not sure: so many of Spider's questions the words alone read rightly
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
        planned = _plan_as_said(_asked(context, said))
        assumptions = (*converted, *planned.plan.assumptions)
        return replace(planned, plan=replace(planned.plan, question=question, assumptions=assumptions))
    return _plan_as_said(context)


def _plan_as_said(context: Context) -> Planned:
    question = context.question.text
    if context.heard is not None and context.heard.text != question:
        heard = _asked(context, context.heard.text)
        planned = _compound(heard) or _read_by_rules(context, context.heard.text)
        assumptions = (*context.heard.assumptions, *planned.plan.assumptions)
        return replace(planned, plan=replace(planned.plan, question=question, assumptions=assumptions))
    drawn = _drawn(context)
    if drawn is not None:
        return drawn
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
    formed = _formed(context, question)  # "who spent the most", where the word is a verb
    if formed is not None:
        return formed
    planned = _plan_simple(_asked(context, said))
    plan = replace(planned.plan, question=question, assumptions=(*assumed, *planned.plan.assumptions))
    return replace(planned, plan=plan)


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
    return _plan_with_money(_asked(context, question))


def _plan_simple(context: Context) -> Planned:
    """The reading of a question that is not made of several."""
    question = context.question.text
    try:
        planned = _read_by_rules(context, question)
    except QuestionError:
        for respelt in respellings(question, context.catalog):
            with suppress(QuestionError):
                return _corrected(_read_by_rules(context, respelt.question), question, respelt)
        paraphrased = _paraphrased(context, None)
        if paraphrased is None:
            raise
        return paraphrased
    structured = context.tables is not None or asks_for_figure(question)
    ignored = bool(_ignored_words(planned))
    doubtful = planned.band is Band.SEARCH or planned.confidence < GUESS_CONFIDENCE_MAX or ignored
    better = _respelt(context, planned) if ignored else None
    better = better or (_paraphrased(context, planned) if structured and doubtful else None) or planned
    if not COMPARATIVES.keys().isdisjoint(_ignored_words(better)):  # what was compared was taken for something else
        return replace(better, confidence=UNCOMPARED_FACTOR * better.confidence)
    return better


def _respelt(context: Context, otherwise: Planned) -> Planned | None:
    """The reading with a word that nothing was made of as the data spells it; None where that makes no more of it."""
    question = context.question.text
    words = frozenset(_ignored_words(otherwise))
    for respelt in respellings(question, context.catalog, among=words, values_max=RESPELT_VALUES_MAX):
        with suppress(QuestionError):
            planned = _read_by_rules(context, respelt.question)
            if planned.band in (Band.ANSWER, Band.ASSUMPTIONS) and _ignored(planned) < _ignored(otherwise):
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
            planned = _read_by_rules(context, text)
            heard = all(_reads(planned, item.field) for item in some)  # else the word would be heard and change nothing
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


def _read_by_rules(context: Context, question: str) -> Planned:
    """Tables are read as tables; where the question makes no sense so, and for all else, the words decide.

    So they do where the question speaks of times: the tables' weights were fitted to data without them.
    """
    asked_at = context.question.asked_at
    if context.tables is not None:
        formed = _formed(context, question)
        if formed is not None:
            return formed
        infos = list(context.catalog.collections.values())
        timed = any(field.type is FieldType.DATETIME for info in infos for field in info.fields.values())
        spoken = (speaks_of_time, speaks_of_absence)
        times = timed and any(speaks(question, info, asked_at) for info in infos for speaks in spoken)
        tokens = tokenize(question)
        named = {word for info in infos for field in info.fields for word in name_words(field)}
        worded = any(token.folded in WORDED - named for token in tokens)
        worded = worded or any(speaks_of_amounts(question, info, asked_at) for info in infos)
        if times or worded or any(speaks_of_roles(tokens, info) for info in infos):
            with suppress(QuestionError):
                return _timed(context, question)
        planned = plan_by_tables(question, context.tables, context.catalog)
        if planned is not None:
            if planned.band is Band.ANSWER:
                return _reserved(question, infos, asked_at, planned)
            amount = plan_amount(question, context.tables, context.catalog) or _counted(context, question)
            if amount is not None:
                return amount
            if context.tables.joined is None and _misordered(question, planned, infos):
                with suppress(QuestionError):
                    other = _timed(context, question)
                    if other.band in (Band.ANSWER, Band.ASSUMPTIONS) and not _misordered(question, other, infos):
                        return _overruling(other)
            alone = timed and context.tables.joined is None  # of several, the words know one alone
            return _surer(context, question, planned, timed=alone) or planned
    try:
        planned = plan_by_rules(question, nearest_collections(question, context.catalog), asked_at)
    except QuestionError:
        across = None if context.tables is not None else _across(context, question)
        if across is None:
            raise
        return across
    if planned.band is not Band.SEARCH or context.tables is not None:
        return planned
    return _across(context, question) or planned


def _counted(context: Context, question: str) -> Planned | None:
    """As in "how many airlines are there", "how many hours did each employee work": what else than rows is counted.

    Different values of a field that its plural names, of all documents; totals of each of a group, where all words but
    a verb are explained. The tables' weights were fitted to data where such questions count rows.
    """
    if not question.lower().startswith("how many "):
        return None
    try:
        planned = plan_by_rules(question, nearest_collections(question, context.catalog), context.question.asked_at)
    except QuestionError:
        return None
    groups = [step for step in planned.plan.steps if isinstance(step, Group)]
    if planned.band is Band.SEARCH or len(groups) != 1:
        return None
    fn, ignored = groups[0].aggs[0].fn, _ignored(planned)
    distinct = not groups[0].by and fn is Function.COUNT_DISTINCT and not ignored
    narrowed = any(isinstance(step, Filter) for step in planned.plan.steps)
    distinct = distinct and not narrowed and not _is_amount(context, groups[0].aggs[0].field)
    each = _groups_by_word(question)
    totals = groups[0].by and each and fn is Function.SUM and ignored <= 1 and planned.confidence > GUESS_CONFIDENCE_MAX
    return planned if distinct or totals else None


def _is_amount(context: Context, field: str | None) -> bool:
    """Whether the cells of a field are numbers, if written as text: how many of them is what they say."""
    columns = context.tables.view.columns if context.tables is not None else ()
    return any(column.name == field and column.kind == "number" for column in columns)


def _across(context: Context, question: str) -> Planned | None:
    """A reading over several collections that refer to each other, by what of them is no text to be searched.

    None where it leaves a word out, or is a guess; of one collection alone only a sure one, as the words know those.
    """
    tables = context.related()
    if tables is None:
        return None
    amount = plan_amount(question, tables, context.catalog)
    if amount is not None and not is_astray(question, amount.plan, context.catalog):
        return replace(amount, confidence=min(amount.confidence, WORDS_CONFIDENCE_MAX))
    planned = _formed(replace(context, tables=tables), question) or plan_by_tables(question, tables, context.catalog)
    if planned is None or planned.band is Band.CLARIFY or planned.confidence < ACROSS_CONFIDENCE_MIN:
        return None
    read = {step.collection for step in planned.plan.steps if isinstance(step, Scan)}
    if len(read) < 2 and planned.band is not Band.ANSWER:
        return None
    names = (name_words(name) for collection in read for name in context.catalog.collections[collection].fields)
    told = {root(word) for words in names for word in words}  # what the documents record: "borrowed" of loans
    if _unmeasured(question, planned) or is_astray(question, planned.plan, context.catalog):
        return None
    if any(word not in SMALL_VERBS and root(word) not in told for word in _ignored_words(planned)):
        return None
    return replace(planned, band=Band.ASSUMPTIONS, confidence=min(planned.confidence, WORDS_CONFIDENCE_MAX))


def _reserved(question: str, infos: Sequence[CollectionInfo], asked_at: datetime, planned: Planned) -> Planned:
    """A sure reading with reserve where a value is in two fields alike, or an order is by what a word hardly means."""
    links = (link for info in infos for link in begin_reading(question, info, asked_at).values)
    doubtful = [link for link in links if link.rival is not None]
    said = [
        Assumption(f"'{link.value}' is in {link.field.name} and in {link.rival}: one was taken", Support.INFERRED)
        for link in doubtful
    ]
    said += [Assumption(text, Support.INFERRED) for text in _unmeasured(question, planned)]
    if not said:
        return planned
    plan = replace(planned.plan, assumptions=(*planned.plan.assumptions, *said))
    return replace(planned, plan=plan, band=Band.ASSUMPTIONS)


def _misordered(question: str, planned: Planned, infos: Sequence[CollectionInfo]) -> bool:
    """Whether a superlative names what a field that is read measures, and the order is by another."""
    by = {step.by[0].field for step in planned.plan.steps if isinstance(step, Sort)}
    read = {step.collection for step in planned.plan.steps if isinstance(step, Scan)}
    for token in tokenize(question):
        adjective = SUPERLATIVES.get(token.folded)
        if adjective is None:
            continue
        measured = (measured_by(info, adjective.measures) for info in infos if info.name in read)
        wanted = {field.name for field in measured if field is not None}
        if wanted and not wanted & by:
            return True
    return False


def _unmeasured(question: str, planned: Planned) -> list[str]:
    """Superlatives that measure something else than what the documents were ordered by, whose field is not named."""
    orders = [step.by[0] for step in planned.plan.steps if isinstance(step, Sort)]
    tokens = tokenize(question)
    said = {token.root for token in tokens}
    unnamed = [order for order in orders if not said.intersection(map(root, name_words(order.field)))]
    return [
        f"'{token.folded}' = {'greatest' if order.descending else 'least'} {order.field}"
        for token in tokens
        for order in unnamed
        if is_unmeasured(token.folded, order.field)
    ]


def _formed(context: Context, question: str) -> Planned | None:
    """The reading of a question of a known form over tables that explains every word of it; None for others."""
    if context.tables is None:
        return None
    read = (form(question, context.tables, context.catalog) for form in FORMS)
    return next((planned for planned in read if planned is not None), None)


def _timed(context: Context, question: str) -> Planned:
    """The reading by words; that by tables where it makes more of the question, such as a name in a collection beside.

    Raises:
        QuestionError: the words make no sense.
    """
    asked_at = context.question.asked_at
    planned = plan_by_rules(question, nearest_collections(question, context.catalog), asked_at)
    if planned.band is Band.ANSWER or context.tables is None or context.tables.joined is None:
        return planned
    other = plan_by_tables(question, context.tables, context.catalog)
    if other is None or other.band is Band.CLARIFY or _ignored(other) >= _ignored(planned):
        return planned
    if other.band is not Band.ANSWER:
        return other
    return replace(other, band=Band.ASSUMPTIONS, confidence=min(other.confidence, WORDS_CONFIDENCE_MAX))


def _ignored(planned: Planned) -> int:
    """How many words of the question nothing was made of."""
    return len(_ignored_words(planned))


def _ignored_words(planned: Planned) -> list[str]:
    return ignored_words(planned.plan.assumptions)


def _surer(context: Context, question: str, doubtful: Planned, *, timed: bool) -> Planned | None:
    """The reading by words, where it explains all of them, and groups or stands against mere guesses.

    "Per year" and "the top two by rating" are rare in what the tables' weights were fitted to, and times are not in it.
    """
    try:
        planned = plan_by_rules(question, nearest_collections(question, context.catalog), context.question.asked_at)
    except QuestionError:
        return None
    groups = any(isinstance(step, Group) and step.by for step in planned.plan.steps)
    ranks = _sorts(planned) and not _sorts(doubtful)  # "the oldest" is no first row
    labels = doubtful.confidence < LABELS_CONFIDENCE_MAX and _speaks_of_labels(context, question)
    denied = not _ignored(planned) and not NEGATIONS.isdisjoint(_ignored_words(doubtful))
    more = denied or labels or _lists_documents(context, question, planned, doubtful)
    sure = groups or timed or ranks or more or doubtful.confidence < GUESS_CONFIDENCE_MAX
    if not sure or planned.band is not Band.ANSWER:
        return None
    several = context.tables is not None and context.tables.joined is not None
    said = groups and not several and asks_for_figure(question) and _groups_by_word(question)
    return planned if timed or said else _overruling(planned)


def _overruling(planned: Planned) -> Planned:
    """A reading by words in place of an unsure one of tables: with reserve."""
    return replace(planned, band=Band.ASSUMPTIONS, confidence=min(planned.confidence, WORDS_CONFIDENCE_MAX))


def _groups_by_word(question: str) -> bool:
    """Whether a word calls for groups: "the average salary in each city"."""
    return not GROUPING.isdisjoint(token.folded for token in tokenize(question))


def _speaks_of_labels(context: Context, question: str) -> bool:
    infos = context.catalog.collections.values()
    return any(speaks_of_labels(question, info, context.question.asked_at) for info in infos)


def _lists_documents(context: Context, question: str, planned: Planned, otherwise: Planned) -> bool:
    """Whether documents are asked for by their collection's name, and one reading alone shows what they are called."""
    first = next((token for token in tokenize(question) if token.folded not in STOPWORDS), None)
    (output, shown) = (planned.plan.by_id[planned.plan.output], otherwise.plan.by_id[otherwise.plan.output])
    if first is None or not isinstance(output, AnswerStep) or not isinstance(shown, AnswerStep):
        return False
    read = [context.catalog.collections[step.collection] for step in planned.plan.steps if isinstance(step, Scan)]
    if len(read) != 1 or not mentions_collection(first, read[0]):
        return False
    said = {token.root for token in tokenize(question)}
    named = {root(word) for field in shown.fields or () for word in name_words(field)} & said
    return output.fields == (read[0].label,) and read[0].label not in (shown.fields or (read[0].label,)) and not named


def _sorts(planned: Planned) -> bool:
    return any(isinstance(step, Sort) for step in planned.plan.steps)
