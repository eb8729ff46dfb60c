"""engine.schema: reading and writing schemas."""

from __future__ import annotations

from typing import Any

import pytest

from engine.errors import SchemaError
from engine.schema import Embedding, Field, FieldType, IndexKind, Metric, Schema, VectorField


def test_a_schema_survives_json() -> None:
    """`from_json` is the inverse of `to_json`, with every default spelled out."""
    schema = Schema(
        {"a": Field(FieldType.TEXT, declared=True), "b": Field(FieldType.INTEGER, many=True)},
        {"v": VectorField(3, Metric.L2, IndexKind.FLAT, 8, 50)},
        {"v": Embedding(("a",), "model", {"revision": "1"})},
        strict=True,
    )
    assert Schema.from_json(schema.to_json()) == schema


def test_short_forms_are_declared_fields() -> None:
    """`{"year": "integer"}` declares a field; an empty body is an open schema."""
    assert Schema.from_json({"fields": {"year": "integer"}}).fields == {"year": Field(FieldType.INTEGER, declared=True)}
    assert Schema.from_json({}) == Schema()


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ([], ""),
        ({"x": 1}, "/x"),
        ({"fields": {"a": "int"}}, "/fields/a"),
        ({"fields": {"id": "text"}}, "/fields/id"),
        ({"fields": {"$a": "text"}}, "/fields/$a"),
        ({"fields": {"": "text"}}, "/fields/"),
        ({"fields": {"a/b~": 5}}, "/fields/a~1b~0"),
        ({"fields": {"v": {"type": "vector"}}}, "/fields/v"),
        ({"fields": {"v": {"type": "vector", "dim": 0}}}, "/fields/v/dim"),
        ({"fields": {"v": {"type": "vector", "dim": True}}}, "/fields/v/dim"),
        ({"fields": {"v": {"type": "vector", "dim": 3, "metric": "cosmic"}}}, "/fields/v/metric"),
        ({"fields": {"v": {"type": "vector", "dim": 3, "m": 1}}}, "/fields/v/m"),
        ({"fields": {"a": {"type": "text", "many": 1}}}, "/fields/a/many"),
        ({"embed": {"v": {"model": "m"}}}, "/embed/v"),
        ({"fields": {"v": {"type": "vector", "dim": 3}}, "embed": {"v": {}}}, "/embed/v/model"),
        ({"fields": {"v": {"type": "vector", "dim": 3}}, "embed": {"v": {"model": "m", "from": []}}}, "/embed/v/from"),
        ({"strict": "yes"}, "/strict"),
        ({"fields": {f"f{i}": "text" for i in range(1001)}}, "/fields"),
    ],
)
def test_a_bad_schema_is_refused_with_its_place(body: Any, pointer: str) -> None:
    """Every fault carries the JSON Pointer of where it stands."""
    with pytest.raises(SchemaError) as caught:
        Schema.from_json(body)
    assert caught.value.pointer == pointer
