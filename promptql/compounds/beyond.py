"""Documents beside one that is named: "younger than Max", "who is older, Lea or Max", "dearer than the cheapest"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from promptql.answer import Band
from promptql.catalog import ID, CollectionInfo, FieldInfo
from promptql.compounds.degrees import LESS, MORE, VERBS, Measure, measure_at, measures_in
from promptql.compounds.spans import Named, runs
from promptql.expressions import Arithmetic, ArithmeticOperator, Compare, FieldRef, Lookup, Operator, Predicate
from promptql.plan import Assumption, Plan, Support
from promptql.planned import Planned
from promptql.predicate import compare, conjunction, describe
from promptql.rules.comparators import DENIALS, OPPOSITES
from promptql.rules.concepts import COMPARATIVES, SUPERLATIVES, measured_by
from promptql.rules.planning import read_question
from promptql.rules.reading import Reading, begin_reading
from promptql.rules.units import UNITS
from promptql.rules.words import STOPWORDS, WHETHER, normalize
from promptql.steps import (
    Aggregation,
    AnswerStep,
    Compute,
    Computed,
    Filter,
    Function,
    Group,
    Limit,
    LookupStep,
    Order,
    Project,
    Scan,
    Sort,
    Step,
)

if TYPE_CHECKING:
    from promptql.compounds.planning import Asking

CONFIDENCE = 0.9  # of a question all of whose words are explained
DIFFERENCE = "difference"
_COPULAS = frozenset("is are was were be being been that who which has have had with a an the do does did".split())
_LITTLE = STOPWORDS | {"who", "which", "what", "or", "and", "by", "does", "whether", "two", "both", "than"}
_DEGREES = MORE | LESS | {"most", "least", "first", "last"} | COMPARATIVES.keys() | SUPERLATIVES.keys()
_FIGURES = {"average": Function.AVG, "mean": Function.AVG, "median": Function.MEDIAN}
_CALLED = {Function.MAX: "highest", Function.MIN: "lowest", Function.AVG: "average"}


@dataclass(frozen=True, slots=True)
class One:
    """Tokens [start, end) that name one document, by the value of a field."""

    field: FieldInfo
    value: str
    start: int
    end: int

    @property
    def predicate(self) -> Predicate:
        """What the document satisfies."""
        return compare(self.field.name, "=", self.value)


def plan_beyond(asking: Asking) -> Planned | None:
    """The documents that have more, or less, of something than one that is named; None for other questions."""
    words = {word.strip(",.:;") for word in asking.question.lower().split()}
    if not words & {"than", "or", "of"} or not words & _DEGREES:
        return None
    for info in asking.catalog.collections.values():
        if info.rows:
            reading = begin_reading(asking.question, info, asking.asked_at)
            planned = _apart(reading) or _beyond(asking, reading) or _of_several(asking, reading)
            if planned is not None:
                return planned
    return None


# ── which document ───────────────────────────────────────────────────────────


def _one_at(reading: Reading, start: int) -> One | None:
    """The document that is named from there to the end of the question."""
    found = _ending(reading, start)
    skipped = reading.word(start) in {"the", "a", "an", "that", "of"} or reading.names_collection(start)
    return found if found is not None or not skipped else _one_at(reading, start + 1)


def _ending(reading: Reading, start: int) -> One | None:
    for end in range(len(reading.tokens), start, -1):
        rest = range(end, len(reading.tokens))
        if not all(reading.word(i) in _COPULAS or reading.names_collection(i) for i in rest):
            break
        found = _named(reading.collection, reading.raw(start, end))
        if found is not None:
            return One(found[0], found[1], start, end)
    return None


def _named(info: CollectionInfo, said: str) -> tuple[FieldInfo, str] | None:
    """The field and the value that one document alone is called by, its name before all else."""
    key = normalize(said)
    fields = sorted(info.fields.values(), key=lambda field: (field.name != info.label, not field.identifier))
    for field in fields:
        value, count = field.index.get(key, (None, 0))
        if isinstance(value, str) and not field.many and count:
            return (field, value) if count == 1 else None
    return None


# ── plans ────────────────────────────────────────────────────────────────────


def _beyond(asking: Asking, reading: Reading) -> Planned | None:
    """As in "which members are younger than Max", "how many products are lighter than the Floor Lamp"."""
    than = next((i for i in range(len(reading.tokens)) if reading.word(i) == "than"), None)
    if than is None:
        return None
    measure = next((m for m in measures_in(reading, range(max(0, than - 4), than)) if m.end == than), None)
    one = None if measure is None else _one_at(reading, than + 1)
    if measure is None or one is None or (reading.word(0), reading.word(1)) in {("how", "much"), ("by", "how")}:
        return None
    denied = reading.word(measure.start - 1) in DENIALS
    end = measure.start - denied
    while end and reading.word(end - 1) in _COPULAS - {"who", "which"}:
        end -= 1
    head = reading.text[: reading.tokens[end].start].strip(" ,")
    asked = read_question(head or "what", reading.collection, asking.asked_at)
    if asked.unexplained() or asked.aggregate or asked.groups or asked.ranking or asked.having:
        return None
    if reading.word(0) in WHETHER:
        if denied:
            return None
        named = [link for link in asked.values if link.field is one.field]
        return _ranked(reading, measure, [str(named[0].value), one.value], one.field, all_=True) if named else None
    said = f"{reading.raw(measure.start - denied, measure.end)} than {reading.raw(one.start, one.end)}"
    op = Operator.GT if measure.descending else Operator.LT
    op = OPPOSITES[op] if denied else op
    meaning = f"{measure.field.name} {op.value} that of {one.value}"
    beyond = Compare(op, FieldRef(measure.field.name), Lookup("s3"))
    where = conjunction(*(item.predicate for item in asked.conditions), beyond)
    assert where is not None
    name, field = reading.collection.name, measure.field.name
    label = _called(reading.collection, one.field)
    shown = tuple(dict.fromkeys((label, *(item.name for item in asked.wanted), field)))
    wanted = tuple(item.name for item in asked.wanted) or (label,)
    steps: list[Step] = [
        Scan("s1", name),
        Filter("s2", "s1", one.predicate),
        LookupStep("s3", "s2", field),
        Scan("s4", name),
        Filter("s5", "s4", where),
    ]
    if asked.counted:
        steps += [Group("s6", "s5", (), (Aggregation(Function.COUNT, None, "n"),)), AnswerStep("s7", "s6")]
    else:
        order = Sort("s6", "s5", (Order(field, measure.descending),))
        steps += [order, Project("s7", "s6", shown), AnswerStep("s8", "s7", wanted)]
    found = (*asked.assumptions, Assumption(f"'{said}' = {meaning}", measure.support))
    return _planned(reading, steps, found)


def _of_several(asking: Asking, reading: Reading) -> Planned | None:
    """As in "who is older, Lea or Max", "which of A and B is the cheapest"."""
    for run in runs(asking):
        field = reading.collection.fields.get(run[0].key)
        if field is None or len({item.key for item in run}) > 1 or not _are_of(field, run):
            continue
        inside = {i for i, t in enumerate(reading.tokens) if run[0].start <= t.start < run[-1].end}
        outside = [index for index in range(len(reading.tokens)) if index not in inside]
        measure = next(measures_in(reading, outside), None)
        if measure is None or inside & set(range(measure.start, measure.end)):
            continue
        rest = [i for i in outside if not measure.start <= i < measure.end]
        if all(reading.word(i) in _LITTLE or reading.names_collection(i) for i in rest) and not any(
            reading.word(i) in {"than", "much", "many", "how"} for i in rest
        ):
            return _ranked(reading, measure, [item.shown for item in run], field)
    return None


def _are_of(field: FieldInfo, run: Sequence[Named]) -> bool:
    return all(field.index.get(normalize(item.shown), ("", 0))[1] == 1 for item in run)


def _ranked(reading: Reading, measure: Measure, values: list[str], by: FieldInfo, *, all_: bool = False) -> Planned:
    """The named documents in order, the first of them alone unless `all_`."""
    name, field, label = reading.collection.name, measure.field.name, by.name
    steps: list[Step] = [
        Scan("s1", name),
        Filter("s2", "s1", compare(by.name, Operator.IN, values)),
        Sort("s3", "s2", (Order(field, measure.descending),)),
    ]
    if not all_:
        steps.append(Limit("s4", "s3", 1, ties=True))
    shown = tuple(dict.fromkeys((label, field)))
    steps += [Project("s5", steps[-1].id, shown), AnswerStep("s6", "s5", shown if all_ else (label,))]
    meant = f"'{reading.raw(measure.start, measure.end)}' = the {'greater' if measure.descending else 'lesser'} {field}"
    found = [Assumption(meant, measure.support)]
    if measure.field.filled is not None and measure.field.filled < reading.collection.rows:
        found.append(Assumption(f"who has no {field} comes last", Support.DEFAULT))
    return _planned(reading, steps, found)


def _apart(reading: Reading) -> Planned | None:
    """As in "by how much is X dearer than the cheapest", "how much more does X cost than the average"."""
    words = [reading.word(i) for i in range(len(reading.tokens))]
    if not {"than", "how"} <= set(words) or ("much" not in words and "many" not in words):
        return None
    than = words.index("than")
    end = than + 1 + (words[than + 1 : than + 2] == ["the"])
    found, one = _figure_at(reading, end), _one_at(reading, than + 1)
    measure = next(measures_in(reading, range(than)), None) or _verb_in(reading, than)
    links = [link for link in reading.values if link.end <= than and link.count == 1]
    if (found is None and one is None) or measure is None or len(links) != 1 or not measure.field.numeric:
        return None
    (link,) = links
    after = one.end if one is not None else found[1] if found is not None else end
    taken = {*range(link.start, link.end), *range(measure.start, measure.end), *range(than, after)}
    rest = [i for i in range(len(words)) if i not in taken]
    small = _LITTLE | VERBS.keys() | MORE | LESS | UNITS.keys() | {"year", "years"}
    if not all(words[i] in small or reading.names_collection(i) for i in rest):
        return None
    name, field = reading.collection.name, measure.field.name
    if one is not None:
        alias = f"other_{field}"
        beside: tuple[Step, ...] = _other(one, field, alias)
    else:
        assert found is not None
        fn = found[0]
        alias = f"{_CALLED.get(fn, fn.value)}_{field}"
        beside = (Group("s5", "s4", (), (Aggregation(fn, field, alias),)),)
    own, other = FieldRef(field), FieldRef(alias)
    greater, less = (own, other) if measure.descending else (other, own)
    apart = Arithmetic(ArithmeticOperator.SUBTRACT, greater, less)
    steps: list[Step] = [
        Scan("s1", name),
        Filter("s2", "s1", compare(link.field.name, "=", link.value)),
        LookupStep("s3", "s2", field),
        Scan("s4", name),
        *beside,
        Compute("s6", "s5", (Computed(Lookup("s3"), field),)),
        Compute("s7", "s6", (Computed(apart, DIFFERENCE),)),
        Project("s8", "s7", (DIFFERENCE, field, alias)),
        AnswerStep("s9", "s8", (DIFFERENCE,), f"The difference is {{{DIFFERENCE}}}: {{{field}}} and {{{alias}}}."),
    ]
    said = [
        Assumption(
            f"'{reading.raw(link.start, link.end)}' = {describe(compare(link.field.name, '=', link.value))}",
            Support.EXACT,
        ),
        Assumption(f"'{reading.raw(measure.start, measure.end)}' = of {field}", measure.support),
    ]
    return _planned(reading, steps, said)


def _verb_in(reading: Reading, end: int) -> Measure | None:
    """As in "how much more does X earn than Y": what the verb measures."""
    for index in range(end):
        measures = VERBS.get(reading.word(index))
        field = measured_by(reading.collection, measures) if measures is not None else None
        if field is not None:
            more = not LESS & {reading.word(i) for i in range(end)}
            return Measure(field, more, index, index + 1, Support.FUZZY)
    return None


def _other(one: One, field: str, alias: str) -> tuple[Step, ...]:
    """The value of another document, under a name of its own."""
    called = Compute("s4c", "s4b", (Computed(FieldRef(field), alias),))
    return Filter("s4b", "s4", one.predicate), called, Project("s5", "s4c", (alias,))


def _figure_at(reading: Reading, index: int) -> tuple[Function, int] | None:
    """The end of a field that is named there, "cheapest" or "average", and the place behind it."""
    word = reading.word(index)
    if word in _FIGURES:
        return _FIGURES[word], index + 1
    measure = measure_at(reading, index)
    if measure is None or not (word in SUPERLATIVES or word in {"most", "least"}):
        return None
    return (Function.MAX if measure.descending else Function.MIN), measure.end


def _called(info: CollectionInfo, by: FieldInfo) -> str:
    """What documents are shown as: by their name, where they have none by what one was named by."""
    return by.name if info.label == ID else info.label


def _planned(reading: Reading, steps: Sequence[Step], said: Sequence[Assumption]) -> Planned:
    plan = Plan(reading.text, tuple(steps), steps[-1].id, assumptions=tuple(dict.fromkeys(said)))
    guessed = any(item.support in (Support.INFERRED, Support.DEFAULT) for item in said)
    return Planned(plan, CONFIDENCE, Band.ASSUMPTIONS if guessed else Band.ANSWER)
