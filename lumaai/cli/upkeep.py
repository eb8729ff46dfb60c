"""Commands that look after a whole database: snapshots, restore, check, compact, purge, changes, stats."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lumaai.cli import output
from lumaai.cli.counting import print_fields
from lumaai.cli.options import JsonOption, YesOption, confirm, examples
from lumaai.cli.target import DirectoryOption, UrlOption, opened, service_address
from lumaai.errors import ChangesGoneError
from lumaai.progress import StageProgress, progress_console

if TYPE_CHECKING:
    from lumaai import Client, Database
    from lumaai.reports import CheckReport, SnapshotInfo

FOLLOW_SECONDS = 0.5  # between two looks for new changes
IDS_A_LINE = 10

upkeep = typer.Typer()
snapshot = typer.Typer(
    help="Make, list, save and delete snapshots of the whole database.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=examples(
        "lumaai snapshot create before-import",
        "lumaai snapshot list",
        "lumaai snapshot save before-import backup.tar     one file, to be kept elsewhere",
        "lumaai restore backup.tar ./restored",
    ),
)

SnapshotName = Annotated[str, typer.Argument(metavar="NAME", help="Name of the snapshot.", show_default=False)]


def _progress(title: str, *, is_remote: bool) -> StageProgress:
    console = progress_console()
    return StageProgress(console, title, is_measured=not is_remote)


@snapshot.command(
    epilog=examples("lumaai snapshot create", "lumaai snapshot create before-import --url http://127.0.0.1:8000")
)
def create(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="Letters, digits, _ . and -. [default: the time]", show_default=False),
    ] = None,
    *,
    as_json: JsonOption = False,
    directory: DirectoryOption = None,
    url: UrlOption = None,
) -> None:
    """Keep the whole database as it is now.

    Quick, and small at first: files are linked, not copied. Snapshots lie in `snapshots` in the database's directory;
    `lumaai snapshot save` makes one file of them, which outlives the disk that this one is on.
    """
    is_remote = service_address(directory, url) is not None
    with opened(directory, url) as database, _progress("making a snapshot", is_remote=is_remote) as bar:
        info = database.create_snapshot(name, progress=bar.at)
    if as_json:
        output.print_json(info.to_json())
    else:
        typer.echo(f"made snapshot {_described(info)}")


def _described(info: SnapshotInfo) -> str:
    files = output.plural(info.files, "file")
    return f"{info.name} (sequence {info.sequence}, {output.size(info.bytes)} in {files})"


@snapshot.command("list")
def list_snapshots(*, as_json: JsonOption = False, directory: DirectoryOption = None, url: UrlOption = None) -> None:
    """List the snapshots."""
    with opened(directory, url, reading=True) as database:
        infos = database.snapshots()
    if as_json:
        output.print_json([info.to_json() for info in infos])
    elif infos:
        output.print_table(
            (info.name, output.moment(info.made), f"sequence {info.sequence}", output.size(info.bytes))
            for info in infos
        )
    else:
        typer.echo("no snapshots yet; `lumaai snapshot create` makes one")


@snapshot.command(epilog=examples("lumaai snapshot save before-import backup.tar"))
def save(
    name: SnapshotName,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A new tar file.", show_default=False)],
    *,
    directory: DirectoryOption = None,
    url: UrlOption = None,
) -> None:
    """Write a snapshot into one tar file; from a service, it is downloaded."""
    with opened(directory, url, reading=True) as database:
        path = database.export_snapshot(name, file)
    typer.echo(f"saved {name} as {path} ({output.size(path.stat().st_size)})")


@snapshot.command("delete")
def delete_snapshot(
    name: SnapshotName, *, yes: YesOption = False, directory: DirectoryOption = None, url: UrlOption = None
) -> None:
    """Delete a snapshot."""
    with opened(directory, url) as database:
        if not yes:
            confirm(f"Delete snapshot {name}?")
        database.delete_snapshot(name)
    typer.echo(f"deleted snapshot {name}")


@upkeep.command(epilog=examples("lumaai reembed films --model bge-small", "lumaai reembed films --cancel"))
def reembed(
    collection: Annotated[str, typer.Argument(metavar="COLLECTION", help="Name of the collection.")],
    *,
    model: Annotated[
        str | None, typer.Option(metavar="MODEL", help="The new model; `lumaai models list`.", show_default=False)
    ] = None,
    field: Annotated[
        str | None, typer.Option(metavar="FIELD", help="Where several vector fields are embedded.", show_default=False)
    ] = None,
    cancel: Annotated[bool, typer.Option("--cancel", help="Stay with the old model.")] = False,
    as_json: JsonOption = False,
    directory: DirectoryOption = None,
    url: UrlOption = None,
) -> None:
    """Embed a collection anew, with another model, while it is read and written.

    Searches go on with the old model until the new one takes over, at once for all. What Ctrl-C or a power cut
    interrupts goes on with the same command.
    """
    if (model is None) == (not cancel):
        raise typer.BadParameter("give --model or --cancel, one of the two")
    with opened(directory, url) as database:
        if model is None:
            database.cancel_reembedding(collection)
            typer.echo(f"{collection} stays with its model")
            return
        with _progress(f"embedding {collection} anew", is_remote=False) as bar:
            state = database.reembed(collection, model, field=field, progress=bar.at)
    if as_json:
        output.print_json(state.to_json())
    else:
        typer.echo(f"{collection} is embedded with {state.model} now ({output.plural(state.total, 'document')})")


@upkeep.command(
    epilog=examples(
        "lumaai restore backup.tar ./restored              into a new directory",
        "lumaai restore before-import ./data --replace     a snapshot of ./data, in place of what is there; asks first",
        "lumaai restore before-import --url http://127.0.0.1:8000 --yes",
    )
)
def restore(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="A snapshot: a tar, a directory, or a name.", show_default=False)
    ],
    data: Annotated[
        Path | None, typer.Argument(metavar="DATA", help="The directory to restore into.", show_default=False)
    ] = None,
    *,
    replace: Annotated[bool, typer.Option("--replace", help="Give up the database that is there.")] = False,
    yes: YesOption = False,
    url: UrlOption = None,
) -> None:
    """Make a database what a snapshot holds.

    The snapshot is checked as a whole first. Until then, and where it is damaged, nothing is changed.
    """
    address = service_address(data, url)
    if (address is None) == (data is None):
        raise typer.BadParameter("say what is restored: the DATA directory, or --url with the name of a snapshot there")
    if data is not None:
        if replace and not yes and data.is_dir() and any(data.iterdir()):
            confirm(f"Give up what {data} holds for {source}?")
        _restore_directory(source, data, replace=replace)
        return
    if not yes:
        confirm(f"Give up what {address} holds for snapshot {source}?")
    with opened(None, url) as database, _progress(f"restoring {source}", is_remote=True) as bar:
        info = database.restore_snapshot(source, progress=bar.at)
    typer.echo(f"restored {_described(info)}")


def _restore_directory(source: str, data: Path, *, replace: bool) -> None:
    import lumaai

    with _progress(f"restoring {source}", is_remote=False) as bar:
        info = lumaai.restore(_archive(source, data), data, replace=replace, progress=bar.at)
    typer.echo(f"restored {_described(info)} into {data}")


def _archive(source: str, data: Path) -> Path:
    """The archive that is meant: a path, or the name of a snapshot that lies with the data."""
    from lumaai.snapshots import SNAPSHOTS

    path, named = Path(source), data / SNAPSHOTS / source
    return named if not path.exists() and "/" not in source and named.is_dir() else path


@upkeep.command(epilog=examples("lumaai check", "lumaai check --no-repair --json --db ./films-data"))
def check(
    *,
    repair: Annotated[bool, typer.Option("--repair/--no-repair", help="Make anew what can be made anew.")] = True,
    as_json: JsonOption = False,
    directory: DirectoryOption = None,
    url: UrlOption = None,
) -> None:
    """Read every file and compare it with its checksums and with the store.

    What is derived from the store (indexes) is made again where it is damaged. The exit code is 1 where something is
    wrong and stays wrong.
    """
    is_remote = service_address(directory, url) is not None
    with opened(directory, url) as database, _progress("checking", is_remote=is_remote) as bar:
        report = database.check(repair=repair, progress=bar.at)
    if as_json:
        output.print_json(report.to_json())
    else:
        _print_report(report)
    if not report.is_sound:
        raise typer.Exit(1)


def _print_report(report: CheckReport) -> None:
    for problem in report.problems:
        state = "repaired" if problem.repaired else "damaged"
        place = " ".join(filter(None, (problem.file, problem.collection and f"({problem.collection})")))
        typer.echo(f"{state}  {place or 'indexes'}: {problem.what}")
        for start in range(0, len(problem.ids), IDS_A_LINE):
            typer.echo(f"          lost: {' '.join(problem.ids[start : start + IDS_A_LINE])}")
    read = ", ".join(
        (
            output.plural(report.files, "file"),
            output.plural(report.documents, "document"),
            output.plural(report.rows, "row"),
        )
    )
    found = output.plural(len(report.problems), "problem") if report.problems else "nothing wrong"
    typer.echo(f"checked {read}: {found}")


@upkeep.command(epilog=examples("lumaai compact", "lumaai compact --url http://127.0.0.1:8000"))
def compact(*, as_json: JsonOption = False, directory: DirectoryOption = None, url: UrlOption = None) -> None:
    """Give back the disk that deleted and replaced documents take."""
    is_remote = service_address(directory, url) is not None
    with opened(directory, url) as database, _progress("compacting", is_remote=is_remote) as bar:
        figures = database.compact(progress=bar.at)
    _print_figures("compacted", figures, as_json=as_json)


@upkeep.command(epilog=examples("lumaai delete users 4711 && lumaai purge"))
def purge(*, as_json: JsonOption = False, directory: DirectoryOption = None, url: UrlOption = None) -> None:
    """Leave nothing of what was deleted in any file of the database.

    Snapshots are not touched: delete those that hold what must go.
    """
    is_remote = service_address(directory, url) is not None
    with opened(directory, url) as database, _progress("purging", is_remote=is_remote) as bar:
        figures = database.purge(progress=bar.at)
    _print_figures("purged", figures, as_json=as_json)


def _print_figures(done: str, figures: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        output.print_json(figures)
    else:
        before, after = figures["disk_bytes_before"], figures["disk_bytes_after"]
        typer.echo(f"{done}: {output.size(before)} → {output.size(after)} in {figures['seconds']:.1f} s")
    if figures["snapshots"]:
        names = ", ".join(figures["snapshots"])
        typer.echo(f"lumaai: snapshots still hold what they held: {names}", err=True)


@upkeep.command(
    epilog=examples(
        "lumaai changes films",
        "lumaai changes --from 41 --limit 100",
        "lumaai changes --follow --url http://127.0.0.1:8000 | jq -c '[.sequence, .deleted]'",
    )
)
def changes(
    collection: Annotated[
        str | None, typer.Argument(metavar="COLLECTION", help="Only its changes.", show_default=False)
    ] = None,
    *,
    after: Annotated[
        int | None,
        typer.Option(
            "--from",
            metavar="SEQUENCE",
            min=0,
            help="Only what came after it. [default: all that is kept]",
            show_default=False,
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", "-n", min=1, help="How many at most. [default: all]")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait for more until Ctrl-C.")] = False,
    directory: DirectoryOption = None,
    url: UrlOption = None,
) -> None:
    """Print what was written and deleted, one JSON object a write."""
    left = limit
    with opened(directory, url, reading=True) as database:
        if after is None:
            after = _oldest(database, collection)
        while left is None or left > 0:
            found = database.changes(after, collection=collection, limit=min(1000, left or 1000))
            for change in found:
                output.print_json_line(change.to_json())
            left = None if left is None else left - len(found)
            if found.next == after:
                if not follow:
                    break
                time.sleep(FOLLOW_SECONDS)
                database.refresh()
            after = found.next


def _oldest(database: Database | Client, collection: str | None) -> int:
    """After which sequence the log still holds every change; what came before is told of where there is any."""
    try:
        database.changes(0, collection=collection, limit=1)
    except ChangesGoneError as error:
        oldest = next((int(detail.expected) for detail in error.errors if isinstance(detail.expected, int)), None)
        if oldest is None:
            raise
        note = "what came before is in the collections alone (`lumaai get`, or a scroll)"
        typer.echo(f"lumaai: changes are kept from sequence {oldest} on; {note}", err=True)
        return oldest
    return 0


@upkeep.command(epilog=examples("lumaai stats", "lumaai stats films --json", "lumaai stats films --fields"))
def stats(
    collection: Annotated[
        str | None, typer.Argument(metavar="COLLECTION", help="Only it. [default: all]", show_default=False)
    ] = None,
    *,
    fields: Annotated[
        bool, typer.Option("--fields", help="What the values of each field are like, of a collection.")
    ] = False,
    as_json: JsonOption = False,
    directory: DirectoryOption = None,
    url: UrlOption = None,
) -> None:
    """Print what the database, or a collection, takes: documents, disk, memory; or what its fields are like."""
    if fields and collection is None:
        raise typer.BadParameter("name the collection whose fields are wanted", param_hint="--fields")
    with opened(directory, url, reading=True) as database:
        if fields and collection is not None:
            found = database[collection].statistics()
            output.print_json(found) if as_json else print_fields(found)
            return
        figures = database.stats() if collection is None else database[collection].stats()
    if as_json:
        output.print_json(figures)
    else:
        output.print_table(output.figure_rows(figures))
