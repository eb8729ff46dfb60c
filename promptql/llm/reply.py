"""What the model replies when it plans: steps, which make a plan, or change those of one that is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from promptql.errors import PlanError
from promptql.plan import STEPS_MAX, Support
from promptql.steps import OPERATIONS, AnswerStep, Clarify

ASSUMPTIONS_MAX = 20
ASSUMPTION_CHARACTERS_MAX = 500

# Only "id" and "op" are fixed, as the schema is part of the prompt where an endpoint cannot enforce one; the rest is
# checked here, with hints. It says that other properties are allowed, which some grammars otherwise take for forbidden.
REPLY_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "steps": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"id": {"type": "string"}, "op": {"enum": list(OPERATIONS)}},
                "required": ["id", "op"],
                "additionalProperties": True,
            },
        },
        "remove": {"type": "array", "items": {"type": "string"}},
        "assumptions": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["steps"],
}


@dataclass(frozen=True, slots=True)
class PlanDraft:
    """A plan as it was replied, not checked yet: steps by id, in order."""

    steps: Mapping[str, Mapping[str, Any]]
    assumptions: tuple[str, ...] = ()

    def to_json(self, question: str) -> dict[str, Any]:
        """As a plan; its output is the step that ends it."""
        ends = [id_ for id_, step in self.steps.items() if step.get("op") in (AnswerStep.op, Clarify.op)]
        said = [{"text": text, "support": Support.INFERRED.value} for text in self.assumptions]
        return {
            "question": question,
            "steps": list(self.steps.values()),
            "output": ends[-1] if ends else "",
            "assumptions": said,
        }


def draft_of(plan: Mapping[str, Any]) -> PlanDraft:
    """The steps of a plan that is there, as JSON."""
    return PlanDraft({step["id"]: step for step in plan["steps"]})


def read_reply(value: object, base: PlanDraft | None) -> PlanDraft:
    """The steps of a reply; with a `base` they take the places of those that have the same ids, or join them.

    Raises:
        PlanError: it is no object with steps that have ids.
    """
    if not isinstance(value, Mapping):
        raise PlanError("the reply is not a JSON object", hint='{"steps": […]}')
    steps = value.get("steps")
    if not isinstance(steps, list) or not (steps or base is not None):
        raise PlanError('"steps" is not a list of steps', pointer="/steps", hint='{"steps": […]}')
    found = {} if base is None else dict(base.steps)
    for name in _names(value.get("remove")):
        found.pop(name, None)
    for index, step in enumerate(steps):
        if not isinstance(step, Mapping) or not isinstance(step.get("id"), str):
            raise PlanError('a step is an object with an "id"', pointer=f"/steps/{index}")
        if base is None and step["id"] in found:
            raise PlanError(f'two steps have the id "{step["id"]}"', pointer=f"/steps/{index}/id")
        found[step["id"]] = step
    if len(found) > STEPS_MAX:
        raise PlanError(f"too many steps: got={len(found)} limit={STEPS_MAX}", pointer="/steps")
    assumptions = (*(() if base is None else base.assumptions), *_assumptions(value.get("assumptions")))
    return PlanDraft(found, tuple(dict.fromkeys(assumptions))[:ASSUMPTIONS_MAX])


def _names(data: object) -> Sequence[str]:
    return [item for item in data if isinstance(item, str)] if isinstance(data, list) else []


def _assumptions(data: object) -> Sequence[str]:
    """Texts; objects with a text are read as well, and what is no text is left out: no plan fails for its remarks."""
    items = data if isinstance(data, list) else []
    texts = [item.get("text") if isinstance(item, Mapping) else item for item in items]
    return [text[:ASSUMPTION_CHARACTERS_MAX] for text in texts if isinstance(text, str) and text.strip()]
