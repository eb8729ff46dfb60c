"""What is wrong with a plan, step by step, as a model can put it right: where, what, and what would be right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from promptql.catalog import Catalog
from promptql.errors import PlanError
from promptql.llm.reply import PlanDraft
from promptql.plan import Plan
from promptql.steps import step_from_json
from promptql.validation import faults_of

FAULTS_MAX = 8  # told at a time


@dataclass(frozen=True, slots=True)
class Fault:
    """`step` None: of the plan as a whole; `at` is a JSON Pointer into the step."""

    step: str | None
    at: str
    error: str
    hint: str | None = None

    def to_json(self) -> dict[str, Any]:
        """``{"step", "at", "error", "hint"}``, without what is not known."""
        data = {"step": self.step, "at": self.at or None, "error": self.error, "hint": self.hint}
        return {key: value for key, value in data.items() if value is not None}

    def __str__(self) -> str:
        place = f"step {self.step}{self.at}: " if self.step is not None else ""
        return f"{place}{self.error}{f'; {self.hint}' if self.hint else ''}"


def checked(draft: PlanDraft, question: str, catalog: Catalog) -> tuple[Plan | None, tuple[Fault, ...]]:
    """The plan, if nothing is wrong with it; else all that can be told at once: shapes first, then names and types."""
    data = draft.to_json(question)
    ids = [str(id_) for id_ in draft.steps]
    shapes = []
    for index, step in enumerate(data["steps"]):
        try:
            step_from_json(step, f"/steps/{index}")
        except PlanError as error:
            shapes.append(_fault(error, ids))
    if shapes:
        return None, tuple(shapes[:FAULTS_MAX])
    try:
        plan = Plan.from_json(data)
    except PlanError as error:
        return None, (_fault(error, ids),)
    found = faults_of(plan, catalog)
    return (None if found else plan), tuple(_fault(error, ids) for error in found[:FAULTS_MAX])


def _fault(error: PlanError, ids: list[str]) -> Fault:
    _, _, rest = error.pointer.partition("/steps/")
    number, slash, at = rest.partition("/")
    if not number.isdecimal() or int(number) >= len(ids):
        return Fault(None, error.pointer, str(error), error.hint)
    return Fault(ids[int(number)], slash + at, str(error), error.hint)
