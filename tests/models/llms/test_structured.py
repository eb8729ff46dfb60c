from __future__ import annotations

from typing import Any

import pytest

from models import LLMReplyError
from models.llms.structured import is_strict, parse_value

CLOSED: dict[str, Any] = {
    "type": "object",
    "properties": {"a": {"type": "string"}},
    "required": ["a"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 1}', {"a": 1}),
        (" [1, 2]\n", [1, 2]),
        ('```json\n{"a": 1}\n```', {"a": 1}),
        ('Sure:\n```\n{"a": 1}\n```\nDone.', {"a": 1}),
        ('{"a": "```\\nkept\\n```"}', {"a": "```\nkept\n```"}),
    ],
)
def test_json_is_found_with_and_without_a_fence(text: str, value: object) -> None:
    """Fences inside a string are not taken for one around it."""
    assert parse_value(text) == value


@pytest.mark.parametrize("text", ["", "three", '{"a": 1', "NaN", "```json\nno\n```"])
def test_what_is_not_json_is_refused(text: str) -> None:
    """NaN is JavaScript's, not JSON's."""
    with pytest.raises(LLMReplyError, match="not JSON"):
        parse_value(text)


@pytest.mark.parametrize(
    ("schema", "strict"),
    [
        (CLOSED, True),
        ({**CLOSED, "required": []}, False),
        ({**CLOSED, "additionalProperties": True}, False),
        ({"type": "object"}, False),
        ({"type": "array", "items": CLOSED}, True),
        ({"anyOf": [CLOSED, {"type": "object"}]}, False),
        ({**CLOSED, "properties": {"a": {"type": "object"}}}, False),
        ({**CLOSED, "$defs": {"b": {"type": "object"}}}, False),
        ({**CLOSED, "properties": {"a": {"$ref": "#/$defs/b"}}, "$defs": {"b": CLOSED}}, True),
    ],
)
def test_strict_schemas_are_recognised(schema: dict[str, Any], strict: bool) -> None:
    """Every object, wherever it is, must be closed and list all properties."""
    assert is_strict(schema) is strict
