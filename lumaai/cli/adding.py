"""`lumaai add`: files into a collection, with a progress bar on stderr and every bad line named."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import typer

from lumaai.cli.output import plain, plural
from lumaai.errors import ConflictError, InvalidRequestError, LumaError, NotFoundError
from lumaai.ingestion import IngestSummary, Progress, ingest, read
from lumaai.progress import DocumentProgress, progress_console

if TYPE_CHECKING:
    from lumaai import Client, Collection, Database, RemoteCollection
    from lumaai.ingestion import DirectorySummary
    from lumaai.results import CollectionInfo, WriteResult

STANDARD_INPUT = Path("-")
_SHARED_SHOWN_MAX = 20


@contextmanager
def with_standard_input(files: Sequence[Path]) -> Iterator[list[Path]]:
    """The files, with what comes from standard input in the place of "-", as JSONL, kept while they are read."""
    if STANDARD_INPUT not in files:
        yield list(files)
        return
    with TemporaryDirectory(prefix="lumaai-") as directory:
        kept = Path(directory) / "stdin.jsonl"
        with kept.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        yield [kept if path == STANDARD_INPUT else path for path in files]


def refuse_unreadable(files: Sequence[Path]) -> None:
    """Stops before a database is made, if there is no file to read at all; where there is one, `ingest` reports.

    Raises:
        InvalidRequestError: why the first of them cannot be read.
    """
    if not any(path.is_file() for path in files):
        for path in files:
            next(read(path), None)


def refuse_missing(path: Path) -> None:
    """Stops before a database is made, if there is nothing at a path.

    Raises:
        InvalidRequestError: there is not.
    """
    if not path.exists():
        raise InvalidRequestError(f"cannot read {path}: no such file or directory", code="file_unreadable")


@dataclass(frozen=True, slots=True)
class HowToWrite:
    """How documents are written.

    Attributes:
        mode: "add", "insert" or "patch".
        durability: "sync", "interval", "none", or None for the database's own.
    """

    mode: str = "add"
    durability: str | None = None


@dataclass(frozen=True, slots=True)
class _Written:
    """A collection whose `add` writes as it is told."""

    collection: Collection | RemoteCollection
    how: HowToWrite

    def info(self) -> CollectionInfo:
        return self.collection.info()

    def add(self, documents: Sequence[Mapping[str, Any]], *, atomic: bool) -> WriteResult:
        match self.how.mode:
            case "insert":
                return self.collection.insert(documents, atomic=atomic, durability=self.how.durability)
            case "patch":
                return self.collection.patch(documents, atomic=atomic, durability=self.how.durability)
        return self.collection.add(documents, atomic=atomic, durability=self.how.durability)


def ingest_path(
    database: Database | Client,
    name: str,
    path: Path,
    options: Mapping[str, Any],
    *,
    embed: Sequence[str] | None,
    splitter: str | None,
) -> bool:
    """Ingests a directory and prints what became of it; whether something failed.

    Args:
        database: open here or behind an address.
        name: of the collection; one that is missing is made.
        path: the directory, or a file.
        options: of `Collection.ingest`.
        embed: fields whose text a new collection embeds.
        splitter: how a new collection splits long text.

    Raises:
        KeyboardInterrupt: what is stored stays, and the next run goes on from there.
    """
    collection, is_new = _collection(database, name, embed, splitter)
    console = progress_console()
    try:
        with DocumentProgress(console, f"ingesting {path.name} into {name}") as bar:
            summary = collection.ingest(path, on_progress=lambda at: bar.at(at.documents, at.fraction), **options)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("interrupted: what was added is stored; running it again goes on from there") from None
    finally:
        if is_new and collection.count() == 0:
            database.drop(name)
    _report(summary.documents)
    _report_files(summary, synced=bool(options.get("sync")))
    return bool(summary.documents.failures)


def _report_files(summary: DirectorySummary, *, synced: bool) -> None:
    counts = [
        f"{plural(summary.read, 'file')} read",
        f"{summary.unchanged:,} unchanged",
        f"{summary.unreadable:,} not readable" if summary.unreadable else "",
        f"{summary.other:,} of other kinds passed over" if summary.other else "",
        f"{plural(summary.removed, 'document')} removed" if summary.removed else "",
    ]
    typer.echo(", ".join(filter(None, counts)))
    for shared in summary.shared[:_SHARED_SHOWN_MAX]:
        typer.echo(plain(f"lumaai: {shared}"), err=True)
    if len(summary.shared) > _SHARED_SHOWN_MAX:
        typer.echo(f"lumaai: … and {len(summary.shared) - _SHARED_SHOWN_MAX:,} more groups of files", err=True)
    if summary.vanished and not synced:
        shown = ", ".join(summary.vanished[:5]) + (", …" if len(summary.vanished) > 5 else "")
        gone = "file is" if len(summary.vanished) == 1 else "files are"
        typer.echo(f"{len(summary.vanished):,} {gone} gone: {shown}; --sync removes their documents")


def add_files(
    database: Database | Client,
    name: str,
    files: Sequence[Path],
    *,
    strict: bool,
    embed: Sequence[str] | None,
    how: HowToWrite,
) -> bool:
    """Adds the files' documents and prints what became of them; whether something failed.

    A collection that this call made, and that nothing went into, is not left behind.

    Args:
        database: open here or behind an address.
        name: of the collection; one that is missing is made.
        files: with the documents.
        strict: stop at the first bad record.
        embed: fields whose text a new collection embeds; an empty list for none, None for all text.
        how: documents are written.

    Raises:
        KeyboardInterrupt: with a message that says what is stored.
        ConflictError: the collection is there and embeds other fields.
    """
    collection, is_new = _collection(database, name, embed)
    try:
        summary = _ingested(collection, files, how, strict=strict, is_new=is_new)
    except (LumaError, KeyboardInterrupt):
        if is_new and collection.count() == 0:
            database.drop(name)
        raise
    if is_new and summary.documents == 0:
        database.drop(name)
    _report(summary)
    return bool(summary.failures)


def _collection(
    database: Database | Client, name: str, embed: Sequence[str] | None, splitter: str | None = None
) -> tuple[Collection | RemoteCollection, bool]:
    try:
        collection = database.collection(name)
    except NotFoundError:
        how = {} if splitter is None else {"splitter": splitter}
        if embed is None:
            return database.create_collection(name, embed={"vector": how} if how else None), True
        # Declared, so that they are text however short their values are.
        fields = {field: {"type": "text"} for field in embed}
        made = {"vector": {"from": list(embed), **how}} if embed else {}
        return database.create_collection(name, fields, embed=made), True
    embedded = _embedded(collection)
    if embed is not None and set(embedded) != set(embed):
        raise ConflictError(
            f"collection {name} is there and embeds {_listed(embedded)}: --embed and --no-embed are for a new one",
            code="collection_exists",
        )
    return collection, False


def _embedded(collection: Collection | RemoteCollection) -> list[str]:
    """The fields whose text the collection embeds, as far as they are known yet."""
    schema = collection.info().schema
    text = [field for field, spec in schema["fields"].items() if spec["type"] == "text"]
    chosen = [text if given["from"] is None else given["from"] for given in schema["embed"].values()]
    return list(dict.fromkeys(field for fields in chosen for field in fields))


def _listed(fields: Sequence[str]) -> str:
    return ", ".join(fields) or "nothing"


def _ingested(
    collection: Collection | RemoteCollection, files: Sequence[Path], how: HowToWrite, *, strict: bool, is_new: bool
) -> IngestSummary:
    console = progress_console()
    stored, told = 0, not is_new
    with DocumentProgress(console, f"adding to {collection.name}") as bar:

        def show(progress: Progress) -> None:
            nonlocal stored, told
            stored = progress.documents - progress.failed
            if stored and not told:
                told = True
                console.print(f"embedding {_listed(_embedded(collection))}", soft_wrap=True)
            bar.at(progress.documents, progress.fraction)

        try:
            return ingest(_Written(collection, how), files, strict=strict, on_progress=show)
        except KeyboardInterrupt:
            kept = f"{plural(stored, 'document')} of these files {'is' if stored == 1 else 'are'} stored"
            raise KeyboardInterrupt(f"interrupted: {kept}; running it again goes on from there") from None


def _report(summary: IngestSummary) -> None:
    for failure in summary.failed:
        # What is wrong with a whole file names the file itself.
        typer.echo(plain(f"lumaai: {failure if failure.position else failure.reason}"), err=True)
    if summary.failures > len(summary.failed):
        typer.echo(f"lumaai: … and {summary.failures - len(summary.failed):,} more", err=True)
    for note in summary.notes:
        typer.echo(plain(f"lumaai: {note}"), err=True)
    rate = summary.documents / max(summary.seconds, 1e-9)
    typer.echo(
        f"{summary.added:,} added, {summary.replaced:,} replaced, {summary.skipped:,} unchanged, "
        f"{summary.failures:,} failed: {plural(summary.documents, 'document')} "
        f"in {summary.seconds:.1f} s ({rate:,.0f}/s)"
    )
