from __future__ import annotations

import pytest

from models import LLM, LLMError, LLMReplyError, LLMUnavailableError, Message, ScriptedLLM, Usage

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
