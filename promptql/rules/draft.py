"""A sketch with the pieces that it was made of."""

from __future__ import annotations

from dataclasses import dataclass

from promptql.rules.parts import Features, Part
from promptql.rules.sketch import Sketch

__all__ = ["Draft", "Features"]


@dataclass(slots=True)
class Draft:
    """A sketch with the pieces that it was made of.

    Attributes:
        name: the operation; mask: words that the operation itself explains.
        figure: whether the answer is computed of several rows; wanted: the column that is asked for.
    """

    name: str
    sketch: Sketch
    parts: tuple[Part, ...]
    features: Features
    mask: int = 0
    figure: bool = False
    wanted: Part | None = None
