"""Fitting the ranking model to questions whose right answers are known, not their right readings."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
WEIGHT_MIN = 1e-3  # a smaller one is none
MEMORY = 8  # steps that L-BFGS remembers
SHRINK = 0.5  # of a step that does not gain
STEP_MIN = 1e-6
SETTLED = 1e-5  # of a function's value: a step that gains less is the last
SUFFICIENT = 1e-4  # of the gain that the gradient promises (Armijo)


@dataclass(frozen=True, slots=True)
class Example:
    """The readings of one question: features of each, and which of them give the right answer.

    Attributes:
        part: what the question belongs to, such as the database that it is asked of.
    """

    readings: Sequence[Mapping[str, float]]
    right: Sequence[bool]
    weight: float = 1.0
    part: str = ""


class Examples:
    """Examples packed into arrays; those without a right or without a wrong reading teach nothing and are left out."""

    def __init__(self, examples: Iterable[Example] = ()) -> None:
        self._numbers: dict[str, int] = {}
        self._ids, self._values, self._starts = array("i"), array("f"), array("q", [0])
        self._right, self._questions, self._weights = array("b"), array("q", [0]), array("d")
        self._parts: dict[str, int] = {}
        self._part = array("i")
        for example in examples:
            self.add(example)

    def __len__(self) -> int:
        return len(self._weights)

    def add(self, example: Example) -> None:
        """One more."""
        if not any(example.right) or all(example.right):
            return
        numbers = self._numbers
        for reading, is_right in zip(example.readings, example.right, strict=True):
            for name, value in reading.items():
                self._ids.append(numbers.setdefault(name, len(numbers)))
                self._values.append(value)
            self._starts.append(len(self._ids))
            self._right.append(is_right)
        self._questions.append(len(self._right))
        self._weights.append(example.weight)
        self._part.append(self._parts.setdefault(example.part, len(self._parts)))

    def packed(self, chosen: Sequence[int] | None = None) -> Packed:
        """All of them, or those of these numbers, ready for `fit`."""
        questions = np.frombuffer(self._questions, np.int64)
        which = np.arange(len(self)) if chosen is None else np.array(chosen, np.int64)
        readings = _spans(questions[which], questions[which + 1])
        starts = np.frombuffer(self._starts, np.int64)
        places = _spans(starts[readings], starts[readings + 1])
        return Packed(
            list(self._numbers),
            np.frombuffer(self._ids, np.int32)[places],
            np.frombuffer(self._values, np.float32)[places],
            np.repeat(np.arange(len(readings), dtype=np.int32), (starts[readings + 1] - starts[readings])),
            np.repeat(np.arange(len(which), dtype=np.int32), questions[which + 1] - questions[which]),
            np.frombuffer(self._right, np.int8)[readings].astype(bool),
            np.frombuffer(self._weights, np.float64)[which],
            np.frombuffer(self._part, np.int32)[which],
        )


@dataclass(frozen=True, slots=True)
class Packed:
    """Features of readings of questions as coordinates.

    Attributes:
        names: (f,) features; ids, values, reading: (n,) which feature of which reading has which value.
        question: (r,) the question of each reading, ascending; right: (r,) whether it gives the right answer.
        weights: (q,) of questions; part: (q,) number of the part that each belongs to.
    """

    names: list[str]
    ids: npt.NDArray[np.int32]
    values: npt.NDArray[np.float32]
    reading: npt.NDArray[np.int32]
    question: npt.NDArray[np.int32]
    right: npt.NDArray[np.bool_]
    weights: Floats
    part: npt.NDArray[np.int32]

    def only(self, chosen: npt.NDArray[np.bool_]) -> Packed:
        """The same readings with the chosen (f,) features alone."""
        kept = chosen[self.ids]
        numbers = (np.cumsum(chosen) - 1).astype(np.int32)
        return replace(
            self,
            names=[name for name, is_chosen in zip(self.names, chosen, strict=True) if is_chosen],
            ids=numbers[self.ids[kept]],
            values=self.values[kept],
            reading=self.reading[kept],
        )

    def seen(self) -> npt.NDArray[np.int64]:
        """(f,) in how many questions each feature occurs."""
        return self._occurring_in(self.question)

    def seen_in_parts(self) -> npt.NDArray[np.int64]:
        """(f,) in the questions of how many parts each feature occurs."""
        return self._occurring_in(self.part[self.question])

    def _occurring_in(self, owner: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
        """(f,) with how many different owners (r,) of readings each feature occurs."""
        pairs = np.unique(owner[self.reading].astype(np.int64) * len(self.names) + self.ids)
        return np.bincount(pairs % len(self.names), minlength=len(self.names))


def _spans(begins: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """All numbers from begin up to end, for each pair."""
    sizes = ends - begins
    offsets = np.repeat(begins - np.concatenate([[0], np.cumsum(sizes)[:-1]]), sizes)
    return offsets + np.arange(int(sizes.sum()))


def fit(
    examples: Iterable[Example] | Packed,
    prior: Mapping[str, float],
    *,
    l2: float | Callable[[str], float] = 1.0,
    seen_min: int = 5,
    parts_min: int = 1,
    iterations: int = 400,
    settled: float = SETTLED,
) -> dict[str, float]:
    """Weights that make right readings likely: the marginal likelihood of all right readings of a question, maximised.

    The weights are held near their `prior`, 0 for features that it does not name: l2 / 2 times the squared distance
    is added to the summed negative log-likelihood. L-BFGS (Liu and Nocedal, 1989), so equal input gives equal weights.

    Args:
        examples: of questions with right and wrong readings.
        prior: by name.
        l2: for all features, or by name.
        seen_min: features that fewer questions have keep their prior.
        parts_min: so do those that questions of fewer parts have: what holds in two databases may be a habit of theirs.
        iterations: at most.
        settled: share of its value that a step gains less than where the minimum is taken as found.
    """
    data = examples if isinstance(examples, Packed) else Examples(examples).packed()
    if not len(data.weights):
        return dict(prior)
    free = (data.seen() >= seen_min) & (data.seen_in_parts() >= parts_min)
    known = np.array([prior.get(name, 0.0) for name in data.names])
    held: Floats = np.zeros(len(data.question))
    held += np.bincount(data.reading, np.where(free, 0.0, known)[data.ids] * data.values, len(data.question))
    fitting, anchor = data.only(free), known[free]
    penalty = np.array([l2(name) if callable(l2) else l2 for name in fitting.names])
    weights = minimize(lambda at: _loss(fitting, held, at, anchor, penalty), anchor.copy(), iterations, settled)
    fitted = dict(zip(fitting.names, map(float, weights), strict=True))
    return {name: weight for name, weight in {**prior, **fitted}.items() if abs(weight) > WEIGHT_MIN}


def _loss(data: Packed, held: Floats, weights: Floats, anchor: Floats, penalty: Floats) -> tuple[float, Floats]:
    """The penalised negative log-likelihood and its gradient; held: (r,) what features not fitted say of a reading."""
    readings = len(data.question)
    firsts = np.flatnonzero(np.diff(data.question, prepend=-1))
    scores = held + np.bincount(data.reading, weights[data.ids] * data.values, readings)
    scores -= np.maximum.reduceat(scores, firsts)[data.question]
    likely = np.exp(scores)
    all_of, right_of = np.add.reduceat(likely, firsts), np.add.reduceat(likely * data.right, firsts)
    right_of = np.maximum(right_of, 1e-300)
    value = float(data.weights @ (np.log(all_of) - np.log(right_of)))
    pull = likely / all_of[data.question] - likely * data.right / right_of[data.question]
    pull *= data.weights[data.question]
    gradient = np.bincount(data.ids, pull[data.reading] * data.values, len(weights))
    away = weights - anchor
    return value + float(penalty @ away**2) / 2, gradient + penalty * away


def minimize(
    function: Callable[[Floats], tuple[float, Floats]], at: Floats, iterations: int, settled: float = SETTLED
) -> Floats:
    """Where a smooth function (value, gradient) is least, by L-BFGS with a backtracking line search."""
    value, gradient = function(at)
    steps: list[tuple[Floats, Floats]] = []
    for _ in range(iterations):
        direction = _direction(gradient, steps)
        slope, size = float(gradient @ direction), 1.0
        while True:
            moved = at - size * direction
            lower, slanted = function(moved)
            if lower <= value - SUFFICIENT * size * slope or size < STEP_MIN:
                break
            size *= SHRINK
        if (moved - at) @ (slanted - gradient) > 1e-10:
            steps = [*steps[1 - MEMORY :], (moved - at, slanted - gradient)]
        gained, at, value, gradient = value - lower, moved, lower, slanted
        if abs(gained) <= settled * max(1.0, abs(value)):
            break
    return at


def _direction(gradient: Floats, steps: Sequence[tuple[Floats, Floats]]) -> Floats:
    """The gradient times an estimate of the inverse Hessian, by the two-loop recursion."""
    direction = gradient.copy()
    shares: list[float] = []
    for step, change in reversed(steps):
        share = float(step @ direction) / float(change @ step)
        shares.append(share)
        direction -= share * change
    if steps:
        step, change = steps[-1]
        direction *= float(step @ change) / float(change @ change)
    else:
        direction /= max(1.0, float(np.abs(gradient).sum()))
    for (step, change), share in zip(steps, reversed(shares), strict=True):
        direction += (share - float(change @ direction) / float(change @ step)) * step
    return direction
