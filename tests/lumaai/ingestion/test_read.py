"""The choice of a reader, and files that cannot be read at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from lumaai.errors import InvalidRequestError
from lumaai.ingestion import read


@pytest.mark.parametrize("name", ["a.mp4", "a", "a.jsonl.gz"])
def test_an_unsupported_suffix_names_those_that_are(tmp_path: Path, name: Any) -> None:
    """So that the user knows what to convert it to."""
    (tmp_path / name).write_text("x")
    with pytest.raises(InvalidRequestError, match=r"is not one of \.jsonl \.ndjson \.json") as caught:
        list(read(tmp_path / name))
    assert caught.value.code == "suffix_unsupported"


def test_a_missing_file_and_a_directory_say_what_they_are(tmp_path: Path) -> None:
    """Code file_unreadable for both."""
    (tmp_path / "d.txt").mkdir()
    for name, reason in [("missing.csv", "no such file"), ("d.txt", "it is a directory: name the files in it")]:
        with pytest.raises(InvalidRequestError, match=reason) as caught:
            list(read(tmp_path / name))
        assert caught.value.code == "file_unreadable"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_says_so(tmp_path: Path) -> None:
    """As the system has it."""
    path = tmp_path / "a.txt"
    path.write_text("x")
    path.chmod(0)
    with pytest.raises(InvalidRequestError, match="no permission"):
        list(read(path))


def test_a_pipe_is_refused_rather_than_waited_for(tmp_path: Path) -> None:
    """Opening a FIFO without a writer would hang for ever."""
    path = tmp_path / "f.jsonl"
    os.mkfifo(path)
    with pytest.raises(InvalidRequestError, match="it is no regular file"):
        list(read(path))
