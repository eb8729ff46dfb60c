"""What can be asked of rows: values, counts, figures, extremes, neighbours, differences. Each gives drafts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from promptql.rules.asked import ordinal_of
from promptql.rules.cues import COUNTING, MIN_WORDS
from promptql.rules.draft import Draft, Features
from promptql.rules.measures import measured
from promptql.rules.parts import Part
from promptql.rules.sketch import ROWS, Clause, Condition, Item, Pick, Sketch

if TYPE_CHECKING:
    from promptql.rules.generate import Reading, RowSet


def _cued(reading: Reading, name: str, *cues: str) -> tuple[int, Features]:
    """The words of those cues, and features that tie the operation to all cues of the question."""
    mask = 0
    for cue in cues:
        mask |= reading.asked.cues.get(cue, 0)
    features: Features = [(f"op:{name}", 1.0), (f"op:{name}:{reading.asked.asks}", 1.0)]
    features += [(f"op:{name}:{cue}", 1.0) for cue in reading.asked.cues if cue in TELLING]
    return mask, features


TELLING = frozenset(
    """howmany howmuch howlong numberof totalnumber total count average max min first last next previous difference
    different each or not same than mostoften once consecutive only""".split()
)


def values(reading: Reading) -> Iterator[Draft]:
    """A column of the rows."""
    _, features = _cued(reading, "value")
    for rows in reading.row_sets:
        if not rows.parts:
            continue
        for wanted in reading.top_wanted():
            yield Draft(
                "value",
                Sketch((Item(wanted.column),), rows.clauses),
                (*rows.parts, wanted),
                features + rows.features + _numbered(reading, "value", wanted),
                wanted=wanted,
            )


def _numbered(reading: Reading, name: str, part: Part) -> Features:
    """Whether a number of something is asked for, and of what kind the column is: names are counted, amounts are read.

    The same of each operation that may be meant, so that the model can weigh one against another.
    """
    if part.mention is None:
        return []
    kind = reading.classes[part.column]
    return [(f"s:number:{name}:{cue}:{kind}", 1.0) for cue in COUNTING if cue in reading.asked.cues]


def counts(reading: Reading) -> Iterator[Draft]:
    """How many rows, or different values."""
    cues = reading.asked.cues
    if not any(cue in cues for cue in COUNTING):
        return
    mask, features = _cued(reading, "count", *COUNTING, "total")
    named = [part for part in reading.wanted if part.mention is not None][:3]
    for rows in reading.row_sets:
        yield Draft(
            "count",
            Sketch((Item(ROWS, "count"),), rows.clauses),
            rows.parts,
            features + rows.features + [("op:count:unnamed", 1.0)],
            mask,
            figure=True,
        )
        for part in named:
            light = _light(part, "count")
            yield Draft(
                "count",
                Sketch((Item(part.column, "count"),), rows.clauses),
                (*rows.parts, light),
                features + rows.features + _numbered(reading, "count", part),
                mask,
                figure=True,
                wanted=light,
            )
    mask, features = _cued(reading, "distinct", *COUNTING, "different", "total")
    for rows in reading.row_sets[:6]:
        for part in named:
            light = _light(part, "distinct")
            yield Draft(
                "distinct",
                Sketch((Item(part.column, "distinct"),), rows.clauses),
                (*rows.parts, light),
                features + rows.features + _numbered(reading, "distinct", part),
                mask,
                figure=True,
                wanted=light,
            )


def _light(part: Part, name: str) -> Part:
    """The wanted column of a count: what it is called matters; of what kind it is, `_numbered` says."""
    mention = part.mention
    assert mention is not None
    features: Features = [
        (f"{name}:named", 1.0),
        (f"{name}:coverage", mention.coverage),
        (f"{name}:matched", float(mention.matched)),
    ]
    features += [
        (f"{name}:{key}", value) for key, value in part.features if key in ("s:head", "s:dominated", "s:literal")
    ]
    return Part(
        part.mask,
        features,
        column=part.column,
        head=part.head,
        score=part.score * 0.0,
        start=part.start,
        mention=mention,
    )


FIGURE_CUES = {
    "max": ("max",),
    "min": ("min",),
    "avg": ("average",),
    "sum": ("total", "totalnumber", "howmany", "howmuch", "numberof"),
}


def figures(reading: Reading) -> Iterator[Draft]:
    """The greatest, least, sum or average of a column."""
    cues, columns = reading.asked.cues, reading.view.columns
    ordered = [part for part in reading.wanted if columns[part.column].ordered][:6]
    for fn, words in FIGURE_CUES.items():
        if not any(cue in cues for cue in words):
            continue
        mask, features = _cued(reading, fn, *words)
        for rows in reading.row_sets[:10]:
            for part in ordered:
                if fn in ("sum", "avg") and columns[part.column].kind != "number":
                    continue
                near = [(f"op:{fn}:{_nearness(mask, part.mask)}", 1.0)]
                kind = [(f"op:{fn}:class:{reading.classes[part.column]}", 1.0)]
                yield Draft(
                    fn,
                    Sketch((Item(part.column, fn),), rows.clauses),
                    (*rows.parts, part),
                    features + rows.features + near + kind + _numbered(reading, fn, part),
                    mask,
                    figure=True,
                    wanted=part,
                )


def _nearness(cue: int, name: int) -> str:
    """How the words of a cue and of a column's name lie to each other."""
    if not name:
        return "unnamed"
    if not cue:
        return "uncued"
    gap = (name & -name).bit_length() - cue.bit_length()
    if cue & name:
        return "within"
    if gap >= 0:
        return "next" if gap == 0 else "near" if gap <= 2 else "far"
    return "behind"


def extremes(reading: Reading) -> Iterator[Draft]:
    """A column of the row with the most or least of another."""
    cues = reading.asked.cues
    for how in ("max", "min"):
        if how not in cues and not ("first" in cues or "last" in cues):
            continue
        if how not in cues and not any(kind in ("date", "year") for kind in reading.classes):
            continue
        for cue in (how, "first", "last"):
            if cue not in cues:
                continue
            mask, features = _cued(reading, f"arg{how}", cue)
            features = [*features, (f"arg{how}:by:{cue}", 1.0)]
            keys = _keys(reading, mask, f"arg{how}", by_time=cue != how)
            for rows in reading.row_sets[:5]:
                for key in keys:
                    for wanted in reading.top_wanted(6):
                        if wanted.column == key.column:
                            continue
                        pick = Pick(how, Item(key.column))
                        yield Draft(
                            f"arg{how}",
                            Sketch((Item(wanted.column),), rows.clauses, pick=pick),
                            (*rows.parts, key, wanted),
                            features + rows.features,
                            mask,
                            wanted=wanted,
                        )


def _keys(reading: Reading, cue: int, name: str, *, by_time: bool = False, most: int = 4) -> list[Part]:
    """Ordered columns as what an extreme is of, best first."""
    columns = reading.view.columns
    found = []
    for part in reading.wanted:
        if not columns[part.column].ordered:
            continue
        kind = reading.classes[part.column]
        if by_time and kind not in ("date", "year"):
            continue
        features: Features = [(f"k:{_nearness(cue, part.mask)}", 1.0), (f"k:{name}:class:{kind}", 1.0)]
        if part.mention is not None:
            features += [("k:coverage", part.mention.coverage), ("k:matched", float(part.mention.matched))]
            features += [(f"k:{key}", value) for key, value in part.features if key in ("s:dominated", "s:literal")]
        elif any(key == "s:bare:had" for key, _ in part.features):
            features.append(("k:had", 1.0))
        measure = measured(reading.asked, cue, columns[part.column].words)
        if measure:
            features.append(("k:measure", 1.0))
        words = set(columns[part.column].words)
        if words & {"rank", "ranking", "place", "position", "pos", "finish"}:
            features.append((f"k:{name}:rank", 1.0))
        key = Part(part.mask, features, column=part.column, head=part.head, start=part.start, mention=part.mention)
        key.score = reading.model.score(features)
        found.append(key)
    found.sort(key=lambda part: -part.score)
    return found[:most]


def ends(reading: Reading) -> Iterator[Draft]:
    """The first, last or n-th row as written."""
    cues = reading.asked.cues
    picks: list[tuple[str, int, Pick]] = [(how, cues[how], Pick(how)) for how in ("first", "last") if how in cues]
    for index, word in enumerate(reading.asked.words):
        place = ordinal_of(word)
        if place is not None and place > 1:
            picks.append(("nth", 1 << index, Pick("nth", n=place)))
    for name, mask, pick in picks:
        _, features = _cued(reading, f"row:{name}")
        for rows in reading.row_sets[:5]:
            for wanted in reading.top_wanted(6):
                yield Draft(
                    f"row:{name}",
                    Sketch((Item(wanted.column),), rows.clauses, pick=pick),
                    (*rows.parts, wanted),
                    features + rows.features,
                    mask,
                    wanted=wanted,
                )


def neighbours(reading: Reading) -> Iterator[Draft]:
    """The row after or before the one that is named."""
    cues = reading.asked.cues
    for cue, shift in (("next", 1), ("previous", -1)):
        if cue not in cues:
            continue
        mask, features = _cued(reading, cue, cue)
        for rows in reading.row_sets[:6]:
            if not rows.parts:
                continue
            compared = {part.column for part in rows.parts}
            for wanted in reading.top_wanted(6):
                same = [(f"op:{cue}:{'same' if wanted.column in compared else 'another'}", 1.0)]
                yield Draft(
                    cue,
                    Sketch(
                        (Item(wanted.column),), rows.clauses, pick=Pick("last" if shift > 0 else "first"), shift=shift
                    ),
                    (*rows.parts, wanted),
                    features + rows.features + same,
                    mask,
                    wanted=None,
                )


def commonest(reading: Reading) -> Iterator[Draft]:
    """The value that most rows have, or how many have it."""
    cues = reading.asked.cues
    for how, given in (("max", ("max", "mostoften")), ("min", ("min",))):
        if not any(cue in cues for cue in given):
            continue
        mask, features = _cued(reading, f"common{how}", *given)
        for rows in reading.row_sets[:4]:
            for wanted in reading.top_wanted(6):
                column = reading.view.columns[wanted.column]
                spread = [
                    (f"op:common:{'repeated' if column.distinct_share < 0.9 else 'distinct'}", 1.0),
                    (f"op:common:class:{reading.classes[wanted.column]}", 1.0),
                ]
                pick = Pick(how, Item(ROWS, "count"))
                yield Draft(
                    f"common{how}",
                    Sketch((Item(wanted.column),), rows.clauses, (wanted.column,), pick=pick),
                    (*rows.parts, wanted),
                    features + rows.features + spread,
                    mask,
                    wanted=wanted,
                )
                keys = _keys(reading, mask, f"sum{how}", most=2)
                if column.distinct_share < 0.8 and column.kind == "text":
                    for key in keys:
                        if key.column != wanted.column and reading.view.columns[key.column].kind == "number":
                            pick = Pick(how, Item(key.column, "sum"))
                            yield Draft(
                                f"sum{how}",
                                Sketch((Item(wanted.column),), rows.clauses, (wanted.column,), pick=pick),
                                (*rows.parts, key, wanted),
                                [*features, *rows.features, (f"op:sum{how}", 1.0)],
                                mask,
                                wanted=wanted,
                            )


def rivals(reading: Reading) -> Iterator[Draft]:
    """Which of two that are named has more of something, or comes first: "who won more, A or B"."""
    asked = reading.asked
    if "or" not in asked.cues:
        return
    low = bool(MIN_WORDS & set(asked.words)) or any(
        w in asked.words
        for w in ("less", "fewer", "earlier", "lower", "shorter", "smaller", "younger", "first", "before")
    )
    for rows in reading.row_sets[:6]:
        clauses = [clause for clause in rows.clauses if len(clause) > 1]
        if not clauses:
            continue
        column = clauses[0][0].column
        own = Part(0, [("r:own", 1.0)], column=column)
        for how in ("max", "min"):
            direction = (f"op:rival:{how}:{'low' if low else 'high'}", 1.0)
            mask, features = _cued(reading, f"rival{how}", "max", "min", "or", "than")
            extra = [direction, *rows.features]
            for key in _keys(reading, mask, f"rival{how}"):
                sketch = Sketch((Item(column),), rows.clauses, pick=Pick(how, Item(key.column)))
                yield Draft(f"rival{how}", sketch, (*rows.parts, own, key), features + extra, mask)
            sketch = Sketch((Item(column),), rows.clauses, (column,), pick=Pick(how, Item(ROWS, "count")))
            yield Draft(
                f"rivalcount{how}", sketch, (*rows.parts, own), [*features, *extra, (f"op:rivalcount:{how}", 1.0)], mask
            )
        for how in ("first", "last"):
            mask, features = _cued(reading, f"rival{how}", "first", "last", "or", "previous", "next")
            sketch = Sketch((Item(column),), rows.clauses, pick=Pick(how))
            yield Draft(f"rival{how}", sketch, (*rows.parts, own), features + rows.features, mask)


def differences(reading: Reading) -> Iterator[Draft]:
    """How much more one has than another; how many more rows; how far the extremes of a column lie apart."""
    cues = reading.asked.cues
    if "difference" not in cues and "howlong" not in cues and "howmany" not in cues:
        return
    mask, features = _cued(reading, "difference", "difference", "than")
    for rows in reading.row_sets[:6]:
        pairs = [clause for clause in rows.clauses if len(clause) == 2]
        if not pairs:
            continue
        rest = tuple(clause for clause in rows.clauses if clause is not pairs[0])
        one, two = ((*rest, (test,)) for test in pairs[0])
        columns = reading.view.columns
        for part in [part for part in reading.wanted if columns[part.column].kind == "number"][:5]:
            item = (Item(part.column),)
            sketch = Sketch(item, one, combine=("abs", Sketch(item, two)))
            yield Draft(
                "difference", sketch, (*rows.parts, part), [*features, *rows.features], mask, figure=True, wanted=part
            )
        item = (Item(ROWS, "count"),)
        sketch = Sketch(item, one, combine=("abs", Sketch(item, two)))
        yield Draft(
            "differencecount",
            sketch,
            rows.parts,
            [*features, *rows.features, ("op:differencecount", 1.0)],
            mask,
            figure=True,
        )
    if "difference" in cues or ("max" in cues and "min" in cues):
        mask, features = _cued(reading, "range", "difference", "max", "min", "first", "last")
        for rows in reading.row_sets[:3]:
            for part in reading.wanted[:6]:
                if reading.view.columns[part.column].kind == "number":
                    yield Draft(
                        "range",
                        Sketch((Item(part.column, "range"),), rows.clauses),
                        (*rows.parts, part),
                        features + rows.features,
                        mask,
                        figure=True,
                        wanted=part,
                    )


def likenesses(reading: Reading) -> Iterator[Draft]:
    """Rows that have the same value as one that is named; rows with more than it has; how many they are."""
    cues, columns = reading.asked.cues, reading.view.columns
    same, than = "same" in cues, "than" in cues or "next" in cues or "previous" in cues
    if not same and not than:
        return
    for rows in reading.row_sets[:4]:
        if len(rows.clauses) != 1 or len(rows.clauses[0]) != 1 or rows.clauses[0][0].op not in ("=", "~"):
            continue
        test = rows.clauses[0][0]
        for key in reading.wanted[:7]:
            if key.column == test.column:
                continue
            inner = Sketch((Item(key.column),), rows.clauses)
            ordered = columns[key.column].ordered
            tests = [("=", "same")] if same else [(">", "more"), ("<", "less")] if ordered else []
            for op, name in tests:
                others: tuple[Clause, ...] = ((Condition(key.column, op, inner),),)
                if op == "=":
                    others = (*others, (Condition(test.column, "!=" if test.op == "=" else "!~", test.value),))
                yield from _alike(reading, rows, key, others, f"{name}as")


def _alike(reading: Reading, rows: RowSet, key: Part, clauses: tuple[Clause, ...], name: str) -> Iterator[Draft]:
    mask, features = _cued(reading, name, "same", "other", "than", "howmany", "numberof", "next", "previous")
    less = any(
        word in reading.asked.words
        for word in ("less", "fewer", "lower", "before", "earlier", "under", "below", "shorter")
    )
    features = [*features, *rows.features, (f"op:{name}:{'down' if less else 'up'}", 1.0)]
    light: Features = [(f"l:{name}:{reading.classes[key.column]}", 1.0)]
    if key.mention is not None:
        light += [("l:coverage", key.mention.coverage), ("l:matched", float(key.mention.matched))]
    part = Part(key.mask, light, column=key.column, head=key.head, mention=key.mention)
    part.score = reading.model.score(light)
    if any(cue in reading.asked.cues for cue in COUNTING):
        sketch = Sketch((Item(ROWS, "count"),), clauses)
        yield Draft(
            f"{name}count", sketch, (*rows.parts, part), [*features, (f"op:{name}:count", 1.0)], mask, figure=True
        )
        return
    for wanted in reading.top_wanted(4):
        if wanted.column != key.column:
            sketch = Sketch((Item(wanted.column),), clauses)
            yield Draft(name, sketch, (*rows.parts, part, wanted), features, mask, wanted=wanted)


OPERATIONS: tuple[Callable[[Reading], Iterator[Draft]], ...] = (
    values, counts, figures, extremes, ends, neighbours, commonest, rivals, differences, likenesses,
)  # fmt: skip
