"""How the rows of a filter are decided: by a judge that can be asked about any of them.

A decider is given the judge and says which rows it asks about; this one asks about all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from promptql.judgements import Verdict
from promptql.operators.rows import Rows, Scope
from promptql.operators.semantic.inputs import Inputs
from promptql.steps import LlmFilter, ModelSize, Quality

# Places of distinct texts, and the model (None: the step's own) → verdicts whose value is a boolean; None where none
# could be had.
Judge: TypeAlias = "Callable[[Sequence[int], ModelSize | None], list[Verdict | None]]"


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be decided.

    Attributes:
        step: the filter.
        rows: its input, all rows of it.
        places: of the rows that are to be decided among those; `inputs.owners` goes along with them.
        inputs: their texts.
        judge: whom to ask.
        scope: of the plan, for stored embeddings.
        ended: whether the budget has ended, or the endpoint no longer answers: rows without a verdict were not asked.
    """

    step: LlmFilter
    rows: Rows
    places: Sequence[int]
    inputs: Inputs
    judge: Judge
    scope: Scope
    ended: Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided.

    Attributes:
        verdicts: of each distinct text.
        quality: what goes into the step's report.
        decided: distinct texts that were decided without asking.
        warning: what the reader should know: that the answer is only a part.
    """

    verdicts: list[Verdict | None]
    quality: Mapping[str, Any]
    decided: int = 0
    warning: str | None = None


Decider: TypeAlias = "Callable[[Question], Decision | None]"  # None: it would rather have all rows judged


def judge_all(question: Question) -> Decision:
    """Ask about every row."""
    verdicts = question.judge(range(len(question.inputs.texts)), None)
    missing = sum(verdict is None for verdict in verdicts)
    return Decision(verdicts, reached(question.step.quality, 1.0 if not missing else None))


def reached(quality: Quality, certified: float | None) -> dict[str, Any]:
    """What a step's report says of its quality; `certified` None where nothing is known for sure."""
    return {"target": f"{quality.target.value} {quality.value:g}", "delta": quality.delta, "certified": certified}
