"""llm_filter, llm_classify, llm_extract, llm_map, and several of them over the same rows.

Questions that read the same columns go into the same calls. Of filters that read different ones, those run first that
leave fewest rows for their cost, which a sample of the rows tells (`optimizer.order_filters`). The rows that were
sampled need not be asked again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from engine import Field, FieldType, Relation
from promptql.answer import Notice
from promptql.judgements import Verdict
from promptql.operators.rows import Rows, Scope
from promptql.operators.semantic.asking import Asking
from promptql.operators.semantic.caller import Caller
from promptql.operators.semantic.deciding import Decider, Decision, Question, reached
from promptql.operators.semantic.inputs import NO_TEXT, Inputs
from promptql.operators.semantic.notices import notices_of
from promptql.operators.semantic.tasks import Task, task_of
from promptql.optimizer.order_filters import order_filters
from promptql.steps import LlmClassify, LlmExtract, LlmFilter, LlmMap, ModelSize, QualityTarget, RowStep
from promptql.validation.naming import confidence_of, sureness_of
from promptql.validation.semantic import extracted_field

SAMPLE_ROWS = 20
FIRST_ROWS, FIRST_ROWS_MAX = 20, 160  # one call, and as many calls as run at a time
SAMPLED_ROWS_MIN = 60  # of fewer rows a sample would be too much of the whole


def run_row_steps(
    steps: Sequence[RowStep],
    rows: Rows,
    scope: Scope,
    caller: Caller,
    decider: Decider | None,
    first: int | None = None,
) -> Rows:
    """The rows that all filters among the steps let through, or the first of them, with the columns of all.

    Raises:
        LLMError: nothing could be had of the language model.
        PlanCancelledError, LimitExceededError: as `Caller.all`.
    """
    return _Run(steps, rows, scope, Asking(caller), decider if first is None else None, first).run()


@dataclass(slots=True)
class _Unit:
    """Questions that read the same columns, for the same model."""

    fields: tuple[str, ...]
    model: ModelSize | None
    steps: list[int] = field(default_factory=list)


@dataclass(slots=True)
class _Run:
    """One run of steps over rows: which rows are still wanted, and what is known of each."""

    steps: Sequence[RowStep]
    rows: Rows
    scope: Scope
    asking: Asking
    decider: Decider | None
    first: int | None
    tasks: list[Task] = field(init=False)
    alive: list[int] = field(init=False)  # places of rows
    verdicts: list[dict[int, Verdict | None]] = field(init=False)  # of each step, by row
    quality: dict[str, Any] = field(default_factory=dict)
    failed: set[int] = field(default_factory=set)  # rows
    warnings: list[Notice] = field(default_factory=list)
    noted: set[int] = field(default_factory=set)  # filters whose quality is known

    def __post_init__(self) -> None:
        self.tasks = [task_of(step) for step in self.steps]
        self.alive = list(range(len(self.rows.relation)))
        self.verdicts = [{} for _ in self.steps]

    def run(self) -> Rows:
        passed: list[int] = []
        for places in _portions(len(self.rows.relation), self.first):
            self.alive = places
            self._judge()
            passed += self.alive
            if self.first is not None and len(passed) >= self.first:
                break
        self.alive = passed[: self.first]
        return self._made()

    def _judge(self) -> None:
        """Leave of `alive` what all filters let through, and note what is said of it."""
        rest = self._cascaded()
        units = self._units(rest)
        filtering = [unit for unit in units if self._filters(unit)]
        if len(filtering) > 1 and len(self.alive) >= SAMPLED_ROWS_MIN:
            filtering = self._ordered(filtering)
        for unit in [*filtering, *(unit for unit in units if not self._filters(unit))]:
            self._ask(unit, self.alive)
            self._narrow(unit.steps)

    def _made(self) -> Rows:
        caller = self.asking.caller
        self.failed -= {place for place in self.failed if self._is_refused(place)}  # another filter has spoken
        caller.failed = len(self.failed)
        if self.first is not None and self.failed:  # in whichever portion
            self.quality = _uncertified(self.quality)
        relation = self._columns(self.rows.relation.take(np.array(self.alive, dtype=np.int64)))
        notices = notices_of(caller, len(self.rows.relation), self._fate())
        made = replace(self.rows.over(relation), notices=(*self.rows.notices, *self.warnings, *notices))
        if not all(isinstance(step, LlmFilter) for step in self.steps):
            made = replace(made, passages=None)  # what was asked for is what the model said, not what the search found
        return replace(made, llm=caller.used(), quality=self.quality or None)

    def _cascaded(self) -> list[int]:
        """Have filters that need not judge every row decided first; the steps that are left."""
        left = []
        for index, step in enumerate(self.steps):
            decision = self._decided(index, step) if isinstance(step, LlmFilter) and step.quality.value < 1 else None
            if decision is None:
                left.append(index)
        return left

    def _decided(self, index: int, step: LlmFilter) -> Decision | None:
        if self.decider is None:
            return None
        inputs = Inputs.of(self.rows.relation, step.fields, self.alive)

        def judge(places: Sequence[int], size: ModelSize | None) -> list[Verdict | None]:
            texts = [inputs.texts[place] for place in places]
            return [row[0] for row in self.asking.ask([self.tasks[index]], texts, size or step.model)]

        decision = self.decider(Question(step, self.rows, self.alive, inputs, judge, self.scope, self._ended))
        if decision is not None:
            self.asking.caller.cut += inputs.cut
            self.asking.caller.decided += decision.decided
            self._note(index, step, decision.quality)
            if decision.warning is not None:
                self.warnings.append(Notice("partial_answer", decision.warning))
            self._keep([index], self.alive, inputs, [[verdict] for verdict in decision.verdicts])
            self._narrow([index])
        return decision

    def _ended(self) -> bool:
        return self.asking.caller.ended is not None

    def _units(self, indexes: Sequence[int]) -> list[_Unit]:
        units: dict[tuple[tuple[str, ...], ModelSize | None], _Unit] = {}
        for index in indexes:
            step = self.steps[index]
            key = (step.fields, step.model)
            units.setdefault(key, _Unit(*key)).steps.append(index)
        return list(units.values())

    def _filters(self, unit: _Unit) -> bool:
        return any(isinstance(self.steps[index], LlmFilter) for index in unit.steps)

    def _ordered(self, units: list[_Unit]) -> list[_Unit]:
        """By cost over what is let go, as a sample of the rows tells."""
        places = [self.alive[at] for at in np.linspace(0, len(self.alive) - 1, SAMPLE_ROWS).astype(int)]
        costs, selectivities = [], []
        for unit in units:
            read = self._ask(unit, places)
            kept = sum(self._passes(unit.steps, place) for place in places)
            selectivities.append((kept + 1) / (len(places) + 2))  # Laplace's rule of succession
            tokens = sum(map(len, read.texts)) / max(1, len(read.texts)) / 4
            costs.append(tokens + sum(self.tasks[index].tokens for index in unit.steps))
        return [units[place] for place in order_filters(costs, selectivities)]

    def _ask(self, unit: _Unit, places: Sequence[int]) -> Inputs:
        """Ask the questions of a unit about some rows; of those that were asked about nothing new is asked."""
        wanted = [place for place in places if place not in self.verdicts[unit.steps[0]]]
        inputs = Inputs.of(self.rows.relation, unit.fields, wanted)
        tasks = [self.tasks[index] for index in unit.steps]
        answers = self.asking.ask(tasks, inputs.texts, unit.model) if inputs.texts else []
        self.asking.caller.cut += inputs.cut
        self._keep(unit.steps, wanted, inputs, answers)
        return inputs

    def _keep(
        self, indexes: Sequence[int], places: Sequence[int], inputs: Inputs, answers: Sequence[Sequence[Verdict | None]]
    ) -> None:
        """Note what was said of each row; `failed`: those with a text of which something could not be had."""
        for place, owner in zip(places, inputs.owners, strict=True):
            for position, index in enumerate(indexes):
                step = self.steps[index]
                if owner == NO_TEXT:
                    self.verdicts[index][place] = Verdict(False) if isinstance(step, LlmFilter) else None
                    continue
                verdict = answers[owner][position]
                self.verdicts[index][place] = verdict
                if verdict is None:
                    self.failed.add(place)

    def _narrow(self, indexes: Sequence[int]) -> None:
        """Let go of the rows that filters do not let through."""
        for index in indexes:
            step = self.steps[index]
            if isinstance(step, LlmFilter) and index not in self.noted:
                missing = any(self.verdicts[index].get(place) is None for place in self.alive)
                self._note(index, step, reached(step.quality, None if missing else 1.0))
        self.alive = [place for place in self.alive if self._passes(indexes, place)]

    def _note(self, index: int, step: LlmFilter, quality: Any) -> None:
        self.noted.add(index)
        self.quality = dict(quality) if len(self.steps) == 1 else {**self.quality, step.id: dict(quality)}

    def _passes(self, indexes: Sequence[int], place: int) -> bool:
        """Whether filters let a row through; one that could not be judged is let through for recall."""
        for index in indexes:
            step = self.steps[index]
            if isinstance(step, LlmFilter):
                verdict = self.verdicts[index].get(place)
                unknown = step.quality.target is QualityTarget.RECALL
                if not (unknown if verdict is None else verdict.value):
                    return False
        return True

    def _is_refused(self, place: int) -> bool:
        filters = (index for index, step in enumerate(self.steps) if isinstance(step, LlmFilter))
        found = (self.verdicts[index].get(place) for index in filters)
        return any(verdict is not None and verdict.value is False for verdict in found)

    def _fate(self) -> str:
        """What became of rows that could not be judged."""
        if not any(isinstance(step, LlmFilter) for step in self.steps):
            return "have no values"
        kept = len(self.failed & set(self.alive))
        return "are kept" if kept == len(self.failed) else "are left out" if not kept else f"are kept in {kept} cases"

    def _columns(self, relation: Relation) -> Relation:
        for step, verdicts in zip(self.steps, self.verdicts, strict=True):
            found = [verdicts.get(place) for place in self.alive]
            relation = _with_columns(relation, step, found)
        return relation


def _uncertified(quality: Mapping[str, Any]) -> dict[str, Any]:
    """What a report says of quality, or of that of several steps, where some rows could not be judged."""
    if "certified" in quality:
        return {**quality, "certified": None}
    return {step: _uncertified(said) for step, said in quality.items()}


def _portions(rows: int, first: int | None) -> list[list[int]]:
    """The rows that are judged together: all, or, where the first that pass are wanted, few and then more."""
    if first is None:
        return [list(range(rows))]
    portions = []
    begin, size = 0, -(-min(first, FIRST_ROWS_MAX) // FIRST_ROWS) * FIRST_ROWS
    while begin < rows:
        portions.append(list(range(begin, min(begin + size, rows))))
        begin, size = begin + size, min(2 * size, FIRST_ROWS_MAX)
    return portions


def _with_columns(relation: Relation, step: RowStep, verdicts: Sequence[Verdict | None]) -> Relation:
    sure = [None if verdict is None else verdict.confidence for verdict in verdicts]
    match step:
        case LlmFilter():
            pass
        case LlmClassify(alias=alias) | LlmMap(alias=alias):
            kind = FieldType.KEYWORD if isinstance(step, LlmClassify) else FieldType.TEXT
            values = [None if verdict is None else verdict.value for verdict in verdicts]
            relation = relation.with_column(alias, Field(kind), values, step.fields)
            return relation.with_column(confidence_of(alias), Field(FieldType.NUMBER), sure, step.fields)
        case LlmExtract(columns=columns):
            read = [verdict.value if verdict is not None else None for verdict in verdicts]
            for column in columns:
                cells = [value.get(column.name) if isinstance(value, dict) else None for value in read]
                relation = relation.with_column(column.name, extracted_field(column), cells, step.fields)
    return relation.with_column(sureness_of(step), Field(FieldType.NUMBER), sure, step.fields)
