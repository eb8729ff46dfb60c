"""The log-linear model that ranks readings: a weight a feature, shipped as JSON with how sure its answers are."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from importlib.resources import files

from promptql.rules.priors import PRIOR, RELATED_PRIOR

Features = Iterable[tuple[str, float]]


class Model:
    """Weights by feature name; an unknown feature weighs nothing.

    Args:
        trust: weights of the signs of an answer's being right, logistic (`confidence`); none: its probability is all.
        answer_confidence_min: from here on an answer is given without reserve.
        related: the model for questions of several collections; None: this one.
    """

    def __init__(
        self,
        weights: Mapping[str, float],
        answer_confidence_min: float = 0.9,
        related: Model | None = None,
        trust: Mapping[str, float] | None = None,
    ) -> None:
        self._related = related
        self.weights = dict(weights)
        self.trust = dict(trust or {})
        self.answer_confidence_min = answer_confidence_min

    def over(self, collections: int) -> Model:
        """The model for questions of so many collections."""
        return self if collections == 1 or self._related is None else self._related

    def score(self, features: Features) -> float:
        """The weighted sum."""
        known, total = self.weights.get, 0.0
        for name, value in features:
            weight = known(name)
            if weight is not None:
                total += weight * value
        return total

    def weight(self, name: str) -> float:
        """One weight."""
        return self.weights.get(name, 0.0)


@lru_cache(maxsize=1)
def shipped_model() -> Model:
    """The weights beside this file; the prior where there are none."""
    path = files(__package__) / "weights.json"
    if not path.is_file():
        return Model(PRIOR, related=Model({**PRIOR, **RELATED_PRIOR}))
    data = json.loads(path.read_text(encoding="utf-8"))
    related = data["related"]
    several = Model(related["weights"], float(related["answer_confidence_min"]), trust=related["trust"])
    return Model(data["weights"], float(data["answer_confidence_min"]), several, data["trust"])
