from __future__ import annotations

import threading

import pytest

from models import (
    LLM,
    LLMCancelledError,
    LLMError,
    LLMReplyError,
    LLMUnavailableError,
    Message,
    Reply,
    ScriptedCut,
    ScriptedLLM,
    Usage,
)

MESSAGES = [Message("user", "one two three")]


def test_the_script_is_played_in_order_and_requests_are_kept() -> None:
    """Text, value, error, and then the end."""
    llm = ScriptedLLM(["two words", {"count": 3}, LLMUnavailableError("down")])
    assert isinstance(llm, LLM)
    reply = llm.complete(MESSAGES, temperature=0.7)
    assert (reply.text, reply.value, reply.usage) == ("two words", None, Usage(1, 3, 2))
    assert llm.complete(MESSAGES, schema={"type": "object"}).value == {"count": 3}
    with pytest.raises(LLMUnavailableError, match="down"):
        llm.complete(MESSAGES)
    with pytest.raises(LLMError, match="script has ended: requests=4"):
        llm.complete(MESSAGES)
    assert [request.schema for request in llm.requests] == [None, {"type": "object"}, None, None]
    assert llm.requests[0].messages == tuple(MESSAGES)
    assert llm.requests[0].temperature == 0.7


def test_malformed_json_plays_as_a_real_models_would() -> None:
    """A text under a schema is parsed."""
    llm = ScriptedLLM(["{broken", '```json\n{"a": [1]}\n```'])
    with pytest.raises(LLMReplyError, match="not JSON"):
        llm.complete(MESSAGES, schema={})
    assert llm.complete(MESSAGES, schema={}).value == {"a": [1]}


def test_usage_adds_up() -> None:
    """Calls and tokens of several replies."""
    assert Usage(1, 10, 5) + Usage(2, 1, 1) == Usage(3, 11, 6)


def test_a_stream_is_played_word_by_word() -> None:
    """The pieces joined are the text; a cut comes after what was written before it."""
    llm = ScriptedLLM(["two  words\n", {"a": 1}, ScriptedCut("half a"), ScriptedCut("half a")])
    assert list(llm.stream(MESSAGES)) == ["two", "  words\n", Reply("two  words\n", None, Usage(1, 3, 2))]
    *pieces, reply = llm.stream(MESSAGES, schema={})
    assert isinstance(reply, Reply)
    assert ("".join(map(str, pieces)), reply.value) == ('{"a": 1}', {"a": 1})
    stream = llm.stream(MESSAGES)
    assert [next(stream), next(stream)] == ["half", " a"]
    with pytest.raises(LLMUnavailableError, match="cut"):
        next(stream)
    with pytest.raises(LLMUnavailableError, match="cut"):
        llm.complete(MESSAGES)
    assert [request.streamed for request in llm.requests] == [True, True, True, False]


def test_a_function_answers_what_it_is_asked() -> None:
    """Such as a judge of rows."""
    llm = ScriptedLLM(lambda request: {"words": len(request.messages[0].content.split())})
    assert llm.complete(MESSAGES, schema={}).value == {"words": 3}
    assert llm.complete([Message("user", "one")], schema={}).value == {"words": 1}
    assert len(llm.requests) == 2


def test_what_is_cancelled_is_not_played() -> None:
    """Nor recorded."""
    llm, cancelled = ScriptedLLM(["a b c"]), threading.Event()
    stream = llm.stream(MESSAGES, cancelled=cancelled)
    assert next(stream) == "a"
    cancelled.set()
    with pytest.raises(LLMCancelledError):
        next(stream)
    with pytest.raises(LLMCancelledError):
        llm.complete(MESSAGES, cancelled=cancelled)
    assert len(llm.requests) == 1
