"""What a cascade can swear to, and what it cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from promptql.cascade.quality import Quality, Target

NEARLY_WHOLE = 0.999  # the most that an answer can be which ended early


class Method(StrEnum):
    """How rows were decided: all of them judged, some left to the proxy, or judging ended before its time."""

    ALL = "all"
    CASCADE = "cascade"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class Certificate:
    """What is promised about the rows that were kept, beside judging every row with the same judge.

    The promise is about the judge's own labels: where the judge errs, so does judging every row. Counts are of
    distinct inputs.

    Attributes:
        quality: what was asked for.
        method: how the rows were decided.
        met: the target holds at confidence 1 − delta.
        certified: the value that holds at 1 − delta; None where nothing can be said.
        estimate: the likeliest value of the target.
        rows: to decide.
        judged: rows the judge was asked about, for any purpose.
        audited: rows among them that were drawn evenly, to measure what is not read.
        kept_unread, dropped_unread: decided by the proxy.
        failed: rows the judge was asked about in vain; they are not kept.
        helper_judged: rows that the small model was asked about.
        helper_agreement: how often it said what the large one said, of those both judged; None without.
        found: rows known to belong.
        count_lower, count_upper: of the rows that belong, at confidence 1 − delta.
        judge_error_rate: how often the judge is known to err, if that is known.
    """

    quality: Quality
    method: Method
    met: bool
    certified: float | None
    estimate: float | None
    rows: int
    judged: int
    audited: int
    kept_unread: int
    dropped_unread: int
    failed: int
    found: int
    count_lower: int
    count_upper: int
    helper_judged: int = 0
    helper_agreement: float | None = None
    judge_error_rate: float | None = None

    @property
    def proxy_decided(self) -> int:
        """Rows that no model was asked about."""
        return self.kept_unread + self.dropped_unread

    @property
    def completeness(self) -> float:
        """How much of the whole answer this is: 1 unless judging ended early or failed for some rows."""
        if self.rows == 0:
            return 1.0
        whole = 1.0 - self.failed / self.rows
        if self.method is not Method.INTERRUPTED:
            return whole
        read = self.judged / self.rows
        reached = (self.estimate or self.certified or 0.0) if self.quality.target is Target.RECALL else 0.0
        return min(whole, NEARLY_WHOLE, max(read, reached))

    def to_json(self) -> dict[str, Any]:
        """As a step's report shows it."""
        data: dict[str, Any] = {
            "target": f"{self.quality.target.value} {self.quality.value:g}",
            "delta": self.quality.delta,
            "method": self.method.value,
            "met": self.met,
            "certified": _rounded(self.certified),
            "estimate": _rounded(self.estimate),
            "rows": self.rows,
            "judged": self.judged,
            "audited": self.audited,
            "kept_unread": self.kept_unread,
            "dropped_unread": self.dropped_unread,
            "failed": self.failed,
            "found": self.found,
            "count_lower": self.count_lower,
            "count_upper": self.count_upper,
        }
        if self.method is Method.INTERRUPTED:
            data["completeness"] = _rounded(self.completeness)
        if self.helper_judged:
            data["helper_judged"] = self.helper_judged
            data["helper_agreement"] = _rounded(self.helper_agreement)
        if self.judge_error_rate is not None:
            data["judge_error_rate"] = self.judge_error_rate
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Certificate:
        """The inverse of `to_json`, but for digits beyond the fourth."""
        target, value = str(data["target"]).split(" ")
        names = ("met", "certified", "estimate", "rows", "judged", "audited", "kept_unread", "dropped_unread", "failed",
                 "found", "count_lower", "count_upper")  # fmt: skip
        return cls(
            Quality(Target(target), float(value), data["delta"]),
            Method(data["method"]),
            **{name: data[name] for name in names},
            helper_judged=data.get("helper_judged", 0),
            helper_agreement=data.get("helper_agreement"),
            judge_error_rate=data.get("judge_error_rate"),
        )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
