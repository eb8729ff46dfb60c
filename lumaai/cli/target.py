"""Which database a command works on: a directory opened here, or a service at an address."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lumaai.errors import DatabaseLockedError, InvalidRequestError, LumaError, NotFoundError, StorageFullError

if TYPE_CHECKING:
    from lumaai import Client, Database, ModelOptions
    from models import LLM

# What the system says of a place that may only be read.
_UNWRITABLE = frozenset({errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOSPC, errno.EDQUOT})
DEFAULT_DIRECTORY = Path("data")

DirectoryOption = Annotated[
    Path | None, typer.Option("--db", metavar="DIR", help="Database directory. [$LUMAAI_DATA; default: ./data]")
]
UrlOption = Annotated[
    str | None, typer.Option("--url", metavar="URL", help="Ask a service instead. [$LUMAAI_URL; key: $LUMAAI_API_KEY]")
]


def opened(directory: Path | None, url: str | None, *, make: bool = False, reading: bool = False) -> Database | Client:
    """The database meant by `--db`, else `--url`, else $LUMAAI_URL, else $LUMAAI_DATA, else ./data.

    Args:
        directory: `--db`.
        url: `--url`.
        make: whether a directory that is missing is made; commands that only read do not leave empty databases.
        reading: nothing will be written, so that a directory will do as well which another process has open, or that
            cannot be written to.

    Raises:
        typer.BadParameter: both `--db` and `--url` were given.
        InvalidRequestError: it is a file.
        NotFoundError: there is no such directory, and `make` is false.
    """
    import lumaai

    if directory is not None and url is not None:
        raise typer.BadParameter("give --db or --url, not both")
    address = service_address(directory, url)
    if address:
        if not address.lower().startswith(("http://", "https://")):
            raise typer.BadParameter(f"not an address (http://… or https://…): {address}", param_hint="--url")
        return lumaai.connect(address, api_key=os.environ.get("LUMAAI_API_KEY") or None)
    place = directory or data_directory()
    refuse_file(place)
    if not make and not place.is_dir():
        raise NotFoundError(f"there is no database at {place}; `lumaai add` makes one", code="database_not_found")
    options: dict[str, Any] = {
        "default_model": os.environ.get("LUMAAI_MODEL") or None,
        "model_options": _model_options(),
        "llm": _language_model,
        "progress": _say_model_progress,
        "snapshots_directory": os.environ.get("LUMAAI_SNAPSHOTS_DIRECTORY") or None,
    }
    try:
        return lumaai.Database(place, **options)
    except LumaError as error:
        if not (reading and _can_be_read(error)):
            raise
        return lumaai.Database(place, **options, read_only=True)


def _can_be_read(error: LumaError) -> bool:
    """Whether a directory that could not be opened so may yet be read."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, DatabaseLockedError | StorageFullError):
            return True
        if isinstance(cause, OSError) and cause.errno in _UNWRITABLE:
            return True
        cause = cause.__cause__
    return os.strerror(errno.EROFS) in error.message  # as the store says it


def service_address(directory: Path | None, url: str | None) -> str | None:
    """The address of the service that is meant; None where it is a directory."""
    return url or (None if directory else os.environ.get("LUMAAI_URL")) or None


def refuse_file(place: Path) -> None:
    """Stops where a file stands in place of a database's directory.

    Raises:
        InvalidRequestError: it does.
    """
    if place.is_file():
        raise InvalidRequestError(f"{place} is a file, not a directory", code="directory_unusable")


def data_directory() -> Path:
    """$LUMAAI_DATA, or ./data."""
    return Path(os.environ.get("LUMAAI_DATA") or DEFAULT_DIRECTORY)


def _language_model() -> LLM | None:
    """The language model that the environment names, if it does; asked for with the first question."""
    from lumaai.settings import load_settings

    return load_settings().llm


def _model_options() -> ModelOptions:
    """How models are run, as the environment says."""
    from lumaai.environment import configured_model_options

    return configured_model_options()


def _say_model_progress(stage: str, fraction: float) -> None:
    """Says in one line of a terminal's stderr how far the model is; the line is gone when it is ready."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{stage} … {fraction:.0%}" if fraction < 1.0 else "\r\033[K")
        sys.stderr.flush()
