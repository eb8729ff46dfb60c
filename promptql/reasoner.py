"""Reason: rows become an answer whose every figure and sentence is cited, and the citations are checked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from models import Embedder
from promptql.answer import Answer, Band, Chart, Citation, Notice, Rewrite
from promptql.charts import CHART_ROWS_MAX, chart_of
from promptql.citations import verified
from promptql.context import Context
from promptql.executor import Executed
from promptql.llm.writing import Writer
from promptql.nothing import nothing_said
from promptql.plan import Assumption, Plan, ignored_words
from promptql.planned import Planned
from promptql.prose import prose_said, wants_prose
from promptql.quoting import quotes_said
from promptql.rules.asked import take_apart
from promptql.said import ARTIFACT, Said
from promptql.steps import Clarify
from promptql.summaries import is_summary, summary_said
from promptql.tables import table_said
from promptql.themes import is_themes, themes_said

NOT_FOUND_FACTOR = 0.4  # of the confidence in an answer without the name that was asked about


def reason(
    context: Context,
    planned: Planned,
    plan: Plan,
    rewrites: tuple[Rewrite, ...],
    executed: Executed,
    embedder_of: Callable[[str], Embedder],
    writer: Writer | None = None,
) -> Answer:
    """The answer to the question, from what the plan's steps gave; `writer` has it in prose where that is wanted."""
    rows = executed.rows
    if not len(rows.relation):
        said = nothing_said(context, planned, plan, rows)
    elif rows.passages is not None:
        said = quotes_said(context, plan, rows, embedder_of(rows.collection))
    elif is_themes(plan):
        said = themes_said(context, planned, plan, rows, embedder_of(rows.collection))
    elif is_summary(plan):
        said = summary_said(context, planned, rows)
    else:
        said = table_said(context, planned, plan, rows)
        said = _with_what_was_unheard(said, context.question.text, plan.assumptions)
    if writer is not None and wants_prose(context.question.text, rows):
        said = prose_said(context, plan, rows, said, writer)
    citations, rejected = verified(said.claims, context.snapshots)
    warnings = (*planned.warnings, *rows.notices, *said.warnings, *_rejections(rejected))
    return Answer(
        text=said.text,
        values=said.values,
        artifact=said.artifact.id if said.artifact is not None else None,
        confidence=round(said.confidence, 3),
        band=said.band,
        completeness=said.completeness,
        plan=plan.to_json(),
        plan_hash=plan.hash,
        planner=planned.planner,
        steps=executed.reports,
        artifacts=() if said.artifact is None else (said.artifact,),
        citations=citations,
        assumptions=plan.assumptions,
        warnings=warnings,
        rewrites=rewrites,
        usage={"llm": (planned.usage + said.usage).to_json()},
        alternatives=planned.alternatives,
        charts=_charts(executed, plan),
    )


def _with_what_was_unheard(said: Said, question: str, assumptions: Sequence[Assumption]) -> Said:
    """An answer that leaves out a name, or all that the question is about, says so first: it is of something else."""
    ignored = set(ignored_words(assumptions))
    asked = take_apart(question)
    unheard = [index for index, word in enumerate(asked.words) if word in ignored]
    nothing = not any(asked.content >> i & 1 and i not in unheard for i in range(len(asked.words)))
    names = [i for i in unheard if nothing or (asked.capital | asked.quoted) >> i & 1]
    text = said.text + _left_out(assumptions)
    if not names:
        return replace(said, text=text)
    missed = ", ".join(f"“{question[start:end]}”" for start, end in _spans(names, asked.places))
    warning = Notice("not_found", f"nothing was found of {missed}; the answer is without it")
    band = Band.ASSUMPTIONS if said.band is Band.ANSWER else said.band
    text = f"Nothing was found of {missed}. What the data does say: {text}"
    confidence = said.confidence * NOT_FOUND_FACTOR
    return replace(said, text=text, band=band, confidence=confidence, warnings=(*said.warnings, warning))


def _spans(words: Sequence[int], places: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Where words stand, neighbours together."""
    found: list[tuple[int, int]] = []
    before = -2
    for index in words:
        start = found.pop()[0] if index == before + 1 else places[index][0]
        found.append((start, places[index][1]))
        before = index
    return found


def _left_out(assumptions: Sequence[Assumption]) -> str:
    """What the question says and the answer does not: whoever reads it may have meant that."""
    words = ignored_words(assumptions)
    return f"\n\n(Left out of the question: {', '.join(f'“{word}”' for word in words)}.)" if words else ""


def _charts(executed: Executed, plan: Plan) -> tuple[Chart, ...]:
    """What the plan has drawn."""
    charts = []
    for mark, (step, rows) in enumerate(executed.charts, 1):
        drawn = rows.relation.limit(CHART_ROWS_MAX)
        if len(drawn):
            charts.append(Chart(f"c{mark}", chart_of(drawn.types, drawn.rows(), step, title=plan.question), ARTIFACT))
    return tuple(charts)


def _rejections(rejected: Sequence[Citation]) -> tuple[Notice, ...]:
    return tuple(
        Notice("citation_rejected", f"{citation.cell}: the documents do not bear it out") for citation in rejected
    )


def ask_back(planned: Planned, plan: Plan) -> Answer:
    """The question that a plan ends with, and the readings to choose from; nothing is run."""
    step = plan.by_id[plan.output]
    assert isinstance(step, Clarify)
    options = tuple(option.written() for option in step.options)
    return Answer(
        text="\n".join([step.question, "", *(f"{mark}. {item.text}" for mark, item in enumerate(step.options, 1))]),
        values=(),
        artifact=None,
        confidence=round(planned.confidence, 3),
        band=Band.CLARIFY,
        completeness=0.0,
        plan=plan.to_json(),
        plan_hash=plan.hash,
        planner=planned.planner,
        assumptions=plan.assumptions,
        warnings=planned.warnings,
        usage={"llm": planned.usage.to_json()},
        alternatives=planned.alternatives,
        options=options,
    )
