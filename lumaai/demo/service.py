"""A service of the demo's own: `lumaai serve` in a child process on a free port of this machine."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import IO

from lumaai.client import Client
from lumaai.errors import ConnectionFailedError, LumaError

HOST = "127.0.0.1"
START_TIMEOUT_SECONDS = 90.0  # the first start on a machine builds the embedder's graph
STOP_TIMEOUT_SECONDS = 15.0
POLL_SECONDS = 0.1
REQUEST_TIMEOUT_SECONDS = 120.0


@contextmanager
def running_service(directory: Path) -> Iterator[Client]:
    """A client of a service on `directory`; the service is stopped however the block ends, SIGTERM included.

    Raises:
        ConnectionFailedError: the service did not start; the message ends with what it said.
    """
    port = free_port()
    with tempfile.TemporaryFile() as log, _terminated_as_exit():
        child = _start(directory, port, log)
        try:
            with Client(f"http://{HOST}:{port}", timeout_seconds=REQUEST_TIMEOUT_SECONDS) as client:
                _wait_until_ready(client, child, log)
                yield client
        finally:
            _stop(child)


def free_port() -> int:
    """A port that nothing listens on right now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _start(directory: Path, port: int, log: IO[bytes]) -> subprocess.Popen[bytes]:
    where = ["--host", HOST, "--port", str(port), "--data", str(directory)]
    command = [sys.executable, "-m", "lumaai", "serve", *where]
    # It listens on loopback only and for this run, so the caller's key for another service is not asked for. In a
    # session of its own it does not get the terminal's Ctrl-C, which would stop it before the demo has said good-bye.
    environment = {key: value for key, value in os.environ.items() if key != "LUMAAI_API_KEY"}
    return subprocess.Popen(  # noqa: S603 - our own interpreter and our own module
        command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True
    )


def _wait_until_ready(client: Client, child: subprocess.Popen[bytes], log: IO[bytes]) -> None:
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while True:
        try:
            client.collections()
        except LumaError as error:
            if child.poll() is not None or not error.retryable or time.monotonic() > deadline:
                raise ConnectionFailedError(f"the service did not start: {_last_words(log) or error}") from error
            time.sleep(POLL_SECONDS)
        else:
            return


def _last_words(log: IO[bytes]) -> str:
    log.seek(0)
    lines = [line for line in log.read().decode(errors="replace").splitlines() if line.strip()]
    return lines[-1].strip() if lines else ""


def _stop(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(STOP_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


@contextmanager
def _terminated_as_exit() -> Iterator[None]:
    """Within the block SIGTERM raises SystemExit, so that what was started is stopped."""

    def leave(number: int, _: FrameType | None) -> None:
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
