"""Questions for a chart: of what, and of which kind; the plan of what is drawn, with the chart."""

from __future__ import annotations

import re
from dataclasses import replace

from promptql.catalog import Catalog
from promptql.editing import parts_of, parts_over
from promptql.errors import PlanError
from promptql.plan import Plan
from promptql.steps import ChartKind, Visualize
from promptql.validation import validate

KINDS = {
    "bar": ChartKind.BAR, "line": ChartKind.LINE, "scatter": ChartKind.POINT, "area": ChartKind.AREA,
    "heatmap": ChartKind.HEATMAP, "heat": ChartKind.HEATMAP,
}  # fmt: skip
_POLITE = r"(?:please\s+)?(?:(?:can|could|would)\s+you\s+)?(?:please\s+)?"
_CHARTS = (  # "plot" alone may be that of a novel
    re.compile(
        rf"{_POLITE}(?:(?:draw|plot|show|make|create|give|display)\s+(?:me\s+)?)?(?:an?\s+|the\s+)?"
        r"(?:(?:\w+\s+)?(?:chart|graph|diagram)|(?:bar|line|area|scatter)\s*plot|heat\s*map|histogram)\s+"
        r"(?:of|for|with|showing)\s+(?:the\s+)?(?P<what>.+)",
        re.IGNORECASE,
    ),
    re.compile(rf"{_POLITE}(?:plot|draw|chart|graph|visuali[sz]e)\s+(?:me\s+)?(?:the\s+)?(?P<what>.+)", re.IGNORECASE),
)


def chart_asked(question: str) -> tuple[ChartKind, str] | None:
    """The kind of chart that a question asks for, and the question of what is drawn; None where none is asked for."""
    text = question.strip()
    match = next((found for chart in _CHARTS if (found := chart.fullmatch(text)) is not None), None)
    if match is None:
        return None
    return kind_named(text[: match.start("what")]), match["what"]


def kind_named(text: str) -> ChartKind:
    """The kind of chart that is named, else whichever fits."""
    words = re.findall(r"\w+", text.lower())
    return next((KINDS[word] for word in words if word in KINDS), ChartKind.AUTO)


def with_chart(plan: Plan, kind: ChartKind, catalog: Catalog) -> Plan | None:
    """The plan with a chart of its groups; None where it has none."""
    parts = parts_of(plan) or parts_over(plan)
    if parts is None or parts.group is None or not parts.group.by:
        return None
    steps = replace(parts, chart=Visualize("", "", kind)).steps()
    drawn = replace(plan, steps=steps, output=steps[-1].id)
    try:
        validate(drawn, catalog)
    except PlanError:
        return None
    return drawn
