"""Which way to structured output an endpoint really has: one small request a way, the best first.

The question of a probe does not ask for JSON, so that an endpoint that takes a schema and ignores it answers with
words and is found out. Only the last ways have the schema in their prompt.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from models.errors import LLMError, LLMReplyError
from models.llm import JSON, Message
from models.llms.capabilities import REFUSED_STATUS, Capabilities
from models.llms.endpoint import Call, Completion, Finish
from models.llms.providers import StructuredMode
from models.llms.structured import parse_value

PROBE_TOKENS_MAX = 512  # models that think before they answer need some; the answer itself has about ten
PROBE_FIELD = "greeting"
PROBE_SCHEMA = {
    "type": "object",
    "properties": {PROBE_FIELD: {"type": "string", "enum": ["hello"]}},
    "required": [PROBE_FIELD],
    "additionalProperties": False,
}
PROBE = Call((Message("user", "Greet me."),), PROBE_SCHEMA, PROBE_TOKENS_MAX, 0.0)
# A server that fails on a way it does not have (llama.cpp without --jinja on tools) is no reason to give up.
_REFUSED = REFUSED_STATUS | {500}

Send = Callable[[Call, Capabilities], tuple[Completion, Capabilities]]


def find_structured_mode(modes: Sequence[StructuredMode], way: Capabilities, send: Send) -> Capabilities:
    """The capabilities with the first of `modes` that the endpoint has.

    Args:
        modes: the last is taken if the endpoint has none of the others but answers.
        way: what is known beforehand.
        send: makes one request, again where that helps, and returns how it was made in the end.

    Raises:
        LLMError: the endpoint cannot be reached, or refuses for other reasons than the way it was asked.
    """
    answers = False
    for mode in modes[:-1]:
        try:
            completion, way = send(PROBE, replace(way, structured=mode))
        except LLMReplyError:
            answers = True
            continue
        except LLMError as error:
            if error.details.get("status") not in _REFUSED:
                raise
            continue
        answers = True
        if _obeyed(mode, completion):
            return replace(way, structured=mode)
    last = replace(way, structured=modes[-1])
    if not answers:  # what refuses every request does so for another reason than the way it was asked
        _, last = send(PROBE, last)
    return last


def _obeyed(mode: StructuredMode, completion: Completion) -> bool:
    if completion.finish is Finish.TRUNCATED:
        return True  # it took the request, and had no room to show what it makes of it
    written = completion.arguments if mode is StructuredMode.TOOL else completion.text
    try:
        value: JSON = parse_value(written or "")
    except LLMReplyError:
        return False
    return isinstance(value, dict) and PROBE_FIELD in value
