"""Make the golden directories of the present format: `python -m tests.golden.make`, once, before it is released.

Beside what format 1 had (`build_format_1.fill`) they have documents that expire, patched ones, an answer kept under an
idempotency key, and writes that waited for no sync. What exists already is never made anew: a released format does not
change.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from engine import Database, Durability, IdempotencyKey, Schema
from engine.directory.migration import FORMAT
from tests.golden.build_format_1 import expected, fill

HERE = Path(__file__).parent
KEY = IdempotencyKey("the order of 22 November", "its fingerprint")


def fill_present(path: Path) -> Database:
    """All writes; the database is left open."""
    database = fill(path)
    fading = database.create_collection("fading", Schema.from_json({"ttl": {"field": "expires_at"}}))
    never, past = "2999-12-31T23:59:59Z", "2020-01-01T00:00:00Z"
    fading.add([{"id": "late", "expires_at": never, "vector": [1.0, 2.0]}, {"id": "never", "vector": [2.0, 1.0]}])
    fading.add([{"id": "gone", "expires_at": past, "vector": [1.0, 1.0]}])
    fading.optimize()
    fading.add([{"id": "gone later", "expires_at": past}, {"id": "head", "expires_at": never}])
    films = database.collection("films")
    films.patch([{"id": "f1", "title": None, "patched": {"by": "format 2"}}, {"id": "f8", "year": 2002}])
    films.add([{"id": "keyed", "title": "once"}], insert=True, key=KEY)
    films.add([{"id": "unsynced"}], durability=Durability.NONE)
    films.add([{"id": "synced"}])
    return database


def make(target: Path) -> list[Path]:
    """Write the archives and the JSON of the present format; the files.

    Raises:
        FileExistsError: they are there.
    """
    files = [target / f"format-{FORMAT}{end}" for end in ("-clean.tar.gz", "-killed.tar.gz", ".json")]
    for file in files:
        if file.exists():
            raise FileExistsError(file)
    with tempfile.TemporaryDirectory() as scratch:
        for how, file in zip(("clean", "killed"), files[:2], strict=True):
            path = Path(scratch, how)
            done = subprocess.run([sys.executable, "-m", "tests.golden.make", how, str(path)], check=False)
            assert done.returncode == (0 if how == "clean" else -signal.SIGKILL)
            with tarfile.open(file, "w:gz") as archive:
                archive.add(path, arcname=".")
        text = Path(scratch, "clean.json").read_text()
        assert text == Path(scratch, "killed.json").read_text()
        files[2].write_text(text)
    return files


def fill_and_end(how: str, path: Path) -> None:
    """Fill `path` and close it, or die."""
    database = fill_present(path)
    content: dict[str, Any] = {**expected(database), "replies": {"films": [KEY.key, KEY.fingerprint, ["keyed"]]}}
    path.with_suffix(".json").write_text(json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    database.close()


if __name__ == "__main__":
    if sys.argv[1:]:
        fill_and_end(sys.argv[1], Path(sys.argv[2]))
    else:
        print("\n".join(map(str, make(HERE))))
