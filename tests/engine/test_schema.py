"""engine.schema: reading and writing schemas."""

from __future__ import annotations

from typing import Any

import pytest

from engine.errors import SchemaError
from engine.schema import Embedding, Field, FieldType, IndexKind, Metric, Quantization, Schema, Ttl, VectorField


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


@pytest.mark.parametrize("ttl", [{"field": "until"}, {"seconds": 0.5}, {"seconds": 3600}])
def test_a_time_to_live_survives_json(ttl: dict[str, Any]) -> None:
    """Its field becomes a declared datetime; without one, `to_json` does not speak of it."""
    schema = Schema.from_json({"strict": True, "ttl": ttl})
    assert schema.ttl == Ttl(**ttl)
    assert schema.to_json()["ttl"] == ttl
    assert Schema.from_json(schema.to_json()) == schema
    expected = {"until": Field(FieldType.DATETIME, declared=True)} if "field" in ttl else {}
    assert schema.fields == expected
    assert "ttl" not in Schema.from_json({"ttl": None}).to_json()


@pytest.mark.parametrize(
    ("ttl", "pointer"),
    [
        ({}, "/ttl"),
        ({"field": "a", "seconds": 1}, "/ttl"),
        ({"days": 1}, "/ttl/days"),
        ([], "/ttl"),
        ({"seconds": 0}, "/ttl/seconds"),
        ({"seconds": -1}, "/ttl/seconds"),
        ({"seconds": True}, "/ttl/seconds"),
        ({"seconds": "60"}, "/ttl/seconds"),
        ({"seconds": 1e11}, "/ttl/seconds"),
        ({"seconds": float("nan")}, "/ttl/seconds"),
        ({"field": 5}, "/ttl/field"),
        ({"field": "id"}, "/ttl/field"),
        ({"field": "k"}, "/ttl/field"),
        ({"field": "many"}, "/ttl/field"),
        ({"field": "v"}, "/ttl/field"),
    ],
)
def test_a_bad_time_to_live_is_refused_with_its_place(ttl: Any, pointer: str) -> None:
    """Both or neither of field and seconds, seconds out of range, a field that holds no single datetime."""
    fields = {"k": "keyword", "many": {"type": "datetime", "many": True}, "v": {"type": "vector", "dim": 2}}
    with pytest.raises(SchemaError) as caught:
        Schema.from_json({"fields": fields, "ttl": ttl})
    assert caught.value.pointer == pointer


def test_text_may_have_a_language() -> None:
    """It is kept, said only where there is one, and refused for other types and unknown languages."""
    schema = Schema.from_json({"fields": {"a": {"type": "text", "language": "de"}, "b": "text"}})
    assert schema.fields["a"].language == "de"
    written = schema.to_json()["fields"]
    assert written["a"]["language"] == "de"
    assert "language" not in written["b"]
    assert Schema.from_json(schema.to_json()) == schema
    for spec in ({"type": "keyword", "language": "de"}, {"type": "text", "language": "tlh"}):
        with pytest.raises(SchemaError, match="language") as caught:
            Schema.from_json({"fields": {"a": spec}})
        assert caught.value.pointer == "/fields/a/language"


@pytest.mark.parametrize(
    ("index", "quantization", "known"),
    [
        ("ivf_pq", "none", "auto, pq4, rabitq"),
        ("hnsw", "pq4", "auto, none, fp16, sq8"),
        ("flat", "rabitq", "auto, none, fp16, sq8"),
        ("ivf_flat", "pq4", "auto, none, fp16, sq8"),
    ],
)
def test_a_quantization_that_an_index_has_not_is_refused(index: str, quantization: str, known: str) -> None:
    """From JSON, naming the place, and from Python; what it takes is named."""
    field = {"type": "vector", "dim": 3, "index": index, "quantization": quantization}
    with pytest.raises(SchemaError, match=f"{index} takes quantization {known}: got={quantization}") as caught:
        Schema.from_json({"fields": {"v": field}})
    assert caught.value.pointer == "/fields/v/quantization"
    with pytest.raises(SchemaError, match=known):
        VectorField(3, index=IndexKind(index), quantization=Quantization(quantization))


def test_index_and_quantization_survive_their_json() -> None:
    """As given; what an older schema does not say is auto."""
    schema = Schema.from_json({"fields": {"v": {"type": "vector", "dim": 3, "index": "ivf_pq", "quantization": "pq4"}}})
    assert Schema.from_json(schema.to_json()) == schema
    assert schema.vectors["v"].quantization is Quantization.PQ4
    assert Schema.from_json({"fields": {"v": {"type": "vector", "dim": 3}}}).vectors["v"] == VectorField(3)
