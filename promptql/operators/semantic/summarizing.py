"""llm_summarize: what rows say, in sentences that name the rows they come from.

As many texts as a call takes are summed up together, each numbered; a sentence names the numbers behind it, and one
that names none, or one that is not there, is left out. What several calls gave is numbered and summed up again, until
one call takes it all, so that a sentence of the last level knows its rows through those before it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np

from engine import Field, FieldType, Relation
from models import JSON, LLMReplyError
from promptql.answer import Notice
from promptql.operators.rows import Rows
from promptql.operators.semantic.caller import FAILURES, Caller, Failure, Request
from promptql.operators.semantic.inputs import NO_TEXT, Inputs
from promptql.operators.semantic.notices import notices_of
from promptql.operators.semantic.prompt import DATA_RULE, closed, fenced, is_confidence
from promptql.steps import LlmSummarize
from promptql.validation.semantic import CONFIDENCE, SENTENCE

CHARACTERS_A_CALL = 25_000
PIECE_CHARACTERS = 6_000  # of a text; a longer one is read in pieces
TEXT_CHARACTERS_MAX = 200_000
SENTENCE_CHARACTERS_MAX = 1_000
LEVELS_MAX = 6
SENTENCES_BELOW = 8  # of a call below the last level: so many that a third of the text is left at most
TRIES = 3  # of a call: once more as it is, then in halves
SENTENCE_TOKENS, REPLY_TOKENS = 120, 64
_KEPT = "_engine_first"

_SYSTEM = """You sum up rows of data. {rule}
{instruction}
Say it in at most {sentences} sentences, each of which stands by itself and rests on rows alone.
Reply with a JSON object: "sentences" is a list of objects with the "text", in "rows" the numbers of all rows that it \
rests on (at least one), and in "confidence" how sure you are that they say so, 0 to 1."""
_SCHEMA = closed({
    "sentences": {
        "type": "array",
        "items": closed({
            "text": {"type": "string"},
            "rows": {"type": "array", "items": {"type": "integer"}},
            "confidence": {"type": "number"},
        }),
    }
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Sentence:
    """A text, the distinct inputs it comes from, and how sure the model was of it."""

    text: str
    inputs: frozenset[int]
    confidence: float | None = None


def run_summarize(step: LlmSummarize, rows: Rows, caller: Caller) -> Rows:
    """Sentences, each with the documents of the rows that it names behind it.

    Raises:
        LLMError: nothing could be had of the language model.
        PlanCancelledError, LimitExceededError: as `Caller.all`.
    """
    inputs = Inputs.of(rows.relation, step.fields, characters_max=TEXT_CHARACTERS_MAX)
    summing = _Summing(step, caller)
    sentences = summing.run(inputs.texts)
    caller.cut += inputs.cut
    caller.failed = sum(owner in summing.failed for owner in inputs.owners if owner != NO_TEXT)
    relation = _table(rows.relation, sentences, inputs)
    notices = [*rows.notices, *notices_of(caller, len(rows.relation), "are not in the summary")]
    if summing.unmarked:
        detail = f"step {step.id}: {summing.unmarked} sentences named no rows, or others, and were left out"
        notices.append(Notice("sentences_unmarked", detail))
    made = replace(rows.over(relation), passages=None, grouped=True, notices=tuple(notices))
    return replace(made, llm=caller.used())


_Try: TypeAlias = "tuple[tuple[int, ...], list[_Sentence], int]"  # place, what is summed up, how often that was tried


@dataclass(slots=True)
class _Summing:
    step: LlmSummarize
    caller: Caller
    failed: set[int] = field(default_factory=set)
    unmarked: int = 0
    failure: Failure | None = None

    def run(self, texts: Sequence[str]) -> list[_Sentence]:
        material = [
            _Sentence(piece, frozenset([number])) for number, text in enumerate(texts) for piece in _pieces(text)
        ]
        for _ in range(LEVELS_MAX):
            if not material:
                break
            chunks = _chunks(material)
            material = self._level(chunks)
            if len(chunks) == 1 or self.caller.ended is not None:
                break
        if not material and texts and self.failure is not None:
            raise self.failure
        return material[: self.step.sentences]

    def _level(self, chunks: Sequence[list[_Sentence]]) -> list[_Sentence]:
        """What each chunk says; one that no reply can be had of is tried again, then in halves."""
        most = self.step.sentences if len(chunks) == 1 else min(self.step.sentences, SENTENCES_BELOW)
        found: dict[tuple[int, ...], list[_Sentence]] = {}
        pending: list[_Try] = [((number,), chunk, 1) for number, chunk in enumerate(chunks)]
        while pending and self.caller.ended is None:
            again: list[_Try] = []
            outcomes: list[list[_Sentence] | None] = [None] * len(pending)

            def take(
                index: int,
                outcome: JSON | Failure,
                outcomes: list[list[_Sentence] | None] = outcomes,
                pending: list[_Try] = pending,
            ) -> bool:
                if isinstance(outcome, FAILURES):
                    self.failure = outcome
                else:
                    outcomes[index] = self._read(outcome, pending[index][1])
                return True

            self.caller.all([self._request(chunk, most) for _, chunk, _ in pending], self.step.model, take)
            for (place, chunk, tries), sentences in zip(pending, outcomes, strict=True):
                if sentences is not None:
                    found[place] = sentences
                elif tries < TRIES - 1:
                    again.append((place, chunk, tries + 1))
                elif len(chunk) > 1:
                    middle = len(chunk) // 2
                    again += [((*place, 0), chunk[:middle], TRIES - 1), ((*place, 1), chunk[middle:], TRIES - 1)]
                else:
                    self._fail(chunk)
            pending = again
        for _, chunk, _ in pending:
            self._fail(chunk)
        return [sentence for place in sorted(found) for sentence in found[place]]

    def _fail(self, chunk: Sequence[_Sentence]) -> None:
        self.failed |= frozenset().union(*(sentence.inputs for sentence in chunk))

    def _request(self, chunk: Sequence[_Sentence], most: int) -> Request:
        asked = "What do these rows say, taken together?"
        if self.step.instruction is not None:
            asked = f"What do these rows say to this? {json.dumps(self.step.instruction, ensure_ascii=False)}"
        system = _SYSTEM.format(rule=DATA_RULE, instruction=asked, sentences=most)
        data = [{"row": number, "text": sentence.text} for number, sentence in enumerate(chunk, 1)]
        return Request(
            system, fenced("rows", data), _SCHEMA, REPLY_TOKENS + SENTENCE_TOKENS * most
        )  # fmt: skip

    def _read(self, value: JSON, chunk: Sequence[_Sentence]) -> list[_Sentence] | None:
        """The sentences of a reply that name rows of the chunk; None where it is none."""
        items = value.get("sentences") if isinstance(value, dict) else None
        if not isinstance(items, list):
            self.failure = self.failure or LLMReplyError("reply has no sentences")
            return None
        found = []
        for item in items[: self.step.sentences]:
            text = item.get("text") if isinstance(item, dict) else None
            if not isinstance(item, dict) or not isinstance(text, str) or not text.strip():
                continue
            behind = _marked(item.get("rows"), chunk)
            if behind is None:
                self.unmarked += 1
                continue
            sure = item.get("confidence")
            clean = text.strip()[:SENTENCE_CHARACTERS_MAX].encode(errors="replace").decode()
            found.append(_Sentence(clean, behind, round(float(sure), 4) if is_confidence(sure) else None))  # type: ignore[arg-type]
        if not found and items:
            self.failure = self.failure or LLMReplyError("no sentence of the reply names its rows")
            return None
        return found


def _marked(rows: JSON, chunk: Sequence[_Sentence]) -> frozenset[int] | None:
    """The inputs behind the rows that a sentence names; None where it names none, or one that is not there."""
    if not isinstance(rows, list) or not rows:
        return None
    if not all(isinstance(n, int) and not isinstance(n, bool) and 1 <= n <= len(chunk) for n in rows):
        return None
    return frozenset().union(*(chunk[n - 1].inputs for n in rows if isinstance(n, int)))


def _pieces(text: str) -> list[str]:
    """A text, decoded; a long one in pieces."""
    value = json.loads(text)
    whole = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return [whole[at : at + PIECE_CHARACTERS] for at in range(0, len(whole), PIECE_CHARACTERS)]


def _chunks(material: Sequence[_Sentence]) -> list[list[_Sentence]]:
    """As many texts as a call takes, in order."""
    chunks: list[list[_Sentence]] = [[]]
    room = CHARACTERS_A_CALL
    for sentence in material:
        if chunks[-1] and len(sentence.text) > room:
            chunks.append([])
            room = CHARACTERS_A_CALL
        chunks[-1].append(sentence)
        room -= len(sentence.text)
    return chunks


def _table(relation: Relation, sentences: Sequence[_Sentence], inputs: Inputs) -> Relation:
    """One row a sentence, with the documents of all rows whose text it comes from."""
    members: dict[int, list[int]] = {}
    for row, owner in enumerate(inputs.owners):
        members.setdefault(owner, []).append(row)
    behind = [[row for text in sorted(sentence.inputs) for row in members[text]] for sentence in sentences]
    places = np.array([row for rows in behind for row in rows], dtype=np.int64)
    groups = np.repeat(np.arange(len(behind), dtype=np.int64), [len(rows) for rows in behind])
    gathered = (
        relation.project(list(relation.fields[:1])).take(places).gather(groups).rename({_KEPT: relation.fields[0]})
    )
    made = gathered.with_column(SENTENCE, Field(FieldType.TEXT), [sentence.text for sentence in sentences])
    made = made.with_column(CONFIDENCE, Field(FieldType.NUMBER), [sentence.confidence for sentence in sentences])
    return made.project([SENTENCE, CONFIDENCE])
