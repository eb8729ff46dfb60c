"""Measuring the planner on questions with known answers, and training its model on them."""

from __future__ import annotations

from promptql.evaluation.evaluate import evaluate
from promptql.evaluation.questions import EvaluationQuestion
from promptql.evaluation.questions import read_questions as read_evaluation_questions
from promptql.evaluation.report import Report

__all__ = ["EvaluationQuestion", "Report", "evaluate", "read_evaluation_questions"]
