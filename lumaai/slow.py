"""What is logged of a request that took long: how it ran, without what it was about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from promptql import Answer

# Texts of explanations that are the program's own words.
OWN_WORDS = frozenset(
    {"step", "how", "why", "op", "operator", "planner", "index", "vector_field", "fusion", "mode", "band"}
)
DEPTH_MAX = 8


def explained(value: Any, depth: int = 0) -> Any:
    """An explanation without texts of documents or callers: numbers, and the program's own words."""
    if isinstance(value, bool | int | float) or value is None:
        return value
    if depth < DEPTH_MAX and isinstance(value, Mapping):
        found = {
            str(name): inner if isinstance(inner, str) else explained(inner, depth + 1)
            for name, inner in value.items()
            if not isinstance(inner, str) or name in OWN_WORDS
        }
        return {name: inner for name, inner in found.items() if inner not in ({}, [])}
    if depth < DEPTH_MAX and isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [explained(inner, depth + 1) for inner in value if not isinstance(inner, str)]
    return None


def answer_explained(answer: Answer) -> dict[str, Any]:
    """The steps of an answer, by operation, with rows and times; not their queries, which quote the question."""
    steps = [
        {"op": step.op, "rows_in": step.rows_in, "rows_out": step.rows_out, "milliseconds": step.milliseconds}
        for step in answer.steps
    ]
    return {"planner": answer.planner.value, "band": answer.band.value, "steps": steps, **dict(answer.usage)}
