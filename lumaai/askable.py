"""The asking half of a database: what its calls take and give, the same for a directory and for a service."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, overload

from lumaai.errors import InvalidRequestError
from lumaai.search import check_strings

if TYPE_CHECKING:
    from promptql import Answer, Event

PLANNERS = ("auto", "rules", "llm")


@dataclass(frozen=True, slots=True)
class Question:
    """A question on its way in.

    Attributes:
        collections: where to look; None for all.
        conversation: the name of the conversation that it belongs to, if it belongs to one.
    """

    text: str
    collections: list[str] | None
    planner: str
    conversation: str | None

    @classmethod
    def checked(
        cls, text: object, collections: Sequence[str] | None, planner: object, conversation: object
    ) -> Question:
        """The question, if its parts are of the right types; what they may say is checked where it is answered.

        Raises:
            InvalidRequestError: they are not.
        """
        if not isinstance(text, str):
            raise InvalidRequestError(f"question is not text: got={type(text).__name__}", code="question_not_text")
        # A bare string would be taken for the collections that its letters name.
        names = None if collections is None else check_strings("collections", collections)
        if planner not in PLANNERS:
            raise InvalidRequestError(f"planner must be 'auto', 'rules' or 'llm': got={planner!r:.40}")
        if conversation is not None and not isinstance(conversation, str):
            message = f"conversation must be a name: got={type(conversation).__name__}"
            raise InvalidRequestError(message, code="conversation_invalid")
        return cls(text, names, str(planner), conversation)

    def to_body(self) -> dict[str, Any]:
        """The body of `POST /v1/ask`."""
        body = {"question": self.text, "collections": self.collections, "planner": self.planner}
        return {key: value for key, value in {**body, "conversation": self.conversation}.items() if value is not None}


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
        stream: Literal[True],
    ) -> Iterator[Event]: ...

    def ask(
        self,
        question: str,
        *,
        collections: Sequence[str] | None = None,
        planner: str = "auto",
        conversation: str | None = None,
        stream: bool = False,
    ) -> Answer | Iterator[Event]:
        """Answer a question in natural language, with the documents that the answer rests on.

        Args:
            question: up to 2,000 characters.
            collections: where to look; None for all.
            planner: "rules", "llm", or "auto": the LLM where there is one, and rules where it fails.
            conversation: a name of your choice, under which a question may go on from the one before: "only those from
                France", "and in 1999?". Kept in memory, for half an hour after the last question.
            stream: give what happens as it happens: the plan, each step, tables and charts, the text in pieces, and at
                last the answer. Iterate to the end, or close the iterator.

        Raises:
            InvalidRequestError: an empty or too long question, or planner "llm" without an LLM.
            NotFoundError: there is no such collection.
        """
        asked = Question.checked(question, collections, planner, conversation)
        return self._events(asked) if stream else self._answer(asked)

    @abstractmethod
    def _answer(self, question: Question) -> Answer: ...

    @abstractmethod
    def _events(self, question: Question) -> Iterator[Event]: ...
