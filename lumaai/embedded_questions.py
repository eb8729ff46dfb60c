"""Questions of an embedded database: who asks, of which collections, and what answers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from lumaai.access import Verb
from lumaai.askable import AskableDatabase
from lumaai.asked import Asked, Execution, Question
from lumaai.embedded_queries import EmbeddedQueries
from lumaai.embedded_teaching import EmbeddedTeacher
from lumaai.errors import ForbiddenError
from lumaai.ingestion.manifest import is_manifest
from lumaai.questions import Questions, Scope
from lumaai.translation import translated, translated_events

if TYPE_CHECKING:
    from promptql import Answer, Event, Explanation, PlanCheck, Proposal, Tell

ANSWER_ROWS_MAX = 10_000  # of a known answer that is given as SQL


class EmbeddedQuestions(EmbeddedQueries, AskableDatabase):
    """The part of a `Database` that answers questions, from the collections that the caller may ask."""

    _questions: Questions

    def _asked(self) -> list[str] | None:
        """What a question is asked of that names no collection: all of them, but for the manifests of files.

        Raises:
            ForbiddenError: the caller may ask none of them.
        """
        names, caller = self._opened.native.collections(), self._caller
        if caller.everything and not any(map(is_manifest, names)):
            return None
        found = [name for name in names if not is_manifest(name) and caller.may(Verb.ASK, name)]
        if not (found or caller.everything):
            raise ForbiddenError("the key reaches no collection that is there", code="collection_not_allowed")
        return found

    def _scope(self, collections: list[str] | None) -> Scope:
        """Who asks, and of what."""
        said = {self._aliases.resolve(name): name for name in collections or ()}
        names = self._asked() if collections is None else list(said)
        for name in names or ():
            self._caller.check(Verb.ASK, name, said.get(name))
        return Scope(names, self._caller.id)

    @translated
    def answer_told(self, asked: Asked, tell: Tell | None = None, cancelled: threading.Event | None = None) -> Answer:
        """The answer to what is asked, with each event told in this thread.

        What `tell` raises ends the work, and so does `cancelled` when it is set.
        """
        return self._questions.answer(asked, self._scope(asked.collections), tell, cancelled)

    def _answer(self, asked: Asked) -> Answer:
        return self.answer_told(asked)

    def _events(self, asked: Asked) -> Iterator[Event]:
        return translated_events(self._questions.events(asked, self._scope(asked.collections)), self._opened.explain)

    @translated
    def _proposal(self, question: Question) -> Proposal:
        return self._questions.proposal(question, self._scope(question.collections))

    @translated
    def _check(self, execution: Execution) -> PlanCheck:
        return self._questions.check(execution, self._scope(execution.collections))

    @translated
    def _explanation(self, execution: Execution) -> Explanation:
        return self._questions.explanation(execution, self._scope(execution.collections))

    def question_figures(self) -> dict[str, Any]:
        """Answers by planner and band, and what the language model read and wrote for them, since the start."""
        return self._questions.figures()

    @property
    def program_keeper(self) -> Questions:
        """Where programs are kept; tells what `programs` does not: whether saving made a new version."""
        return self._questions

    @property
    def _keeper(self) -> Questions:
        return self._questions

    @property
    def _teacher(self) -> EmbeddedTeacher:
        return EmbeddedTeacher(self._questions, lambda: self._scope(None), self._rows_of)

    def _rows_of(self, query: str) -> list[Any]:
        """The rows of a query that gives a question's answer; of one column the values."""
        rows = self.sql(query, limit=ANSWER_ROWS_MAX).rows
        return [row[0] for row in rows] if all(len(row) == 1 for row in rows) else list(rows)
