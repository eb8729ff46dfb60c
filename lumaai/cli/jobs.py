"""`lumaai jobs`: work that goes on in the background: list, look at, wait for, cancel and start it."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lumaai.cli import output
from lumaai.cli.options import FilterOption, JsonOption, examples, parsed_filter
from lumaai.cli.target import DirectoryOption, UrlOption, opened, service_address
from lumaai.job import KINDS, JobRequest
from lumaai.progress import StageProgress, progress_console

if TYPE_CHECKING:
    from lumaai.job import Job

jobs_app = typer.Typer(
    help="Work that goes on in the background: list, look at, wait for, cancel and start it.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=examples(
        "lumaai jobs start compact --url http://127.0.0.1:8000",
        "lumaai jobs start reembed films --model bge-small --url http://127.0.0.1:8000",
        "lumaai jobs list",
        "lumaai jobs wait 1f0c2a9b33d4e5f6",
    ),
)

Kind = StrEnum("Kind", {kind: kind for kind in KINDS})  # type: ignore[misc]  # typer shows an enum's values
OF_COLLECTION = ("optimize", "reembed", "delete", "recall")
# Of each kind the options that it has a use for, and the one that it cannot do without.
TAKES = {
    "reembed": ("model",), "snapshot": ("name",), "restore": ("name",), "delete": ("filter",), "recall": ("filter",)
}  # fmt: skip
NEEDS = {"reembed": "model", "restore": "name", "delete": "filter"}
JobId = Annotated[str, typer.Argument(metavar="ID", help="Id of the job.", show_default=False)]


@jobs_app.command("list")
def list_jobs(*, as_json: JsonOption = False, directory: DirectoryOption = None, url: UrlOption = None) -> None:
    """List the jobs, the newest first: those under way, and the last 1,000 that have ended."""
    with opened(directory, url, reading=True) as database:
        jobs = database.jobs.list()
    if as_json:
        output.print_json([job.to_json() for job in jobs])
    elif jobs:
        output.print_table((job.id, job.kind, job.collection or "", _state(job), _moment(job.made)) for job in jobs)
    else:
        typer.echo("no jobs yet; `lumaai jobs start` starts one")


@jobs_app.command()
def show(id_: JobId, *, as_json: JsonOption = False, directory: DirectoryOption = None, url: UrlOption = None) -> None:
    """How far a job is, or how it ended, and what to do about it."""
    with opened(directory, url, reading=True) as database:
        job = database.jobs.get(id_)
    _print(job, as_json=as_json)


@jobs_app.command()
def wait(id_: JobId, *, as_json: JsonOption = False, directory: DirectoryOption = None, url: UrlOption = None) -> None:
    """Wait until a job is done; ends with an error where it does not come to its end."""
    with opened(directory, url) as database, _progress(f"job {id_}") as bar:
        job = database.jobs.wait(id_, progress=bar.at)
    _print(job, as_json=as_json)


@jobs_app.command()
def cancel(
    id_: JobId, *, as_json: JsonOption = False, directory: DirectoryOption = None, url: UrlOption = None
) -> None:
    """Have a job stop: at once if it waits, at its next step if it runs."""
    with opened(directory, url) as database:
        job = database.jobs.cancel(id_)
    _print(job, as_json=as_json)


@jobs_app.command(epilog=examples("lumaai jobs start delete films --filter 'year < 1950'"))
def start(
    kind: Annotated[Kind, typer.Argument(metavar="KIND", help=f"One of {', '.join(KINDS)}.", show_default=False)],
    collection: Annotated[
        str | None, typer.Argument(metavar="COLLECTION", help=f"Of {', '.join(OF_COLLECTION)}.", show_default=False)
    ] = None,
    *,
    model: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Of reembed: the new model.", show_default=False)
    ] = None,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of snapshot and restore.", show_default=False)
    ] = None,
    filter_text: FilterOption = None,
    as_json: JsonOption = False,
    directory: DirectoryOption = None,
    url: UrlOption = None,
) -> None:
    """Start a job; a service goes on with it by itself, of a directory it is waited for."""
    if (collection is not None) != (kind in OF_COLLECTION):
        raise typer.BadParameter(f"a collection belongs to {', '.join(OF_COLLECTION)}, and to no other kind")
    given = {"model": model, "name": name, "filter": parsed_filter(filter_text)}
    _check_arguments(str(kind), given)
    arguments = {key: value for key, value in given.items() if value is not None}
    with opened(directory, url) as database:
        job = database.jobs.start(JobRequest(str(kind), collection, arguments))
        if service_address(directory, url) is None:
            with _progress(str(kind)) as bar:
                job = job.wait(progress=bar.at)
    _print(job, as_json=as_json)


def _check_arguments(kind: str, given: dict[str, Any]) -> None:
    """Refuse options that a kind has no use for, and those that it lacks."""
    for option, value in given.items():
        if value is not None and option not in TAKES.get(kind, ()):
            raise typer.BadParameter(f"--{option} is not for {kind}")
        if value is None and NEEDS.get(kind) == option:
            raise typer.BadParameter(f"{kind} needs --{option}")


def _progress(title: str) -> StageProgress:
    return StageProgress(progress_console(), title, is_measured=True)


def _print(job: Job, *, as_json: bool) -> None:
    if as_json:
        output.print_json(job.to_json())
        return
    of = f" of {job.collection}" if job.collection else ""
    typer.echo(f"job {job.id}: {job.kind}{of}, {_state(job)}")
    if job.advice:
        typer.echo(f"  {job.advice}")
    if job.error:
        typer.echo(f"  {job.error['detail']}")
    if isinstance(job.result, dict):
        output.print_table([("", *row) for row in output.figure_rows(job.result)])


def _state(job: Job) -> str:
    if job.state != "running":
        return job.state
    more = "" if job.eta_seconds is None else f", about {job.eta_seconds:,.0f} s more"
    return f"{'stopping' if job.cancelling else job.stage or 'running'} {job.progress:.0%}{more}"


def _moment(made: str) -> str:
    return output.moment(made.partition(".")[0] + "+00:00")
