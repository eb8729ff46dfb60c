"""What a plan's language model steps will cost, before the first call; and whether a budget can bear it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine import Snapshot
from models import LLM, Budget, BudgetedLLM, Price
from promptql.cascade import ROWS_MIN, rows_read
from promptql.errors import LimitExceededError, PlanError
from promptql.expressions import Scalar
from promptql.language_models import LanguageModels
from promptql.operators.scan import split
from promptql.operators.semantic.asking import CHARACTERS_A_CALL, ROWS_A_CALL
from promptql.operators.semantic.caller import CALLS_AT_ONCE
from promptql.operators.semantic.inputs import CHARACTERS_MAX
from promptql.plan import Plan
from promptql.predicate import bind
from promptql.steps import (
    SEMANTIC,
    Filter,
    Group,
    Limit,
    LlmClassify,
    LlmExtract,
    LlmFilter,
    LlmFused,
    LlmMap,
    LlmSummarize,
    LlmTopk,
    ModelSize,
    Scan,
    Search,
    Semantic,
    SemJoin,
    Step,
)
from promptql.steps.semantic_relations import CANDIDATES, CLASSES_MAX

SELECTIVITY = 1 / 3  # of a condition of which nothing is known (Selinger et al., SIGMOD 1979)
JUDGED_SELECTIVITY = 0.3  # of a model's judgement; the cascade's share of calls depends on it
HELPED_SHARE = 0.35  # of a cascade's rows that the small model is asked about: .26 to .33 where 15 % belong
TEXTS_SAMPLED = 64
TEXT_CHARACTERS = 400.0  # of a column that another step makes
CHARACTERS_A_TOKEN = 4.0
PROMPT_TOKENS = 200  # of a call, besides the rows and the question
ROW_TOKENS_IN, ROW_TOKENS_OUT = 12, 18  # a row's number, braces and confidence
TEXT_TOKENS_OUT, COLUMN_TOKENS_OUT = 80, 12
CALL_SECONDS, TOKENS_A_SECOND = 0.8, 60.0  # of a hosted model


@dataclass(frozen=True, slots=True)
class StepEstimate:
    """One step: how many rows reach it, and what its calls will take.

    Attributes:
        calls_max: if the proxy is of no use and every row is judged, by the small model too where there is one; equal
            to `calls` where there is no cascade. Rows that are asked again, because a reply lacked them, come on top.
        usd: None where the model has no price.
    """

    id: str
    op: str
    rows: int
    calls: int
    calls_max: int
    tokens_in: int
    tokens_out: int
    usd: float | None
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """As an object of these names."""
        return {
            "id": self.id, "op": self.op, "rows": self.rows, "calls": self.calls, "calls_max": self.calls_max,
            "tokens_in": self.tokens_in, "tokens_out": self.tokens_out, "usd": self.usd, "seconds": self.seconds,
        }  # fmt: skip


def estimate(
    plan: Plan, snapshots: Mapping[str, Snapshot], models: LanguageModels | None, params: Mapping[str, Scalar]
) -> tuple[StepEstimate, ...]:
    """What each step that asks a language model will take; empty for plans without.

    Rows of scans are counted by the indexes, texts measured on a sample of the documents; what is not known is guessed
    as query optimizers do. Answers that are known from before cost less than this.
    """
    steps = plan.needed()
    if not any(isinstance(step, SEMANTIC) for step in steps):
        return ()
    estimator = _Estimator(plan, snapshots, models, params)
    return tuple(estimator.of(step) for step in steps if isinstance(step, SEMANTIC))


def values_of(plan: Plan) -> dict[str, Scalar]:
    """The values that the plan's parameters have."""
    return {name: parameter.value for name, parameter in plan.params.items()}


def totals(estimates: tuple[StepEstimate, ...]) -> dict[str, Any]:
    """All steps together, and in "steps" each: calls, calls_max, tokens_in, tokens_out, usd and seconds."""
    dollars = [item.usd for item in estimates]
    return {
        "calls": sum(item.calls for item in estimates),
        "calls_max": sum(item.calls_max for item in estimates),
        "tokens_in": sum(item.tokens_in for item in estimates),
        "tokens_out": sum(item.tokens_out for item in estimates),
        "usd": None if None in dollars else round(sum(item for item in dollars if item is not None), 6),
        "seconds": round(sum(item.seconds for item in estimates), 1),
        "steps": [item.to_json() for item in estimates],
    }


def admit(estimates: tuple[StepEstimate, ...], models: LanguageModels | None) -> None:
    """Before the first call: whether the budget can bear the plan.

    Raises:
        LimitExceededError: it would take more; the message says what.
    """
    budget = models.large.budget if models is not None and isinstance(models.large, BudgetedLLM) else None
    if budget is None or not estimates:
        return
    whole = totals(estimates)
    tokens = whole["tokens_in"] + whole["tokens_out"]
    for name, needed in (("calls", whole["calls"]), ("tokens", tokens), ("dollars", whole["usd"])):
        limit = _left(budget, name)
        if limit is not None and needed is not None and needed > limit:
            raise LimitExceededError(
                f"the budget does not suffice for the plan: {name}={limit:g} needed={needed:g}; it would take about "
                f"{whole['calls']} calls (at most {whole['calls_max']}) and {tokens} tokens; "
                "narrow it down, raise the budget, or ask for a partial answer"
            )


def _left(budget: Budget, name: str) -> float | None:
    limit = getattr(budget, name)
    return None if limit is None else limit - getattr(budget.spent, name)


@dataclass(slots=True)
class _Estimator:
    plan: Plan
    snapshots: Mapping[str, Snapshot]
    models: LanguageModels | None
    params: Mapping[str, Scalar]

    def of(self, step: Semantic) -> StepEstimate:
        """One step."""
        rows = self._rows(self.plan.by_id[step.inputs[0]])
        items: tuple[Any, ...] = step.steps if isinstance(step, LlmFused) else (step,)
        text = self._characters(step)
        calls, read, out = self._work(step, items, rows, text)
        judged = self._judged(items, rows)
        share = judged / rows if rows else 0.0
        likely = math.ceil(calls * share)
        helped = self._helped(items, rows)
        question = sum(len(getattr(item, "instruction", None) or "") for item in items) / CHARACTERS_A_TOKEN
        tokens_in = round(likely * (PROMPT_TOKENS + question) + share * read / CHARACTERS_A_TOKEN)
        tokens_out = round(share * out)
        price = _price(None if self.models is None else self.models.of(getattr(step, "model", None)))
        if helped:  # at the price of the large model: too much rather than too little
            part = helped / rows
            likely += math.ceil(calls * part)
            tokens_in += round(math.ceil(calls * part) * (PROMPT_TOKENS + question) + part * read / CHARACTERS_A_TOKEN)
            tokens_out += round(part * out)
            calls *= 2
        seconds = math.ceil(likely / CALLS_AT_ONCE) * CALL_SECONDS + tokens_out / CALLS_AT_ONCE / TOKENS_A_SECOND
        return StepEstimate(
            step.id, step.op, rows, likely, calls, tokens_in, tokens_out,
            None if price is None else round(price.dollars(tokens_in, tokens_out), 6), round(seconds, 1),
        )  # fmt: skip

    def _work(self, step: Semantic, items: tuple[Any, ...], rows: int, text: float) -> tuple[int, float, float]:
        """Calls, characters read and tokens written if every row is judged."""
        a_call = max(1, min(ROWS_A_CALL[0], int(CHARACTERS_A_CALL / max(1.0, text))))
        row = text + ROW_TOKENS_IN * CHARACTERS_A_TOKEN
        match step:
            case LlmSummarize():
                calls = math.ceil(rows * text / CHARACTERS_A_CALL) if rows else 0
                calls += 1 if calls > 1 else 0
                return calls, rows * row, calls * step.sentences * COLUMN_TOKENS_OUT * 3.0
            case LlmTopk():
                calls = 0 if rows <= 1 else math.ceil(2 * rows / a_call)  # heats halve what is left
                return calls, 2 * rows * row, 2.0 * rows * COLUMN_TOKENS_OUT
            case SemJoin():
                others = self._rows(self.plan.by_id[step.right])
                candidates = CANDIDATES if step.blocking is None else step.blocking.k
                pairs = rows * (1 if others <= CLASSES_MAX else min(candidates, others))  # few are shown as classes
                return math.ceil(pairs / a_call), pairs * row, float(pairs * ROW_TOKENS_OUT)
            case _:
                out = sum(_written(item) for item in items)
                return math.ceil(rows / a_call), rows * row, rows * float(out)

    def _judged(self, items: tuple[Any, ...], rows: int) -> int:
        """Rows that are likely to be judged: fewer where all that is asked is a filter with a target."""
        if self._is_cascade(items, rows):
            return rows_read(rows, JUDGED_SELECTIVITY, items[0].quality.value, items[0].quality.delta)
        return rows

    def _helped(self, items: tuple[Any, ...], rows: int) -> int:
        """Rows that a cascade is likely to ask the small model about as well: the uncertain ones."""
        if self.models is None or self.models.small is None or not self._is_cascade(items, rows):
            return 0
        if items[0].model is ModelSize.SMALL:
            return 0
        return min(rows, math.ceil(HELPED_SHARE * rows))

    @staticmethod
    def _is_cascade(items: tuple[Any, ...], rows: int) -> bool:
        is_filter = len(items) == 1 and isinstance(items[0], LlmFilter)
        return is_filter and items[0].quality.value < 1 and rows >= ROWS_MIN

    def _rows(self, step: Step) -> int:
        """Rows that a step is likely to give."""
        match step:
            case Scan():
                snapshot = self.snapshots[step.collection]
                return snapshot.count() if step.where is None else self._admitted(step, snapshot)
            case Search():
                return min(step.k, self.snapshots[step.collection].count())
            case _ if not step.inputs:
                return 0
        rows = max(self._rows(self.plan.by_id[name]) for name in step.inputs)
        match step:
            case Filter():
                return self._part(rows, SELECTIVITY)
            case LlmFilter():
                return self._part(rows, JUDGED_SELECTIVITY)
            case LlmFused(steps=steps):
                filters = sum(isinstance(item, LlmFilter) for item in steps)
                return self._part(rows, JUDGED_SELECTIVITY**filters)
            case Limit():
                return min(rows, step.n)
            case LlmTopk():
                return min(rows, step.k)
            case LlmSummarize():
                return min(rows, step.sentences)
            case Group():
                return max(1, math.isqrt(rows)) if rows else 0
            case _:
                return rows

    def _admitted(self, step: Scan, snapshot: Snapshot) -> int:
        """Documents that a scan's condition admits, as far as the indexes can tell before other steps have run."""
        assert step.where is not None
        if step.references:
            return self._part(snapshot.count(), SELECTIVITY)
        try:
            pushed, rest = split(bind(step.where, self.params, {}), snapshot)
        except PlanError:  # a parameter without a value
            return self._part(snapshot.count(), SELECTIVITY)
        rows = snapshot.count(pushed)
        return rows if rest is None else self._part(rows, SELECTIVITY)

    @staticmethod
    def _part(rows: int, share: float) -> int:
        return math.ceil(rows * share)

    def _characters(self, step: Semantic) -> float:
        """Of the text of a row, on average."""
        match step:
            case SemJoin():
                fields: tuple[str, ...] = (*step.left_fields, *step.right_fields)
            case LlmFused():
                fields = tuple(dict.fromkeys(name for item in step.steps for name in item.fields))
            case _:
                fields = step.fields
        sources = [item for item in self.plan.needed() if isinstance(item, Scan | Search)]
        sizes = [next((size for item in sources if (size := self._size(item, name))), None) for name in fields]
        total = sum(TEXT_CHARACTERS if size is None else size for size in sizes)
        return min(float(CHARACTERS_MAX), total)

    def _size(self, source: Scan | Search, name: str) -> float | None:
        snapshot = self.snapshots[source.collection]
        if name not in snapshot.fields:
            return None
        relation = snapshot.relation((name,), None)
        if not len(relation):
            return None
        places = np.unique(np.linspace(0, len(relation) - 1, TEXTS_SAMPLED).astype(np.int64))
        return float(np.mean([len(str(value or "")) for value in relation.take(places).column(name)]))


def _written(item: object) -> int:
    match item:
        case LlmMap():
            return ROW_TOKENS_OUT + TEXT_TOKENS_OUT
        case LlmExtract(columns=columns):
            return ROW_TOKENS_OUT + COLUMN_TOKENS_OUT * len(columns)
        case LlmClassify():
            return ROW_TOKENS_OUT + COLUMN_TOKENS_OUT
        case _:
            return ROW_TOKENS_OUT


def _price(llm: LLM | None) -> Price | None:
    price = getattr(llm, "price", None)
    return price if isinstance(price, Price) else None
