"""`lumaai ask`, `plan`, `execute` and `programs`: questions, the plans that they become, and plans under names."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lumaai.cli import output
from lumaai.cli.options import JsonOption, examples
from lumaai.cli.target import DirectoryOption, UrlOption, opened
from lumaai.errors import InvalidRequestError, LumaError

if TYPE_CHECKING:
    from promptql import Answer, Event, Explanation

asking = typer.Typer()
programs_app = typer.Typer(
    help="Keep plans under names and run them.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=examples(
        "lumaai plan 'How many films were made after 1990?' > plan.json",
        "lumaai programs save films-since plan.json -p since=1990",
        "lumaai programs run films-since -p since=2000",
        "lumaai programs list",
    ),
)


class Format(StrEnum):
    """How an answer is printed."""

    TEXT = "text"
    MARKDOWN = "markdown"
    CSV = "csv"
    JSON = "json"


Question = Annotated[str, typer.Argument(metavar="QUESTION", help="The question, in words.", show_default=False)]
PlanFile = Annotated[
    Path, typer.Argument(metavar="PLAN.json", help="A plan, or an answer with one; - reads stdin.", show_default=False)
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the program.", show_default=False)]
CollectionsOption = Annotated[
    list[str] | None, typer.Option("--collections", "-c", help="Only these; may be repeated. [default: all]")
]
PlannerOption = Annotated[str, typer.Option(help="auto, rules or llm.")]
TimeZoneOption = Annotated[
    str | None, typer.Option(help='Whose "today" is meant, such as Europe/Paris.', show_default="UTC")
]
FormatOption = Annotated[Format, typer.Option("--format", "-f", help="text, markdown, csv or json.")]
StreamOption = Annotated[bool, typer.Option("--stream", help="Show each step as it runs.")]
ParameterOption = Annotated[
    list[str] | None,
    typer.Option("--param", "-p", metavar="NAME=VALUE", help="A parameter: JSON, or else text; may be repeated."),
]


@asking.command(
    epilog=examples(
        'lumaai ask "How many films are there per genre?" --stream',
        'lumaai ask "Which film is about a robot uprising?" -c films --json',
        'lumaai ask "average rating by genre" --format csv > ratings.csv',
    )
)
def ask(
    question: Question,
    *,
    collections: CollectionsOption = None,
    planner: PlannerOption = "auto",
    time_zone: TimeZoneOption = None,
    form: FormatOption = Format.TEXT,
    stream: StreamOption = False,
    as_json: JsonOption = False,
    directory: DirectoryOption = None,
    url: UrlOption = None,
) -> None:
    """Answer a question, with its steps and the documents it rests on."""
    names = _names(collections)
    with opened(directory, url, reading=True) as database:
        if stream:
            answer = _watched(
                database.ask(question, collections=names, planner=planner, time_zone=time_zone, stream=True)
            )
        else:
            answer = database.ask(question, collections=names, planner=planner, time_zone=time_zone)
    _print(answer, Format.JSON if as_json else form)


def _print_explanation(explained: Explanation) -> None:
    typer.echo(output.plain(explained.text))
    for rewrite in explained.rewrites:
        typer.echo(f"  optimized  {rewrite.rule}")
    if explained.estimate is not None:
        typer.echo(f"  estimate   {_cost(explained.estimate)}")


def _cost(estimate: Mapping[str, Any]) -> str:
    """What a plan will take of a language model, in words."""
    dollars = "" if estimate["usd"] is None else f", {estimate['usd']:.4f} dollars"
    tokens = estimate["tokens_in"] + estimate["tokens_out"]
    calls = f"{estimate['calls']} calls (at most {estimate['calls_max']})"
    return f"{calls}, {tokens} tokens{dollars}, {estimate['seconds']:g} s"


@asking.command(epilog=examples("lumaai plan 'How many films are there per genre?' > plan.json"))
def plan(
    question: Question,
    *,
    collections: CollectionsOption = None,
    planner: PlannerOption = "auto",
    time_zone: TimeZoneOption = None,
    explain: Annotated[bool, typer.Option("--explain", help="Say in words what would run.")] = False,
    directory: DirectoryOption = None,
    url: UrlOption = None,
) -> None:
    """Print the plan of a question, as JSON to be edited and executed."""
    names = _names(collections)
    with opened(directory, url, reading=True) as database:
        proposal = database.plan(question, collections=names, planner=planner, time_zone=time_zone)
        explained = database.explain(proposal, collections=names) if explain else None
    if explained is None:
        output.print_json_line(proposal.plan, indent=2)
        return
    _print_explanation(explained)
    typer.echo(f"  planner    {proposal.planner.value}, confidence {proposal.confidence:.2f}")


@asking.command(epilog=examples("lumaai validate plan.json", "lumaai validate plan.json --json | jq .columns"))
def validate(
    file: PlanFile,
    *,
    collections: CollectionsOption = None,
    as_json: JsonOption = False,
    directory: DirectoryOption = None,
    url: UrlOption = None,
) -> None:
    """Check a plan from a file without running it: columns of its steps, or where it is wrong, and exit code 1."""
    found, names = _plan_of(file), _names(collections)
    with opened(directory, url, reading=True) as database:
        check = database.validate(found, collections=names)
    if as_json:
        output.print_json_line(check.to_json())
    elif check.valid:
        for step, columns in check.columns.items():
            typer.echo(f"  {step}  " + ", ".join(f"{output.plain(name)} {kind}" for name, kind in columns.items()))
    else:
        for fault in check.faults:
            hint = "" if fault.hint is None else f"; {fault.hint}"
            typer.echo(f"lumaai validate: {output.plain(f'{fault.pointer}: {fault.message}{hint}')}", err=True)
    if not check.valid:
        raise typer.Exit(1)


@asking.command(epilog=examples("lumaai explain plan.json", "lumaai explain plan.json --json | jq .rewrites"))
def explain(
    file: PlanFile,
    *,
    collections: CollectionsOption = None,
    as_json: JsonOption = False,
    directory: DirectoryOption = None,
    url: UrlOption = None,
) -> None:
    """Say in words what would run for a plan from a file, and what the optimizer does to it."""
    found, names = _plan_of(file), _names(collections)
    with opened(directory, url, reading=True) as database:
        explained = database.explain(found, collections=names)
    if as_json:
        output.print_json_line(explained.to_json())
    else:
        _print_explanation(explained)


@asking.command(
    epilog=examples(
        "lumaai execute plan.json",
        "lumaai execute plan.json --from-step s3 --format markdown",
        "lumaai execute plan.json -p since=1990 --stream",
    )
)
def execute(
    file: PlanFile,
    *,
    parameters: ParameterOption = None,
    from_step: Annotated[str | None, typer.Option(metavar="ID", help="Run from this step on.")] = None,
    partial: Annotated[bool, typer.Option("--partial", help="Begin though the budget will not suffice.")] = False,
    collections: CollectionsOption = None,
    form: FormatOption = Format.TEXT,
    stream: StreamOption = False,
    as_json: JsonOption = False,
    directory: DirectoryOption = None,
    url: UrlOption = None,
) -> None:
    """Run a plan from a file."""
    found, params, names = _plan_of(file), _parameters(parameters), _names(collections)
    with opened(directory, url, reading=True) as database:
        if stream:
            events = database.execute(
                found, params=params, from_step=from_step, collections=names, partial=partial, stream=True
            )
            answer = _watched(events)
        else:
            answer = database.execute(found, params=params, from_step=from_step, collections=names, partial=partial)
    _print(answer, Format.JSON if as_json else form)


@programs_app.command("save")
def save_program(
    name: Name,
    file: PlanFile,
    *,
    parameters: ParameterOption = None,
    description: Annotated[str | None, typer.Option(metavar="TEXT", help="What it is for.")] = None,
    directory: DirectoryOption = None,
    url: UrlOption = None,
) -> None:
    """Keep a plan; -p NAME=VALUE makes a parameter of a constant in it."""
    found = _plan_of(file)
    with opened(directory, url) as database:
        program = database.programs.save(name, found, params=_parameters(parameters), description=description)
    typer.echo(f"{program.name}, version {program.version}")


@programs_app.command("run")
def run_program(
    name: Name,
    *,
    parameters: ParameterOption = None,
    version: Annotated[int | None, typer.Option(min=1, help="[default: the last one]", show_default=False)] = None,
    form: FormatOption = Format.TEXT,
    stream: StreamOption = False,
    as_json: JsonOption = False,
    directory: DirectoryOption = None,
    url: UrlOption = None,
) -> None:
    """Run a program."""
    params = _parameters(parameters)
    with opened(directory, url, reading=True) as database:
        if stream:
            answer = _watched(database.programs.run(name, params, version=version, stream=True))
        else:
            answer = database.programs.run(name, params, version=version)
    _print(answer, Format.JSON if as_json else form)


@programs_app.command("list")
def list_programs(*, as_json: JsonOption = False, directory: DirectoryOption = None, url: UrlOption = None) -> None:
    """List the programs."""
    with opened(directory, url, reading=True) as database:
        found = database.programs.list()
    if as_json:
        output.print_json([program.to_json() for program in found])
    elif found:
        output.print_table(
            (item.name, f"version {item.version}", ", ".join(item.inputs["properties"]), item.description or "")
            for item in found
        )
    else:
        typer.echo("no programs yet; `lumaai programs save NAME PLAN.json` keeps one")


@programs_app.command("show")
def show_program(
    name: Name,
    *,
    version: Annotated[int | None, typer.Option(min=1, help="[default: the last one]", show_default=False)] = None,
    directory: DirectoryOption = None,
    url: UrlOption = None,
) -> None:
    """Print a program as JSON: its plan, and what goes in and comes out."""
    with opened(directory, url, reading=True) as database:
        program = database.programs.get(name, version=version)
    output.print_json_line(program.to_json(), indent=2)


@programs_app.command("delete")
def delete_program(name: Name, *, directory: DirectoryOption = None, url: UrlOption = None) -> None:
    """Forget a program with all its versions."""
    with opened(directory, url) as database:
        database.programs.delete(name)
    typer.echo(f"{name} is gone")


def _names(collections: list[str] | None) -> list[str] | None:
    return [name for group in collections or [] for name in group.split(",") if name] or None


def _parameters(given: list[str] | None) -> dict[str, Any] | None:
    """Values by name: JSON where it is a constant of JSON, else text."""
    found = {}
    for item in given or []:
        name, sign, text = item.partition("=")
        if not (name and sign):
            raise typer.BadParameter(f"expected NAME=VALUE: got={item!r:.80}", param_hint="--param")
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        found[name] = value if isinstance(value, (bool, int, float)) else text
    return found or None


def _plan_of(file: Path) -> dict[str, Any]:
    """The plan in a file, also of an answer or a program that was printed as JSON.

    Raises:
        InvalidRequestError: there is none.
    """
    text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8", errors="replace")
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidRequestError(f"{file} is not JSON: {error}", code="invalid_json") from error
    found = data.get("plan", data) if isinstance(data, dict) else data
    if not isinstance(found, dict):
        raise InvalidRequestError(f"{file} holds no plan: expected an object", code="plan_invalid")
    return found


def _watched(events: Iterator[Event]) -> Answer:
    """The answer at the end of the events; the steps are told on stderr as they run."""
    from promptql import Answered, StepFinished, StepStarted, Warned

    for event in events:
        match event:
            case StepStarted(id_, op):
                typer.echo(f"  {id_:<6} {op} …", err=True)
            case StepFinished(report):
                typer.echo(f"  {report.id:<6} {output.step_line(report.to_json())}", err=True)
            case Warned(notice):
                typer.echo(output.plain(f"  warns  {notice.detail}"), err=True)
            case Answered(answer):
                return answer
            case _:
                continue
    raise LumaError("the stream ended without an answer")


def _print(answer: Answer, form: Format) -> None:
    match form:
        case Format.JSON:
            output.print_json(answer.to_json())
        case Format.MARKDOWN:
            typer.echo(output.plain(answer.to_markdown()), nl=False)
        case Format.CSV:
            output.print_csv(answer.to_csv())
        case Format.TEXT:
            output.print_answer(answer)
