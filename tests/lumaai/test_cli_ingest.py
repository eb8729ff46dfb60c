"""`lumaai ingest`: a directory, as a user has it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from lumaai.cli.commands import app

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    for name in ("LUMAAI_DATA", "LUMAAI_URL"):
        monkeypatch.delenv(name, raising=False)
    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def guide(tmp_path: Path) -> Path:
    root = tmp_path / "The guide"
    (root / "more").mkdir(parents=True)
    (root / "ships.md").write_text("# Ships\n\nHow ships are built and sailed.")
    (root / "more" / "bread.txt").write_text("How bread is baked.")
    (root / "picture.png").write_bytes(b"\x89PNG")
    for path in root.rglob("*.*"):
        os.utime(path, (time.time() - 60,) * 2)
    return root


def test_a_directory_goes_into_a_collection_of_its_name(run: Run, guide: Path) -> None:
    """What became of it is said in two lines; the second run finds nothing to do; what it holds is found."""
    result = run("ingest", guide)
    assert result.exit_code == 0, result.output
    assert "2 added, 0 replaced, 0 unchanged, 0 failed" in result.stdout
    assert "2 files read, 0 unchanged, 1 of other kinds passed over" in result.stdout
    assert "0 files read, 2 unchanged" in run("ingest", guide).stdout
    assert run("search", "The-guide", "vessels at sea", "-n", "1").stdout.split()[2] == "ships.md"
    assert run("collections").stdout.count("The-guide") == 1


def test_vanished_files_are_named_and_synced(run: Run, guide: Path) -> None:
    """Their documents go when asked."""
    run("ingest", guide, "--into", "guide")
    (guide / "ships.md").unlink()
    assert "1 file is gone: ships.md; --sync removes their documents" in run("ingest", guide, "--into", "guide").stdout
    assert "1 document removed" in run("ingest", guide, "--into", "guide", "--sync").stdout
    assert run("count", "guide").stdout == "1\n"


def test_files_that_give_the_same_document_are_named(run: Run, tmp_path: Path) -> None:
    """In the run that reads them; when one goes, the document is the other's again."""
    rows = tmp_path / "rows"
    rows.mkdir()
    (rows / "a.csv").write_text("id,name\n1,fromA\n2,a2\n")
    (rows / "b.csv").write_text("id,name\n1,fromB\n3,b3\n")
    result = run("ingest", rows)
    assert "lumaai: a.csv, b.csv: give the same documents, the id '1': what was read last is kept" in result.stderr
    assert result.exit_code == 0
    (rows / "b.csv").unlink()
    assert "1 file read, 0 unchanged, 1 document removed" in run("ingest", rows, "--sync").stdout
    assert "fromA" in run("get", "rows", "1").stdout


def test_bad_files_make_the_exit_code(run: Run, guide: Path) -> None:
    """Each is named with its reason; the others go in."""
    (guide / "binary.txt").write_bytes(bytes(range(32)) * 40)
    (guide / "broken.pdf").write_bytes(b"%PDF-1.4 nothing")
    (guide / "rows.jsonl").write_text('{"id": "1"}\n{"id": \n')
    result = run("ingest", guide, "--into", "guide")
    assert result.exit_code == 1
    assert "binary.txt cannot be read as text: it is binary" in result.stderr
    assert "broken.pdf: it is not a readable PDF" in result.stderr
    assert "rows.jsonl:2: malformed JSON" in result.stderr
    assert "3 added" in result.stdout
    assert "2 not readable" in result.stdout
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "cannot read nowhere: no such file or directory"),
        (["The guide", "--splitter", "lines"], "splitter must be one of auto, sentences, markdown, code, none"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(run: Run, guide: Path, arguments: list[str], message: str) -> None:
    """Exit code 1, and no empty collection is left."""
    result = run("ingest", *arguments)
    assert result.exit_code == 1
    assert message in result.stderr
    assert not Path("data").exists() or "no collections yet" in run("collections").stdout
