"""Questions read as tables or by words, whichever makes more of them; of several collections, across them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from functools import partial

from engine import FieldType
from promptql.answer import Band
from promptql.catalog import CollectionInfo
from promptql.context import Context
from promptql.errors import QuestionError
from promptql.plan import Assumption, Support, ignored_words
from promptql.planned import Planned
from promptql.rules.absences import speaks_of_absence, speaks_of_amounts
from promptql.rules.amounts import plan_amount
from promptql.rules.beside import plan_beside
from promptql.rules.comparators import speaks_of_denied_bounds
from promptql.rules.comparisons import speaks_of_stock
from promptql.rules.conditions import speaks_of_labels
from promptql.rules.dated import plan_dated
from promptql.rules.doubts import EACH, calls_for_groups, groups_unsaid, is_misordered, leaves_out, unmeasured
from promptql.rules.each_extreme import in_figures_of_each
from promptql.rules.figures import FUNCTIONS, asks_for_figure
from promptql.rules.linking import mentions_collection
from promptql.rules.owned import plan_owned
from promptql.rules.periods import speaks_of_time
from promptql.rules.planning import plan_by_rules
from promptql.rules.reading import begin_reading
from promptql.rules.relevance import nearest_collections
from promptql.rules.roles import speaks_of_roles
from promptql.rules.strays import is_astray
from promptql.rules.tables import Tables
from promptql.rules.tabular import plan_by_tables
from promptql.rules.tops import plan_top
from promptql.rules.unrecorded import plan_unrecorded
from promptql.rules.words import NEGATIONS, STOPWORDS, name_words, root, tokenize
from promptql.steps import AnswerStep, Filter, Function, Group, Limit, Scan, Search, Sort

GUESS_CONFIDENCE_MAX = 0.45  # of a reading by tables
LABELS_CONFIDENCE_MAX = 0.65  # of a reading by tables beside which a noun may narrow to names that end with it
ACROSS_CONFIDENCE_MIN = 0.5  # of a reading over collections that are searched as well
WORDED = frozenset({"neither", "median"})  # which the tables' weights do not know
AT_BOUND = re.compile(r"\bat\s+(?:least|most)\s+\d", re.IGNORECASE)
BOUNDED_CONFIDENCE_MIN = 0.6  # of a reading by words instead of a question back
FORMS = (plan_top, plan_unrecorded, plan_owned)
WORDS_CONFIDENCE_MAX = 0.62  # where tables are not sure: so many of Spider's questions the words alone read rightly


def read_by_rules(context: Context, question: str) -> Planned:
    """Tables are read as tables; where the question makes no sense so, and for all else, the words decide.

    So they do where the question speaks of times: the tables' weights were fitted to data without them.
    """
    planned = _read_tables(context, question)
    if planned is not None:
        return planned
    try:
        planned = plan_by_rules(question, nearest_collections(question, context.catalog), context.question.asked_at)
    except QuestionError:
        across = None if context.tables is not None else read_across(context, question)
        if across is None:
            raise
        return across
    if planned.band is Band.ANSWER or context.tables is not None:
        return planned
    if planned.band is not Band.SEARCH:
        return read_dated(context, question) or planned
    found = read_across(context, question) or read_dated(context, question)
    return found or _beside(context, question, planned) or planned


def _beside(context: Context, question: str, searched: Planned) -> Planned | None:
    """What would else be searched, read by what of the same collection is no text; None where that is a guess."""
    names = {step.collection for step in searched.plan.steps if isinstance(step, Scan | Search)}
    tables = context.beside(*names) if len(names) == 1 else None
    return None if tables is None else plan_beside(question, tables, context.catalog)


def _read_tables(context: Context, question: str) -> Planned | None:
    """The reading of a question over tables alone; None where it is left to the words."""
    if context.tables is None:
        return None
    formed = read_by_form(context, question)
    if formed is not None:
        return formed
    denied = _worded(context, question) if speaks_of_denied_bounds(question) else None
    if denied is not None:
        return denied
    infos, asked_at = list(context.catalog.collections.values()), context.question.asked_at
    timed = any(field.type is FieldType.DATETIME for info in infos for field in info.fields.values())
    if _is_worded(question, infos, asked_at, timed=timed):
        with suppress(QuestionError):
            return _timed(context, question)
        dated = read_dated(context, question)
        if dated is not None:
            return dated
    planned = plan_by_tables(question, context.tables, context.catalog)
    if planned is None or planned.band is Band.ANSWER:
        return None if planned is None else _sure(context, question, planned)
    amount = plan_amount(question, context.tables, context.catalog) or _counted(context, question)
    if amount is not None:
        return amount
    if context.tables.joined is None and is_misordered(question, planned, infos):
        with suppress(QuestionError):
            other = _timed(context, question)
            if other.band in (Band.ANSWER, Band.ASSUMPTIONS) and not is_misordered(question, other, infos):
                return other if _has_extremes(other) and calls_for_groups(question) else _overruling(other)
    doubtful = planned.band is Band.CLARIFY or _bounds_twice(question, planned) or " but " in question
    if context.tables.joined is None and doubtful:
        worded = _worded(context, question)
        if worded is not None and worded.confidence >= BOUNDED_CONFIDENCE_MIN and not _bounds_twice(question, worded):
            return worded if _asks_for_groups(context, question, worded) else _overruling(worded)
    alone = timed and context.tables.joined is None  # of several, the words know one alone
    return _surer(context, question, planned, timed=alone) or planned


def _is_worded(question: str, infos: Sequence[CollectionInfo], asked_at: datetime, *, timed: bool) -> bool:
    """Whether a question over tables speaks of what their weights were not fitted to: times, what is absent, roles."""
    spoken = (speaks_of_time, speaks_of_absence)
    if timed and any(speaks(question, info, asked_at) for info in infos for speaks in spoken):
        return True
    tokens = tokenize(question)
    named = {word for info in infos for field in info.fields for word in name_words(field)}
    if any(token.folded in WORDED - named for token in tokens):
        return True
    said = (speaks_of_amounts, speaks_of_stock)
    if any(speaks(question, info, asked_at) for info in infos for speaks in said):
        return True
    return any(speaks_of_roles(tokens, info) for info in infos)


def _bounds_twice(question: str, planned: Planned) -> bool:
    """Whether "at least 31" is read as a bound and as an extreme as well."""
    ends = any(isinstance(step, Sort | Limit) for step in planned.plan.steps)
    return ends and AT_BOUND.search(question) is not None


def _worded(context: Context, question: str) -> Planned | None:
    """The reading by words, where it explains all of them, as in "not older than 30", "other than".

    The tables' weights were fitted to data where hardly a comparison is denied.
    """
    try:
        planned = plan_by_rules(question, nearest_collections(question, context.catalog), context.question.asked_at)
    except QuestionError:
        return None
    if ignored(planned) or planned.band not in (Band.ANSWER, Band.ASSUMPTIONS):
        return None
    return _of_one(context, planned)


def _of_one(context: Context, planned: Planned) -> Planned:
    """The reading by words with reserve where there are several collections, of which they know one alone."""
    return planned if context.tables is None or context.tables.joined is None else _overruling(planned)


def _overruling(planned: Planned) -> Planned:
    """A reading by words in place of an unsure one of tables: with reserve."""
    return replace(planned, band=Band.ASSUMPTIONS, confidence=min(planned.confidence, WORDS_CONFIDENCE_MAX))


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
    fn, left = groups[0].aggs[0].fn, ignored(planned)
    distinct = not groups[0].by and fn is Function.COUNT_DISTINCT and not left
    narrowed = any(isinstance(step, Filter) for step in planned.plan.steps)
    distinct = distinct and not narrowed and not _is_amount(context, groups[0].aggs[0].field)
    each = calls_for_groups(question)
    totals = groups[0].by and each and fn is Function.SUM and left <= 1 and planned.confidence > GUESS_CONFIDENCE_MAX
    return planned if distinct or totals else None


def _is_amount(context: Context, field: str | None) -> bool:
    """Whether the cells of a field are numbers, if written as text: how many of them is what they say."""
    columns = context.tables.view.columns if context.tables is not None else ()
    return any(column.name == field and column.kind == "number" for column in columns)


def read_across(context: Context, question: str) -> Planned | None:
    """A reading over several collections that refer to each other, by what of them is no text to be searched.

    None where it leaves a word out, or is a guess; of one collection alone only a sure one, as the words know those.
    """
    tables = context.related()
    return None if tables is None else _related(context, tables, question)


def _related(context: Context, tables: Tables, question: str) -> Planned | None:
    amount = plan_amount(question, tables, context.catalog)
    if amount is not None and not is_astray(question, amount.plan, context.catalog):
        return replace(amount, confidence=min(amount.confidence, WORDS_CONFIDENCE_MAX))
    planned = read_by_form(replace(context, tables=tables), question) or plan_by_tables(
        question, tables, context.catalog
    )
    if planned is None or planned.band is Band.CLARIFY or planned.confidence < ACROSS_CONFIDENCE_MIN:
        return None
    read = {step.collection for step in planned.plan.steps if isinstance(step, Scan)}
    if len(read) < 2 and planned.band is not Band.ANSWER:
        return None
    if leaves_out(question, planned, context.catalog):
        return None
    return replace(planned, band=Band.ASSUMPTIONS, confidence=min(planned.confidence, WORDS_CONFIDENCE_MAX))


def _sure(context: Context, question: str, planned: Planned) -> Planned:
    """A sure reading of tables; by words, or with reserve, where it groups by what is not spoken of."""
    if groups_unsaid(question, planned, context.catalog):
        return _worded(context, question) or _overruling(planned)
    return _reserved(question, list(context.catalog.collections.values()), context.question.asked_at, planned)


def _reserved(question: str, infos: Sequence[CollectionInfo], asked_at: datetime, planned: Planned) -> Planned:
    """A sure reading with reserve where a value is in two fields alike, or an order is by what a word hardly means."""
    links = (link for info in infos for link in begin_reading(question, info, asked_at).values)
    doubtful = [link for link in links if link.rival is not None]
    said = [
        Assumption(f"'{link.value}' is in {link.field.name} and in {link.rival}: one was taken", Support.INFERRED)
        for link in doubtful
    ]
    said += [Assumption(text, Support.INFERRED) for text in unmeasured(question, planned)]
    if not said:
        return planned
    plan = replace(planned.plan, assumptions=(*planned.plan.assumptions, *said))
    return replace(planned, plan=plan, band=Band.ASSUMPTIONS)


def read_dated(context: Context, question: str) -> Planned | None:
    """A reading over several collections, one of them in a period that is said; None where there is none."""
    tables = context.tables or context.related()
    if tables is None or tables.joined is None:
        return None
    return plan_dated(question, context.catalog, context.question.asked_at, partial(_related, context, tables))


def read_by_form(context: Context, question: str) -> Planned | None:
    """The reading of a question of a known form over tables that explains every word of it; None for others."""
    if context.tables is None:
        return None
    read = (form(question, context.tables, context.catalog) for form in FORMS)
    formed = next((planned for planned in read if planned is not None), None)
    if formed is not None or context.tables.joined is None:
        return formed
    each = in_figures_of_each(question, context.catalog)
    planned = None if each is None else plan_top(each[0], context.tables, context.catalog)
    if planned is None or each is None:
        return None
    plan = replace(planned.plan, question=question, assumptions=(each[1], *planned.plan.assumptions))
    return replace(planned, plan=plan)


def _timed(context: Context, question: str) -> Planned:
    """The reading by words; that by tables where it makes more of the question, such as a name in a collection beside.

    Raises:
        QuestionError: the words make no sense.
    """
    asked_at = context.question.asked_at
    planned = plan_by_rules(question, nearest_collections(question, context.catalog), asked_at)
    if planned.band is Band.ANSWER or context.tables is None or context.tables.joined is None:
        return planned
    dated = read_dated(context, question)
    if dated is not None:
        return dated
    other = plan_by_tables(question, context.tables, context.catalog)
    if other is None or other.band is Band.CLARIFY or ignored(other) >= ignored(planned):
        return planned
    if other.band is not Band.ANSWER:
        return other
    return replace(other, band=Band.ASSUMPTIONS, confidence=min(other.confidence, WORDS_CONFIDENCE_MAX))


def ignored(planned: Planned) -> int:
    """How many words of the question nothing was made of."""
    return len(words_ignored(planned))


def words_ignored(planned: Planned) -> list[str]:
    """The words of the question that nothing was made of."""
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
    denied = not ignored(planned) and not NEGATIONS.isdisjoint(words_ignored(doubtful))
    figured = not ignored(planned) and not FUNCTIONS.keys().isdisjoint(words_ignored(doubtful))  # "the sum of"
    heard = denied or labels or figured or _hears_values(context, question, planned, doubtful)
    more = heard or _lists_documents(context, question, planned, doubtful)
    sure = groups or timed or ranks or more or doubtful.confidence < GUESS_CONFIDENCE_MAX
    each = groups and not ignored(planned) and not EACH.isdisjoint(words_ignored(doubtful))
    if not sure or (planned.band is not Band.ANSWER and not each):
        return None
    return planned if timed or _asks_for_groups(context, question, planned) else _overruling(planned)


def _asks_for_groups(context: Context, question: str, planned: Planned) -> bool:
    """As in "the average salary in each city", of one collection, where the reading has a figure of each."""
    several = context.tables is not None and context.tables.joined is not None
    groups = any(isinstance(step, Group) and step.by for step in planned.plan.steps)
    figure = asks_for_figure(question) or _has_extremes(planned)
    return groups and not several and figure and calls_for_groups(question)


def _has_extremes(planned: Planned) -> bool:
    """As in "oldest member per club": the greatest or least of each group."""
    aggs = [item for step in planned.plan.steps if isinstance(step, Group) for item in step.aggs]
    return any(item.fn in (Function.MIN, Function.MAX) for item in aggs)


def _hears_values(context: Context, question: str, planned: Planned, doubtful: Planned) -> bool:
    """Whether one reading leaves out a value where documents are counted, as there are none with all that is said."""
    left = set(words_ignored(doubtful))
    counts = [step for step in planned.plan.steps if isinstance(step, Group) and step.aggs[0].fn is Function.COUNT]
    if not left or ignored(planned) or not counts:
        return False
    infos, asked_at = context.catalog.collections.values(), context.question.asked_at
    readings = [begin_reading(question, info, asked_at) for info in infos]
    return any(left & {r.word(i) for i in range(link.start, link.end)} for r in readings for link in r.values)


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
