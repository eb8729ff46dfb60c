"""What one judge found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Verdict:
    """A judge, its version, what it found in a line, and whether that is all that was asked."""

    judge: str
    version: str
    found: str
    passed: bool

    def to_row(self) -> str:
        """As a row of a table."""
        return f"| {self.judge} | {self.version} | {self.found} | {'yes' if self.passed else '**no**'} |"
