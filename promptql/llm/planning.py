"""The LLM planner: one call for a plan, at most two for what is wrong with it, each of which gives only those steps."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from models import LLM, LLMError, LLMReplyError, Message, Usage
from promptql.answer import Band, PlannerName
from promptql.catalog import Catalog
from promptql.errors import LLMPlanningError, PlanError
from promptql.llm.cache import PlanCache
from promptql.llm.faults import Fault, checked
from promptql.llm.manual import compact
from promptql.llm.reply import REPLY_SCHEMA, PlanDraft, draft_of, read_reply
from promptql.llm.request import PlanRequest
from promptql.plan import Assumption, Plan, Support
from promptql.planned import LLMUsage, Planned
from promptql.steps import AnswerStep, Clarify, Search

log = logging.getLogger(__name__)

REPAIRS_MAX = 2
REPLY_TOKENS_MAX = 1_500
SHOWN_CHARACTERS_MAX = 4_000  # of a reply that is no JSON
CONFIDENCE = 0.75
CONFIDENCE_AGREED = 0.9  # another planner came to the same steps, or to the same answer
_WHOLE = 'Reply with the whole plan as JSON: {"steps":[…]}'
_PATCH = 'All other steps stay. Reply with {"steps":[the corrected and new ones],"remove":[ids]} only.'


def plan_by_llm(request: PlanRequest, llm: LLM, plans: PlanCache, cancelled: threading.Event | None = None) -> Planned:
    """A valid plan of the model's, from the cache where it has been asked the same before.

    Raises:
        LLMPlanningError: no reply was, or led to, a valid plan; `usage` is what it cost.
        LLMError: the model refused, cannot be reached, or the budget does not suffice.
    """
    messages = request.messages()
    key = PlanCache.key(llm.name, messages)
    known = plans.get(key)
    if known is not None:
        plan, _ = checked(known, request.question, request.catalog)
        if plan is not None:
            return _planned(plan, request, LLMUsage(cache_hits=1))
        plans.forget(key)
    base = None if request.before is None else draft_of(request.before.to_json())
    talk = _Talk(llm, request.question, request.catalog, messages, request.schema(), cancelled, base=base)
    plan = talk.plan(REPAIRS_MAX)
    if talk.edited and request.before is not None:
        said = f"'{request.question[:200]}' goes on from '{request.before.question[:200]}'"
        talk.draft = replace(talk.draft, assumptions=(said, *talk.draft.assumptions))
        plan = replace(plan, assumptions=(Assumption(said, Support.INFERRED), *plan.assumptions))
    plans.put(key, talk.draft)
    return _planned(plan, request, LLMUsage.of(talk.spent))


def mended_by_llm(
    planned: Planned, faults: Sequence[Fault], catalog: Catalog, llm: LLM, cancelled: threading.Event | None = None
) -> Planned:
    """A plan whose conditions nothing satisfies, with the values that the data has instead: one call.

    Raises:
        LLMPlanningError, LLMError: as `plan_by_llm`.
    """
    question = planned.plan.question
    draft = draft_of(planned.plan.to_json())
    first = Message("system", f"You correct a plan. {_PATCH}")
    asked = Message("user", f"Question: {compact(question)}\nPlan: {_steps(draft)}\n{_complaint(faults)}")
    talk = _Talk(llm, question, catalog, [first, asked], REPLY_SCHEMA, cancelled, base=draft, is_edit=True)
    plan = talk.plan(0)
    plan = replace(plan, assumptions=tuple(dict.fromkeys((*planned.plan.assumptions, *plan.assumptions))))
    return replace(planned, plan=plan, usage=planned.usage + LLMUsage.of(talk.spent))


@dataclass(slots=True)
class _Talk:
    """One plan on its way: what was replied so far, and what it cost."""

    llm: LLM
    question: str
    catalog: Catalog
    messages: list[Message]
    schema: Mapping[str, object]
    cancelled: threading.Event | None
    base: PlanDraft | None = None  # what an edit changes
    is_edit: bool = False
    edited: bool = False  # the plan that there was before
    draft: PlanDraft = field(default_factory=lambda: PlanDraft({}))
    spent: Usage = field(default_factory=Usage)
    complaint: str = ""

    def plan(self, repairs_max: int) -> Plan:
        """Ask, and hand what is wrong back, until it is right, or the model repeats itself."""
        asked = list(self.messages)
        base, is_edit = self.base, self.is_edit
        before: object = None
        for _ in range(1 + repairs_max):
            text, value = self._asked(asked)
            found: PlanDraft | None = None
            try:
                edits = _edits(value, base, told=is_edit)
                self.edited = self.edited or (edits and base is self.base)
                found = read_reply(value, base if edits else None)
                plan, faults = checked(found, self.question, self.catalog)
            except PlanError as error:
                plan, faults = None, (Fault(None, error.pointer, str(error), error.hint),)
            if plan is not None and found is not None:
                self.draft = found
                return plan
            self.complaint = "; ".join(map(str, faults))
            log.info("plan.rejected", extra={"calls": self.spent.calls, "faults": len(faults)})
            if before is not None and before == (found or text):
                break
            before = found or text
            if found is not None and found.steps:
                base, is_edit = found, True
            asked = [*self.messages, *_repair(found, text, faults)]
        raise LLMPlanningError(f"the language model gave no valid plan: {self.complaint:.500}", LLMUsage.of(self.spent))

    def _asked(self, messages: Sequence[Message]) -> tuple[str, Any]:
        """A reply's text and value; None for what is no JSON."""
        try:
            reply = self.llm.complete(
                messages,
                schema=self.schema,
                max_tokens=REPLY_TOKENS_MAX,
                temperature=0.0,
                cancelled=self.cancelled,
            )
        except LLMReplyError as error:
            self.spent += error.usage if error.usage.calls else Usage(calls=1)
            return str(error.details.get("text", "")), None
        except LLMError as error:
            error.usage = self.spent + error.usage
            raise
        self.spent += reply.usage
        return reply.text, reply.value


def _edits(value: object, base: PlanDraft | None, *, told: bool) -> bool:
    """Whether a reply changes the steps that there are; one that stands by itself does not, though it was told to."""
    if base is None or not isinstance(value, Mapping):
        return False
    if not told:
        return value.get("edit") is True
    steps = [step for step in value.get("steps") or () if isinstance(step, Mapping)]
    own = {step.get("id") for step in steps}
    read = {step[key] for step in steps for key in ("input", "left", "right") if isinstance(step.get(key), str)}
    ends = any(step.get("op") in (AnswerStep.op, Clarify.op) for step in steps)
    return not (ends and read <= own)


def _repair(found: PlanDraft | None, text: str, faults: Sequence[Fault]) -> list[Message]:
    """What was replied, and what is wrong with it: of a plan with steps only those are wanted that are wrong."""
    if found is None or not found.steps:
        said = text[:SHOWN_CHARACTERS_MAX] or "(no JSON)"
        return [Message("assistant", said), Message("user", f"{_complaint(faults)}\n{_WHOLE}")]
    return [Message("assistant", _steps(found)), Message("user", f"{_complaint(faults)}\n{_PATCH}")]


def _steps(draft: PlanDraft) -> str:
    return compact({"steps": list(draft.steps.values())})


def _complaint(faults: Sequence[Fault]) -> str:
    return f"Not valid: {compact([fault.to_json() for fault in faults])}"


def _planned(plan: Plan, request: PlanRequest, usage: LLMUsage) -> Planned:
    draft = request.draft
    agreed = draft is not None and draft.plan.steps == plan.steps
    if isinstance(plan.by_id[plan.output], Clarify):
        band = Band.CLARIFY
    elif any(isinstance(step, Search) for step in plan.steps):
        band = Band.SEARCH
    else:
        band = Band.ANSWER if agreed and not plan.assumptions else Band.ASSUMPTIONS
    confidence = CONFIDENCE_AGREED if agreed else CONFIDENCE
    rival = None if draft is None or agreed else draft
    return Planned(plan, confidence, band, planner=PlannerName.LLM, usage=usage, rival=rival)
