"""Triggers: figures ("how many", "average", "total", "how many different")."""

from __future__ import annotations

from itertools import pairwise

from promptql.catalog import FieldInfo
from promptql.plan import Support
from promptql.rules.concepts import AGE, BIRTH, HEIGHT, LENGTH, PAY, PRICE, SPEED, WEIGHT, measured_by, time_fields
from promptql.rules.events import QUANTITIES
from promptql.rules.linking import EXACT, FieldLink
from promptql.rules.measures import is_intensive
from promptql.rules.reading import Reading
from promptql.rules.words import STOPWORDS, name_words, tokenize
from promptql.steps import Function

FIELD_AFTER_MAX = 6  # words between "average" and the field that it is of
FUNCTIONS = {
    "average": Function.AVG,
    "mean": Function.AVG,
    "avg": Function.AVG,
    "median": Function.MEDIAN,
    "sum": Function.SUM,
    "total": Function.SUM,
    "combined": Function.SUM,
    "minimum": Function.MIN,
    "min": Function.MIN,
    "maximum": Function.MAX,
    "max": Function.MAX,
}
_AT = {("at", "most"): Function.MAX, ("at", "least"): Function.MIN}
_HOW_MANY = ("how", "many")
_HOW_MUCH = ("how", "much")
MEASURED = {
    "old": AGE, "tall": HEIGHT, "high": HEIGHT, "heavy": WEIGHT, "long": LENGTH, "expensive": PRICE, "dear": PRICE,
    "fast": SPEED,
}  # fmt: skip
_COPULAS = frozenset({"is", "are", "was", "were", "does", "do", "did"})
_COSTING, _WEIGHING = frozenset({"cost", "costs"}), frozenset({"weigh", "weighs"})
_EARNING = frozenset({"earn", "earns", "earned"})
_DISTINCT = frozenset({"different", "distinct", "unique"})


def read_figures(reading: Reading) -> None:
    """The aggregate that is asked for, and whether rows are to be counted."""
    _read_measure(reading)
    for index in range(len(reading.tokens)):
        fn = FUNCTIONS.get(reading.word(index))
        if fn is None or reading.aggregate is not None or index in reading.used:  # a column "total" that is compared
            continue
        link = _numeric_near(reading, index)
        if link is not None:
            reading.aggregate = (fn, link.field)
            reading.use((index, *range(link.start, link.end)))
    for index in range(len(reading.tokens)):
        if reading.aggregate is None and _counts_at(reading, index):
            _read_count(reading, index + 2 if reading.word(index) != "count" else index + 1)
        elif reading.aggregate is None and (reading.word(index), reading.word(index + 1)) == _HOW_MUCH:
            link = reading.field_at(index + 2)
            if link is not None and link.field.numeric and not reading.used & set(range(link.start, link.end)):
                _read_own_number(reading, link)


def _read_measure(reading: Reading) -> None:
    """As in "how old is Max", "how much does the lamp cost": the field that is measured, of one that is named."""
    if reading.word(0) != "how":
        return
    measures = MEASURED.get(reading.word(1))
    if reading.ranking is not None and measures is not None:
        _read_measure_of_first(reading, measures)
    if reading.ranking is not None or not reading.conditions_name_one():
        return
    end = 2
    if reading.word(1) == "much" and reading.word(2) in _COPULAS:
        rest = {reading.word(i) for i in range(3, len(reading.tokens))}
        measures = WEIGHT if rest & _WEIGHING else PAY if rest & _EARNING else PRICE
    field = None if measures is None else measured_by(reading.collection, measures)
    if field is None and measures == AGE:  # "how old is the bridge", of which the data has the year
        times = time_fields(reading.collection)
        field = measured_by(reading.collection, BIRTH) or (times[0] if len(times) == 1 else None)
    if field is None or any(link.field.ordered for link in reading.fields if link.field is not field):
        return
    reading.wanted.append(field)
    verbs = _COSTING | _WEIGHING | _EARNING
    reading.use([*range(end), *(i for i in range(len(reading.tokens)) if reading.word(i) in verbs)])
    reading.assume(f"'{reading.raw(0, end)}' = {field.name}", Support.FUZZY)


def _read_measure_of_first(reading: Reading, measures: tuple[str, ...]) -> None:
    """As in "how old is the oldest member", "… of each club": what it is ranked by, which is told of the first."""
    assert reading.ranking is not None
    ranked = reading.ranking.field
    if ranked is None or ranked is not measured_by(reading.collection, measures):
        return
    reading.use((0, 1))
    if not reading.groups and reading.limit is None and ranked.numeric:
        fn = Function.MAX if reading.ranking.descending else Function.MIN
        reading.aggregate, reading.ranking = (fn, ranked), None


def asks_for_figure(question: str) -> bool:
    """Whether a figure is asked for: "how many", "how much", "what is the average"."""
    words = [token.folded for token in tokenize(question)]
    if any(pair in {("how", "many"), ("how", "much")} for pair in pairwise(words)):
        return True
    content = next((word for word in words if word not in STOPWORDS or word in {"number", "count", "total"}), "")
    return content in FUNCTIONS or content in {"number", "count"}


def _numeric_near(reading: Reading, index: int) -> FieldLink | None:
    after = [link for link in reading.fields if link.field.numeric and index < link.start <= index + FIELD_AFTER_MAX]
    before = [link for link in reading.fields if link.field.numeric and index - 2 <= link.end - 1 < index]
    anywhere = [link for link in reading.fields if link.field.numeric]
    return next(iter(after or before or (anywhere if len(anywhere) == 1 else [])), None)


def _counts_at(reading: Reading, index: int) -> bool:
    pair = (reading.word(index), reading.word(index + 1))
    return pair in {("how", "many"), ("number", "of")} or pair[0] == "count"


def _read_count(reading: Reading, start: int) -> None:
    """What follows "how many": documents, distinct values of a field, or the field's own number."""
    place = start
    while reading.word(place) in {"the", "of", "total", "different", "distinct", "unique", "all"}:
        place += 1
    distinct = bool({reading.word(i) for i in range(start, place)} & _DISTINCT)
    link = reading.field_at(place)
    if link is not None and link.field.numeric and not distinct:
        _read_own_number(reading, link)
        return
    reading.counted = True
    reading.use(i for i in range(start, place) if reading.word(i) in _DISTINCT)
    if link is not None and reading.names_labels(place) and not distinct:  # "how many titles": documents
        reading.use((place,))
        return
    if link is None or not _counts_values(reading, link, distinct=distinct):
        return
    reading.aggregate = (Function.COUNT_DISTINCT, link.field)
    reading.use(range(link.start, link.end))


def _read_own_number(reading: Reading, link: FieldLink) -> None:
    """As in "How many parameters does X have": the field itself of one document, and the total of several.

    Where groups are ranked by it ("the highest number of parameters per module"), the ranking says which figure it is.
    """
    reading.use(range(link.start, link.end))
    if reading.groups and reading.ranking is not None and reading.ranking.field is link.field:
        return
    extreme = _bound_after(reading, link.end)
    if extreme is not None:
        reading.aggregate = (extreme, link.field)
        reading.use((link.end, link.end + 1))
        return
    sold = QUANTITIES & set(name_words(link.field.name))
    several = not reading.conditions_name_one() and reading.ranking is None
    if reading.groups or (several and (sold or not is_intensive(link.field.name))):
        reading.aggregate = (Function.SUM, link.field)
        if several and not sold and not reading.groups:
            said = reading.raw(0, link.end) if link.start == len(_HOW_MANY) else reading.raw(link.start, link.end)
            reading.assume(f"'{said}' = the total {link.field.name}", Support.FUZZY)
    elif reading.ranking is None:
        reading.wanted.append(link.field)


def _bound_after(reading: Reading, place: int) -> Function | None:
    """As in "how many parameters at most": the extreme, where no number follows that it would be a bound of."""
    bound = (reading.word(place), reading.word(place + 1))
    return None if reading.number_at(place + 2) is not None else _AT.get(bound)


def _counts_values(reading: Reading, link: FieldLink, *, distinct: bool) -> bool:
    if link.field in reading.groups or not _can_be_counted(link.field):
        return False
    if distinct:
        return True
    if link.field.ordered and link.strength < EXACT:  # "how many orders": they have an order_date
        return False
    return link.start not in reading.used and not reading.names_documents(link.start)


def _can_be_counted(field: FieldInfo) -> bool:
    return field.groupable and field.type != "boolean"
