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

    from lumaai.client import Client, RemoteCollection
    from lumaai.collection import Collection
    from lumaai.database import Database
    from lumaai.errors import (
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
        StorageFullError,
        TooLargeError,
        UnauthorizedError,
    )
    from lumaai.ingestion import IngestSummary, ingest
    from lumaai.results import (
        BatchHits,
        CollectionInfo,
        DeleteResult,
        Hit,
        Hits,
        PassageHit,
        ScrollPage,
        WriteResult,
    )

__version__ = "0.1.0"

_EXPORTS = {
    "BatchHits": "lumaai.results",
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
    "ErrorDetail": "lumaai.errors",
    "ForbiddenError": "lumaai.errors",
    "GoneError": "lumaai.errors",
    "Hit": "lumaai.results",
    "Hits": "lumaai.results",
    "IngestSummary": "lumaai.ingestion",
    "InternalError": "lumaai.errors",
    "InvalidRequestError": "lumaai.errors",
    "LumaError": "lumaai.errors",
    "ModelMismatchError": "lumaai.errors",
    "ModelUnavailableError": "lumaai.errors",
    "NotFoundError": "lumaai.errors",
    "NotSupportedError": "lumaai.errors",
    "OverloadedError": "lumaai.errors",
    "PassageHit": "lumaai.results",
    "RemoteCollection": "lumaai.client",
    "ScrollPage": "lumaai.results",
    "StorageFullError": "lumaai.errors",
    "TooLargeError": "lumaai.errors",
    "UnauthorizedError": "lumaai.errors",
    "WriteResult": "lumaai.results",
    "ingest": "lumaai.ingestion",
}

__all__ = [
    "BatchHits",
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
    "ErrorDetail",
    "ForbiddenError",
    "GoneError",
    "Hit",
    "Hits",
    "IngestSummary",
    "InternalError",
    "InvalidRequestError",
    "LumaError",
    "ModelMismatchError",
    "ModelUnavailableError",
    "NotFoundError",
    "NotSupportedError",
    "OverloadedError",
    "PassageHit",
    "RemoteCollection",
    "ScrollPage",
    "StorageFullError",
    "TooLargeError",
    "UnauthorizedError",
    "WriteResult",
    "__version__",
    "connect",
    "ingest",
]


def connect(
    target: str | Path,
    *,
    api_key: str | None = None,
    timeout_seconds: float = 60.0,
    progress: Callable[[str, float], None] | None = None,
) -> Database | Client:
    """Open a database directory in this process, or a client of the service at an address.

    Questions to a directory are planned by the language model that the environment names (`OPENAI_API_KEY`,
    `ANTHROPIC_API_KEY` or `LUMAAI_LLM_BASE_URL`), where it names one.

    Args:
        target: a directory (made if it is missing), or an address starting with `http://` or `https://`.
        api_key: the service's key. Only for an address.
        timeout_seconds: how long the client waits for one request. Only for an address.
        progress: called with a stage and a fraction 0..1 while a model is made ready. Only for a directory.

    Raises:
        DatabaseLockedError: another process has the directory open.
        ConnectionFailedError: raised by the client's first request when nothing answers.
        InvalidRequestError: a key was given for a directory, or the directory cannot be used.
    """
    if isinstance(target, str) and target.lower().startswith(("http://", "https://")):
        from lumaai.client import Client

        return Client(target, api_key=api_key, timeout_seconds=timeout_seconds)
    if api_key is not None:
        from lumaai.errors import InvalidRequestError

        raise InvalidRequestError("api_key belongs to an http address: a directory has no key")
    from lumaai.database import Database, configured_llm

    return Database(target, llm=configured_llm, progress=progress)


def __getattr__(name: str) -> Any:
    module = _EXPORTS.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(module), name)


def __dir__() -> list[str]:
    return sorted(__all__)
