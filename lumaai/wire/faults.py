"""What is wrong with a body, out of pydantic's complaints: places as JSON Pointers, codes, one error a place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from lumaai.errors import ErrorDetail, InvalidRequestError
from lumaai.wire.known import unknown_key

ERRORS_MAX = 100
# A union complains once for each of its members about one place: so many complaints are looked at to find the errors.
COMPLAINTS_MAX = 4 * ERRORS_MAX
# What would be right is said of so many unknown keys: to find it takes a tenth of a millisecond.
KNOWN_SAID_MAX = 10

_CODES = {
    "missing": "missing_key",
    "extra_forbidden": "unknown_key",
    "finite_number": "not_finite",
    "not_finite": "not_finite",
    "exactly_one": "exactly_one",
    "literal_error": "unknown_value",
}

# Instead of pydantic's own, which name classes of Python's.
_MESSAGES = {"model_type": "input should be an object", "dict_type": "input should be an object"}


def invalid_request(error: ValidationError, data: Any, what: str, model: type[BaseModel]) -> InvalidRequestError:
    """The error to raise.

    Args:
        error: pydantic's.
        data: the body.
        what: the beginning of the message.
        model: that the body is not of.
    """
    found = error.errors(include_url=False, include_input=True)[:COMPLAINTS_MAX]
    known = [unknown_key(model, item["loc"]) for item in found[:KNOWN_SAID_MAX] if item["type"] == "extra_forbidden"]
    said = iter(known)
    details = _deepest([_detail(item, data, said) for item in found])[:ERRORS_MAX]
    first = details[0]
    more = f" (and {len(details) - 1} more)" if len(details) > 1 else ""
    place = f" at {first.pointer}" if first.pointer else ""
    return InvalidRequestError(f"{what}{place}: {first.message}{more}", code=first.code, errors=details)


def _detail(item: ErrorDetails, data: Any, said: Iterator[str]) -> ErrorDetail:
    kind = item["type"]
    code = _CODES.get(kind) or ("wrong_type" if kind.endswith("_type") else "invalid_value")
    message = _MESSAGES.get(kind) or item["msg"][:1].lower() + item["msg"][1:]
    if code == "unknown_key":
        message = next(said, "unknown key")
    got = _type_name(item["input"]) if code == "wrong_type" else None
    return ErrorDetail(_pointer(item["loc"], data, missing=kind == "missing"), code, message, got=got)


def _pointer(loc: Sequence[int | str], data: Any, *, missing: bool) -> str:
    """The place in the body; pydantic's path also names members of unions, which are no part of the body.

    Args:
        loc: pydantic's path.
        data: the body.
        missing: the last part is a key that the body should have.
    """
    tokens: list[str] = []
    value = data
    for number, part in enumerate(loc):
        rest = loc[number + 1 :]
        if isinstance(value, Mapping) and (part in value or (missing and not rest)):
            if rest and rest[0] in value and not isinstance(value.get(part), Mapping | list):
                continue  # the name of a union's member, which is that of a key as well
            value = value.get(part)
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            value = value[part]
        else:
            continue
        tokens.append(str(part).replace("~", "~0").replace("/", "~1"))
    return "".join(f"/{token}" for token in tokens)


def _deepest(details: list[ErrorDetail]) -> list[ErrorDetail]:
    """Without the complaints of a union's other members about the place that a finer complaint is inside."""
    inner: set[str] = set()
    first: dict[str, ErrorDetail] = {}
    for detail in details:
        above = detail.pointer
        while above:
            above = above.rpartition("/")[0]
            inner.add(above)
        known = first.setdefault(detail.pointer, detail)
        if known.code == "wrong_type" != detail.code:  # the member of the value's own type says what is wrong with it
            first[detail.pointer] = detail
    return [detail for pointer, detail in first.items() if pointer not in inner]


def _type_name(value: Any) -> str:
    names = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
    return "null" if value is None else names.get(type(value), type(value).__name__)
