"""Bodies of queries in SQL and in the query languages."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from lumaai.wire.base import Reading, Shape
from lumaai.wire.values import Integer

ParameterList = Annotated[list[Any], Field(max_length=1000, description="For ? and $1.")]
ParameterObject = Annotated[dict[str, Any], Field(max_length=1000, description="For $name.")]


class SqlRequest(Reading):
    """A query."""

    sql: Annotated[str, Field(json_schema_extra={"maxLength": 100_000})]
    params: ParameterList | ParameterObject | None = None
    limit: Annotated[Integer, Field(ge=1, le=1_000_000)] = 10_000
    timeout: Annotated[float, Field(gt=0, le=600, description="Seconds.")] = 30.0
    dialect: str = Field(default="duckdb", description="duckdb, sqlite, postgres, mysql and others.")
    explain: bool = False


class QueryRequest(Reading):
    """A statement in one of the query languages."""

    language: Literal["lql", "jql", "nql"]
    query: Annotated[str, Field(json_schema_extra={"maxLength": 100_000})] | dict[str, Any]
    params: ParameterList | ParameterObject | None = None
    limit: Annotated[Integer, Field(ge=1, le=1_000_000)] = 10_000
    timeout: Annotated[float, Field(gt=0, le=600, description="Seconds.")] = 30.0


class SqlColumn(Shape):
    """A column of an answer."""

    name: str
    type: str = Field(
        description="integer, number, boolean, text, datetime, timestamp, date, time, interval, json, list, object, "
        "blob or null."
    )


class SqlResponse(Shape):
    """What a query found."""

    columns: list[SqlColumn]
    rows: list[list[Any]] = Field(
        description='A list a row. Numbers that are not finite are "NaN", "Infinity" and "-Infinity"; dates that are '
        'infinite are "infinity" and "-infinity".'
    )
    truncated: bool = Field(description="There were more rows than `limit`.")
    sequence: int = Field(description="Of the last write that the query saw.")
    milliseconds: float
    explain: dict[str, Any] | None = None
