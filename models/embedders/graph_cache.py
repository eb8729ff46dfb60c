"""Built graphs on disk: named by what they were built from, checked by checksum before use.

A graph is two files, `NAME-KEY.onnx` and `NAME-KEY.onnx.sha256`, where KEY is a checksum of weights,
configuration and builder version. Both are written to temporary files, fsynced and renamed, the checksum
last, so that a graph without a matching checksum was never finished or has been damaged: it is built again.
Two processes that build at once write the same bytes under different temporary names; the last rename wins.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from models.embedders.model_files import file_checksum
from models.errors import ModelError

log = logging.getLogger(__name__)

_FILE_MODE = 0o644  # a temporary file is its owner's alone; a finished graph may be shared
_STALE_SECONDS = 3600  # a temporary file this old belongs to a builder that died


def cached_graph(path: Path, build: Callable[[], bytes], *, rebuild: bool = False) -> Path:
    """`path`, built first where it is absent, damaged, or `rebuild` is asked for.

    Raises:
        ModelError: the directory cannot be made or written.
    """
    if rebuild or not _is_intact(path):
        started = time.perf_counter()
        content = build()
        _write(path, content)
        log.info("graph.built", extra={"bytes": len(content), "seconds": time.perf_counter() - started})
    return path


def _checksum_path(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")


def _is_intact(path: Path) -> bool:
    try:
        expected = _checksum_path(path).read_text(encoding="ascii")
        intact = file_checksum(path) == expected
    except (FileNotFoundError, UnicodeDecodeError):
        return False
    except OSError as error:
        raise _unusable(path, error) from error
    if not intact:
        log.warning("graph.damaged", extra={"path": str(path)})
    return intact


def _write(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_stale(path)
        _write_atomically(path, content)
        _write_atomically(_checksum_path(path), hashlib.sha256(content).hexdigest().encode("ascii"))
    except OSError as error:
        raise _unusable(path, error) from error


def _write_atomically(path: Path, content: bytes) -> None:
    descriptor, name = tempfile.mkstemp(prefix=f"{path.name}.", suffix=".tmp", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, _FILE_MODE)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_directory(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_stale(path: Path) -> None:
    """Remove what a killed builder of the same graph left behind."""
    oldest = time.time() - _STALE_SECONDS
    for temporary in path.parent.glob(f"{path.name}.*.tmp"):
        try:
            if temporary.stat().st_mtime < oldest:
                temporary.unlink()
        except FileNotFoundError:
            continue  # another builder was quicker


def _unusable(path: Path, error: OSError) -> ModelError:
    return ModelError(
        f"model cache cannot be used: directory={path.parent} reason={error.strerror or error}",
        directory=str(path.parent),
    )
