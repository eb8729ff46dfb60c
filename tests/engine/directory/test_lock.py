"""engine.directory.lock: one owner a directory."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

import pytest

from engine.directory.lock import DirectoryLock, check_unlocked
from engine.errors import DatabaseLockedError

HOLD = """
import sys, time
from pathlib import Path
from engine.directory.lock import DirectoryLock
lock = DirectoryLock(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""


def test_a_second_owner_in_this_process_is_told_who_holds_it(tmp_path: Path) -> None:
    """The error names pid and host; after release the lock is free."""
    lock = DirectoryLock(tmp_path)
    with pytest.raises(DatabaseLockedError) as caught:
        DirectoryLock(tmp_path)
    assert (caught.value.pid, caught.value.host) == (os.getpid(), socket.gethostname())
    lock.release()
    DirectoryLock(tmp_path).release()


def test_another_process_holds_it_until_it_is_killed(tmp_path: Path) -> None:
    """The owner's pid is named within a second, and kill -9 frees the lock at once."""
    owner = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE)
    try:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"held\n"
        started = time.monotonic()
        with pytest.raises(DatabaseLockedError) as caught:
            DirectoryLock(tmp_path)
        assert time.monotonic() - started < 1
        assert caught.value.pid == owner.pid
    finally:
        owner.send_signal(signal.SIGKILL)
        owner.wait()
        if owner.stdout is not None:
            owner.stdout.close()
    DirectoryLock(tmp_path).release()


def test_looking_tells_of_an_owner_and_leaves_no_trace(tmp_path: Path) -> None:
    """Nothing is made where nothing is; what is free stays free."""
    check_unlocked(tmp_path / "missing")
    check_unlocked(tmp_path)
    assert list(tmp_path.iterdir()) == []
    lock = DirectoryLock(tmp_path)
    with pytest.raises(DatabaseLockedError) as caught:
        check_unlocked(tmp_path)
    assert (caught.value.pid, caught.value.host) == (os.getpid(), socket.gethostname())
    lock.release()
    check_unlocked(tmp_path)
    DirectoryLock(tmp_path).release()


def test_an_owner_that_cannot_be_read_is_unknown(tmp_path: Path) -> None:
    """A lock file with other content gives no pid, not an error of its own."""
    lock = DirectoryLock(tmp_path)
    (tmp_path / "lumaai.lock").write_text("[]")
    with pytest.raises(DatabaseLockedError) as caught:
        DirectoryLock(tmp_path)
    assert caught.value.pid is None
    lock.release()


def test_who_locked_a_file_that_was_taken_away_owns_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An owner removed it, with the directory's content, between opening and locking: the one that is there counts."""
    file = tmp_path / "lumaai.lock"
    real = fcntl.flock
    taken = False

    def flock(opened: IO[str], how: int) -> None:
        nonlocal taken
        if not taken:
            taken = True
            file.unlink()
        real(opened, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    lock = DirectoryLock(tmp_path)
    assert file.exists()
    with pytest.raises(DatabaseLockedError):
        DirectoryLock(tmp_path)
    lock.release()
