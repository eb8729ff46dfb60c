"""How well questions were answered: by category, by band, how fast, and what went wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

UNANSWERED = "none"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one question.

    Attributes:
        band: the answer's, "none" where there was no answer.
        seconds: for the whole answer; what the caller measured.
        kind: "right", "wrong", "empty" or "error".
        planning_seconds: from the words to the ranked plan, trying candidates included; None where it is not known.
        processor_seconds: of processor time for the whole answer, which other processes do not lengthen; None likewise.
    """

    category: str
    right: bool
    band: str
    confidence: float
    seconds: float
    kind: str
    question: str = ""
    planning_seconds: float | None = None
    processor_seconds: float | None = None


def planning_seconds(usage: Mapping[str, Any]) -> float | None:
    """What planning took of an answer with that `usage`: looking its words up in the data, and all up to the plan."""
    taken = usage.get("milliseconds", {})
    return (taken.get("gather", 0.0) + taken["plan"]) / 1000 if "plan" in taken else None


@dataclass(frozen=True, slots=True)
class Report:
    """Outcomes, and figures of them."""

    outcomes: Sequence[Outcome]

    @property
    def accuracy(self) -> float:
        """The share of right answers."""
        return _share(self.outcomes)

    def by_category(self) -> dict[str, tuple[int, float]]:
        """Category → number of questions and share of right answers."""
        names = sorted({outcome.category for outcome in self.outcomes})
        grouped = {name: [o for o in self.outcomes if o.category == name] for name in names}
        return {name: (len(items), _share(items)) for name, items in grouped.items()}

    def by_band(self) -> dict[str, tuple[float, float]]:
        """Band → the share of questions in it, and how many of its answers are right."""
        names = sorted({outcome.band for outcome in self.outcomes})
        grouped = {name: [o for o in self.outcomes if o.band == name] for name in names}
        return {name: (len(items) / len(self.outcomes), _share(items)) for name, items in grouped.items()}

    def milliseconds(self, quantile: float) -> float:
        """A quantile of the time a question took."""
        return _quantile([outcome.seconds for outcome in self.outcomes], quantile)

    def planning_milliseconds(self, quantile: float) -> float | None:
        """A quantile of the time that planning took; None where it is of no question known."""
        known = [outcome.planning_seconds for outcome in self.outcomes if outcome.planning_seconds is not None]
        return _quantile(known, quantile) if known else None

    def confusion(self) -> dict[str, dict[str, int]]:
        """Band → what became of its questions: right, wrong, empty, error."""
        found: dict[str, dict[str, int]] = {}
        for outcome in self.outcomes:
            row = found.setdefault(outcome.band, {})
            row[outcome.kind] = row.get(outcome.kind, 0) + 1
        return found

    def to_json(self) -> dict[str, Any]:
        """Everything that is reported, without the questions."""
        return {
            "questions": len(self.outcomes),
            "accuracy": round(self.accuracy, 4),
            "categories": {
                name: {"questions": n, "accuracy": round(a, 4)} for name, (n, a) in self.by_category().items()
            },
            "bands": {n: {"coverage": round(c, 4), "precision": round(p, 4)} for n, (c, p) in self.by_band().items()},
            "milliseconds": {"p50": round(self.milliseconds(0.5), 2), "p99": round(self.milliseconds(0.99), 2)},
            "confusion": self.confusion(),
            **self._planning(),
        }

    def _planning(self) -> dict[str, Any]:
        half, most = self.planning_milliseconds(0.5), self.planning_milliseconds(0.99)
        if half is None or most is None:
            return {}
        return {"planning_milliseconds": {"p50": round(half, 2), "p99": round(most, 2)}}

    def to_markdown(self) -> str:
        """As tables."""
        lines = [f"{len(self.outcomes)} questions, {self.accuracy:.1%} right."]
        lines += ["", "| category | questions | right |", "|---|---|---|"]
        lines += [f"| {name} | {number} | {share:.1%} |" for name, (number, share) in self.by_category().items()]
        lines += [
            "",
            "| band | coverage | precision | right | wrong | empty | error |",
            "|---|---|---|---|---|---|---|",
        ]
        confusion = self.confusion()
        for name, (coverage, precision) in self.by_band().items():
            counts = [str(confusion[name].get(kind, 0)) for kind in ("right", "wrong", "empty", "error")]
            lines.append(f"| {name} | {coverage:.1%} | {precision:.1%} | {' | '.join(counts)} |")
        lines += ["", "| time | p50 | p99 |", "|---|---|---|"]
        half, most = self.planning_milliseconds(0.5), self.planning_milliseconds(0.99)
        if half is not None and most is not None:
            lines.append(f"| planning | {half:.1f} ms | {most:.1f} ms |")
        lines.append(f"| whole question | {self.milliseconds(0.5):.1f} ms | {self.milliseconds(0.99):.1f} ms |")
        taken = [outcome.processor_seconds for outcome in self.outcomes if outcome.processor_seconds is not None]
        if taken:
            lines.append(f"| of processor time | {_quantile(taken, 0.5):.1f} ms | {_quantile(taken, 0.99):.1f} ms |")
        return "\n".join(lines)


def _quantile(seconds: Sequence[float], quantile: float) -> float:
    times = sorted(seconds)
    return 1000 * times[min(len(times) - 1, int(quantile * len(times)))] if times else 0.0


def _share(outcomes: Sequence[Outcome]) -> float:
    return sum(outcome.right for outcome in outcomes) / len(outcomes) if outcomes else 0.0
