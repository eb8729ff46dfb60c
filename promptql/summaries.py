"""Summaries: the sentences that a language model made of rows, each with marks that lead to the documents behind it."""

from __future__ import annotations

from promptql.answer import Artifact
from promptql.citations import claims_of_rows
from promptql.context import Context
from promptql.operators.rows import Rows
from promptql.plan import Plan
from promptql.planned import Planned
from promptql.said import ARTIFACT, Said
from promptql.shape import upwards
from promptql.steps import AnswerStep, AssertStep, Limit, LlmSummarize, Visualize
from promptql.validation.semantic import CONFIDENCE, SENTENCE

_PASSING = (AnswerStep, AssertStep, Visualize, Limit)


def is_summary(plan: Plan) -> bool:
    """Whether the answer is what a summary gives, whole or its first sentences, and no template says it otherwise."""
    output = plan.by_id[plan.output]
    if isinstance(output, AnswerStep) and (output.template is not None or output.fields is not None):
        return False
    made = next((step for step in upwards(plan, plan.output) if not isinstance(step, _PASSING)), None)
    return isinstance(made, LlmSummarize)


def summary_said(context: Context, planned: Planned, rows: Rows) -> Said:
    """The sentences as a text with marks, one citation a mark; the table has how sure the model was of each."""
    relation = rows.relation
    artifact = Artifact(ARTIFACT, relation.fields, tuple(relation.rows()))
    claims = claims_of_rows(rows, artifact, (CONFIDENCE,), context.snapshots)
    marks: dict[str, str] = {}
    for number, claim in enumerate(claims, 1):
        marks[claim.citation.cell] = marks.get(claim.citation.cell, "") + f"[{number}]"
    sentences = tuple(str(sentence) for sentence in relation.column(SENTENCE))
    text = " ".join(
        f"{sentence} {marks.get(f'{ARTIFACT}[{row}].{SENTENCE}', '')}".strip() for row, sentence in enumerate(sentences)
    )
    return Said(text, sentences, artifact, claims, planned.confidence, planned.band)
