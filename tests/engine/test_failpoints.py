"""engine.failpoints: named points that do what they were armed for."""

from __future__ import annotations

import errno
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from engine import failpoints


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    """Whatever a test arms is disarmed after it."""
    yield
    failpoints.arm("")


def test_an_unarmed_point_does_nothing_and_counts_nothing() -> None:
    """Which is always, but in tests."""
    failpoints.hit("a.b")
    assert failpoints.hits() == {}


@pytest.mark.parametrize(("action", "number"), [("error", errno.EIO), ("full", errno.ENOSPC)])
def test_only_the_nth_pass_acts(action: str, number: int) -> None:
    """The third; those before and after it, and other points, pass."""
    failpoints.arm(f"a.b:{action}@3")
    failpoints.hit("a.b")
    failpoints.hit("a.b")
    failpoints.hit("a.c")
    with pytest.raises(OSError, match=r"a\.b") as caught:
        failpoints.hit("a.b")
    assert caught.value.errno == number
    failpoints.hit("a.b")
    assert failpoints.hits() == {"a.b": 4, "a.c": 1}


def test_without_a_number_every_pass_acts_and_sleeping_takes_its_time() -> None:
    """Two points armed at once."""
    failpoints.arm("a.b:error; a.c:sleep(30)")
    for _ in range(2):
        with pytest.raises(OSError, match=r"failpoint a\.b"):
            failpoints.hit("a.b")
    started = time.perf_counter()
    failpoints.hit("a.c")
    assert time.perf_counter() - started >= 0.03


def test_the_environment_arms_and_kill_ends_the_process() -> None:
    """As `kill -9` does: nothing is flushed, nothing runs afterwards."""
    use = "failpoints.hit('x.y')"
    code = f"from engine import failpoints\n{use}\nprint('on', flush=True)\n{use}\nprint('never')"
    environment = {"LUMAAI_FAILPOINTS": "x.y:kill@2"}
    child = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=False, timeout=30)
    assert (child.returncode, child.stdout) == (-9, b"on\n")


@pytest.mark.parametrize("text", ["a", "a.b", "a.b:burn", "A.b:kill", "a.b:kill@", "a.b:sleep(x)", "a.b:kill@1@2"])
def test_what_cannot_be_read_is_refused(text: str) -> None:
    """By name; what was armed stays armed."""
    failpoints.arm("a.b:count")
    with pytest.raises(ValueError, match="cannot be read"):
        failpoints.arm(text)
    failpoints.hit("a.b")
    assert failpoints.hits() == {"a.b": 1}
