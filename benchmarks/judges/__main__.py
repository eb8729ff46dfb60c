"""`make judges`: what others ask of a database, asked of ours; the table is kept as `benchmarks/results/judges.md`.

`python -m benchmarks.judges mcp langchain` asks some of them; the others' rows stay as they are.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib.metadata import version

from benchmarks.judges import mcp
from benchmarks.judges.verdict import Verdict
from benchmarks.report import RESULTS, Report, machine

EXAMPLES = 500
# LangChain's suite is written for pytest-asyncio; what comes with it warns of the other's options.
LOOP_SCOPE = "asyncio_default_fixture_loop_scope=function"
ASYNCIO = ("-o", "asyncio_mode=auto", "-W", "ignore::DeprecationWarning")
SUITES = "tests/lumaai/integrations"


def schemathesis() -> Verdict:
    """All operations, 500 examples each, then walks along the document's links; about half an hour on two cores."""
    examples = {"LUMAAI_SCHEMATHESIS_EXAMPLES": str(EXAMPLES)}
    judge = f"schemathesis, {EXAMPLES} examples an operation"
    return _pytest(
        judge, "schemathesis", "tests/lumaai/test_schemathesis.py", "tests/lumaai/test_links.py", environment=examples
    )


def langchain() -> Verdict:
    """The whole standard suite for vector stores and retrievers, sync and async, embedded and remote."""
    return _pytest("LangChain's standard suite, and ours", "langchain-tests", f"{SUITES}/test_langchain.py", *ASYNCIO)


def llama_index() -> Verdict:
    """There is no suite of LlamaIndex's own: our tests over its index, retriever and filters."""
    return _pytest("LlamaIndex, our tests", "llama-index-core", f"{SUITES}/test_llama_index.py", *ASYNCIO)


def examples() -> Verdict:
    """The guides' blocks for both, which `make test` passes over."""
    return _pytest(
        "the guide's examples of both", "langchain-core", "tests/docs/test_guides.py", "-k", "clients", *ASYNCIO
    )


def openai() -> Verdict:
    """The SDK against the service: embeddings, chat completions, models."""
    return _pytest("openai SDK", "openai", "tests/lumaai/routes/test_openai.py")


def ann_benchmarks() -> Verdict:
    """The module as ann-benchmarks loads and drives it."""
    return _pytest("ann-benchmarks module", "numpy", "tests/benchmarks/test_ann_benchmarks.py")


def vectordbbench() -> Verdict:
    """VectorDBBench's runners over its client of ours, in an environment of their own, on a small case."""
    from benchmarks.vectordbbench import section

    report = Report()
    section.run_small(report)
    # What it found, not how fast: judges run beside each other, and `make bench` measures.
    rows = [row for row in report.rows if not row.value.endswith("/s")]
    found = "; ".join(f"{row.what.split(': ')[-1]}: {row.value.split(', ')[0]}" for row in rows)
    return Verdict("VectorDBBench client", section.REQUIREMENTS[0], found, passed="not measured" not in found)


JUDGES: Mapping[str, Callable[[], Verdict]] = {
    "mcp": mcp.run,
    "langchain": langchain,
    "llama_index": llama_index,
    "examples": examples,
    "openai": openai,
    "ann_benchmarks": ann_benchmarks,
    "vectordbbench": vectordbbench,
    "schemathesis": schemathesis,
}


def _pytest(judge: str, library: str, *arguments: str, environment: Mapping[str, str] | None = None) -> Verdict:
    command = [sys.executable, "-m", "pytest", "-q", "--tb=short", "-o", LOOP_SCOPE, *arguments]
    started = time.monotonic()
    done = subprocess.run(
        command, env={**os.environ, **(environment or {})}, capture_output=True, text=True, check=False
    )
    last = (done.stdout.strip().splitlines() or ["nothing"])[-1].strip("= ")
    if done.returncode:
        print(done.stdout[-5_000:], done.stderr[-1_000:], sep="\n")
    counts = re.sub(r" in [\d.]+s.*", "", last)
    skipped = "skipped" in counts and "passed" not in counts
    found = f"{counts}, {time.monotonic() - started:,.0f} s"
    return Verdict(judge, f"{library} {version(library)}", found, passed=done.returncode == 0 and not skipped)


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in JUDGES]
    if unknown:
        print(f"unknown judge {unknown[0]}: expected {', '.join(JUDGES)}", file=sys.stderr)
        return 2
    path = RESULTS / "judges.md"
    rows = _rows(path.read_text() if path.exists() else "")
    failed = 0
    for name in names or JUDGES:
        print(f"{name} …", flush=True)
        verdict = JUDGES[name]()
        print(f"  {verdict.found}", flush=True)
        failed += not verdict.passed
        rows[verdict.judge] = f"{verdict.to_row()[:-2]} | {datetime.now(UTC):%Y-%m-%d} |"
        # After each, so that a run that is cut short loses none.
        lines = ["# Judged from outside", "", f"`make judges` on {machine()}.", ""]
        lines += ["| judge | version | found | passed | date |", "|---|---|---|---|---|", *rows.values()]
        path.write_text("\n".join(lines) + "\n")
    return 1 if failed else 0


def _rows(text: str) -> dict[str, str]:
    """The rows of a table by their first cells."""
    found = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith("| judge |")]
    return {line.split(" | ")[0].removeprefix("| "): line for line in found}


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
