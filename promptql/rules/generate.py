"""Readings of a question: every way to put its conditions, wanted columns and operations together, best first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from promptql.rules.asked import Asked, take_apart
from promptql.rules.columns import View
from promptql.rules.draft import Draft
from promptql.rules.entities import FILLERS, link_entities
from promptql.rules.events import is_recorded, recorded_in
from promptql.rules.joins import Joined
from promptql.rules.links import Headers, Mention, link_headers, link_values
from promptql.rules.model import Model
from promptql.rules.once import once
from promptql.rules.operations import OPERATIONS
from promptql.rules.outcome import overall_features, result_features
from promptql.rules.parts import Conditions, Part, class_of, wanted_columns
from promptql.rules.probe import CannotRunError, Probe
from promptql.rules.queries import queries
from promptql.rules.sense import Senses
from promptql.rules.shape import Shapes
from promptql.rules.sketch import Clause, Sketch

GROUP_PARTS_MAX = 5  # conditions kept for the same words
BEAM = 40
ROW_SETS_MAX = 14
WANTED_MAX = 9
TRIED_MAX = 90  # readings that are run and give something
EMPTY_MAX = 8  # readings that ran and found nothing that are kept, where there are several collections
FAILING_MAX = 4  # times as many are tried at most, with those that fail or give nothing


@dataclass(slots=True)
class RowSet:
    """Conditions that go together."""

    parts: tuple[Part, ...]
    clauses: tuple[Clause, ...]
    mask: int
    value: int
    score: float
    features: list[tuple[str, float]] = field(default_factory=list)


@dataclass(slots=True)
class Candidate:
    """A reading that ran: its sketch, what it gave, and what speaks for it."""

    sketch: Sketch
    answer: list[tuple[object, ...]]
    features: list[list[tuple[str, float]]]
    score: float
    mask: int
    parts: tuple[Part, ...] = ()
    wanted: Part | None = None
    probability: float = 0.0

    def all_features(self) -> dict[str, float]:
        """All features, values of equal names added."""
        found: dict[str, float] = {}
        for group in self.features:
            for name, value in group:
                found[name] = found.get(name, 0.0) + value
        return found


class Reading:
    """One question over one view: what its words link to, and pieces made of them, scored by the model."""

    def __init__(
        self,
        asked: Asked,
        view: View,
        headers: Headers,
        model: Model,
        joined: Joined | None = None,
    ) -> None:
        self.asked = asked
        self.view = view
        self.model = model
        self.classes = [class_of(column) for column in view.columns]
        self.mentions: dict[int, list[Mention]] = link_headers(asked, view, headers)
        self.links = link_values(asked, view)
        self.joined = joined
        self.entities = link_entities(asked, view)
        self.maker = Conditions(asked, view, self.mentions, self.classes, self.entities)
        self.conditions = self.maker.make(self.links)
        self.wanted = wanted_columns(asked, view, self.mentions, self.classes)
        for part in self.conditions + self.wanted:
            part.score = model.score(part.features)
        self.wanted.sort(key=lambda part: -part.score)
        self.row_sets = self._row_sets()

    def top_wanted(self, number: int = WANTED_MAX) -> list[Part]:
        """The likeliest wanted columns."""
        return self.wanted[:number]

    def clauses(self, parts: Sequence[Part]) -> tuple[Clause, ...]:
        """The clauses of conditions that go together; equal comparisons of one column are alternatives."""
        return self._row_set(0.0, tuple(parts), 0, 0).clauses

    def without_numbers(self, row_set: RowSet) -> Iterator[RowSet]:
        """The conditions without each that compares a number: it may count documents instead."""
        for part in row_set.parts:
            if isinstance(part.clauses[0][0].value, float) and len(part.clauses) == 1:
                rest = tuple(other for other in row_set.parts if other is not part)
                gain = -self.model.weight("g:uncovered") * (part.mask & self.asked.content).bit_count()
                value = row_set.value & ~part.value
                mask = 0
                for other in rest:
                    mask |= other.mask
                yield self._row_set(row_set.score - part.score - gain, rest, value, mask)

    def _row_sets(self) -> list[RowSet]:
        gain = -self.model.weight("g:uncovered")
        content = self.asked.content
        groups = self._groups(gain)
        states: list[tuple[float, tuple[Part, ...], int, int]] = [(0.0, (), 0, 0)]
        for value in sorted(groups, key=lambda v: v & -v):
            more = []
            for score, parts, taken, mask in states:
                if taken & value:
                    continue
                for part in groups[value]:
                    if len(parts) < 5:
                        news = (part.mask & ~mask & content).bit_count()
                        overlap = (part.head & mask).bit_count()
                        more.append(
                            (
                                score + part.score + gain * news - overlap * 0.5,
                                (*parts, part),
                                taken | value,
                                mask | part.mask,
                            )
                        )
            states = sorted(states + more, key=lambda state: -state[0])[:BEAM]
        sets = [made for state in states[:ROW_SETS_MAX] for made in self._row_sets_of(*state)]
        if not any(not row_set.parts for row_set in sets):
            sets.append(self._row_set(0.0, (), 0, 0))
        return sets

    def _groups(self, gain: float) -> dict[int, list[Part]]:
        """The likeliest conditions for each value; of several collections each once, by what it explains as well."""
        groups: dict[int, list[Part]] = {}
        if self.joined is None:
            for part in sorted(self.conditions, key=lambda part: -part.score):
                group = groups.setdefault(part.value, [])
                if len(group) < GROUP_PARTS_MAX:
                    group.append(part)
            return groups
        content = self.asked.content
        seen: set[tuple[int, tuple[Clause, ...]]] = set()
        for part in sorted(self.conditions, key=lambda p: -p.score - gain * (p.mask & content).bit_count()):
            group = groups.setdefault(part.value, [])
            if len(group) < GROUP_PARTS_MAX and (part.value, part.clauses) not in seen:
                seen.add((part.value, part.clauses))
                group.append(part)
        return groups

    def _row_sets_of(self, score: float, parts: tuple[Part, ...], value: int, mask: int) -> list[RowSet]:
        """The conditions all together, and, with an "or" between the last two, those two as alternatives."""
        made = [self._row_set(score, parts, value, mask)]
        if len(parts) > 1 and all(len(part.clauses) == 1 for part in parts[-2:]):
            one, two = sorted(parts[-2:], key=lambda part: part.start)
            compared = one.clauses[0][0].op != two.clauses[0][0].op
            if (one.column != two.column or compared) and "or" in self.asked.words[one.start : two.start]:
                rest = self._row_set(score, parts[:-2], value, mask)
                clause = (*one.clauses[0], *two.clauses[0])
                features = [*rest.features, ("c:orclause", 1.0)]
                made.append(RowSet(parts, (*rest.clauses, clause), mask, value, score, features))
        return made

    def _row_set(self, score: float, parts: tuple[Part, ...], value: int, mask: int) -> RowSet:
        by_column: dict[tuple[int, str], list[Part]] = {}
        clauses: list[Clause] = []
        features: list[tuple[str, float]] = []
        for part in parts:
            test = part.clauses[0][0]
            if len(part.clauses) == 1 and test.op in ("=", "~"):
                by_column.setdefault((test.column, "="), []).append(part)
            else:
                clauses += part.clauses
        for same in by_column.values():
            clauses.append(tuple(part.clauses[0][0] for part in same))
            if len(same) > 1:
                words = self.asked.words[min(p.start for p in same) : max(p.start for p in same)]
                joined = "or" if "or" in words else "and" if "and" in words else "none"
                features.append((f"c:anyof:{joined}", 1.0))
        return RowSet(parts, tuple(clauses), mask, value, score, features)


def read(
    text: str,
    view: View,
    headers: Headers,
    model: Model,
    joined: Joined | None = None,
    *,
    tried_max: int = TRIED_MAX,
) -> list[Candidate]:
    """The readings that ran, best first, with probabilities that sum to one."""
    asked = understood(text, view)
    reading = Reading(asked, view, headers, model, joined)
    probe = Probe(view, joined)
    several = len(view.names) > 1
    shapes = Shapes(asked, view, reading.mentions, reading.entities, joined) if several else None
    senses = Senses(asked, view, reading.mentions, reading.entities, joined, shapes.kinds) if shapes else None
    empty_left = EMPTY_MAX if several else 0
    drafts = sorted(_drafts(reading), key=lambda item: -item[0])
    found: list[Candidate] = []
    seen: set[Sketch] = set()
    for score, draft, features in drafts:
        if len(found) >= tried_max or len(seen) >= FAILING_MAX * tried_max:
            break
        if draft.sketch in seen:
            continue
        seen.add(draft.sketch)
        try:
            answer = probe.run(draft.sketch)
        except CannotRunError:
            continue
        if not answer:
            if not empty_left:
                continue
            empty_left -= 1
        results = result_features(asked, view, draft, answer, probe)
        if shapes is not None:
            results += shapes.features(draft, answer)
        if senses is not None:
            results += senses.features(draft, len(answer))
        groups = [*features, results]
        total = score + model.score(results)
        found.append(Candidate(draft.sketch, answer, groups, total, draft.mask, draft.parts, draft.wanted))
    found.sort(key=lambda candidate: -candidate.score)
    _normalize(found)
    return found


def understood(text: str, view: View) -> Asked:
    """The question taken apart; of a single collection its name, and what it records, explain themselves."""
    return once(("understood", text), view, lambda: _understood(text, view))


def _understood(text: str, view: View) -> Asked:
    asked = take_apart(text)
    if len(view.names) == 1:
        called = (view.names[0], view.titles[0], *recorded_in(tuple(column.name for column in view.columns)))
        for index, word in enumerate(asked.words):
            if is_recorded(word, called):
                asked.content &= ~(1 << index)
        for entity in link_entities(asked, view):
            asked.content &= ~entity.mask
            if entity.end < len(asked.words) and asked.words[entity.end] in FILLERS:  # "the sales data"
                asked.content &= ~(1 << entity.end)
    return asked


def _drafts(reading: Reading) -> Iterator[tuple[float, Draft, list[list[tuple[str, float]]]]]:
    score = reading.model.score
    operations = (queries,) if len(reading.view.names) > 1 else (*OPERATIONS, queries)
    for operation in operations:
        for draft in operation(reading):
            overall = overall_features(reading.asked, draft)
            total = sum(part.score for part in draft.parts) + score(draft.features) + score(overall)
            yield total, draft, [*(part.features for part in draft.parts), draft.features, overall]


def _normalize(found: Sequence[Candidate]) -> None:
    import math

    if not found:
        return
    top = found[0].score
    weights = [math.exp(candidate.score - top) for candidate in found]
    total = sum(weights)
    for candidate, weight in zip(found, weights, strict=True):
        candidate.probability = weight / total
