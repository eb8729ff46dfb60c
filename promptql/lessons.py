"""What was learned from feedback: words for what the data calls otherwise, and questions with their right plans."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from promptql.answer import Band, PlannerName
from promptql.catalog import Catalog
from promptql.errors import PlanError
from promptql.llm.manual import Example
from promptql.plan import Assumption, Plan, Support
from promptql.planned import Planned
from promptql.rules.words import fold
from promptql.validation import validate

LEARNED_CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class LearnedWord:
    """What people call something: a collection, a field of it, or a value of that field.

    Attributes:
        said: what is said, in lower case.
        value: None where the word stands for the field, or, without a field, for the collection.
    """

    said: str
    collection: str
    field: str | None = None
    value: str | None = None

    @property
    def meaning(self) -> str:
        """What the data calls it."""
        return self.value or (self.field or self.collection).replace("_", " ")

    def described(self) -> str:
        """For people: ``'turnover' = sales.revenue``."""
        place = self.collection if self.field is None else f"{self.collection}.{self.field}"
        return f"'{self.said}' = {place}{f' is {self.value}' if self.value is not None else ''}"

    def to_json(self) -> dict[str, Any]:
        """``{"said", "collection", "field", "value"}``, without what it has not."""
        data = {"said": self.said, "collection": self.collection, "field": self.field, "value": self.value}
        return {key: value for key, value in data.items() if value is not None}

    def is_known(self, catalog: Catalog) -> bool:
        """Whether the collection, and the field, may be asked about."""
        info = catalog.collections.get(self.collection)
        return info is not None and (self.field is None or self.field in info.fields)


@dataclass(frozen=True, slots=True)
class Heard:
    """A question in the data's own words, and what was replaced."""

    text: str
    assumptions: tuple[Assumption, ...]


@dataclass(frozen=True)
class Lessons:
    """Words and questions that were learned, and are in force."""

    words: tuple[LearnedWord, ...] = ()
    examples: tuple[Example, ...] = ()

    @cached_property
    def _by_question(self) -> dict[str, Example]:
        return {_key(example.question): example for example in self.examples}

    def heard(self, question: str, catalog: Catalog) -> Heard | None:
        """The question with learned words in the data's own; None where it has none of them."""
        found = []
        for word in sorted(self.words, key=lambda item: -len(item.said)):
            if not word.is_known(catalog):
                continue
            if re.search(rf"(?<!\w){re.escape(word.meaning)}(?!\w)", question, re.IGNORECASE):
                continue  # the data's own words are there: "Ridley" in "Ridley Scott" is no word of its own
            question, count = re.subn(_pattern(word), word.meaning.replace("\\", r"\\"), question, flags=re.IGNORECASE)
            if count:
                found.append(Assumption(f"{word.described()}, as was learned", Support.EXACT))
        return Heard(question, tuple(found)) if found else None

    def concern(self, question: str) -> bool:
        """Whether the question may be read otherwise because of them."""
        said = any(re.search(_pattern(word), question, re.IGNORECASE) for word in self.words)
        return said or _key(question) in self._by_question

    def plan_of(self, question: str, catalog: Catalog) -> Planned | None:
        """The plan that somebody said is right for this very question; None where there is none, or it fits no more."""
        example = self._by_question.get(_key(question))
        if example is None:
            return None
        try:
            plan = Plan.from_json({**example.plan, "question": question})
            validate(plan, catalog)
        except PlanError:
            return None
        said = Assumption("the plan is that of an answer that was confirmed", Support.EXACT)
        plan = Plan(question, plan.steps, plan.output, plan.params, tuple(dict.fromkeys((said, *plan.assumptions))))
        return Planned(plan, LEARNED_CONFIDENCE, Band.ANSWER, planner=PlannerName.LEARNED)

    def hints(self, catalog: Catalog) -> Sequence[str]:
        """The words, for the LLM."""
        return [word.described() for word in self.words if word.is_known(catalog)]


def _pattern(word: LearnedWord) -> str:
    return rf"(?<!\w){re.escape(word.said)}(?!\w)"


def _key(question: str) -> str:
    """A question without its case, spaces and final marks."""
    return " ".join(fold(question).split()).rstrip(" ?!.")


NO_LESSONS = Lessons()
