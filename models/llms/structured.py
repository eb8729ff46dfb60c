"""JSON out of language models: what is asked for in words, and what is read back."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import cast

from models.errors import LLMReplyError
from models.llm import JSON

SCHEMA_NAME = "reply"
SCHEMA_DESCRIPTION = "Give the reply in this form."

_FENCED = re.compile(r"```(?:json|JSON)?[^\S\n]*\n(.*?)\n?```", re.DOTALL)


def parse_value(text: str) -> JSON:
    """The JSON value in `text`; a Markdown fence around it is taken off.

    Raises:
        LLMReplyError: there is none.
    """
    stripped = text.strip()
    fenced = _FENCED.search(stripped)
    candidates = [stripped, fenced.group(1)] if fenced else [stripped]
    for candidate in candidates:
        try:
            return cast("JSON", json.loads(candidate, parse_constant=_refuse_constant))
        except (ValueError, RecursionError):
            continue
    raise LLMReplyError(f"reply is not JSON: characters={len(text)}", text=text)


def schema_instruction(schema: Mapping[str, object]) -> str:
    """Words for endpoints that cannot enforce a schema themselves."""
    return "Reply with one JSON object that satisfies this JSON schema, and with nothing else:\n" + json.dumps(
        schema, ensure_ascii=False
    )


def is_strict(schema: object) -> bool:
    """Whether every object of the schema lists all its properties as required and allows no others.

    OpenAI's strict mode demands this: https://platform.openai.com/docs/guides/structured-outputs
    """
    if isinstance(schema, list):
        return all(map(is_strict, schema))
    if not isinstance(schema, Mapping):
        return True
    properties = schema.get("properties")
    if isinstance(properties, Mapping):
        required = schema.get("required")
        closed = schema.get("additionalProperties") is False
        if not closed or not isinstance(required, list) or set(required) != set(properties):
            return False
        return all(map(is_strict, properties.values())) and _others_are_strict(schema)
    return schema.get("type") != "object" and _others_are_strict(schema)


def _others_are_strict(schema: Mapping[str, object]) -> bool:
    named = [schema.get(keyword) for keyword in ("$defs", "definitions")]
    subschemas = [value for group in named if isinstance(group, Mapping) for value in group.values()]
    subschemas += [schema.get(keyword) for keyword in ("items", "anyOf", "prefixItems")]
    return all(map(is_strict, subschemas))


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
