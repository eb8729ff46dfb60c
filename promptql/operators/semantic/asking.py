"""Questions about rows: several rows and several questions a call, every row answered once, those missing asked again.

A reply must name each row of the call once and no other. What is missing, contradicts itself or is of the wrong form
is asked again with fewer rows a call, at last alone: a model that loses count of twenty rows, or refuses one of them,
answers the others.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from models import JSON, LLMReplyError
from promptql.judgements import Verdict, judgement_key
from promptql.operators.semantic.caller import FAILURES, Caller, Failure, Request
from promptql.operators.semantic.prompt import DATA_RULE, closed, fenced, is_confidence
from promptql.operators.semantic.tasks import Task
from promptql.steps import ModelSize

ROWS_A_CALL = (20, 5, 1)  # at first, and of those that are asked again
CHARACTERS_A_CALL = 25_000  # of data; about 6,000 tokens
UNREADABLE_MAX = 4  # calls none of whose rows could be read, before there was one that could
ROW_TOKENS = 24  # of a reply, besides the answers: its number, braces, names and confidences
REPLY_TOKENS = 64  # besides its rows

Answers: TypeAlias = "list[Verdict | None]"  # of one row, one each task

_SYSTEM = """You answer questions about rows of data. {rule}
Each row is a JSON object with its number and its text. Answer the questions about every row by its own text alone, \
with how sure you are from 0 (a guess) to 1 (certain).
{questions}
Reply with a JSON object: "rows" has one object for every row, with its number in "row", no row twice and no other."""


@dataclass(slots=True)
class Asking:
    """Asks the questions of one step; every answer is kept for whoever asks the same again."""

    caller: Caller
    read: int = 0  # rows whose answers could be read

    def ask(self, tasks: Sequence[Task], texts: Sequence[str], size: ModelSize | None = None) -> list[Answers]:
        """Answers about distinct texts, one each task; None for what could not be had.

        Raises:
            LLMError: of no row could an answer be had.
            PlanCancelledError, LimitExceededError: as `Caller.all`.
        """
        model = self.caller.models.of(size).name
        keys = [[judgement_key(model, task.asked, text) for task in tasks] for text in texts]
        answers = [[self.caller.judgements.get(key) for key in row] for row in keys]
        self.caller.cache_hits += sum(verdict is not None for row in answers for verdict in row)
        for wanted in dict.fromkeys(_missing(row) for row in answers):
            places = [place for place, row in enumerate(answers) if _missing(row) == wanted]
            if wanted:
                self._ask_missing([tasks[index] for index in wanted], wanted, places, texts, size, answers)
        for row, row_keys in zip(answers, keys, strict=True):
            for key, verdict in zip(row_keys, row, strict=True):
                if verdict is not None:
                    self.caller.judgements.put(key, verdict)
        return answers

    def _ask_missing(
        self,
        tasks: Sequence[Task],
        wanted: tuple[int, ...],
        places: list[int],
        texts: Sequence[str],
        size: ModelSize | None,
        answers: list[Answers],
    ) -> None:
        """Ask in rounds, each of those that the one before left, with fewer a call."""
        total, done = len(places), 0
        failure: Failure | None = None
        for rows_max in ROWS_A_CALL:
            if not places or self.caller.ended is not None:
                break
            batches = _batches(places, texts, rows_max)
            requests = [_request(tasks, [texts[place] for place in batch]) for batch in batches]
            unreadable = 0

            def take(index: int, outcome: JSON | Failure, batches: list[list[int]] = batches) -> bool:
                nonlocal failure, unreadable, done
                batch = batches[index]
                if isinstance(outcome, FAILURES):
                    failure = outcome
                    found: dict[int, list[Verdict]] = {}
                else:
                    found = _answers(outcome, tasks, [texts[place] for place in batch])
                    if len(found) < len(batch):
                        failure = failure or LLMReplyError(f"reply lacks rows: expected={len(batch)} got={len(found)}")
                for offset, verdicts in found.items():
                    for position, verdict in zip(wanted, verdicts, strict=True):
                        answers[batch[offset]][position] = verdict
                self.read += len(found)
                unreadable = 0 if found else unreadable + 1
                done += len(found)
                self.caller.watch.advance(self.caller.step, done, total)
                return self.read > 0 or unreadable < UNREADABLE_MAX

            self.caller.all(requests, size, take)
            places = [place for place in places if answers[place][wanted[0]] is None]
        if failure is not None and not self.read and len(places) == len(texts):
            raise failure


def _missing(row: Answers) -> tuple[int, ...]:
    return tuple(index for index, verdict in enumerate(row) if verdict is None)


def _batches(places: Sequence[int], texts: Sequence[str], rows_max: int) -> list[list[int]]:
    """As many rows a call as it takes, by number and by characters; at least one."""
    batches: list[list[int]] = []
    room = 0
    for place in places:
        size = len(texts[place])
        if not batches or len(batches[-1]) >= rows_max or size > room:
            batches.append([])
            room = CHARACTERS_A_CALL
        batches[-1].append(place)
        room -= size
    return batches


def _request(tasks: Sequence[Task], texts: Sequence[str]) -> Request:
    questions = "\n".join(f'"{name}": {task.words}' for name, task in zip(_names(tasks), tasks, strict=True))
    parts = [fenced("others", list(task.shared)) for task in tasks if task.shared]
    parts.append(fenced("rows", [{"row": number, "text": json.loads(text)} for number, text in enumerate(texts, 1)]))
    tokens = REPLY_TOKENS + len(texts) * (ROW_TOKENS + sum(task.tokens + ROW_TOKENS for task in tasks))
    return Request(_SYSTEM.format(rule=DATA_RULE, questions=questions), "\n".join(parts), _schema(tasks), tokens)


def _names(tasks: Sequence[Task]) -> list[str]:
    """What the questions are called: "a", "b" and so on."""
    return [chr(ord("a") + index) for index in range(len(tasks))]


def _schema(tasks: Sequence[Task]) -> dict[str, Any]:
    row: dict[str, Any] = {"row": {"type": "integer"}}
    for name, task in zip(_names(tasks), tasks, strict=True):
        row |= {name: dict(task.schema), f"{name}_confidence": {"type": "number"}}
    return closed({"rows": {"type": "array", "items": closed(row)}})


def _answers(value: JSON, tasks: Sequence[Task], texts: Sequence[str]) -> dict[int, list[Verdict]]:
    """What a reply says of each row of the call, by its place; without those answered wrongly, or in two ways.

    Of a reply with a row that was not asked about nothing is taken: its numbers may all be one off.
    """
    rows = value.get("rows") if isinstance(value, dict) else None
    found: dict[int, list[Verdict]] = {}
    spoilt: set[int] = set()
    for item in rows if isinstance(rows, list) else []:
        number = item.get("row") if isinstance(item, dict) else None
        if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= len(texts):
            return {}
        assert isinstance(item, dict)
        place = number - 1
        verdicts = _verdicts(item, tasks, texts[place])
        if verdicts is None or (place in found and _values(found[place]) != _values(verdicts)):
            spoilt.add(place)
        else:
            found.setdefault(place, verdicts)
    return {place: verdicts for place, verdicts in found.items() if place not in spoilt}


def _verdicts(item: Mapping[str, JSON], tasks: Sequence[Task], text: str) -> list[Verdict] | None:
    verdicts = []
    for name, task in zip(_names(tasks), tasks, strict=True):
        sure = item.get(f"{name}_confidence")
        try:
            value = task.read(item.get(name), text)
        except (ValueError, OverflowError):
            return None
        verdicts.append(Verdict(value, round(float(sure), 4) if is_confidence(sure) else None))  # type: ignore[arg-type]
    return verdicts


def _values(verdicts: Sequence[Verdict]) -> list[JSON]:
    return [verdict.value for verdict in verdicts]
