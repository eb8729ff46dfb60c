"""What it means that two outcomes agree: equal, save for scores (1e-6) and for how long things took."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from lumaai.errors import LumaError

SCORE_TOLERANCE = 1e-6
# What differs without meaning anything: how long things took, and where and how large files are.
TIMES = frozenset({"milliseconds", "made", "seconds", "bytes", "files", "disk_bytes_before", "disk_bytes_after"})
SEQUENCES = frozenset({"sequence", "next"})
OF_DOCUMENTS = frozenset(
    {"documents_invalid", "document_exists", "document_not_found", "precondition_failed", "id_too_long"}
)


@dataclasses.dataclass(frozen=True)
class Refused:
    """A call that raised: the class, the code, the status, and which documents of a batch were at fault."""

    error: str
    code: str
    status: int
    places: tuple[tuple[str, str], ...]


def outcome(call: Callable[[], Any]) -> Any:
    """What a call answers, or how it was refused."""
    try:
        return call()
    except LumaError as error:
        faults = error.errors if error.code in OF_DOCUMENTS else ()
        places = tuple((detail.pointer, detail.code) for detail in faults)
        return Refused(type(error).__name__, error.code, error.status, places)


def plain(value: Any) -> Any:
    """A result as nested lists, dicts and scalars, without times."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if hasattr(value, "to_json"):
        return plain(value.to_json())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return plain(dataclasses.asdict(value))
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items() if key not in TIMES}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def ranked(value: Any) -> Any:
    """A plain result whose sequences are replaced by their ranks, and left out where nothing was written.

    The client makes every write repeatable by a key, and the record of a key takes a sequence even where the write
    changed nothing: which numbers there are differs, and in which order they come does not.
    """
    found = sorted(set(_sequences(value)))
    return _with_ranks(value, {sequence: rank for rank, sequence in enumerate(found)})


def _sequences(value: Any) -> Iterator[int]:
    if isinstance(value, dict):
        for key, item in value.items():
            if key in SEQUENCES and isinstance(item, int) and not _is_nothing(value):
                yield item
            elif key == "versions":
                yield from filter(None, item)
            else:
                yield from _sequences(item)
    elif isinstance(value, list):
        for item in value:
            yield from _sequences(item)


def _with_ranks(value: Any, ranks: Mapping[int, int]) -> Any:
    if isinstance(value, dict):
        kept = {key: item for key, item in value.items() if not (key in SEQUENCES and _is_nothing(value))}
        return {
            key: ranks[item] if key in SEQUENCES else [ranks.get(each) for each in item] if key == "versions"
            else _with_ranks(item, ranks)
            for key, item in kept.items()
        }  # fmt: skip
    return [_with_ranks(item, ranks) for item in value] if isinstance(value, list) else value


def _is_nothing(result: Mapping[str, Any]) -> bool:
    """Whether it is the result of a write that changed nothing."""
    counts = [result[name] for name in ("added", "replaced", "deleted") if isinstance(result.get(name), int)]
    return bool(counts) and not any(counts)


def differences(left: Any, right: Any, place: str = "") -> list[str]:
    """Where two plain results differ, as readable lines."""
    if isinstance(left, dict) and isinstance(right, dict):
        lines = [f"{place}: keys {sorted(map(str, left))} and {sorted(map(str, right))}"] * (
            left.keys() != right.keys()
        )
        return lines + [
            line for key in left.keys() & right.keys() for line in differences(left[key], right[key], f"{place}/{key}")
        ]
    if isinstance(left, list) and isinstance(right, list):
        lines = [f"{place}: {len(left)} and {len(right)} items"] * (len(left) != len(right))
        pairs = enumerate(zip(left, right, strict=False))
        return lines + [line for index, pair in pairs for line in differences(*pair, f"{place}/{index}")]
    return [] if _same(left, right) else [f"{place}: {left!r} and {right!r}"]


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, float) and isinstance(right, float):
        both_nan = math.isnan(left) and math.isnan(right)
        return both_nan or math.isclose(left, right, rel_tol=0.0, abs_tol=SCORE_TOLERANCE)
    return type(left) is type(right) and bool(left == right)
