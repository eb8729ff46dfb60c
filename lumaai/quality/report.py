"""What was measured, as a table, as JSON and as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lumaai.errors import InvalidRequestError
from lumaai.ingestion.extras import library
from lumaai.quality.evaluation import FolderQuality

_HEADINGS = ("set", "documents", "queries", "search", "nDCG@10", "recall@100", "MRR@10", "ms p50")


def to_json(measured: Sequence[FolderQuality]) -> list[dict[str, Any]]:
    """As plain values."""
    return [asdict(quality) for quality in measured]


def to_table(measured: Sequence[FolderQuality]) -> str:
    """A Markdown table, one line a set and way to search, with columns that line up."""
    rows = [
        (
            quality.name, f"{quality.documents:,}", f"{quality.queries:,}", each.system, f"{each.ndcg_at_10:.4f}",
            f"{each.recall_at_100:.4f}", f"{each.mrr_at_10:.4f}", f"{each.milliseconds_p50:.1f}",
        )
        for quality in measured
        for each in quality.systems
    ]  # fmt: skip
    widths = [max(len(row[column]) for row in (_HEADINGS, *rows)) for column in range(len(_HEADINGS))]
    rule = tuple("-" * width for width in widths)
    return "\n".join(
        f"| {' | '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))} |"
        for row in (_HEADINGS, rule, *rows)
    )


def save_plot(measured: Sequence[FolderQuality], path: Path) -> None:
    """Bars of nDCG@10 by set and way to search, as a picture of the path's suffix (.png, .svg, .pdf).

    Raises:
        NotSupportedError: matplotlib is not installed.
        InvalidRequestError: the picture cannot be written there (code "plot_unwritable").
    """
    figures = library("matplotlib.figure", "plots", "a plot")
    systems = list(dict.fromkeys(each.system for quality in measured for each in quality.systems))
    figure = figures.Figure(figsize=(max(5.0, 2.2 * len(measured)), 4.0), dpi=150, layout="constrained")
    axes = figure.subplots()
    width = 0.8 / len(systems)
    for place, system in enumerate(systems):
        found = [
            (row + (place - (len(systems) - 1) / 2) * width, each.ndcg_at_10)
            for row, quality in enumerate(measured)
            for each in quality.systems
            if each.system == system
        ]
        bars = axes.bar([at for at, _ in found], [value for _, value in found], width * 0.92, label=system)
        axes.bar_label(bars, fmt="%.3f", fontsize=6, padding=1)
    axes.set_xticks(range(len(measured)), [quality.name for quality in measured])
    axes.set_ylim(0, 1.08)
    axes.set_ylabel("nDCG@10")
    axes.legend(frameon=False, ncols=len(systems), fontsize=7, loc="upper center")
    axes.spines[["top", "right"]].set_visible(False)
    try:
        figure.savefig(path)
    except (OSError, ValueError) as error:
        raise InvalidRequestError(f"cannot write the plot to {path}: {error}", code="plot_unwritable") from error
