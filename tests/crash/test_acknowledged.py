"""P1 seen from outside the process: the log is synced between a request and its answer."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

CALLS = "read,recvfrom,write,writev,sendto,sendmsg,pwrite64,fdatasync,fsync"
START_SECONDS_MAX = 60.0
REQUESTS = 5
# "123 fdatasync(9</db/store/000008.log>) = 0", or in two lines where another thread came between
CALL = re.compile(r"(?P<pid>\d+) +(?P<name>\w+)\((?P<arguments>.*)")
RESUMED = re.compile(r"(?P<pid>\d+) +<\.\.\. (?P<name>\w+) resumed>(?P<rest>.*)")


@contextmanager
def traced(directory: Path, trace: Path) -> Iterator[str]:
    """The service under strace; its address."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed")
    if subprocess.run([strace, "-f", "-e", "trace=none", "true"], capture_output=True, check=False).returncode:
        pytest.skip("strace may not trace processes here")
    serve = [sys.executable, "-m", "lumaai", "serve", "--data", str(directory), "--port", "0"]
    command = [strace, "-f", "-y", "-s", "80", "-e", f"trace={CALLS}", "-o", str(trace), *serve]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LUMAAI_")}
    child = subprocess.Popen(command, env=kept, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout is not None
    try:
        line = child.stdout.readline()
        assert " at http://" in line, child.communicate()[1]
        yield line.split(" at ")[1].split()[0]
    finally:
        served = Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split()
        for pid in served:  # strace itself does not end at a signal while it traces
            os.kill(int(pid), signal.SIGTERM)
        child.communicate(timeout=START_SECONDS_MAX)


def events(trace: str) -> list[tuple[str, str]]:
    """What matters, in order: ("request", id), ("log written", ""), ("log synced", ""), ("answer", status)."""
    found: list[tuple[str, str]] = []
    unfinished: dict[str, str] = {}
    for line in trace.splitlines():
        if match := RESUMED.match(line):
            pid, name = match["pid"], match["name"]
            arguments = unfinished.pop(pid, "") + match["rest"]
        elif match := CALL.match(line):
            pid, name, arguments = match["pid"], match["name"], match["arguments"]
            if arguments.endswith("<unfinished ...>"):
                unfinished[pid] = arguments
                if name not in ("write", "writev", "sendto", "sendmsg"):  # an answer counts from when it begins
                    continue
        else:
            continue
        if name in ("read", "recvfrom") and (request := re.search(r"POST /v1/collections/(\w+)/documents", arguments)):
            found.append(("request", request[1]))
        elif name in ("fdatasync", "fsync") and re.search(r"/store/\d+\.log>", arguments) and arguments.endswith("= 0"):
            found.append(("log synced", ""))
        elif name in ("write", "writev", "pwrite64") and re.match(r"\d+</[^>]*/store/\d+\.log>", arguments):
            found.append(("log written", ""))
        elif answer := re.search(r"HTTP/1\.1 (\d+)", arguments):
            found.append(("answer", answer[1]))
    return found


def between(found: list[tuple[str, str]], name: str) -> list[str]:
    """What happened from the request on a collection to the next answer."""
    begin = found.index(("request", name))
    kinds = [kind for kind, _ in found[begin:]]
    return kinds[1 : kinds.index("answer")]


def test_the_log_is_synced_before_the_answer_leaves(tmp_path: Path) -> None:
    """Each write with `sync`: request, bytes to the log, fdatasync of the log, answer. With `none`: no fdatasync."""
    trace = tmp_path / "trace"
    with traced(tmp_path / "db", trace) as url, httpx.Client(base_url=url, timeout=60) as client:
        names = [f"kept{i}" for i in range(REQUESTS)]
        for name in [*names, "quick"]:
            assert client.put(f"/v1/collections/{name}", json={"embed": {}}).is_success
            body: dict[str, object] = {"documents": [{"id": "a", "n": 1}]}
            if name == "quick":
                time.sleep(0.5)  # what is synced in the background has been
                body["durability"] = "none"
            answer = client.post(f"/v1/collections/{name}/documents", json=body)
            assert answer.is_success, answer.text
            assert answer.json()["durability"] == ("none" if name == "quick" else "sync")
    found = events(trace.read_text(errors="replace"))
    for name in names:
        steps = between(found, name)
        assert "log written" in steps, name
        assert "log synced" in steps[steps.index("log written") :], f"{name}: {steps}"
    assert "log synced" not in between(found, "quick")
