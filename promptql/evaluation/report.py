"""How well questions were answered: by category, by band, how fast, and what went wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

UNANSWERED = "none"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one question.

    Attributes:
        band: the answer's, "none" where there was no answer.
        seconds: for planning, or for the whole answer; what the caller measured.
        kind: "right", "wrong", "empty" or "error".
    """

    category: str
    right: bool
    band: str
    confidence: float
    seconds: float
    kind: str
    question: str = ""


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
        times = sorted(outcome.seconds for outcome in self.outcomes)
        return 1000 * times[min(len(times) - 1, int(quantile * len(times)))] if times else 0.0

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
        }

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
        lines += ["", f"Time: p50 {self.milliseconds(0.5):.1f} ms, p99 {self.milliseconds(0.99):.1f} ms."]
        return "\n".join(lines)


def _share(outcomes: Sequence[Outcome]) -> float:
    return sum(outcome.right for outcome in outcomes) / len(outcomes) if outcomes else 0.0
