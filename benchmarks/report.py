"""A table of figures, with the machine and the date, printed and kept."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True, slots=True)
class Row:
    """One figure: what was measured, the value, what it stands beside, and what it had to reach."""

    what: str
    value: str
    reference: str = ""
    target: str = ""


@dataclass(slots=True)
class Report:
    """Rows in order of measuring."""

    rows: list[Row] = field(default_factory=list)

    def add(self, what: str, value: str, reference: str = "", target: str = "") -> None:
        """Take a row in, and print it at once."""
        self.rows.append(Row(what, value, reference, target))
        print(f"  {what}: {value}" + (f"   [{reference}]" if reference else ""), flush=True)

    def to_markdown(self) -> str:
        """The table."""
        lines = [f"Measured {datetime.now(UTC):%Y-%m-%d} on {machine()}.", ""]
        lines += ["| what | measured | beside it | at least |", "|---|---|---|---|"]
        lines += [f"| {row.what} | {row.value} | {row.reference} | {row.target} |" for row in self.rows]
        return "\n".join(lines) + "\n"

    def save(self, name: str) -> Path:
        """Keep the table under `benchmarks/results/`."""
        RESULTS.mkdir(exist_ok=True)
        path = RESULTS / f"{name}.md"
        path.write_text(self.to_markdown())
        return path


def machine() -> str:
    """Processor, cores and memory in a few words."""
    model = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []:
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{model}, {os.cpu_count()} cores, {memory:.0f} GiB, Python {platform.python_version()}"
