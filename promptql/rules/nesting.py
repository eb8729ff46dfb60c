"""Readings that hold another one: without any, with one and the other, more than the average, more than any."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from promptql.rules.cues import COMPARATIVES, STOP
from promptql.rules.draft import Draft, Features
from promptql.rules.lists import FIGURES, Wanted
from promptql.rules.parts import Part
from promptql.rules.sketch import Clause, Condition, Item, Sketch

if TYPE_CHECKING:
    from promptql.rules.generate import RowSet
    from promptql.rules.queries import Queries

NEGATIONS = frozenset(
    "not no without never except don didn doesn haven hasn excluding neither isn aren wasn weren none cannot".split()
)
NEGATED_OPS = frozenset({"!=", "!~", "not in"})
DOWN = frozenset("less below under smaller lower shorter younger fewer earlier cheaper lighter".split())
UP = frozenset("more above over larger greater higher older bigger longer than exceed exceeds later heavier".split())
BEFORE = 6  # words between "more" and "average"
KEYS_TRIED = 3
PIVOTS_MAX = 3  # collections whose documents are left out


def negated(maker: Queries, base: Sketch, wanted: Wanted, rows: RowSet) -> Iterator[Draft]:
    """Documents that no document of another collection (with the conditions) leads to."""
    joined = maker.reading.joined
    mask = denials(maker.asked.words)
    if not mask or joined is None or not maker.several:
        return
    mentioned = {entity.table for entity in maker.entities}
    for before, after in _split(maker, rows, (mask & -mask).bit_length()):
        for main in joined.tables_of(base)[:PIVOTS_MAX]:
            for other, key, column in joined.edges.get(main, ()):
                inside, outside = _divided(maker, main, before, after)
                if (other not in mentioned and not inside) or _denied(inside):
                    continue
                inner = Sketch((Item(column),), inside, tables=(other,))
                clauses: tuple[Clause, ...] = (*outside, (Condition(key, "not in", inner),))
                features: Features = [
                    ("q:without", 1.0),
                    (f"q:without:{'mentioned' if other in mentioned else 'unmentioned'}", 1.0),
                    ("q:without:inner", float(len(inside))),
                ]
                sketch = replace(base, where=clauses)
                yield maker.draft("without", sketch, wanted, rows, features, mask)
                if len(joined.tables_of(sketch)) > 1 and not any(item.fn for item in base.select):
                    once: Features = [*features, ("q:distinct", 1.0)]
                    yield maker.draft("without", replace(sketch, distinct=True), wanted, rows, once, mask)
    yield from _excepted(maker, base, wanted, rows, mask)


def denials(words: Sequence[str]) -> int:
    """The words that deny something: not the "no" of "no less than"."""
    last = len(words) - 1
    return sum(
        1 << i
        for i, word in enumerate(words)
        if word in NEGATIONS and not (word in ("no", "not") and i < last and words[i + 1] in COMPARATIVES)
    )


def _split(maker: Queries, rows: RowSet, at: int) -> Iterator[tuple[tuple[Clause, ...], tuple[Clause, ...] | None]]:
    """The conditions before and behind the negation; all of them, by their collections, where nothing else is said."""
    yield rows.clauses, None
    before = tuple(part for part in rows.parts if part.start < at)
    after = tuple(part for part in rows.parts if part.start >= at)
    if before and after:
        yield maker.reading.clauses(before), maker.reading.clauses(after)


def _denied(clauses: Sequence[Clause]) -> bool:
    """Whether conditions deny something themselves: what is said once is not denied twice."""
    return any(test.op in NEGATED_OPS for clause in clauses for test in clause)


def _divided(
    maker: Queries, main: int, before: tuple[Clause, ...], after: tuple[Clause, ...] | None
) -> tuple[tuple[Clause, ...], tuple[Clause, ...]]:
    """(inside, outside) the negation."""
    if after is not None:
        return after, before
    inside = tuple(c for c in before if all(maker.view.columns[t.column].table != main for t in c))
    return inside, tuple(c for c in before if c not in inside)


def _excepted(maker: Queries, base: Sketch, wanted: Wanted, rows: RowSet, mask: int) -> Iterator[Draft]:
    """What is listed of all, without what is listed of those that another collection leads to."""
    if any(item.fn for item in base.select) or len(base.select) > 2:
        return
    tables = set(maker.reading.joined.tables_of(replace(base, where=()))) if maker.reading.joined else set()
    inside = tuple(c for c in rows.clauses if any(maker.view.columns[t.column].table not in tables for t in c))
    outside = tuple(c for c in rows.clauses if c not in inside)
    if _denied(inside):
        return
    reached: list[tuple[int, ...]] = [(entity.table,) for entity in maker.others(base)]
    for more in [*reached, *([()] if inside else [])]:
        less = Sketch(base.select, inside, tables=(*base.tables, *more))
        sketch = replace(base, where=outside, combine=("except", less))
        yield maker.draft("except", sketch, wanted, rows, [("q:except", 1.0), ("q:except:all", 1.0)], mask)


def both(maker: Queries, base: Sketch, wanted: Wanted, rows: RowSet) -> Iterator[Draft]:
    """What is found with one value and with the other as well."""
    words = maker.asked.words
    if "and" not in words and "both" not in words and "but" not in words:
        return
    for one, two in _pairs(rows.clauses):
        rest = tuple(clause for clause in rows.clauses if one not in clause and two not in clause)
        features: Features = [("q:both", 1.0), (f"q:both:{'said' if 'both' in words else 'and'}", 1.0)]
        features.append((f"q:both:{'equal' if one.op == '=' else 'compared'}", 1.0))
        other = replace(base, where=(*rest, (two,)))
        sketch = replace(base, where=(*rest, (one,)), combine=("intersect", other))
        yield maker.draft("both", sketch, wanted, rows, features, maker.asked.cues.get("and", 0))
        if {"not", "but"} & set(words):
            sketch = replace(sketch, combine=("except", other))
            yield maker.draft("except", sketch, wanted, rows, [("q:except", 1.0)], maker.asked.cues.get("not", 0))


def both_counted(maker: Queries, wanted: Wanted, rows: RowSet, key: int) -> Iterator[Draft]:
    """How many documents are found with one value and with the other as well."""
    if not {"and", "both"} & set(maker.asked.words):
        return
    for one, two in _pairs(rows.clauses):
        rest = tuple(clause for clause in rows.clauses if one not in clause and two not in clause)
        found = tuple((Condition(key, "in", Sketch((Item(key),), (*rest, (test,)))),) for test in (one, two))
        sketch = Sketch((Item(key, "distinct"),), found)
        features: Features = [("q:both", 1.0), ("q:both:counted", 1.0)]
        yield maker.draft("both", sketch, wanted, rows, features, maker.asked.cues.get("and", 0))


def _pairs(clauses: Sequence[Clause]) -> list[tuple[Condition, Condition]]:
    """Two conditions on one column, that are alternatives or exclude each other; one pair at most."""
    for clause in clauses:
        if len(clause) == 2 and clause[0].column == clause[1].column:
            return [(clause[0], clause[1])]
    single = [clause[0] for clause in clauses if len(clause) == 1]
    for number, one in enumerate(single):
        for two in single[number + 1 :]:
            if one.column == two.column and one.op != two.op:
                return [(one, two)]
    return []


def compared(maker: Queries, base: Sketch, wanted: Wanted, rows: RowSet) -> Iterator[Draft]:
    """With more or less of a column than the average, the least or the greatest of all, or of some."""
    for figure, mask, op, at in maker.comparisons:
        for key in maker.ordering.figures(mask)[:KEYS_TRIED]:
            yield from _compared_with(maker, base, wanted, rows, (key, figure, mask, op, at))


def comparisons(words: Sequence[str]) -> list[tuple[str, int, str, int]]:
    """(figure or "any", its words, "<" or ">", place) of each: "older than the average", "more than any"."""
    found = []
    for at, word in enumerate(words):
        figure = FIGURES.get(word, "any" if word == "any" else "")
        begin = max(0, at - BEFORE)
        before = words[begin:at]
        down, up = bool(DOWN & set(before)), bool(UP & set(before))
        if figure in ("avg", "max", "min", "any") and (down or up):
            said = [i for i in range(begin, at) if words[i] not in STOP or words[i] in ("more", "less", "than")]
            found.append((figure, (1 << at) | sum(1 << i for i in said), "<" if down else ">", at))
    return found


def _compared_with(
    maker: Queries, base: Sketch, wanted: Wanted, rows: RowSet, said: tuple[Part, str, int, str, int]
) -> Iterator[Draft]:
    key, figure, mask, op, at = said
    after = tuple(part for part in rows.parts if part.start > at)
    before = tuple(part for part in rows.parts if part.start <= at)
    splits: list[tuple[tuple[Clause, ...], tuple[Clause, ...]]] = [(rows.clauses, ())]
    if after:
        splits.append((maker.reading.clauses(before), maker.reading.clauses(after)))
    for outside, inside in splits:
        if figure == "any" and not inside:
            continue
        for fn in ("max", "min") if figure == "any" else (figure,):
            inner = Sketch((Item(key.column, fn),), inside)
            clauses: tuple[Clause, ...] = (*outside, (Condition(key.column, op, inner),))
            features: Features = [("q:average", 1.0), (f"q:than:{figure}", 1.0), ("q:than:some", float(bool(inside)))]
            yield maker.draft("average", replace(base, where=clauses), wanted, rows, features, mask, (key,))


def greatest(maker: Queries, base: Sketch, wanted: Wanted, rows: RowSet) -> Iterator[Draft]:
    """Figures of what has the greatest or least of a column: "how many concerts in the largest stadium"."""
    for how, mask in maker.ordering.directions:
        for key in maker.ordering.ordered(mask)[:2]:
            for way in maker.ordering.ways(how, mask, key.column):
                inner = Sketch((Item(key.column, way),))
                clauses: tuple[Clause, ...] = (*rows.clauses, (Condition(key.column, "=", inner),))
                sketch = replace(base, where=clauses)
                yield maker.draft("greatest", sketch, wanted, rows, [("q:greatest", 1.0)], mask, (key,))


def having_any(maker: Queries, base: Sketch, wanted: Wanted, rows: RowSet) -> Iterator[Draft]:
    """Figures of what some document of another collection leads to: "the average age of students who have a pet"."""
    joined = maker.reading.joined
    if joined is None:
        return
    for main in joined.tables_of(replace(base, where=()))[:1]:
        others = {entity.table for entity in maker.others(base)}
        for other, key, column in joined.edges.get(main, ()):
            if other in others:
                inside, outside = _divided(maker, main, rows.clauses, None)
                inner = Sketch((Item(column),), inside, tables=(other,))
                sketch = replace(base, where=(*outside, (Condition(key, "in", inner),)))
                yield maker.draft("related", sketch, wanted, rows, [("q:related", 1.0), ("q:related:any", 1.0)])
