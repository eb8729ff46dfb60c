"""sem_join: pairs of rows of which a statement is true, without asking about every pair.

Each left row is shown with numbered candidates of the right side and the model names those that belong to it: all of
them where they are few (as if they were classes), else those nearest to it by their embeddings. That is one question
a left row instead of one a pair.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np

from engine import Coverage, Field, FieldType, Relation
from models import JSON
from promptql.answer import Notice
from promptql.errors import LimitExceededError
from promptql.judgements import Verdict
from promptql.operators.embeddings import vectors_of
from promptql.operators.rows import Rows, Scope
from promptql.operators.semantic.asking import Asking
from promptql.operators.semantic.caller import Caller
from promptql.operators.semantic.deciding import reached
from promptql.operators.semantic.inputs import NO_TEXT, Inputs
from promptql.operators.semantic.notices import notices_of
from promptql.operators.semantic.tasks import Task
from promptql.steps import Blocking, JoinMethod, SemJoin
from promptql.steps.semantic_relations import CLASSES_MAX
from promptql.validation.naming import sureness_of
from promptql.vectors import Vectors

CLASSES_CHARACTERS_MAX = 12_000
CANDIDATE_CHARACTERS_MAX = 1_000
_PAIR = "_engine_pair"
_ANSWER_TOKENS = 40
_BLOCK_ROWS = 1_024
_SCHEMA = {"type": "array", "items": {"type": "integer"}}

Offered: TypeAlias = "list[Sequence[int]]"  # of each left text the places of the right texts it is compared with


def run_sem_join(
    step: SemJoin, left: Rows, right: Rows, names: Mapping[str, str], scope: Scope, caller: Caller
) -> Rows:
    """Pairs in the order of the left rows, each with how sure the model was.

    Args:
        step: the join.
        left: its left rows.
        right: its right rows.
        names: of each column of the right side, the name that it gets.
        scope: of the plan, for embeddings.
        caller: of the step.

    Raises:
        LLMError: nothing could be had of the language model.
        LimitExceededError: there would be too many pairs, or there are too many rows to compare.
        PlanCancelledError: nobody waits for it any more.
    """
    return _Joining(step, left, right, scope, caller).run(names)


def chosen_method(texts: int, characters: int) -> JoinMethod:
    """How pairs are found where a step does not say, by the different right texts."""
    few = texts <= CLASSES_MAX and characters <= CLASSES_CHARACTERS_MAX
    return JoinMethod.CLASSES if few else JoinMethod.BLOCKING


@dataclass(slots=True)
class _Joining:
    step: SemJoin
    left: Rows
    right: Rows
    scope: Scope
    caller: Caller
    ours: Inputs = field(init=False)
    theirs: Inputs = field(init=False)
    method: JoinMethod = field(init=False)

    def __post_init__(self) -> None:
        self.ours = Inputs.of(self.left.relation, self.step.left_fields)
        self.theirs = Inputs.of(
            self.right.relation, self.step.right_fields, characters_max=CANDIDATE_CHARACTERS_MAX
        )  # fmt: skip
        self.caller.cut += self.ours.cut + self.theirs.cut
        characters = sum(map(len, self.theirs.texts))
        self.method = self.step.method or chosen_method(len(self.theirs.texts), characters)
        if self.step.method is None and self.step.blocking is not None:
            self.method = JoinMethod.BLOCKING

    def run(self, names: Mapping[str, str]) -> Rows:
        offered: Offered = [()] * len(self.ours.texts)
        answers: list[Verdict | None] = [Verdict([])] * len(self.ours.texts)
        if not self.ours.texts or not self.theirs.texts:
            pass  # nothing belongs to anything
        elif self.method is JoinMethod.CLASSES:
            offered, answers = self._by_classes()
        else:
            offered, answers = self._by_blocking()
        self.caller.failed = sum(owner != NO_TEXT and answers[owner] is None for owner in self.ours.owners)
        pairs = self._pairs(offered, answers)
        relation = self._beside(pairs, names)
        compared, possible = sum(map(len, offered)), len(self.ours.texts) * len(self.theirs.texts)
        coverage = Coverage(
            len(self.left.relation), len(set(pairs.left)), len(self.right.relation), len(set(pairs.right)),
            len(pairs.left),
        )  # fmt: skip
        whole = compared == possible and not self.caller.failed
        quality = reached(self.step.quality, 1.0 if whole else None)
        quality |= {"method": self.method.value, "pairs_compared": compared, "pairs_possible": possible}
        made = replace(self.left.over(relation), passages=None, grouped=True, coverage=coverage, quality=quality)
        notices = (*self.left.notices, *self.right.notices, *self._notices(compared, possible))
        return replace(made, notices=notices, llm=self.caller.used())

    def _by_classes(self) -> tuple[Offered, list[Verdict | None]]:
        """All right texts stand once in each call, before its rows."""
        others = tuple(
            json.dumps({"other": number, "text": json.loads(text)}) for number, text in enumerate(self.theirs.texts, 1)
        )
        words = f"{self._words()} The numbered others stand before the rows."
        task = Task(self.step.op, words, _SCHEMA, _numbers_to(len(others)), _ANSWER_TOKENS, others)
        answers = Asking(self.caller).ask([task], self.ours.texts, self.step.model)
        return [range(len(others))] * len(answers), [row[0] for row in answers]

    def _by_blocking(self) -> tuple[Offered, list[Verdict | None]]:
        """Each row comes with the right texts nearest to it; without any, nothing belongs to it."""
        offered = self._nearest(self.step.blocking or Blocking())
        places = [place for place, candidates in enumerate(offered) if len(candidates)]
        task = Task(
            self.step.op, f"{self._words()} Each row has its own numbered others.", _SCHEMA, _own, _ANSWER_TOKENS
        )
        found = Asking(self.caller).ask(
            [task], [self._shown(place, offered[place]) for place in places], self.step.model
        )
        answers: list[Verdict | None] = [Verdict([]) for _ in offered]
        for place, row in zip(places, found, strict=True):
            answers[place] = row[0]
        return offered, answers

    def _words(self) -> str:
        statement = json.dumps(self.step.instruction, ensure_ascii=False)
        return f"Of which others is this true, with the row? {statement} Give the numbers of all of them; [] for none."

    def _shown(self, place: int, candidates: Sequence[int]) -> str:
        others = {str(number): json.loads(self.theirs.texts[text]) for number, text in enumerate(candidates, 1)}
        return json.dumps({"row": json.loads(self.ours.texts[place]), "others": others}, ensure_ascii=False)

    def _nearest(self, blocking: Blocking) -> Offered:
        """Of each left text the k nearest right texts of at least the threshold, the nearest first."""
        ours = _of_texts(vectors_of(self.left, self.step.left_fields, self.scope, self.step.id), self.ours)
        theirs = _of_texts(vectors_of(self.right, self.step.right_fields, self.scope, self.step.id), self.theirs)
        offered: Offered = []
        for begin in range(0, len(ours), _BLOCK_ROWS):
            self.caller.watch.check(self.step.id)
            cosines = ours[begin : begin + _BLOCK_ROWS] @ theirs.T
            for row, best in zip(cosines, np.argsort(-cosines, axis=1, kind="stable"), strict=True):
                near = best[: blocking.k]
                kept = near if blocking.threshold is None else near[row[near] >= blocking.threshold]
                offered.append(kept.tolist())
        return offered

    def _pairs(self, offered: Offered, answers: Sequence[Verdict | None]) -> _Pairs:
        """Rows that belong together: all rows of texts that do."""
        members: dict[int, list[int]] = {}
        for row, owner in enumerate(self.theirs.owners):
            members.setdefault(owner, []).append(row)
        pairs = _Pairs()
        for row, owner in enumerate(self.ours.owners):
            verdict = None if owner == NO_TEXT else answers[owner]
            if verdict is None or not isinstance(verdict.value, list):
                continue
            chosen = sorted(int(number) - 1 for number in verdict.value if isinstance(number, int))
            for other in sorted(place for number in chosen for place in members[offered[owner][number]]):
                pairs.add(row, other, verdict.confidence)
            if len(pairs.left) > self.scope.rows_max:
                raise LimitExceededError(
                    f"the join gives too many rows: limit={self.scope.rows_max} step={self.step.id}"
                )
        return pairs

    def _beside(self, pairs: _Pairs, names: Mapping[str, str]) -> Relation:
        """Both sides of each pair in one row, and how sure."""
        numbers: list[JSON] = list(range(len(pairs.left)))
        kind = Field(FieldType.INTEGER)
        left = self.left.relation.take(np.array(pairs.left, dtype=np.int64))
        right = self.right.relation.take(np.array(pairs.right, dtype=np.int64))
        used = (*self.step.left_fields, *(names[name] for name in self.step.right_fields))
        joined, _ = left.with_column(_PAIR, kind, numbers).join(
            right.with_column(_PAIR, kind, numbers), [(_PAIR, _PAIR)], names=names, rows_max=self.scope.rows_max
        )
        kept = [name for name in joined.fields if name != _PAIR]
        return joined.project(kept).with_column(sureness_of(self.step), Field(FieldType.NUMBER), pairs.sure, used)

    def _notices(self, compared: int, possible: int) -> list[Notice]:
        notices = notices_of(self.caller, len(self.left.relation), "have no pairs")
        if compared < possible:
            detail = f"step {self.step.id} compared {compared:,} of {possible:,} pairs: the nearest of each row"
            notices.append(Notice("pairs_not_compared", detail))
        return notices


@dataclass(slots=True)
class _Pairs:
    """Places of rows that belong together, left and right, and how sure."""

    left: list[int] = field(default_factory=list)
    right: list[int] = field(default_factory=list)
    sure: list[JSON] = field(default_factory=list)

    def add(self, left: int, right: int, sure: float | None) -> None:
        self.left.append(left)
        self.right.append(right)
        self.sure.append(sure)


def _of_texts(vectors: Vectors, inputs: Inputs) -> Vectors:
    """The vector of the first row of each distinct text."""
    first: dict[int, int] = {}
    for row, owner in enumerate(inputs.owners):
        first.setdefault(owner, row)
    return vectors[[first[text] for text in range(len(inputs.texts))]]


def _numbers_to(count: int) -> Callable[[JSON, str], JSON]:
    return lambda value, _: _numbers(value, count)


def _own(value: JSON, text: str) -> JSON:
    others: Mapping[str, Any] = json.loads(text)["others"]
    return _numbers(value, len(others))


def _numbers(value: JSON, count: int) -> JSON:
    """Different numbers from 1 to `count`.

    Raises:
        ValueError: they are something else.
    """
    items = value if isinstance(value, list) else [None]
    if not all(isinstance(n, int) and not isinstance(n, bool) and 1 <= n <= count for n in items):
        raise ValueError("not numbers of others")
    return list(dict.fromkeys(n for n in items if isinstance(n, int)))
