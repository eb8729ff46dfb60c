"""The asking half of a database: what its calls take and give, the same for a directory and for a service."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, overload

from lumaai.asked import Asked, Execution, Feedback, Question
from lumaai.programs import Keeper, Programs
from lumaai.teaching import LearnedLessons, Teacher

if TYPE_CHECKING:
    from promptql import Answer, Event, Explanation, Lesson, Plan, PlanCheck, Program, Proposal

    AnyPlan = Mapping[str, Any] | Plan | Answer | Proposal | Program


class AskableDatabase(ABC):
    """What a database and a client of a service can be asked in natural language."""

    @overload
    def ask(
        self,
        question: str,
        *,
        collections: Sequence[str] | None = None,
        planner: str = "auto",
        conversation: str | None = None,
        time_zone: str | None = None,
        stream: Literal[False] = False,
    ) -> Answer: ...

    @overload
    def ask(
        self,
        question: str,
        *,
        collections: Sequence[str] | None = None,
        planner: str = "auto",
        conversation: str | None = None,
        time_zone: str | None = None,
        stream: Literal[True],
    ) -> Iterator[Event]: ...

    def ask(
        self,
        question: str,
        *,
        collections: Sequence[str] | None = None,
        planner: str = "auto",
        conversation: str | None = None,
        time_zone: str | None = None,
        stream: bool = False,
    ) -> Answer | Iterator[Event]:
        """Answer a question in natural language, with the documents that the answer rests on.

        Args:
            question: up to 2,000 characters.
            collections: where to look; None for all.
            planner: "rules"; "llm", which fails where the LLM does; or "auto": rules where they are sure, else the LLM
                where there is one, and rules again where it fails.
            conversation: a name of your choice, under which a question may go on from the one before: "only those from
                France", "and in 1999?". Kept in memory, for half an hour after the last question.
            time_zone: whose "today" and "last month" are meant, such as "Europe/Paris"; None: UTC.
            stream: give what happens as it happens: the plan, each step, tables and charts, the text in pieces, and at
                last the answer. Iterate to the end, or close the iterator.

        Raises:
            InvalidRequestError: an empty or too long question, or planner "llm" without an LLM.
            NotFoundError: there is no such collection.
        """
        asked = Question.checked(question, collections, planner, conversation, time_zone)
        return self._events(asked) if stream else self._answer(asked)

    def plan(
        self,
        question: str,
        *,
        collections: Sequence[str] | None = None,
        planner: str = "auto",
        time_zone: str | None = None,
    ) -> Proposal:
        """The plan of a question, not run: read it, change it, execute it.

        Args:
            question: as for `ask`.
            collections: likewise.
            planner: likewise.
            time_zone: likewise.

        Raises:
            InvalidRequestError, NotFoundError: as `ask`.
        """
        return self._proposal(Question.checked(question, collections, planner, None, time_zone))

    def validate(self, plan: AnyPlan, *, collections: Sequence[str] | None = None) -> PlanCheck:
        """Whether a plan could run, with the columns of its steps, or where it is wrong and what would be right.

        Args:
            plan: as JSON, or what has one: an answer, a proposal, a program.
            collections: what it may read; None for all.

        Raises:
            InvalidRequestError: it is no JSON object.
            NotFoundError: there is no such collection in `collections`.
        """
        return self._check(Execution.checked(plan, None, None, collections))

    @overload
    def execute(
        self,
        plan: AnyPlan,
        *,
        params: Mapping[str, Any] | None = None,
        from_step: str | None = None,
        collections: Sequence[str] | None = None,
        partial: bool = False,
        stream: Literal[False] = False,
    ) -> Answer: ...

    @overload
    def execute(
        self,
        plan: AnyPlan,
        *,
        params: Mapping[str, Any] | None = None,
        from_step: str | None = None,
        collections: Sequence[str] | None = None,
        partial: bool = False,
        stream: Literal[True],
    ) -> Iterator[Event]: ...

    def execute(
        self,
        plan: AnyPlan,
        *,
        params: Mapping[str, Any] | None = None,
        from_step: str | None = None,
        collections: Sequence[str] | None = None,
        partial: bool = False,
        stream: bool = False,
    ) -> Answer | Iterator[Event]:
        """Run a plan, edited or not.

        Args:
            plan: as JSON, or what has one: an answer, a proposal, a program.
            params: values of its parameters, by name.
            from_step: run this step and those that read it again; what others gave is taken from the last time, where
                it is still there and the documents are the same.
            collections: what it may read; None for all.
            partial: begin though the budget of the language model will not suffice for what `explain` estimates; the
                answer is then what was found, with bounds.
            stream: as for `ask`.

        Raises:
            InvalidRequestError: it is not valid (`errors` says where, and what would be right), or needs too much.
            NotFoundError: there is no such collection in `collections`.
        """
        asked = Execution.checked(plan, params, from_step, collections, partial=partial)
        return self._events(asked) if stream else self._answer(asked)

    def explain(
        self, plan: AnyPlan | str, *, collections: Sequence[str] | None = None, planner: str = "auto"
    ) -> Explanation:
        """What would run for a plan or a question, and what the optimizer did to it.

        Args:
            plan: as for `execute`, or a question.
            collections: what it may read; None for all.
            planner: of a question.

        Raises:
            InvalidRequestError, NotFoundError: as `execute`.
        """
        if isinstance(plan, str):
            plan = self.plan(plan, collections=collections, planner=planner)
        return self._explanation(Execution.checked(plan, None, None, collections))

    @property
    def programs(self) -> Programs:
        """Plans kept under names, with typed parameters and versions."""
        return Programs(self._answer, self._events, self._keeper)

    def feedback(
        self, answer: AnyPlan | str, verdict: str, correction: Mapping[str, Any] | None = None
    ) -> list[Lesson]:
        """Say that an answer was right or wrong, and what were right; gives what is learned of it, pending.

        Args:
            answer: the answer, its plan as JSON, or the `plan_hash` of one that you had of late.
            verdict: "right" or "wrong".
            correction: of a wrong one: ``{"plan": the right one}``, or ``{"words": [{"said": "turnover", "collection":
                "sales", "field": "revenue"}]}``; a word with a "value" stands for that value of the field.

        Raises:
            InvalidRequestError: nothing can be learned from that.
        """
        return self._teacher.give_feedback(Feedback.checked(answer, verdict, correction))

    @property
    def lessons(self) -> LearnedLessons:
        """What feedback has taught, and trying it on questions with known answers."""
        return LearnedLessons(self._teacher)

    @property
    @abstractmethod
    def _teacher(self) -> Teacher: ...

    @property
    @abstractmethod
    def _keeper(self) -> Keeper: ...

    @abstractmethod
    def _answer(self, asked: Asked) -> Answer: ...

    @abstractmethod
    def _events(self, asked: Asked) -> Iterator[Event]: ...

    @abstractmethod
    def _proposal(self, question: Question) -> Proposal: ...

    @abstractmethod
    def _check(self, execution: Execution) -> PlanCheck: ...

    @abstractmethod
    def _explanation(self, execution: Execution) -> Explanation: ...
