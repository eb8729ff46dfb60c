"""Programs: plans kept under a name, with typed parameters, versions, and JSON Schemas of both ends."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from promptql.errors import ArgumentError, ProgramError, nearest_name
from promptql.expressions import Scalar, Value
from promptql.plan import Parameter, ParameterType, Plan
from promptql.predicate import describe_expression

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
DESCRIPTION_CHARACTERS_MAX = 2_000
PARAMETERS_MAX = 64
DIALECT = "https://json-schema.org/draft/2020-12/schema"
_JSON_TYPES: dict[ParameterType, dict[str, Any]] = {
    ParameterType.TEXT: {"type": "string"},
    ParameterType.NUMBER: {"type": "number"},
    ParameterType.BOOLEAN: {"type": "boolean"},
    ParameterType.DATE: {"type": "string", "description": "An ISO 8601 date or time."},
}


@dataclass(frozen=True, slots=True)
class Program:
    """A plan under a name.

    Attributes:
        version: counts from 1; saving another plan under the name makes the next one.
        plan: as JSON; its parameters' values are what runs use that give none.
        inputs: JSON Schema of the parameters.
        outputs: JSON Schema of the rows of the answer, each an object by column.
        created: when this version was saved, in UTC (ISO 8601).
    """

    name: str
    version: int
    plan: Mapping[str, Any]
    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]
    description: str | None = None
    created: str = ""
    plan_hash: str = ""
    versions: tuple[int, ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        """The program as the HTTP API shows it."""
        return {
            "name": self.name,
            "version": self.version,
            "versions": list(self.versions),
            "description": self.description,
            "plan": dict(self.plan),
            "plan_hash": self.plan_hash,
            "inputs": dict(self.inputs),
            "outputs": dict(self.outputs),
            "created": self.created,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Program:
        """The inverse of `to_json`."""
        return cls(
            name=data["name"],
            version=data["version"],
            plan=dict(data["plan"]),
            inputs=dict(data["inputs"]),
            outputs=dict(data["outputs"]),
            description=data["description"],
            created=data["created"],
            plan_hash=data["plan_hash"],
            versions=tuple(data["versions"]),
        )


def check_program_name(name: object) -> str:
    """The name of a program: letters, digits, `_`, `.` and `-`, up to 128.

    Raises:
        ProgramError: it is none.
    """
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ProgramError(
            f"program name must be 1 to 128 of A-Z a-z 0-9 _ . - and not begin with . or -: got={name!r:.140}",
            code="program_name_invalid",
        )
    return name


def input_schema(plan: Plan) -> dict[str, Any]:
    """JSON Schema (2020-12) of a plan's parameters; those without a value are required."""
    properties = {
        name: _JSON_TYPES[item.type] | ({} if item.value is None else {"default": item.value})
        for name, item in plan.params.items()
    }
    required = [name for name, item in plan.params.items() if item.value is None]
    return {
        "$schema": DIALECT,
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def with_parameters(plan: Plan, given: Mapping[str, Any]) -> Plan:
    """The plan with constants made parameters: each `{"genre": "drama"}` replaces the value where it stands.

    The constant stays as what is used where a run gives no other. `{"genre": {"type": "text", "value": "drama"}}`
    says the type as well.

    Raises:
        ArgumentError: no condition or expression has that constant, or it is no constant.
    """
    if len(given) > PARAMETERS_MAX:
        raise ArgumentError(f"too many parameters: got={len(given)} limit={PARAMETERS_MAX}", pointer="/params")
    data = plan.to_json()
    for name, spec in given.items():
        parameter = _parameter(spec, f"/params/{name}")
        data["steps"], count = _replaced(data["steps"], parameter.value, str(name))
        if not count and str(name) not in plan.params:
            raise ArgumentError(
                f"the plan has no such constant: got={parameter.value!r:.80}",
                pointer=f"/params/{name}",
                hint="a value that stands in one of its conditions",
            )
        data["params"][str(name)] = {"type": parameter.type.value, "value": parameter.value}
    return Plan.from_json(data)


def _parameter(spec: object, pointer: str) -> Parameter:
    kind: object = None
    if isinstance(spec, Mapping):
        if not {"value"} <= set(spec) <= {"type", "value"}:
            raise ArgumentError('a parameter has "value" and may have "type"', pointer=pointer)
        kind, spec = spec.get("type"), spec["value"]
    if not isinstance(spec, (bool, int, float, str)):
        raise ArgumentError(f"not a constant: got={type(spec).__name__}", pointer=pointer)
    inferred = (
        ParameterType.BOOLEAN
        if isinstance(spec, bool)
        else ParameterType.TEXT
        if isinstance(spec, str)
        else ParameterType.NUMBER
    )
    if kind is not None and kind not in set(ParameterType):
        raise ArgumentError(
            f'unknown type "{kind!s:.60}"', pointer=f"{pointer}/type", hint=nearest_name(str(kind), ParameterType)
        )
    return Parameter(ParameterType(str(kind)) if kind is not None else inferred, spec)


def _replaced(node: Any, value: Scalar, name: str) -> tuple[Any, int]:
    """The JSON with `{"value": value}` replaced by the parameter, and how often it stood there."""
    if isinstance(node, dict):
        if set(node) == {"value"} and type(node["value"]) is type(value) and node["value"] == value:
            return {"param": name}, 1
        parts = {key: _replaced(item, value, name) for key, item in node.items()}
        return {key: part for key, (part, _) in parts.items()}, sum(count for _, count in parts.values())
    if isinstance(node, list):
        items = [_replaced(item, value, name) for item in node]
        return [item for item, _ in items], sum(count for _, count in items)
    return node, 0


def bound(plan: Plan, given: Mapping[str, Any]) -> Plan:
    """The plan with values for its parameters; what their types allow is checked by validation.

    Raises:
        ArgumentError: a parameter is unknown, or one without a value gets none.
    """
    params = dict(plan.params)
    for name, value in given.items():
        if name not in params:
            raise ArgumentError(
                f'unknown parameter "{name!s:.80}"', pointer=f"/params/{name}", hint=nearest_name(str(name), params)
            )
        if value is not None and not isinstance(value, (bool, int, float, str)):
            raise ArgumentError(f"not a constant: got={type(value).__name__}", pointer=f"/params/{name}")
        if isinstance(value, float) and not math.isfinite(value):
            raise ArgumentError("a constant must be finite", pointer=f"/params/{name}")
        if value is not None:
            params[name] = replace(params[name], value=value)
    for name, item in params.items():
        if item.value is None:
            raise ArgumentError(f'parameter "{name}" has no value', pointer=f"/params/{name}", hint=item.type.value)
    changed = [plan.params[name].value for name, item in params.items() if item.value != plan.params[name].value]
    said = tuple(item for item in plan.assumptions if not any(_speaks_of(item.text, value) for value in changed))
    return replace(plan, params=params, assumptions=said)


def _speaks_of(text: str, value: Scalar) -> bool:
    """Whether it tells of a value that is no longer meant, as in "'more than 2' = weight_kg > 2"."""
    if value is None:
        return False
    return (
        re.search(rf"(?<![\w.-]){re.escape(describe_expression(Value(value)))}(?![\w-])", text, re.IGNORECASE)
        is not None
    )
