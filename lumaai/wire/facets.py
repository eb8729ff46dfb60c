"""Facets, statistics and how filters are evaluated."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from lumaai.wire.base import Reading, Wire
from lumaai.wire.values import FieldName, Filter, Integer, Strings

FACETS_MAX = 64


class RangeSpec(Wire):
    """A range of numbers or datetimes: `from` is in it, `to` is not."""

    model_config = ConfigDict(json_schema_extra={"anyOf": [{"required": ["from"]}, {"required": ["to"]}]})

    from_: int | float | str | None = Field(default=None, alias="from")
    to: int | float | str | None = None


class FacetSpec(Wire):
    """What is counted of a field: its values, or one of ranges, interval and stats."""

    field: FieldName | None = Field(default=None, description="The facet's own name if not given.")
    limit: Integer | None = Field(default=None, ge=1, le=10_000, description="Values at most; 10 if not given.")
    sort: Literal["count", "value"] | None = Field(default=None, description="The most frequent first, or by value.")
    prefix: str | None = Field(default=None, description="Only values that begin with it.")
    ranges: Annotated[list[RangeSpec], Field(min_length=1, max_length=1_000, fail_fast=True)] | None = None
    interval: int | float | Literal["year", "quarter", "month", "week", "day", "hour", "minute"] | None = None
    stats: Literal[True] | None = Field(default=None, description="Count, min, max, avg and sum.")
    by: Annotated[list[FieldName], Field(min_length=1, max_length=8, fail_fast=True)] | None = Field(
        default=None, description="Fields whose combinations of values are counted."
    )


Facets = (
    Annotated[dict[FieldName, FacetSpec], Field(max_length=FACETS_MAX)]
    | Annotated[Strings, Field(max_length=FACETS_MAX)]
)


class FacetsRequest(Reading):
    """What is to be counted of which fields, by name; a list of fields counts their values."""

    facets: Facets
    filter: Filter | None = None


class FacetsResponse(Wire):
    """Counts and figures by name: `values` with `distinct` and `other`, `ranges`, `buckets`, or figures; `missing`."""

    facets: dict[str, dict[str, Any]]


class FieldStatistics(Wire):
    """What the values of a field are like."""

    type: str
    many: bool = Field(description="The values are lists; what follows `nulls` is about their elements.")
    count: int = Field(description="Documents with a value.")
    nulls: int
    distinct: int = Field(description="Different values; about, where `exact` is false.")
    exact: bool
    min: Any = None
    max: Any = None
    top: list[dict[str, Any]] = Field(description="The most frequent values, each `value` and `count`.")
    histogram: list[dict[str, Any]] = Field(description="Steps `from`, `to`, `count` of about as many values each.")


class StatisticsResponse(Wire):
    """Figures of every field but vectors."""

    fields: dict[str, FieldStatistics]
