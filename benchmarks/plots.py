"""Curves as pictures, where matplotlib is installed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Point:
    """Recall, and queries a second."""

    recall: float
    rate: float


@dataclass(frozen=True, slots=True)
class Curve:
    """One way of searching at several efforts."""

    name: str
    points: Sequence[Point]


def plot_curves(path: Path, title: str, curves: Sequence[Curve]) -> Path:
    """Write recall against queries a second, logarithmic, to `path` (PNG)."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 5), layout="constrained")
    for curve in curves:
        points = sorted(curve.points, key=lambda point: point.recall)
        style = "--" if curve.name.startswith("raw") else "-"
        axes.plot(
            [p.recall for p in points], [p.rate for p in points], style, marker="o", markersize=4, label=curve.name
        )
    axes.set(xlabel="recall@10", ylabel="queries a second", yscale="log", title=title)
    axes.grid(visible=True, which="both", alpha=0.3)
    axes.legend()
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return path
