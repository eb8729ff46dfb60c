"""Filters by a judge with a known error rate, on public labelled texts: calls saved, and how often the promise held."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from benchmarks.labelled import PREDICATES, ROWS, LabelledFilter, available, labelled_filter
from benchmarks.report import RESULTS, Report
from promptql.cascade import Quality, Target, features_of, select
from promptql.cascade.head import Features
from promptql.operators.semantic.asking import ROWS_A_CALL

RUNS = 20
ERROR_RATE = 0.02  # of the simulated judge, drawn anew for every run: labels that no proxy can learn
HELPER_ERROR_RATE = 0.08
CURVE = (0.7, 0.8, 0.9, 0.95)
SHOWN = ("life sciences", "history", "information retrieval", "documentaries")
Labels = npt.NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What runs of one filter gave, each (runs,): shares of what judging every row takes, and what was found.

    Attributes:
        rows: that the large model judges; what a small model is asked is not among them.
        calls: of at most twenty rows, as steps make them.
    """

    rows: npt.NDArray[np.float64]
    calls: npt.NDArray[np.float64]
    recall: npt.NDArray[np.float64]
    precision: npt.NDArray[np.float64]

    def kept(self, quality: Quality) -> npt.NDArray[np.bool_]:
        """Which runs kept the promise; that of recall promises as much precision."""
        held: npt.NDArray[np.bool_] = self.precision >= quality.value
        return held & (self.recall >= quality.value) if quality.target is Target.RECALL else held


def run(report: Report) -> None:
    if not available():
        report.add("cascades", "not measured: the sets are not beside the repository")
        return
    exact: list[bool] = []
    noisy: list[bool] = []
    helped: list[bool] = []
    for place in range(len(PREDICATES)):
        made, _ = _prepared(place)
        quality = Quality(Target.RECALL, 0.9, 0.1)
        outcomes = [simulate(place, quality), simulate(place, quality, error_rate=ERROR_RATE)]
        outcomes.append(simulate(place, quality, helper_error_rate=HELPER_ERROR_RATE))
        name = f"{made.predicate.name} ({made.predicate.set}, {made.labels.mean():.1%} belong)"
        words = [f"{outcome.rows.mean():.0%}" for outcome in outcomes]
        report.add(
            name,
            f"{words[0]} of the rows (90th percentile {np.quantile(outcomes[0].rows, 0.9):.0%}), "
            f"{outcomes[0].calls.mean():.0%} of the calls, "
            f"recall {outcomes[0].recall.mean():.3f}, precision {outcomes[0].precision.mean():.3f}",
            f"judge that errs in {ERROR_RATE:.0%}: {words[1]}; "
            f"small model that errs in {HELPER_ERROR_RATE:.0%} before: {words[2]}",
            "35 % of the calls",
        )
        for outcome, kept in zip(outcomes, (exact, noisy, helped), strict=True):
            kept.extend(outcome.kept(quality).tolist())
    for words_of, kept in (("right", exact), ("noisy", noisy), ("right, small model first", helped)):
        report.add(f"promise kept, judge {words_of}", f"{np.mean(kept):.1%} of {len(kept)} runs", "", "90 %")
    plot(report)


def simulate(
    place: int, quality: Quality, *, runs: int = RUNS, error_rate: float = 0.0, helper_error_rate: float | None = None
) -> Outcome:
    """Run the cascade on a filter with a judge that errs, each time with other draws."""
    made, features = _prepared(place)
    rows = []
    for seed in range(runs):
        random = np.random.default_rng(1_000 + seed)
        said = _with_errors(made.labels, error_rate, random)
        calls = 0

        def judge(places: npt.NDArray[np.int64], said: Labels = said) -> Labels:
            nonlocal calls
            calls += math.ceil(len(places) / ROWS_A_CALL[0])
            return said[places]

        small = None if helper_error_rate is None else _with_errors(made.labels, helper_error_rate, random)
        selection = select(
            features,
            judge,
            quality,
            seed=seed,
            similarity=made.similarity,
            helper=None if small is None else small.__getitem__,
        )
        right = int((selection.kept & (said == 1)).sum())
        rows.append(
            (
                selection.certificate.judged / len(said),
                calls / math.ceil(len(said) / ROWS_A_CALL[0]),
                right / max(1, int(said.sum())),
                right / max(1, int(selection.kept.sum())),
            )
        )
    return Outcome(*np.array(rows).T)


def plot(report: Report) -> None:
    """Rows judged by the recall that is promised, as rows and, where matplotlib is installed, as a picture."""
    curves = {}
    for place, predicate in enumerate(PREDICATES):
        if predicate.name in SHOWN:
            outcomes = [simulate(place, Quality(Target.RECALL, value, 0.1), runs=5) for value in CURVE]
            curves[predicate.name] = [float(outcome.rows.mean()) for outcome in outcomes]
            points = ", ".join(
                f"{value:g}: {outcome.rows.mean():.0%} (found {outcome.recall.mean():.3f})"
                for value, outcome in zip(CURVE, outcomes, strict=True)
            )
            report.add(f"rows judged by promised recall, {predicate.name}", points)
    try:
        import matplotlib as mpl
    except ImportError:
        return
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 5), layout="constrained")
    for name, calls in curves.items():
        axes.plot(CURVE, calls, marker="o", label=name)
    axes.set(xlabel="recall promised at 0.9", ylabel=f"share of {ROWS:,} rows judged", ylim=(0, 1))
    axes.grid(visible=True, alpha=0.3)
    axes.legend()
    figure.savefig(RESULTS / "cascade.png", dpi=110)
    plt.close(figure)


def _with_errors(labels: Labels, rate: float, random: np.random.Generator) -> Labels:
    wrong = random.random(len(labels)) < rate
    return np.where(wrong, 1 - labels, labels).astype(np.int8)


@cache
def _prepared(place: int) -> tuple[LabelledFilter, Features]:
    made = labelled_filter(PREDICATES[place])
    return made, features_of(made.vectors, made.texts, made.similarity)
