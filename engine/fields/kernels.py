"""Arrow's compute functions, loaded with the first that is used: they take 24 ms, NumPy 35."""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    import pyarrow.compute

    found = globals()[name] = getattr(pyarrow.compute, name)
    return found
