"""The commands, thin: each opens its target, makes one call of the library and prints the result."""

from __future__ import annotations

import gc
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from lumaai.cli import output
from lumaai.cli.asking import asking, programs_app
from lumaai.cli.bench import bench
from lumaai.cli.completion import completing
from lumaai.cli.counting import counting
from lumaai.cli.evaluation import evaluation
from lumaai.cli.jobs import jobs_app
from lumaai.cli.keys import keys_app
from lumaai.cli.mcp import serving
from lumaai.cli.models import models_app
from lumaai.cli.options import FilterOption, JsonOption, YesOption, confirm, examples, parsed_filter
from lumaai.cli.search import searching
from lumaai.cli.shell import shells
from lumaai.cli.sql import queries
from lumaai.cli.target import DirectoryOption, UrlOption, data_directory, opened, refuse_file
from lumaai.cli.teaching import lessons_app, teaching
from lumaai.cli.top import top
from lumaai.cli.upkeep import snapshot, upkeep
from lumaai.errors import DatabaseLockedError, LumaError, UnauthorizedError
from lumaai.options import check_durability
from lumaai.sizes import bytes_of

if TYPE_CHECKING:
    from lumaai.results import CollectionInfo

INTERRUPTED = 130  # what shells expect of a program that Ctrl-C ended

EXAMPLES = """
\b
Try:
  lumaai demo                                   see it work on Python's own documentation
  lumaai add films films.jsonl                  documents from JSONL, JSON, CSV, Parquet, text, Markdown
  lumaai ingest docs/                           a directory: also HTML, PDF, Word and source code; again for changes
  lumaai search films "a space opera"           what is nearest in meaning
  lumaai search films robots --filter "year >= 1990 AND genre = 'drama'"
  lumaai ask "How many films are there per genre?"
  lumaai sql "SELECT genre, count(*) FROM films GROUP BY genre"
  lumaai shell                                  SQL, questions and searches, one after the other
  lumaai serve                                  the same over HTTP; add --url to the commands above
  lumaai snapshot create                        keep it all as it is now; lumaai restore goes back
"""


class Commands(TyperGroup):
    """The group of all commands: says expected failures in one line, with exit code 1, whichever command met them."""

    def invoke(self, ctx: Any) -> Any:
        """Runs the chosen command."""
        try:
            return super().invoke(ctx)
        except UnauthorizedError as error:
            state = "which is set to another one" if os.environ.get("LUMAAI_API_KEY") else "which is not set"
            _complain(f"{error.message} (it is read from $LUMAAI_API_KEY, {state})")
        except DatabaseLockedError as error:
            _complain(f"{error.message}: give --url of the service that has it open, or stop that process")
        except LumaError as error:
            _complain(error.message)
            for detail in error.errors:
                if detail.message not in error.message:
                    _complain(f"  {detail.pointer}: {detail.message}")
        except KeyboardInterrupt as error:
            _complain(str(error) or "interrupted")
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:
            raise
        except OSError as error:
            _complain(f"{error.strerror or error}: {error.filename}" if error.filename else str(error))
        raise typer.Exit(1)


app = typer.Typer(
    cls=Commands,
    help="LumaDB AI: documents in, meaning and answers out.",
    epilog=EXAMPLES,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

Collection = Annotated[str, typer.Argument(metavar="COLLECTION", help="Name of the collection.", show_default=False)]


def _complain(message: str) -> None:
    typer.echo(output.plain(f"lumaai: {message}"), err=True)


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it with the option's value
    if wanted:
        from lumaai import __version__

        typer.echo(f"lumaai {__version__}")
        raise typer.Exit


@app.callback()
def options(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """LumaDB AI: documents in, meaning and answers out."""


@app.command(
    epilog=examples(
        "lumaai add films films.jsonl more.csv",
        "lumaai add notes *.md --db ./notes-data",
        "lumaai add films films.jsonl --embed title,plot",
        "lumaai scroll films | lumaai add copies -",
        "lumaai add films films.jsonl --strict --url http://127.0.0.1:8000",
    )
)
def add(
    collection: Collection,
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE", help="JSONL, JSON, CSV, Parquet, text or Markdown; - reads JSONL from standard input."
        ),
    ],
    *,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first bad line.")] = False,
    embed: Annotated[
        str | None,
        typer.Option(metavar="FIELD,…", help="What a new collection embeds. [default: all text]", show_default=False),
    ] = None,
    no_embed: Annotated[bool, typer.Option("--no-embed", help="A new collection embeds nothing.")] = False,
    insert: Annotated[bool, typer.Option("--insert", help="Leave out documents that are there already.")] = False,
    patch: Annotated[bool, typer.Option("--patch", help="Change documents that are there: JSON Merge Patch.")] = False,
    durability: Annotated[
        str | None, typer.Option(metavar="sync|interval|none", help="When a batch counts as written. [default: sync]")
    ] = None,
    directory: DirectoryOption = None,
    url: UrlOption = None,
) -> None:
    """Add the documents of files to a collection.

    A collection that is missing is made. Documents with a known id are replaced, unchanged ones cost nothing,
    a bad line is reported and left out.
    """
    from lumaai.cli.adding import HowToWrite, add_files, refuse_unreadable, with_standard_input

    fields = _embedded_fields(embed, no_embed=no_embed)
    if insert and patch:
        raise typer.BadParameter("give --insert or --patch, not both")
    if durability is not None:
        check_durability(durability)
    how = HowToWrite("insert" if insert else "patch" if patch else "add", durability)
    with with_standard_input(files) as paths:
        refuse_unreadable(paths)
        with opened(directory, url, make=True) as database:
            failed = add_files(database, collection, paths, strict=strict, embed=fields, how=how)
    if failed:
        raise typer.Exit(1)


@app.command(
    epilog=examples(
        "lumaai ingest docs/",
        'lumaai ingest . --into project --include "*.py" --include "*.md" --exclude tests/',
        "lumaai ingest docs/ --sync --url http://127.0.0.1:8000",
    )
)
def ingest(
    path: Annotated[Path, typer.Argument(metavar="DIR", help="A directory, or one file.", show_default=False)],
    *,
    into: Annotated[
        str | None, typer.Option(metavar="COLLECTION", help="[default: the directory's name]", show_default=False)
    ] = None,
    include: Annotated[
        list[str] | None, typer.Option(metavar="PATTERN", help="Only files that match; repeatable.")
    ] = None,
    exclude: Annotated[list[str] | None, typer.Option(metavar="PATTERN", help="Not these; repeatable.")] = None,
    sync: Annotated[bool, typer.Option("--sync", help="Remove the documents of files that are gone.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Read unchanged files too.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first bad record.")] = False,
    prefix: Annotated[str, typer.Option(metavar="TEXT", help="In front of the files' names.")] = "",
    hidden: Annotated[bool, typer.Option("--hidden", help="Take names that begin with a dot.")] = False,
    no_gitignore: Annotated[bool, typer.Option("--no-gitignore", help="Take what .gitignore leaves out.")] = False,
    follow_symlinks: Annotated[bool, typer.Option("--follow-symlinks", help="Go where symbolic links lead.")] = False,
    embed: Annotated[
        str | None,
        typer.Option(metavar="FIELD,…", help="What a new collection embeds. [default: all text]", show_default=False),
    ] = None,
    splitter: Annotated[
        str | None,
        typer.Option(metavar="auto|sentences|markdown|code|none", help="How a new collection splits long text."),
    ] = None,
    directory: DirectoryOption = None,
    url: UrlOption = None,
) -> None:
    """Ingest a directory: text, Markdown, HTML, PDF, Word, source code, CSV, JSON, Parquet.

    Run it again to bring in what is new or has changed; stopped in the middle, it goes on from there. HTML, PDF,
    Word and text that is not UTF-8 need the extra: pip install 'lumaai[readers]'.
    """
    from lumaai.cli.adding import ingest_path, refuse_missing

    refuse_missing(path)
    name = into or re.sub(r"[^A-Za-z0-9_.-]+", "-", path.resolve().name).lstrip(".-") or "files"
    options = {
        "include": include, "exclude": exclude or (), "sync": sync, "force": force, "strict": strict, "prefix": prefix,
        "hidden": hidden, "gitignore": not no_gitignore, "follow_symlinks": follow_symlinks,
    }  # fmt: skip
    with opened(directory, url, make=True) as database:
        failed = ingest_path(
            database, name, path, options, embed=_embedded_fields(embed, no_embed=False), splitter=splitter
        )
    if failed:
        raise typer.Exit(1)


def _embedded_fields(embed: str | None, *, no_embed: bool) -> list[str] | None:
    """What `--embed` and `--no-embed` ask for: fields, none of them, or nothing in particular."""
    if embed is None:
        return [] if no_embed else None
    if no_embed:
        raise typer.BadParameter("give --embed or --no-embed, not both")
    fields = [name.strip() for name in embed.split(",")]
    if not all(fields):
        raise typer.BadParameter(f"not names of fields: {embed!r}", param_hint="--embed")
    return fields


@app.command("collections")
def list_collections(*, as_json: JsonOption = False, directory: DirectoryOption = None, url: UrlOption = None) -> None:
    """List the collections."""
    with opened(directory, url, reading=True) as database:
        infos = database.infos()
    if as_json:
        output.print_json([info.to_json() for info in infos])
    elif infos:
        output.print_table((info.name, _size_of(info)) for info in infos)
    else:
        typer.echo("no collections yet; `lumaai add COLLECTION FILE` makes one")


def _size_of(info: CollectionInfo) -> str:
    return output.plural(info.documents, "document") if info.damaged is None else info.damaged


@app.command()
def get(
    collection: Collection,
    ids: Annotated[list[str], typer.Argument(metavar="ID", help="Ids of documents.", show_default=False)],
    *,
    directory: DirectoryOption = None,
    url: UrlOption = None,
) -> None:
    """Print documents by id, as JSON."""
    with opened(directory, url, reading=True) as database:
        documents = database[collection].get(ids)
    missing = [identity for identity, document in zip(ids, documents, strict=True) if document is None]
    for document in documents:
        if document is not None:
            output.print_json(document)
    for identity in missing:
        _complain(f"no document {identity} in {collection}")
    if missing:
        raise typer.Exit(1)


@app.command()
def count(
    collection: Collection,
    *,
    filter_text: FilterOption = None,
    explain: Annotated[bool, typer.Option("--explain", help="Say as JSON how the filter was evaluated.")] = False,
    directory: DirectoryOption = None,
    url: UrlOption = None,
) -> None:
    """Print how many documents there are, or match a filter."""
    conditions = parsed_filter(filter_text)
    with opened(directory, url, reading=True) as database:
        if explain:
            output.print_json(database[collection].explain(conditions if conditions is not None else {}))
        else:
            typer.echo(database[collection].count(conditions))


@app.command(
    epilog=examples("lumaai delete films 12 15", 'lumaai delete films --filter \'{"year": {"$lt": 1930}}\' --dry-run')
)
def delete(
    collection: Collection,
    ids: Annotated[list[str] | None, typer.Argument(metavar="ID", show_default=False)] = None,
    *,
    filter_text: FilterOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count them and delete nothing.")] = False,
    directory: DirectoryOption = None,
    url: UrlOption = None,
) -> None:
    """Delete documents by id, or all that satisfy a filter."""
    conditions = parsed_filter(filter_text)
    if bool(ids) == (conditions is not None):
        raise typer.BadParameter("give ids or --filter, one of the two")
    with opened(directory, url) as database:
        result = database[collection].delete(ids=ids or None, filter=conditions, dry_run=dry_run)
    verb = "would delete" if dry_run else "deleted"
    typer.echo(f"{verb} {output.plural(result.deleted, 'document')}")


@app.command()
def drop(
    collection: Collection,
    *,
    yes: YesOption = False,
    directory: DirectoryOption = None,
    url: UrlOption = None,
) -> None:
    """Remove a collection and everything in it."""
    with opened(directory, url) as database:
        info = next(iter(database.infos([collection])), None) or database.collection(collection).info()
        documents = _size_of(info) if info.damaged is None else "documents that cannot be read"
        if not yes:
            confirm(f"Remove {collection} with {documents}?")
        database.drop(collection)
    typer.echo(f"removed {collection} ({documents})")


@app.command()
def optimize(collection: Collection, *, directory: DirectoryOption = None, url: UrlOption = None) -> None:
    """Merge a collection's segments into one."""
    with opened(directory, url) as database:
        database[collection].optimize(wait=True)
        documents = database[collection].count()
    typer.echo(f"optimized {collection} ({output.plural(documents, 'document')})")


app.add_typer(searching)
app.add_typer(asking)
app.add_typer(programs_app, name="programs")
app.add_typer(teaching)
app.add_typer(lessons_app, name="lessons")
app.add_typer(counting)
app.add_typer(queries)
app.add_typer(shells)
app.add_typer(evaluation)
app.add_typer(upkeep)
app.command(epilog=examples("lumaai top", "lumaai top --url http://10.0.0.7:8000 --interval 5", "lumaai top --json"))(
    top
)
app.add_typer(snapshot, name="snapshot")
app.add_typer(jobs_app, name="jobs")
app.add_typer(models_app, name="models")
app.add_typer(keys_app, name="keys")
app.add_typer(serving)
app.add_typer(completing)
app.add_typer(bench, name="bench")


@app.command(epilog=examples("lumaai serve --data ./films-data", "LUMAAI_API_KEY=… lumaai serve --host 0.0.0.0"))
def serve(
    *,
    host: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Where to listen. [$LUMAAI_HOST; default: 127.0.0.1]")
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="0 takes a free one. [$LUMAAI_PORT; default: 8000]")
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", "--db", metavar="DIR", help="[$LUMAAI_DATA; default: ./data]")
    ] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Allow an address that others reach without an API key.")
    ] = False,
    durability: Annotated[
        str | None,
        typer.Option(metavar="sync|interval|none", help="Of writes that ask for none. [default: sync]"),
    ] = None,
    memory: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Of all caches together, e.g. 512MB. [$LUMAAI_MEMORY_BYTES_MAX]")
    ] = None,
    device: Annotated[
        str | None, typer.Option(metavar="auto|cpu|cuda", help="Where vectors are searched. [$LUMAAI_DEVICE]")
    ] = None,
    snapshots: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where snapshots are kept. [default: DIR/snapshots]")
    ] = None,
) -> None:
    """Serve a database over HTTP until Ctrl-C.

    A key that may do everything is taken from $LUMAAI_API_KEY, others are made by `lumaai keys create`; without any,
    only this machine can connect. With durability sync a write is answered when it is on disk, with interval within
    $LUMAAI_SYNC_INTERVAL_SECONDS (0.05) of that.
    """
    directory = data or data_directory()
    refuse_file(directory)
    gc.disable()  # until it answers: what is made by then stays, and looking through it takes a tenth of the time
    try:
        from lumaai.server import serve as run

        run(
            directory=directory, host=host, port=port, insecure=insecure or None, durability=durability,
            memory_bytes_max=None if memory is None else _bytes(memory), device=device, snapshots_directory=snapshots,
        )  # fmt: skip
    finally:
        gc.enable()


def _bytes(size: str) -> int:
    """Bytes of a size such as 512MB, 2 GiB or 100000."""
    try:
        return bytes_of(size)
    except ValueError as error:
        raise typer.BadParameter(f"{error}: {size!r}", param_hint="--memory") from error


@app.command()
def demo(
    *,
    data: Annotated[Path, typer.Option("--data", metavar="DIR", help="Where the demo's database is kept.")] = Path(
        "demo-data"
    ),
) -> None:
    """Show it all on Python's own documentation."""
    from lumaai.demo import run as run_demo

    run_demo(data)
