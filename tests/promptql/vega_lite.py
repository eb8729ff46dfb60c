"""What a Vega-Lite v5 unit specification must be, as far as ours go.

https://vega.github.io/vega-lite/docs/spec.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

MARKS = {"bar", "line", "point", "area", "rect"}
TYPES = {"quantitative", "temporal", "ordinal", "nominal"}
CHANNEL_KEYS = {"field", "type", "title", "aggregate", "bin", "sort", "scale", "axis"}


def faults(spec: Mapping[str, Any]) -> list[str]:
    """What is wrong with a specification; empty where nothing is."""
    json.dumps(spec, allow_nan=False)
    found = [f"missing {key}" for key in ("$schema", "data", "mark", "encoding") if key not in spec]
    if found:
        return found
    if spec["$schema"] != "https://vega.github.io/schema/vega-lite/v5.json":
        found.append("schema")
    values = spec["data"].get("values")
    if not isinstance(values, list) or not all(isinstance(row, dict) for row in values):
        found.append("data")
    if spec["mark"].get("type") not in MARKS:
        found.append("mark")
    if not set(spec["encoding"]) <= {"x", "y", "color"} or not {"x", "y"} <= set(spec["encoding"]):
        found.append("channels")
    for name, channel in spec["encoding"].items():
        found += [f"{name}: {fault}" for fault in _channel_faults(channel, values)]
    return found


def _channel_faults(channel: Mapping[str, Any], values: list[dict[str, Any]]) -> list[str]:
    found = [f"key {key}" for key in channel if key not in CHANNEL_KEYS]
    if channel.get("type") not in TYPES:
        found.append("type")
    if "field" not in channel:
        return found if channel.get("aggregate") == "count" else [*found, "no field"]
    column = re.sub(r"\\(.)", r"\1", channel["field"])
    if re.search(r"(?<!\\)[.\[\]]", channel["field"]):
        found.append("a dot that is not escaped")
    if values and column not in values[0]:
        found.append(f"no column {column}")
    if channel["type"] == "quantitative":
        found += [f"not a number: {row[column]!r}" for row in values if not isinstance(row[column], int | float | None)]
    return found
