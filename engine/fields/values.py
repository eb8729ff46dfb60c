"""Arrow values as JSON values, and the columns of documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from engine.errors import InvalidInputError
from engine.fields.columns import ID_FIELD
from engine.schema import ID, JSON, Field, FieldType


def json_value(field: Field, value: Any) -> JSON:
    """An Arrow value as the JSON value that it stands for."""
    if value is None:
        return None
    if isinstance(value, list):
        return [json_value(field, item) for item in value]
    if field.type is FieldType.JSON:
        return msgspec.json.decode(value)
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else value


def relation_types(schema_fields: Mapping[str, Field], names: Sequence[str] | None) -> dict[str, Field]:
    """The columns of a relation over documents: `id`, then the fields asked for (all if None).

    Raises:
        InvalidInputError: one does not exist.
    """
    types = {ID: ID_FIELD}
    for name in schema_fields if names is None else names:
        if name == ID:
            continue
        if name not in schema_fields:
            raise InvalidInputError(f"unknown field {name!r}: expected one of {', '.join([ID, *schema_fields])}")
        types[name] = schema_fields[name]
    return types
