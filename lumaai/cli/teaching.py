"""`lumaai feedback` and `lessons`: saying what was right or wrong, and what became of it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lumaai.cli import output
from lumaai.cli.options import JsonOption, examples
from lumaai.cli.target import DirectoryOption, UrlOption, opened
from lumaai.errors import InvalidRequestError

if TYPE_CHECKING:
    from promptql import Lesson

teaching = typer.Typer()
lessons_app = typer.Typer(
    help="What feedback has taught: try it on questions with known answers.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=examples("lumaai lessons review questions.jsonl", "lumaai lessons list", "lumaai lessons delete ID"),
)


@teaching.command(
    epilog=examples(
        'lumaai ask "How many flicks are there?" --json > answer.json',
        "lumaai feedback answer.json wrong --word flicks=films",
        "lumaai feedback answer.json wrong --word scary=films.genre=horror",
        "lumaai feedback answer.json wrong --plan right.json",
        "lumaai feedback answer.json right",
    )
)
def feedback(
    file: Annotated[
        Path, typer.Argument(metavar="ANSWER.json", help="An answer, or a plan; - reads stdin.", show_default=False)
    ],
    verdict: Annotated[str, typer.Argument(metavar="right|wrong", help="What it was.", show_default=False)],
    *,
    words: Annotated[
        list[str] | None,
        typer.Option("--word", metavar="SAID=C[.FIELD[=VALUE]]", help="What a word stands for; may be repeated."),
    ] = None,
    plan: Annotated[Path | None, typer.Option(metavar="PLAN.json", help="The plan that were right.")] = None,
    as_json: JsonOption = False,
    directory: DirectoryOption = None,
    url: UrlOption = None,
) -> None:
    """Say that an answer was right or wrong; `lessons review` puts into force what does no harm."""
    correction: dict[str, Any] = {}
    if words:
        correction["words"] = [_word(item) for item in words]
    if plan is not None:
        correction["plan"] = _plan(plan)
    with opened(directory, url) as database:
        found = database.feedback(_plan(file), verdict, correction or None)
    _print(found, as_json=as_json)


@lessons_app.command("list")
def list_lessons(*, as_json: JsonOption = False, directory: DirectoryOption = None, url: UrlOption = None) -> None:
    """List all lessons with their states."""
    with opened(directory, url, reading=True) as database:
        found = database.lessons.list()
    _print(found, as_json=as_json)


@lessons_app.command("review")
def review_lessons(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE",
            help="Questions as `lumaai eval` reads them. [default: those of the last time]",
            show_default=False,
        ),
    ] = None,
    *,
    as_json: JsonOption = False,
    directory: DirectoryOption = None,
    url: UrlOption = None,
) -> None:
    """Try pending lessons: live is what makes no fewer questions right."""
    questions = None if file is None else [_object(line, file) for line in _text(file).splitlines() if line.strip()]
    with opened(directory, url) as database:
        done = database.lessons.review(questions)
    if as_json:
        output.print_json(done.to_json())
        return
    typer.echo(f"{done.questions} questions: {done.right_before} right before, {done.right_after} now")
    _print(list(done.lessons), as_json=False)


@lessons_app.command("delete")
def delete_lesson(
    lesson: Annotated[str, typer.Argument(metavar="ID", help="Its id.", show_default=False)],
    *,
    directory: DirectoryOption = None,
    url: UrlOption = None,
) -> None:
    """Forget a lesson."""
    with opened(directory, url) as database:
        database.lessons.delete(lesson)
    typer.echo(f"{lesson} is gone")


def _print(lessons: list[Lesson], *, as_json: bool) -> None:
    if as_json:
        output.print_json([lesson.to_json() for lesson in lessons])
    elif lessons:
        output.print_table((item.id, item.state.value, item.text, item.reason or "") for item in lessons)
    else:
        typer.echo("nothing was learned")


def _word(text: str) -> dict[str, Any]:
    said, sign, meant = text.partition("=")
    place, _, value = meant.partition("=")
    collection, _, field = place.partition(".")
    if not (said and sign and collection):
        raise typer.BadParameter(f"expected SAID=COLLECTION[.FIELD[=VALUE]]: got={text!r:.80}", param_hint="--word")
    parts = {"said": said, "collection": collection, "field": field, "value": value}
    return {key: part for key, part in parts.items() if part}


def _plan(file: Path) -> dict[str, Any]:
    found = _object(_text(file), file)
    plan = found.get("plan", found)
    if not isinstance(plan, dict):
        raise InvalidRequestError(f"{file} holds no plan: expected an object", code="plan_invalid")
    return plan


def _text(file: Path) -> str:
    try:
        return sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequestError(f"cannot read {file}: {error}", code="file_unreadable") from error


def _object(text: str, file: Path) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidRequestError(f"{file} is not JSON: {error}", code="invalid_json") from error
    if not isinstance(found, dict):
        raise InvalidRequestError(f"{file} holds no object", code="invalid_json")
    return found
