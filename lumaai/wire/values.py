"""What stands in many bodies: names, numbers, filters, vectors."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from lumaai.wire.base import Wire
from lumaai.wire.vectors import BASE64_FLOATS

NAME_PATTERN = r"^[A-Za-z0-9_][A-Za-z0-9_.\-]{0,127}$"
# Not what ends like a file or like a snapshot in the making or on its way out.
SNAPSHOT_PATTERN = r"^[A-Za-z0-9_][A-Za-z0-9_.\-]{0,127}$"
IDEMPOTENCY_KEY_PATTERN = r"^[!-~]{1,255}$"

QUERY_CHARACTERS_MAX = 20_000

ScalarType = Literal["text", "keyword", "integer", "number", "boolean", "datetime", "geo", "json"]


def finite(value: Any) -> Any:
    """The value as it is; a number beyond float64 (1e400 reads as infinity) is refused wherever it is."""
    found = [value]
    for item in found:  # which grows meanwhile
        kind = type(item)
        if kind is list:
            found += item
        elif kind is dict:
            found += item.values()
        elif kind is float and not math.isfinite(item):
            raise PydanticCustomError("not_finite", "numbers must be finite")
    return value


def not_blank(characters_max: int) -> Any:
    """What is documented here and refused further in, where the embedded database refuses it in the same words."""
    return Field(json_schema_extra={"pattern": r"\S", "maxLength": characters_max})


FieldName = Annotated[str, Field(min_length=1, max_length=256)]


def _whole(value: Any) -> Any:
    """10.0 as 10: in JSON they are one number."""
    return int(value) if type(value) is float and value.is_integer() else value


Integer = Annotated[int, BeforeValidator(_whole)]
DocumentId = Annotated[str, Field(min_length=1, max_length=512, description="At most 512 bytes of UTF-8.")]
Filter = Annotated[
    dict[str, Any] | str,
    BeforeValidator(finite),
    Field(
        description='Conditions in the style of MongoDB, e.g. `{"year": {"$gte": 1990}, "genre": "drama"}`, or written '
        "like SQL, e.g. `year >= 1990 AND genre = 'drama'`.",
        examples=[{"year": {"$gte": 1990}}, "year >= 1990 AND genre = 'drama'"],
    ),
]
Document = Annotated[dict[str, Any], Field(description='A JSON object; its string "id" is made if missing.')]
Base64Floats = Annotated[
    str,
    Field(
        min_length=8,
        description="Little-endian float32 numbers in base64, the fast way to send a vector.",
        json_schema_extra={"pattern": BASE64_FLOATS},
    ),
]
# Lists stop at their first fault: each of a million would be a complaint of its own.
FloatList = Annotated[list[float], Field(min_length=1, fail_fast=True)]
Strings = Annotated[list[str], Field(fail_fast=True)]


Description = Annotated[str, Field(max_length=2_000, description="What it is about, for who answers questions.")]
Synonyms = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=128, pattern=r"\S")]],
    Field(max_length=32, fail_fast=True, description="Other words for it."),
]


VERSION_BOUND = 2**63


PlanObject = Annotated[
    dict[str, Any],
    BeforeValidator(finite),
    Field(description='A plan: `{"question", "params", "steps": [{"id", "op", …}], "output"}`.'),
]


def exactly_one(body: Wire, keys: tuple[str, ...]) -> None:
    """Refuse a body that has none of these keys, or several."""
    given = [key for key in keys if key in body.model_fields_set]
    if len(given) != 1:
        wanted = " or ".join(keys)
        got = " and ".join(given) or "none of them"
        raise PydanticCustomError(
            "exactly_one", "give exactly one of {wanted}: got {got}", {"wanted": wanted, "got": got}
        )
