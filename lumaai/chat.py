"""Questions in OpenAI's clothes: a conversation's messages in, a chat completion or its chunks out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from lumaai.errors import ErrorDetail, InvalidRequestError
from lumaai.served_models import OURS

if TYPE_CHECKING:
    from promptql import Answer, Citation

ANNOTATIONS_MAX = 100
_MARK = re.compile(r"\[(\d{1,4})\]")


def collection_of(model: str) -> str | None:
    """The collection that a model's name says; None where it says none."""
    return model.removeprefix(f"{OURS}/") if model.startswith(f"{OURS}/") else None


def questions_of(messages: Sequence[tuple[str, str]], characters_max: int) -> tuple[str, tuple[str, ...]]:
    """The question and those before it, oldest first, of (role, text).

    Raises:
        InvalidRequestError: the last message is not the user's, is blank, or is too long.
    """
    last = len(messages) - 1
    role, text = messages[last]
    if role != "user":
        raise _wrong(f"/messages/{last}/role", f"the last message must be the user's question: got={role}")
    if not text.strip():
        raise _wrong(f"/messages/{last}/content", "the question must not be blank")
    if len(text) > characters_max:
        message = f"the question is too long: maximum={characters_max} got={len(text)} characters"
        raise _wrong(f"/messages/{last}/content", message)
    earlier = (text for role, text in messages[:last] if role == "user")
    return text, tuple(text for text in earlier if text.strip() and len(text) <= characters_max)


@dataclass(frozen=True, slots=True)
class Completion:
    """One answer on its way out.

    Attributes:
        id: of the completion.
        model: as it was asked for.
        created: seconds since 1970.
    """

    id: str
    model: str
    created: int

    def whole(self, answer: Answer) -> dict[str, Any]:
        """`chat.completion`."""
        message = {"role": "assistant", "content": answer.text, "refusal": None, "annotations": cited(answer)}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
        head = self._head("chat.completion", [choice])
        return {**head, "usage": usage_of(answer), "lumaai": answer.to_json()}

    def opening(self) -> dict[str, Any]:
        """The first chunk."""
        return self._chunk({"role": "assistant", "content": "", "refusal": None})

    def piece(self, text: str) -> dict[str, Any]:
        """A chunk with text."""
        return self._chunk({"content": text})

    def closing(self, answer: Answer) -> dict[str, Any]:
        """The chunk that ends the choice, with citations and the answer itself."""
        chunk = self._chunk({"annotations": cited(answer)}, finish_reason="stop")
        return {**chunk, "lumaai": answer.to_json()}

    def usage(self, answer: Answer) -> dict[str, Any]:
        """The chunk behind the last, where it is asked for."""
        return {**self._head("chat.completion.chunk", []), "usage": usage_of(answer)}

    def _chunk(self, delta: Mapping[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return self._head("chat.completion.chunk", [choice])

    def _head(self, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model, "choices": choices}


def usage_of(answer: Answer) -> dict[str, int]:
    """What a language model read and wrote."""
    spent = answer.usage.get("llm", {})
    read, written = int(spent.get("tokens_in", 0)), int(spent.get("tokens_out", 0))
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


def cited(answer: Answer) -> list[dict[str, Any]]:
    """Citations at their marks in the text; those without a mark are of the whole text. A document once a place."""
    places = {int(mark[1]): mark.span() for mark in _MARK.finditer(answer.text)}
    found: dict[tuple[int, int, str], dict[str, Any]] = {}
    for number, citation in enumerate(answer.citations, start=1):
        start, end = places.get(number, (0, len(answer.text)))
        for title, url in _documents(citation):
            if len(found) < ANNOTATIONS_MAX:
                place = {"start_index": start, "end_index": end, "title": title, "url": url}
                found.setdefault((start, end, url), {"type": "url_citation", "url_citation": place})
    return list(found.values())


def _documents(citation: Citation) -> Iterator[tuple[str, str]]:
    for id_ in citation.ids:
        path = f"/v1/collections/{quote(citation.collection, safe='')}/documents/{quote(id_, safe='')}"
        yield f"{citation.collection}/{id_}", path


def _wrong(pointer: str, message: str) -> InvalidRequestError:
    return InvalidRequestError(message, code="invalid_value", errors=[ErrorDetail(pointer, "invalid_value", message)])
