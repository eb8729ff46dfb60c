"""`lumaai add`: files into a collection, with a progress bar on stderr and every bad line named."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console

from lumaai.cli.output import plural
from lumaai.errors import LumaError, NotFoundError
from lumaai.ingestion import IngestSummary, Progress, ingest, read
from lumaai.progress import DocumentProgress

if TYPE_CHECKING:
    from lumaai import Client, Collection, Database, RemoteCollection


def refuse_unreadable(files: Sequence[Path]) -> None:
    """Stops before a database is made, if there is no file to read at all; where there is one, `ingest` reports.

    Raises:
        InvalidRequestError: why the first of them cannot be read.
    """
    if not any(path.is_file() for path in files):
        for path in files:
            next(read(path), None)


def add_files(database: Database | Client, name: str, files: Sequence[Path], *, strict: bool) -> bool:
    """Adds the files' documents and prints what became of them; whether something failed.

    A collection that this call made, and that nothing went into, is not left behind.
    """
    collection, is_new = _collection(database, name)
    try:
        summary = _ingested(collection, files, strict=strict)
    except LumaError:
        if is_new and collection.count() == 0:
            database.drop(name)
        raise
    if is_new and summary.documents == 0:
        database.drop(name)
    _report(summary)
    return bool(summary.failed)


def _collection(database: Database | Client, name: str) -> tuple[Collection | RemoteCollection, bool]:
    try:
        return database.collection(name), False
    except NotFoundError:
        return database.create_collection(name), True


def _ingested(collection: Collection | RemoteCollection, files: Sequence[Path], *, strict: bool) -> IngestSummary:
    console = Console(stderr=True, highlight=False, markup=False)
    with DocumentProgress(console, f"adding to {collection.name}") as bar:

        def show(progress: Progress) -> None:
            bar.at(progress.documents, progress.fraction)

        return ingest(collection, files, strict=strict, on_progress=show)


def _report(summary: IngestSummary) -> None:
    for failure in summary.failed:
        # What is wrong with a whole file names the file itself.
        typer.echo(f"lumaai: {failure if failure.position else failure.reason}", err=True)
    rate = summary.documents / max(summary.seconds, 1e-9)
    typer.echo(
        f"{summary.added:,} added, {summary.replaced:,} replaced, {summary.skipped:,} unchanged, "
        f"{len(summary.failed):,} failed: {plural(summary.documents, 'document')} "
        f"in {summary.seconds:.1f} s ({rate:,.0f}/s)"
    )
