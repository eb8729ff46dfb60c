"""What all bodies have in common."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

# More than any body has: each unknown key is a complaint to make, so that their number is bounded first.
KEYS_MAX = 64

SEQUENCE_BOUND = 2**63


def _number(value: Any) -> Any:
    """A whole number, also written as 10.0; what is none is left to be refused."""
    return int(value) if type(value) is float and value.is_integer() else value


MinSequence = Annotated[
    Annotated[int, Field(ge=0, lt=SEQUENCE_BOUND), BeforeValidator(_number)] | None,
    Field(description="Refuse (409) if the writes up to this one are not seen yet."),
]
Background = Annotated[
    bool, Field(description="Answer 202 at once with the job that does it, and its address in Location.")
]


class Shape(BaseModel):
    """Base of all models here, which are an eighth of the time of all imports: each is built when it is first used."""

    model_config = ConfigDict(defer_build=True)


class Wire(Shape):
    """Base of all bodies: unknown keys, wrong types (true is not 1) and numbers that are not finite are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _few_keys(cls, data: Any) -> Any:
        if isinstance(data, dict) and len(data) > KEYS_MAX:
            raise PydanticCustomError(
                "too_many_keys", "too many keys: maximum={maximum} got={got}", {"maximum": KEYS_MAX, "got": len(data)}
            )
        return data


class Reading(Wire):
    """Base of what reads."""

    min_sequence: MinSequence = None
