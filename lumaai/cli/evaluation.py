"""`lumaai eval`: how well questions with known answers are answered."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lumaai.cli import output
from lumaai.cli.options import JsonOption, examples
from lumaai.cli.target import DirectoryOption, UrlOption, opened
from lumaai.errors import (
    InternalError,
    InvalidRequestError,
    MemoryLimitError,
    ModelUnavailableError,
    NotFoundError,
    OverloadedError,
    TimeLimitError,
    TooLargeError,
)

if TYPE_CHECKING:
    from promptql import Answer, EvaluationQuestion

evaluation = typer.Typer()

# What says something of the question. Where a service is away or refuses the caller, nothing is counted.
UNANSWERED = (
    InvalidRequestError, NotFoundError, TooLargeError, TimeLimitError, MemoryLimitError, ModelUnavailableError,
    OverloadedError, InternalError,
)  # fmt: skip
QUESTION_ROWS_MAX = 10_000  # of an expected answer that is given as SQL


@evaluation.command(
    "eval",
    epilog=examples(
        "lumaai eval questions.jsonl",
        "lumaai eval questions.jsonl --db ./films-data --wrong",
        'echo \'{"question": "How many films are there?", "sql": "SELECT count(*) FROM films"}\' > questions.jsonl',
    ),
)
def evaluate_questions(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help='JSON lines: {"question", "answer": […] or "sql": "…", "collections"?, "category"?}.',
            exists=True,
            dir_okay=False,
            show_default=False,
        ),
    ],
    *,
    planner: Annotated[str, typer.Option(help="auto, rules or llm.")] = "auto",
    wrong: Annotated[bool, typer.Option("--wrong", help="Also list what was not answered rightly.")] = False,
    as_json: JsonOption = False,
    directory: DirectoryOption = None,
    url: UrlOption = None,
) -> None:
    """Ask questions with known answers: accuracy by category, precision by confidence band, time.

    Answers are right if their values are the expected ones, in any order; case and punctuation do not count.
    """
    from promptql import PromptQLError, evaluate, read_evaluation_questions

    try:
        with file.open(encoding="utf-8") as lines:
            questions = list(read_evaluation_questions(lines))
    except PromptQLError as error:
        raise InvalidRequestError(str(error), code="question_set_invalid") from error
    with opened(directory, url, reading=True) as database:

        def ask(question: EvaluationQuestion) -> tuple[Answer, float]:
            started = time.perf_counter()
            answer = database.ask(question.question, collections=question.collections, planner=planner)
            return answer, time.perf_counter() - started

        def rows_of(query: str) -> Sequence[Any]:
            try:
                rows = database.sql(query, limit=QUESTION_ROWS_MAX).rows
            except InvalidRequestError as error:
                raise InvalidRequestError(f"sql of the question set: {error}: got={query!r:.200}") from error
            return [row[0] for row in rows] if all(len(row) == 1 for row in rows) else rows

        report = evaluate(questions, ask, rows_of, failures=UNANSWERED)
    if as_json:
        output.print_json(report.to_json())
        return
    typer.echo(report.to_markdown())
    if wrong:
        for outcome in report.outcomes:
            if not outcome.right:
                typer.echo(f"{outcome.kind}\t{outcome.band}\t{outcome.question}")
