"""What the planner is asked: the catalog's slice, what is known already, and the question, within 2,000 tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from models import Message
from promptql.catalog import Catalog
from promptql.llm.catalog_slice import catalog_slice
from promptql.llm.manual import Example, compact, system_prompt
from promptql.llm.reply import REPLY_SCHEMA
from promptql.llm.tokens import cut_to_tokens, tokens_of
from promptql.plan import Plan
from promptql.planned import Planned

PROMPT_TOKENS_MAX = 2_000  # with the schema of the reply; a question of more than 100 tokens comes on top
QUESTION_TOKENS = 100
DRAFT_TOKENS_MAX = 160
BEFORE_TOKENS_MAX = 220
HINTS_TOKENS_MAX = 60
CATALOG_TOKENS_MIN = 120
_EDIT = (
    '"edit": true, and in "steps" only the steps that change or are new, in "remove" ids that go, '
    'where the question goes on from it; else a whole plan with "edit": false.'
)


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """A question and all that helps to plan it.

    Attributes:
        draft: the rules planner's plan.
        before: the plan of the question before, in a conversation.
        examples: questions with right plans, learned from feedback.
        hints: words that were learned from feedback: ``"turnover" means revenue``.
        admit: raises `LimitExceededError` for a plan that the budget cannot bear.
    """

    question: str
    catalog: Catalog
    draft: Planned | None = None
    before: Plan | None = None
    examples: Sequence[Example] = ()
    hints: Sequence[str] = ()
    admit: Callable[[Plan], None] | None = None

    def messages(self) -> list[Message]:
        """The prompt."""
        system = system_prompt(self.question, self.examples)
        parts = [*self._known(), f"Question: {compact(self.question)}"]
        asked = min(QUESTION_TOKENS, tokens_of(parts[-1]))
        spent = tokens_of(system) + tokens_of(compact(self.schema())) + asked
        spent += sum(map(tokens_of, parts[:-1])) + tokens_of("Collections:\n") + 2 * len(parts)
        room = max(PROMPT_TOKENS_MAX - spent, CATALOG_TOKENS_MIN)
        shown = catalog_slice(self.question, self.catalog, room)
        return [Message("system", system), Message("user", "\n".join(["Collections:", shown, *parts]))]

    def schema(self) -> dict[str, object]:
        """What the reply must look like."""
        if self.before is None:
            return dict(REPLY_SCHEMA)
        return {**REPLY_SCHEMA, "properties": {"edit": {"type": "boolean"}, **REPLY_SCHEMA["properties"]}}

    def _known(self) -> list[str]:
        parts = []
        if self.hints:
            parts.append(cut_to_tokens(f"Words: {'; '.join(self.hints)}", HINTS_TOKENS_MAX))
        if self.before is not None:
            steps = compact(self.before.to_json()["steps"])
            said = compact(self.before.question[:200])
            parts.append(f"The question before was {said}, its plan {cut_to_tokens(steps, BEFORE_TOKENS_MAX)}. {_EDIT}")
        if self.draft is not None and self.before is None:
            steps = compact(self.draft.plan.to_json()["steps"])
            sure = f"{self.draft.confidence:.2f}"
            parts.append(f"Draft by rules, confidence {sure}, may be wrong: {cut_to_tokens(steps, DRAFT_TOKENS_MAX)}")
        return parts
