"""LumaDB AI: a vector-first document database and question answering service.

`connect("./data")` opens a directory in this process, `connect("http://…")` a running service; both answer
the same calls with the same result types. Names are loaded when they are first used, so importing `lumaai`
costs next to nothing and a program that only talks to a service never loads an index or a model.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lumaai.aio.client import AsyncClient
    from lumaai.aio.collection import AsyncCollection
    from lumaai.client import Client
    from lumaai.collection import Collection
    from lumaai.database import Database
    from lumaai.errors import (
        ChangesGoneError,
        ConflictError,
        ConnectionFailedError,
        CorruptionError,
        DatabaseClosedError,
        DatabaseLockedError,
        ErrorDetail,
        ForbiddenError,
        GoneError,
        InternalError,
        InvalidRequestError,
        LumaError,
        ModelMismatchError,
        ModelUnavailableError,
        NotFoundError,
        NotSupportedError,
        OverloadedError,
        PreconditionFailedError,
        ReadOnlyError,
        StorageFullError,
        TooLargeError,
        UnauthorizedError,
    )
    from lumaai.ingestion import IngestSummary, ingest
    from lumaai.model_options import ModelOptions
    from lumaai.remote_collection import RemoteCollection
    from lumaai.reports import Change, Changes, CheckProblem, CheckReport, SnapshotInfo
    from lumaai.results import (
        BatchHits,
        CollectionInfo,
        DeleteResult,
        DocumentResult,
        Fetched,
        Hit,
        Hits,
        PassageHit,
        ScrollPage,
        WriteResult,
    )

__version__ = "0.1.0"

_EXPORTS = {
    "AsyncClient": "lumaai.aio.client",
    "AsyncCollection": "lumaai.aio.collection",
    "BatchHits": "lumaai.results",
    "Change": "lumaai.reports",
    "Changes": "lumaai.reports",
    "ChangesGoneError": "lumaai.errors",
    "CheckProblem": "lumaai.reports",
    "CheckReport": "lumaai.reports",
    "Client": "lumaai.client",
    "Collection": "lumaai.collection",
    "CollectionInfo": "lumaai.results",
    "ConflictError": "lumaai.errors",
    "ConnectionFailedError": "lumaai.errors",
    "CorruptionError": "lumaai.errors",
    "Database": "lumaai.database",
    "DatabaseClosedError": "lumaai.errors",
    "DatabaseLockedError": "lumaai.errors",
    "DeleteResult": "lumaai.results",
    "DocumentResult": "lumaai.results",
    "ErrorDetail": "lumaai.errors",
    "Fetched": "lumaai.results",
    "ForbiddenError": "lumaai.errors",
    "GoneError": "lumaai.errors",
    "Hit": "lumaai.results",
    "Hits": "lumaai.results",
    "IngestSummary": "lumaai.ingestion",
    "InternalError": "lumaai.errors",
    "InvalidRequestError": "lumaai.errors",
    "LumaError": "lumaai.errors",
    "ModelMismatchError": "lumaai.errors",
    "ModelOptions": "lumaai.model_options",
    "ModelUnavailableError": "lumaai.errors",
    "NotFoundError": "lumaai.errors",
    "NotSupportedError": "lumaai.errors",
    "OverloadedError": "lumaai.errors",
    "PassageHit": "lumaai.results",
    "PreconditionFailedError": "lumaai.errors",
    "ReadOnlyError": "lumaai.errors",
    "RemoteCollection": "lumaai.remote_collection",
    "ScrollPage": "lumaai.results",
    "SnapshotInfo": "lumaai.reports",
    "StorageFullError": "lumaai.errors",
    "TooLargeError": "lumaai.errors",
    "UnauthorizedError": "lumaai.errors",
    "WriteResult": "lumaai.results",
    "ingest": "lumaai.ingestion",
}

__all__ = [
    "AsyncClient",
    "AsyncCollection",
    "BatchHits",
    "Change",
    "Changes",
    "ChangesGoneError",
    "CheckProblem",
    "CheckReport",
    "Client",
    "Collection",
    "CollectionInfo",
    "ConflictError",
    "ConnectionFailedError",
    "CorruptionError",
    "Database",
    "DatabaseClosedError",
    "DatabaseLockedError",
    "DeleteResult",
    "DocumentResult",
    "ErrorDetail",
    "Fetched",
    "ForbiddenError",
    "GoneError",
    "Hit",
    "Hits",
    "IngestSummary",
    "InternalError",
    "InvalidRequestError",
    "LumaError",
    "ModelMismatchError",
    "ModelOptions",
    "ModelUnavailableError",
    "NotFoundError",
    "NotSupportedError",
    "OverloadedError",
    "PassageHit",
    "PreconditionFailedError",
    "ReadOnlyError",
    "RemoteCollection",
    "ScrollPage",
    "SnapshotInfo",
    "StorageFullError",
    "TooLargeError",
    "UnauthorizedError",
    "WriteResult",
    "__version__",
    "connect",
    "connect_async",
    "ingest",
    "restore",
]


def connect(
    target: str | Path,
    *,
    api_key: str | None = None,
    timeout_seconds: float = 60.0,
    progress: Callable[[str, float], None] | None = None,
    read_only: bool = False,
    model_options: ModelOptions | None = None,
) -> Database | Client:
    """Open a database directory in this process, or a client of the service at an address.

    Questions to a directory are planned by the language model that the environment names (`OPENAI_API_KEY`,
    `ANTHROPIC_API_KEY`, `LUMAAI_LLM_PROVIDER` or `LUMAAI_LLM_BASE_URL`), where it names one.

    Args:
        target: a directory (made if it is missing), or an address starting with `http://` or `https://`.
        api_key: the service's key. Only for an address.
        timeout_seconds: how long the client waits for one request. Only for an address.
        progress: called with a stage and a fraction 0..1 while a model is made ready. Only for a directory.
        read_only: look at a directory that another process may be writing to, as of now and of each `refresh`.
        model_options: how models are run, and where the vectors of texts are kept; by default as the environment says
            (`LUMAAI_EMBEDDING_PRECISION`, `LUMAAI_EMBEDDING_CACHE` and others). Only for a directory.

    Raises:
        DatabaseLockedError: another process has the directory open.
        ConnectionFailedError: raised by the client's first request when nothing answers.
        InvalidRequestError: a key was given for a directory, `read_only` for an address, or the directory cannot be
            used; or `target` looks like an address that does not begin with `http://` or `https://`.
    """
    if isinstance(target, str) and target.lower().startswith(("http://", "https://")):
        from lumaai.client import Client

        if read_only:
            from lumaai.errors import InvalidRequestError

            raise InvalidRequestError("read_only belongs to a directory: what a service allows is its own affair")
        if model_options is not None:
            from lumaai.errors import InvalidRequestError

            raise InvalidRequestError("model_options belong to a directory: a service has its own")
        return Client(target, api_key=api_key, timeout_seconds=timeout_seconds)
    _check_no_address(target)
    if api_key is not None:
        from lumaai.errors import InvalidRequestError

        raise InvalidRequestError("api_key belongs to an http address: a directory has no key")
    if not read_only:
        _check_unlocked(target)
    from lumaai.database import Database
    from lumaai.environment import configured_llm, configured_model_options

    options = model_options or configured_model_options()
    return Database(target, llm=configured_llm, progress=progress, read_only=read_only, model_options=options)


def connect_async(url: str, *, api_key: str | None = None, timeout_seconds: float = 60.0) -> AsyncClient:
    """An asynchronous client of the service at an address: what `connect` gives for one, as coroutines.

    `async with lumaai.connect_async("http://…") as db: films = await db["films"]`. It belongs to one event loop.

    Args:
        url: an address starting with `http://` or `https://`.
        api_key: the service's key.
        timeout_seconds: how long the client waits for one request.

    Raises:
        InvalidRequestError: `url` is not an address.
    """
    from lumaai.aio.client import AsyncClient

    return AsyncClient(url, api_key=api_key, timeout_seconds=timeout_seconds)


def _check_no_address(target: str | Path) -> None:
    """Refuse `localhost:8000` and `htp://…`, of which else a directory would be made."""
    import re

    if isinstance(target, str) and re.match(r"[\w+.-]+://|[\w.-]+:\d+/?$", target):
        from lumaai.errors import InvalidRequestError

        message = f"an address begins with http:// or https://, a directory of such a name with ./: got={target}"
        raise InvalidRequestError(message)


def _check_unlocked(target: str | Path) -> None:
    """At once, before a second of imports; what else is wrong with the directory is found by opening it."""
    import os

    import engine
    from lumaai.translation import translated

    if isinstance(target, str | os.PathLike):
        translated(engine.check_unlocked)(target)


def restore(
    source: str | Path,
    target: str | Path,
    *,
    replace: bool = False,
    progress: Callable[[str, float], None] | None = None,
) -> SnapshotInfo:
    """Make the database in a directory what a snapshot holds; it must not be open anywhere.

    Args:
        source: a snapshot, as a directory or a tar.
        target: a directory, made if it is missing.
        replace: give up the database that is there. It stays as it is until the snapshot has been found whole.
        progress: called with a stage and a fraction 0..1.

    Raises:
        InvalidRequestError: the snapshot is damaged or none, or the target is taken (code "archive_invalid"); nothing
            was changed.
        DatabaseLockedError: somebody has the target open.
    """
    from lumaai.upkeep import restore_directory

    return restore_directory(source, target, replace=replace, progress=progress)


def __getattr__(name: str) -> Any:
    module = _EXPORTS.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(module), name)


def __dir__() -> list[str]:
    return sorted(__all__)
