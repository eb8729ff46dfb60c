"""Plan templates: each turns a reading into steps, or says that it does not apply."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from engine import FieldType
from promptql.catalog import CollectionInfo, FieldInfo
from promptql.expressions import Not, Predicate, fields_of
from promptql.predicate import compare, conjunction, missing
from promptql.rules.measures import is_intensive
from promptql.rules.reading import Reading
from promptql.rules.values import Trust, ValueLink
from promptql.rules.words import STOPWORDS
from promptql.steps import (
    LIMIT_MAX,
    Aggregation,
    AnswerStep,
    Bucket,
    Filter,
    Function,
    Group,
    Limit,
    Order,
    Project,
    Scan,
    Search,
    Sort,
    Step,
)

SEARCH_K = 10
COUNT_ALIAS = "n"


class Template(StrEnum):
    """What kind of question it was taken for."""

    FIGURE = "figure"
    GROUPS = "groups"
    TOP = "top"
    LIST = "list"
    SEARCH = "search"


@dataclass(frozen=True, slots=True)
class Draft:
    """Steps made by a template."""

    template: Template
    steps: tuple[Step, ...]


class Chain:
    """Steps that each read the one before."""

    def __init__(self) -> None:
        self.steps: list[Step] = []

    @property
    def id(self) -> str:
        """The id of the next step."""
        return f"s{len(self.steps) + 1}"

    @property
    def last(self) -> str:
        """The id of the last step."""
        return self.steps[-1].id

    def add(self, step: Step) -> Chain:
        """Append a step."""
        self.steps.append(step)
        return self

    def answer(self, template: Template, fields: tuple[str, ...] | None = None) -> Draft:
        """Close the chain."""
        self.add(AnswerStep(self.id, self.last, fields))
        return Draft(template, tuple(self.steps))


def _documents(reading: Reading) -> Chain:
    """Scan and filter."""
    chain = Chain()
    chain.add(Scan(chain.id, reading.collection.name))
    where = conjunction(*(condition.predicate for condition in reading.conditions), *_known(reading))
    if where is not None:
        chain.add(Filter(chain.id, chain.last, where))
    return chain


def _known(reading: Reading) -> list[Predicate]:
    """Documents without the field say nothing about its average, nor is "none" the actor of the most films.

    Where each group is asked for, those of which nothing is known are among them, and told.
    """
    if reading.groups and reading.limit is None and asks_for_each(reading):
        return []
    fields = [reading.aggregate[1]] if reading.aggregate is not None else []
    fields += reading.groups if reading.ranking is not None else []
    rows = reading.collection.rows
    partly = [field.name for field in fields if field.filled is not None and field.filled < rows]
    narrowed = {name for condition in reading.conditions for name in fields_of(condition.predicate)}
    return [Not(missing(name)) for name in dict.fromkeys(partly) if name not in narrowed]


def figure(reading: Reading) -> Draft | None:
    """One number: a count, an average, or the like."""
    if reading.groups or not (reading.counted or reading.aggregate):
        return None
    first = reading.ranking.field if reading.ranking is not None else None
    measured = reading.aggregate[1] if reading.aggregate is not None else None
    if reading.having is not None or (reading.ranking is not None and (None in (first, measured) or first is measured)):
        return None
    chain = _documents(reading)
    if reading.ranking is not None and first is not None:  # "the average price of the three oldest"
        chain.add(Sort(chain.id, chain.last, (Order(first.name, reading.ranking.descending),)))
        chain.add(Limit(chain.id, chain.last, min(reading.limit or 1, LIMIT_MAX), ties=reading.limit is None))
    return chain.add(Group(chain.id, chain.last, (), (_aggregation(reading),))).answer(Template.FIGURE)


def groups(reading: Reading) -> Draft | None:
    """One row for each value of a field, ranked."""
    if not reading.groups:
        return None
    chain = _documents(reading)
    keys = [
        Bucket(field.name, reading.buckets[field.name]) if field.name in reading.buckets else field.name
        for field in reading.groups
    ]
    names = tuple(key if isinstance(key, str) else key.name for key in keys)
    aggregation = _aggregation(reading)
    aggregations = [aggregation]
    if reading.having is not None and aggregation.fn is not Function.COUNT:
        aggregations.append(Aggregation(Function.COUNT, None, COUNT_ALIAS))
    chain.add(Group(chain.id, chain.last, tuple(keys), tuple(aggregations)))
    if reading.having is not None:
        having = compare(COUNT_ALIAS, reading.having.op, reading.having.value)
        chain.add(Filter(chain.id, chain.last, having))
    chain.add(Sort(chain.id, chain.last, _group_order(reading, names, aggregation.alias)))
    asks_for_one = reading.ranking is not None and reading.limit is None and not asks_for_each(reading)
    if reading.limit is not None or asks_for_one:
        chain.add(Limit(chain.id, chain.last, reading.limit or 1, ties=asks_for_one))
    asks_for_names = reading.having is not None or (reading.ranking is not None and not _asks_for_figures(reading))
    return chain.answer(Template.GROUPS, names if asks_for_names else None)


def _group_order(reading: Reading, names: Sequence[str], alias: str) -> tuple[Order, ...]:
    by_time = reading.ranking is None and len(reading.groups) == 1 and reading.groups[0].ordered
    keys = tuple(Order(name) for name in names)
    if by_time:
        return keys
    descending = reading.ranking.descending if reading.ranking is not None else True
    return (Order(alias, descending), *keys)


def asks_for_each(reading: Reading) -> bool:
    """Whether a row for each group is asked for, and not the group that is first."""
    return any(token.folded in {"each", "every", "per", "by"} for token in reading.tokens)


def _asks_for_figures(reading: Reading) -> bool:
    """As in "How many … does each of the ten largest …" wants the numbers, "which … the most …" the names."""
    return reading.counted or asks_for_each(reading)


def top(reading: Reading) -> Draft | None:
    """The documents with the greatest or least value of a field."""
    ranking = reading.ranking
    if ranking is None or ranking.field is None or reading.groups or reading.counted:
        return None
    if reading.aggregate is not None and reading.aggregate[1] is not ranking.field:
        return None
    chain = _documents(reading)
    chain.add(Sort(chain.id, chain.last, (Order(ranking.field.name, ranking.descending),)))
    listed = ranking.word.startswith("by ") and reading.limit is None
    if not listed:
        n = min(reading.limit or 1, LIMIT_MAX)
        chain.add(Limit(chain.id, chain.last, n, ties=reading.limit is None))
    shown = _shown(reading, ranking.field)
    chain.add(Project(chain.id, chain.last, shown))
    wanted = tuple(field.name for field in reading.wanted if field is not ranking.field)
    return chain.answer(Template.TOP, wanted or (_top_value(reading, ranking.field),))


def _top_value(reading: Reading, ranked: FieldInfo) -> str:
    """As in "what is the highest rating": the value itself, where no documents are named."""
    if reading.word(0) == "when" and ranked.type is FieldType.DATETIME:
        return ranked.name
    named = any(reading.names_documents(index) for index in range(len(reading.tokens)))
    return reading.collection.label if named or reading.word(0) != "what" or reading.limit else ranked.name


def listing(reading: Reading) -> Draft | None:
    """The documents that satisfy the conditions, or fields of theirs."""
    if reading.groups or reading.counted or reading.aggregate or reading.ranking or reading.having:
        return None
    if not reading.conditions and not any(reading.names_collection(i) for i in range(len(reading.tokens))):
        return None
    if reading.collection.searchable and not reading.wanted and _names_one_document(reading):
        return None  # "what does X do": its text is wanted, not its name
    chain = _documents(reading)
    if reading.limit is not None:
        chain.add(Limit(chain.id, chain.last, min(reading.limit, LIMIT_MAX)))
    chain.add(Project(chain.id, chain.last, _shown(reading, None)))
    wanted = tuple(field.name for field in reading.wanted)
    return chain.answer(Template.LIST, wanted or (reading.collection.label,))


def _names_one_document(reading: Reading) -> bool:
    fields = {name for condition in reading.conditions for name in fields_of(condition.predicate)}
    return any(reading.collection.fields[name].identifier for name in fields)


def search(reading: Reading) -> Draft | None:
    """The documents whose text is nearest to the question, among those that sure conditions admit."""
    if not reading.collection.searchable:
        return None
    sure = [item.predicate for item in reading.conditions if item.trust is Trust.SURE]
    step = Search("s1", reading.collection.name, _query(reading, sure), SEARCH_K, conjunction(*sure))
    return Chain().add(step).answer(Template.SEARCH)


def _query(reading: Reading, sure: Sequence[Predicate]) -> str:
    """The question without the values that `sure` conditions stand for: of "which function sorts …" the rest."""
    narrowed = {name for predicate in sure for name in fields_of(predicate)}
    links = [link for link in reading.values if link.trust is Trust.SURE and link.field.name in narrowed]
    dropped = {i for link in links if not _inside_a_name(reading, link) for i in range(link.start, link.end)}
    if 1 in dropped and reading.word(0) in {"which", "what"}:
        dropped.add(0)
    kept = [token for index, token in enumerate(reading.tokens) if index not in dropped]
    if not dropped or all(token.folded in STOPWORDS for token in kept):
        return reading.text
    text, place = "", 0
    for index in sorted(dropped):
        text += reading.text[place : reading.tokens[index].start]
        place = reading.tokens[index].end
    return " ".join((text + reading.text[place:]).split())


def _inside_a_name(reading: Reading, link: ValueLink) -> bool:
    """Whether the words are part of a longer name: "random" in "random.choice"."""
    before = reading.tokens[link.start].start - 1
    after = reading.tokens[link.end - 1].end
    marks = {reading.text[i] for i in (before, after) if 0 <= i < len(reading.text) - 1}
    return bool(marks & set("._:/-"))


AMOUNTS = frozenset({"most", "fewest", "least", "top", "bottom"})

TEMPLATES: tuple[Callable[[Reading], Draft | None], ...] = (figure, groups, top, listing, search)


def _aggregation(reading: Reading) -> Aggregation:
    if reading.aggregate is not None:
        fn, field = reading.aggregate
        return Aggregation(fn, field.name, _alias(fn, field, reading.collection))
    ranked = reading.ranking.field if reading.ranking is not None else None
    if ranked is not None and (ranked.numeric or ranked.type is FieldType.DATETIME) and not reading.counted:
        fn = _figure_of_ranked(reading)
        return Aggregation(fn, ranked.name, _alias(fn, ranked, reading.collection))
    measured = reading.wanted[0] if len(reading.wanted) == 1 and reading.groups and ranked is None else None
    if measured is not None and measured.numeric and not measured.identifier and not reading.counted:
        fn = Function.AVG if is_intensive(measured.name) else Function.SUM  # "revenue by year"
        return Aggregation(fn, measured.name, _alias(fn, measured, reading.collection))
    return Aggregation(Function.COUNT, None, COUNT_ALIAS)


def _figure_of_ranked(reading: Reading) -> Function:
    """Groups are ranked by the sum ("which shop has the most sales"); of each, a superlative is its own extreme.

    As in "the lowest price per shop", which ranks no shops. "The most" of each may still be all that it has.
    """
    ranking = reading.ranking
    if ranking is None or ranking.field is None:
        return Function.SUM
    dated = ranking.field.type is FieldType.DATETIME  # nothing to add up
    if not dated and (reading.limit is not None or not asks_for_each(reading) or ranking.word in AMOUNTS):
        return Function.SUM
    return Function.MAX if ranking.descending else Function.MIN


def _alias(fn: Function, field: FieldInfo, collection: CollectionInfo) -> str:
    words = {Function.AVG: "average", Function.SUM: "total", Function.COUNT_DISTINCT: "distinct"}
    alias = f"{words.get(fn, fn.value)}_{field.name}"
    return alias if alias not in collection.fields else f"{alias}_"


def _shown(reading: Reading, ranked: FieldInfo | None) -> tuple[str, ...]:
    """The label, what was asked for, what it is ranked by, and what the conditions compare."""
    compared = [
        name
        for condition in reading.conditions
        for name in sorted(fields_of(condition.predicate))
        if reading.collection.fields[name].ordered
    ]
    wanted = [field.name for field in reading.wanted]
    names = [reading.collection.label, *wanted, *([ranked.name] if ranked else []), *compared]
    return tuple(dict.fromkeys(names))
