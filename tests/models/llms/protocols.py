"""What the two protocols let a request be, as JSON schemas, after the types of the installed SDKs.

`openai.types.chat.CompletionCreateParams` and `anthropic.types.MessageCreateParams`, as far as text goes.
`test_protocols.py` holds the names in them equal to the SDKs'.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jsonschema_rs

_NAME = {"type": "string", "pattern": "^[a-zA-Z0-9_-]{1,64}$"}
_SCHEMA = {"type": "object", "minProperties": 1}


def _object(required: list[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": required, "properties": properties, "additionalProperties": False}


_OPENAI_MESSAGE = _object(
    ["role", "content"],
    role={"enum": ["system", "developer", "user", "assistant"]},
    content={"type": "string"},
)
_RESPONSE_FORMAT = {
    "oneOf": [
        _object(["type"], type={"const": "text"}),
        _object(["type"], type={"const": "json_object"}),
        _object(
            ["type", "json_schema"],
            type={"const": "json_schema"},
            json_schema=_object(["name"], name=_NAME, schema=_SCHEMA, strict={"type": ["boolean", "null"]}),
        ),
    ]
}
_FUNCTION = _object(
    ["name"], name=_NAME, description={"type": "string"}, parameters=_SCHEMA, strict={"type": ["boolean", "null"]}
)

OPENAI_REQUEST = _object(
    ["messages", "model"],
    messages={"type": "array", "minItems": 1, "items": _OPENAI_MESSAGE},
    model={"type": "string", "minLength": 1},
    max_tokens={"type": "integer", "minimum": 1},
    max_completion_tokens={"type": "integer", "minimum": 1},
    temperature={"type": "number", "minimum": 0, "maximum": 2},
    stream={"type": "boolean"},
    stream_options=_object([], include_usage={"type": "boolean"}),
    response_format=_RESPONSE_FORMAT,
    tools={"type": "array", "items": _object(["type", "function"], type={"const": "function"}, function=_FUNCTION)},
    tool_choice={
        "oneOf": [
            {"enum": ["none", "auto", "required"]},
            _object(["type", "function"], type={"const": "function"}, function=_object(["name"], name=_NAME)),
        ]
    },
)

# What is in no SDK's types: vLLM from 0.12 on and before, and llama.cpp.
EXTENSIONS: Mapping[str, Any] = {
    "structured_outputs": _object(["json"], json=_SCHEMA),
    "guided_json": _SCHEMA,
    "json_schema": _SCHEMA,
}

ANTHROPIC_REQUEST = _object(
    ["max_tokens", "messages", "model"],
    max_tokens={"type": "integer", "minimum": 1},
    messages={
        "type": "array",
        "minItems": 1,
        "items": _object(["role", "content"], role={"enum": ["user", "assistant"]}, content={"type": "string"}),
    },
    model={"type": "string", "minLength": 1},
    system={"type": "string", "minLength": 1},
    temperature={"type": "number", "minimum": 0, "maximum": 1},
    stream={"type": "boolean"},
    tools={
        "type": "array",
        "items": _object(
            ["name", "input_schema"],
            name=_NAME,
            description={"type": "string"},
            input_schema={**_SCHEMA, "required": ["type"], "properties": {"type": {"const": "object"}}},
        ),
    },
    tool_choice=_object(["type", "name"], type={"const": "tool"}, name=_NAME),
    output_config=_object(
        ["format"], format=_object(["type", "schema"], type={"const": "json_schema"}, schema=_SCHEMA)
    ),
)


def violations(request: object, protocol: str, *, extended: bool) -> list[str]:
    """What is wrong with a request: against the protocol, in its schema, and between its parts.

    Args:
        request: the decoded body.
        protocol: "openai" or "anthropic".
        extended: whether the server knows what vLLM and llama.cpp have added.
    """
    allowed = OPENAI_REQUEST if protocol == "openai" else ANTHROPIC_REQUEST
    if extended:
        allowed = {**allowed, "properties": {**allowed["properties"], **EXTENSIONS}}
    errors = jsonschema_rs.validator_for(allowed).iter_errors(request)
    found = [f"{'/'.join(map(str, error.instance_path))}: {error.message}" for error in errors]
    if found or not isinstance(request, dict):
        return found
    schema, strict = schema_of(request), is_strict_request(request)
    if schema is not None and not jsonschema_rs.meta.is_valid(schema):
        found.append("schema is no JSON schema")
    if strict and not _closed(schema):
        found.append("schema must be closed and require all of its properties")
    if "stream_options" in request and not request.get("stream"):
        found.append("stream_options without stream")
    if "max_tokens" in request and "max_completion_tokens" in request:
        found.append("two limits")
    return found


def mode_of(request: Mapping[str, Any]) -> str:
    """How a request asks for structured output; "plain" where it does not."""
    if "tools" in request:
        return "tool"
    if "output_config" in request:
        return "json_schema"
    if "response_format" in request:
        return str(request["response_format"]["type"])
    for name, mode in (("structured_outputs",) * 2, ("guided_json",) * 2, ("json_schema", "grammar")):
        if name in request:
            return mode
    return "plain"


def schema_of(request: Mapping[str, Any]) -> Any:
    """The schema that a request is sent with, wherever it stands in it; None without one."""
    if tools := request.get("tools"):
        return tools[0]["function"]["parameters"] if "function" in tools[0] else tools[0]["input_schema"]
    if "output_config" in request:
        return request["output_config"]["format"]["schema"]
    if named := request.get("response_format", {}).get("json_schema"):
        return named["schema"]
    if "structured_outputs" in request:
        return request["structured_outputs"]["json"]
    return request.get("guided_json") or request.get("json_schema")


def is_strict_request(request: Mapping[str, Any]) -> bool:
    """Whether the schema must be closed: strict ones of OpenAI, and all output formats of Anthropic."""
    return bool(request.get("response_format", {}).get("json_schema", {}).get("strict") or request.get("output_config"))


def _closed(schema: Any) -> bool:
    if isinstance(schema, list):
        return all(map(_closed, schema))
    if not isinstance(schema, dict):
        return True
    if schema.get("type") == "object" and (
        schema.get("additionalProperties") is not False
        or set(schema.get("required", [])) != set(schema.get("properties", {}))
    ):
        return False
    return all(map(_closed, schema.values()))
