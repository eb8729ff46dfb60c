"""`make eval-crossvalidate`: WikiSQL over all its folds, answered by weights that do not know them.

Three groups of three folds (folds share no table). For each, weights, how sure answers are, and from where on they need
no reserve are learned as the product's are (`training.learn`), on the other groups' folds and WikiTableQuestions'
training tables. `python -m benchmarks.crossvalidation [SIZE]` trains on SIZE questions of each set; the report is kept
in `benchmarks/results/promptql-crossvalidation.md`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.report import machine
from benchmarks.training import answers, choose, is_sure, learn, share, training_questions, workers
from promptql.evaluation.calibration import Trusted, judged

GROUPS = ("123", "456", "789")
SIZE = 3_000
RESULTS = Path(__file__).parent / "results" / "promptql-crossvalidation.md"


def main(arguments: list[str]) -> int:
    """Run all folds and keep the report."""
    size = int(arguments[0]) if arguments else SIZE
    begun = time.perf_counter()
    found: dict[str, list[Trusted]] = {}
    learned: dict[str, dict[str, Any]] = {}
    with ProcessPoolExecutor(workers()) as pool:
        for group in GROUPS:
            learned[group] = learn(pool, training_questions(size, lambda fold: fold not in group), 1)  # noqa: B023
            found[group] = answers(pool, learned[group]["weights"], choose("wikisql", group.__contains__))
            print(f"folds {group}: {share(found[group]):.4f} of {len(found[group])}", flush=True)
    text = report(found, learned, size)
    RESULTS.write_text(text, encoding="utf-8")
    print(text, f"{time.perf_counter() - begun:.0f} s", sep="\n")
    return 0


def report(found: Mapping[str, Sequence[Trusted]], learned: Mapping[str, Mapping[str, Any]], size: int) -> str:
    """Accuracy by fold group and category, and of the band that answers without reserve."""
    everything = [answer for answers in found.values() for answer in answers]
    lines = [
        "# WikiSQL over all folds", "",
        f"`make eval-crossvalidate`: learned of {size:,} questions of each large set, in one round; {machine()}", "",
        f"{len(everything):,} questions, {share(everything):.1%} right.", "",
        "| folds | questions | right | answer band: coverage | precision | precision of the surest half | sure from |",
        "|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    sure_of_all: list[Trusted] = []
    half_of_all: list[Trusted] = []
    for group, answered in found.items():
        least = learned[group]["answer_confidence_min"]
        sure = [answer for answer in answered if is_sure(learned[group], answer)]
        half = _surest_half(learned[group]["trust"], answered)
        sure_of_all += sure
        half_of_all += half
        lines.append(f"| {', '.join(group)} | {_row(answered, sure)} | {share(half):.1%} | {least:.3f} |")
    lines += [
        f"| all | {_row(everything, sure_of_all)} | {share(half_of_all):.1%} | |",
        "",
        "| category | questions | right |",
        "|---|---|---|",
    ]
    for category in sorted({answer.category for answer in everything}):
        those = [answer for answer in everything if answer.category == category]
        lines.append(f"| {category} | {len(those):,} | {share(those):.1%} |")
    return "\n".join(lines) + "\n"


def _surest_half(trust: Mapping[str, float], answered: Sequence[Trusted]) -> list[Trusted]:
    """Half of the questions, by the same signs of trust: the band's threshold also has to do for the harder set."""
    judgeable = [answer for answer in answered if answer.signs]
    return sorted(judgeable, key=lambda answer: -judged(trust, answer))[: len(answered) // 2]


def _row(answered: Sequence[Trusted], sure: Sequence[Trusted]) -> str:
    return f"{len(answered):,} | {share(answered):.1%} | {len(sure) / len(answered):.1%} | {share(sure):.1%}"


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
