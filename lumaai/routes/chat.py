"""Questions as OpenAI's chat completions."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec
from starlette.responses import Response

from lumaai import wire
from lumaai.access import Verb
from lumaai.asked import Question
from lumaai.chat import Completion, collection_of, questions_of
from lumaai.errors import ErrorDetail, InvalidRequestError, LumaError
from lumaai.routes.ask import answering
from lumaai.routes.events import EVENT_STREAM, EventStream
from lumaai.routes.leaving import run_while_wanted
from lumaai.routes.operation import Call, Operation, Reach, json_response
from lumaai.served_models import OURS, check_known

if TYPE_CHECKING:
    from promptql import Event

DONE = b"data: [DONE]\n\n"


async def complete_chat(call: Call) -> Response:
    """An answer with citations, as a chat completion; with `stream`, as chunks.

    The model `lumaai` answers from all collections, `lumaai/COLLECTION` from one. The user's earlier messages are the
    conversation that the last one may go on from; what others said is not read. Answers are computed from documents:
    keys that steer sampling are taken and change nothing. The whole answer of `/v1/ask` is in `lumaai`.
    """
    body = await call.body(wire.ChatRequest)
    asked = _question(body)
    completion = Completion(f"chatcmpl-{call.request.scope['lumaai.request_id']}", body.model, int(time.time()))
    work = answering(call, asked)
    if body.stream:
        with_usage = body.stream_options is not None and bool(body.stream_options.include_usage)
        return await EventStream.begun(call, work, Chunks(completion, with_usage=with_usage))
    answer = await run_while_wanted(call, call.service.asks, lambda gone: work(None, gone))
    return json_response(msgspec.json.encode(completion.whole(answer)))


def _question(body: wire.ChatRequest) -> Question:
    collection = collection_of(body.model)
    if collection is None:
        check_known(body.model, [OURS])
    elif body.collections not in (None, [collection]):
        message = "the model's name and collections both say where to look: give one"
        raise InvalidRequestError(message, errors=[ErrorDetail("/collections", "invalid_value", message)])
    said = [(message.role, message.text) for message in body.messages]
    text, earlier = questions_of(said, wire.QUESTION_CHARACTERS_MAX)
    names = body.collections if collection is None else [collection]
    return Question(text, names, body.planner or "auto", None, earlier=earlier)


class Chunks:
    """The text of an answer in pieces, as OpenAI's clients read it; other events are not shown."""

    def __init__(self, completion: Completion, *, with_usage: bool) -> None:
        self._completion = completion
        self._with_usage = with_usage
        self._has_begun = False

    def written(self, event: Event) -> bytes:
        """The chunks of an event; behind those of the answer the stream ends."""
        from promptql import AnswerDelta, Answered  # loaded by now: it is their event

        chunks = [] if self._has_begun else [self._completion.opening()]
        self._has_begun = True
        match event:
            case AnswerDelta():
                chunks.append(self._completion.piece(event.text))
            case Answered():
                chunks.append(self._completion.closing(event.answer))
                if self._with_usage:
                    chunks.append(self._completion.usage(event.answer))
                return b"".join(map(_framed, chunks)) + DONE
        return b"".join(map(_framed, chunks))

    def failed(self, error: LumaError) -> bytes:
        """What the SDK raises as an APIError."""
        return _framed({"error": wire.as_openai(error.to_problem())["error"]})


def _framed(data: object) -> bytes:
    return b"data: %s\n\n" % msgspec.json.encode(data)


OPERATIONS = (
    Operation(
        id="complete_chat",
        method="POST",
        path="/v1/chat/completions",
        handler=complete_chat,
        summary="Answer a conversation's last question, in OpenAI's shape",
        tag="questions",
        verb=Verb.ASK,
        reach=Reach.SOME,
        answers={200: wire.ChatCompletion},
        body=wire.ChatRequest,
        errors=(404,),
        streams=EVENT_STREAM,
        like_openai=True,
    ),
)
