"""llm_topk: the rows that fit an instruction best, found by a tournament of lists.

A model orders twenty texts in one call. So the texts compete in heats, of which the best k go on, until one heat is
left; that one is held twice, the second time in reverse, as models favour what they read first (Wang et al., ACL 2024:
"Large language models are not fair evaluators"), and the places are added up (Borda). 200 rows and k = 5 take 15 calls.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from engine import Field, FieldType
from models import JSON, LLMReplyError
from promptql.operators.rows import Rows
from promptql.operators.semantic.caller import FAILURES, Caller, Failure, Request
from promptql.operators.semantic.inputs import Inputs
from promptql.operators.semantic.notices import notices_of
from promptql.operators.semantic.prompt import DATA_RULE, closed, fenced
from promptql.steps import LlmTopk
from promptql.validation.naming import sureness_of

HEAT_ROWS = 20
HEAT_CHARACTERS = 40_000
ROUNDS_MAX = 32  # each halves what is left, but for heats that had to be split
REPLY_TOKENS, TOKENS_EACH = 64, 8

_SYSTEM = """You order rows of data. {rule}
Which {want} rows fit this best, the best first? {instruction}
Reply with a JSON object: "best" is a list of exactly {want} row numbers, no number twice."""
_SCHEMA = closed({"best": {"type": "array", "items": {"type": "integer"}}})


def run_topk(step: LlmTopk, rows: Rows, caller: Caller) -> Rows:
    """The best k rows, the best first; rows of equal text in their order.

    Raises:
        LLMError: nothing could be had of the language model.
        PlanCancelledError, LimitExceededError: as `Caller.all`.
    """
    inputs = Inputs.of(rows.relation, step.fields, characters_max=HEAT_CHARACTERS // _heat_rows(step.k))
    tournament = _Tournament(step, inputs.texts, caller)
    order, sure = tournament.run()
    members: dict[int, list[int]] = {}
    for row, owner in enumerate(inputs.owners):
        members.setdefault(owner, []).append(row)
    caller.cut += inputs.cut
    caller.failed = sum(len(members[text]) for text in tournament.failed)
    ranked = [(row, sure.get(text)) for text in order for row in members[text]][: step.k]
    relation = rows.relation.take(np.array([row for row, _ in ranked], dtype=np.int64))
    values = [confidence for _, confidence in ranked]
    relation = relation.with_column(sureness_of(step), Field(FieldType.NUMBER), values, step.fields)
    notices = (*rows.notices, *notices_of(caller, len(rows.relation), "are not ranked"))
    return replace(rows.over(relation), passages=None, notices=notices, llm=caller.used())


def _heat_rows(k: int) -> int:
    """Rows that compete in one call: so many that at least half of them go."""
    return max(HEAT_ROWS, 2 * k)


@dataclass(slots=True)
class _Tournament:
    """Heats of texts, which are known by their places; `failed`: those that no call could rank."""

    step: LlmTopk
    texts: Sequence[str]
    caller: Caller
    failed: set[int] = field(default_factory=set)
    failure: Failure | None = None

    def run(self) -> tuple[list[int], dict[int, float]]:
        """The best texts in order, and how sure their places are; after an end of the budget what is left, unsure."""
        left = list(range(len(self.texts)))
        for _ in range(ROUNDS_MAX):
            size = _heat_rows(self.step.k)
            if len(left) <= 1 or self.caller.ended is not None:
                break
            if len(left) <= size:
                orders = self._held([left, left[::-1]])
                if all(len(found) == 1 for found in orders):
                    return _added(orders[0][0], orders[1][0])
                left = _interleaved([order for found in orders for order in found])
                continue
            count = -(-len(left) // size)
            left = _interleaved(
                [order for found in self._held([left[at::count] for at in range(count)]) for order in found]
            )
            self.caller.watch.advance(self.caller.step, len(self.texts) - len(left), len(self.texts))
        if not left and self.failure is not None:
            raise self.failure
        return left, {}

    def _held(self, heats: Sequence[list[int]]) -> list[list[list[int]]]:
        """Of each heat its best in order; of one that had to be split, because no reply could be read, of each part.

        A heat that fails is held again in reverse, then in halves: one text that no model will look at spoils no more
        than a neighbour.
        """
        found: list[list[list[int]]] = [[] for _ in heats]
        pending = [(place, heat, 0) for place, heat in enumerate(heats)]
        while pending and self.caller.ended is None:
            outcomes = self._asked([heat for _, heat, _ in pending])
            again: list[tuple[int, list[int], int]] = []
            for (place, heat, tries), order in zip(pending, outcomes, strict=True):
                if order is not None:
                    found[place].append(order)
                elif not tries:
                    again.append((place, heat[::-1], 1))
                elif len(heat) > 2:
                    middle = len(heat) // 2
                    again += [(place, heat[:middle], 1), (place, heat[middle:], 1)]
                else:
                    self.failed |= set(heat)
            pending = again
        self.failed |= {text for _, heat, _ in pending for text in heat}
        self.failed -= {text for orders in found for order in orders for text in order}
        return [[[text for text in order if text not in self.failed] for order in orders] for orders in found]

    def _asked(self, heats: Sequence[list[int]]) -> list[list[int] | None]:
        orders: list[list[int] | None] = [None] * len(heats)

        def take(index: int, outcome: JSON | Failure) -> bool:
            if isinstance(outcome, FAILURES):
                self.failure = outcome
            else:
                orders[index] = self._read(outcome, heats[index])
            return True

        self.caller.all([self._request(heat) for heat in heats], self.step.model, take)
        return orders

    def _request(self, heat: Sequence[int]) -> Request:
        want = min(self.step.k, len(heat))
        instruction = json.dumps(self.step.instruction, ensure_ascii=False)
        data = [{"row": number, "text": json.loads(self.texts[text])} for number, text in enumerate(heat, 1)]
        system = _SYSTEM.format(rule=DATA_RULE, want=want, instruction=instruction)
        return Request(system, fenced("rows", data), _SCHEMA, REPLY_TOKENS + TOKENS_EACH * want)

    def _read(self, value: JSON, heat: Sequence[int]) -> list[int] | None:
        """The order that a reply gives; None unless it names as many different rows of the heat as were asked for."""
        best = value.get("best") if isinstance(value, dict) else None
        numbers = best if isinstance(best, list) else []
        known = [n for n in numbers if isinstance(n, int) and not isinstance(n, bool) and 1 <= n <= len(heat)]
        if len(set(known)) != len(numbers) or len(known) != min(self.step.k, len(heat)):
            self.failure = self.failure or LLMReplyError(f"reply ranks other rows than it was given: rows={len(heat)}")
            return None
        return [heat[number - 1] for number in known]


def _interleaved(orders: Sequence[list[int]]) -> list[int]:
    """All texts, the firsts before the seconds, each once."""
    longest = max(map(len, orders), default=0)
    return list(dict.fromkeys(order[at] for at in range(longest) for order in orders if at < len(order)))


def _added(first: Sequence[int], second: Sequence[int]) -> tuple[list[int], dict[int, float]]:
    """The order of the sums of two orders' places, and how far the two agree on each text: 1 where they do."""
    k = len(first)
    places = {text: (_place(first, text), _place(second, text)) for text in [*first, *second]}
    order = sorted(places, key=lambda text: (sum(places[text]), places[text][0]))
    sure = {text: round(1 - abs(one - other) / k, 4) for text, (one, other) in places.items()}
    return order, sure


def _place(order: Sequence[int], text: int) -> int:
    """From 0; behind the last for a text that is not among them."""
    return order.index(text) if text in order else len(order)
