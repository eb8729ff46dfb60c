"""The log-linear model that ranks readings: a weight a feature, shipped as JSON with how sure its answers are."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from typing import Any

Features = Iterable[tuple[str, float]]
# What an untrained model believes; training starts here.
PRIOR: Mapping[str, float] = {
    "g:uncovered": -1.0, "g:overlap": -0.7, "c:exact": 1.0, "c:exact:words": 0.5, "c:nohead": -0.3, "s:coverage": 1.5,
    "s:head": 0.8, "s:bare": -0.5, "c:headcov:b0": 0.6, "c:part": -0.2, "c:spread": -0.2, "g:number": -1.0,
    "d:echo:none": -1.5, "n:fits": 1.0, "s:dominated": -0.7, "op:value": 0.3, "o:named": 0.5, "o:next": 0.5,
    "o:coverage": 1.0, "q:figure:plain": 1.0, "q:count": 1.0, "j:tables:2": -0.5, "j:tables:3": -1.0,
    "j:tables:4": -2.0,
    "j:unmentioned": -0.5, "q:link:and:0": 0.5, "t:gap:far": -0.3, "t:gap:none": -0.7, "q:having": -0.5,
    "q:distinct": -0.3, "o:identifier": -1.5, "q:repeated": -2.0, "q:most": 0.3,
}  # fmt: skip


class Model:
    """Weights by feature name; an unknown feature weighs nothing.

    Args:
        calibration: (probability, share of right answers) of held-out questions, ascending; none: as they are.
        answer_confidence_min: from here on an answer is given without reserve.
        related: the model for questions of several collections; None: this one.
    """

    def __init__(
        self,
        weights: Mapping[str, float],
        calibration: Sequence[tuple[float, float]] = (),
        answer_confidence_min: float = 0.9,
        related: Model | None = None,
    ) -> None:
        self._related = related
        self.weights = dict(weights)
        self.calibration = list(calibration)
        self.answer_confidence_min = answer_confidence_min

    def over(self, collections: int) -> Model:
        """The model for questions of so many collections."""
        return self if collections == 1 or self._related is None else self._related

    def score(self, features: Features) -> float:
        """The weighted sum."""
        known = self.weights.get
        return sum(known(name, 0.0) * value for name, value in features)

    def weight(self, name: str) -> float:
        """One weight."""
        return self.weights.get(name, 0.0)

    def confidence(self, probability: float) -> float:
        """How often answers as probable as this one are right, between the calibration's points by a line."""
        points = self.calibration
        if not points:
            return probability
        at = bisect_right([point for point, _ in points], probability)
        if at == 0:
            return points[0][1]
        if at == len(points):
            return points[-1][1]
        (low, below), (high, above) = points[at - 1], points[at]
        return below + (above - below) * (probability - low) / (high - low)


@lru_cache(maxsize=1)
def shipped_model() -> Model:
    """The weights beside this file; the prior where there are none."""
    path = files(__package__) / "weights.json"
    if not path.is_file():
        return Model(PRIOR)
    data = json.loads(path.read_text(encoding="utf-8"))
    related = data["related"]
    changed = {name: data["weights"].get(name, 0.0) + more for name, more in related["changes"].items()}
    several = Model({**data["weights"], **changed}, _points(related), float(related["answer_confidence_min"]))
    return Model(data["weights"], _points(data), float(data["answer_confidence_min"]), several)


def _points(data: Mapping[str, Any]) -> list[tuple[float, float]]:
    return [(float(probability), float(right)) for probability, right in data["calibration"]]
