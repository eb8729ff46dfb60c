"""The conformance suite of the Model Context Protocol, from npm, against `lumaai mcp` over streamable HTTP."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.judges.verdict import Verdict

FOLDER = Path(".judges")
SUITE, NODE = "@modelcontextprotocol/conformance@0.1.16", "node@22"
START_SECONDS_MAX, SUITE_SECONDS_MAX = 120.0, 300.0


def run() -> Verdict:
    """All scenarios of the suite, those still pending in it included."""
    if shutil.which("npm") is None:
        return Verdict("MCP conformance", SUITE, "not run: there is no npm", passed=False)
    FOLDER.mkdir(exist_ok=True)
    # Its own Node: the suite needs 22, and distributions have older ones.
    install = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(FOLDER), SUITE, NODE]
    subprocess.run(install, check=True)
    port = _free_port()
    command = [sys.executable, "-m", "benchmarks.judges.mcp_service", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as service:
        try:
            _wait_for(port)
            said = _conformance(port)
        finally:
            service.terminate()
    total = re.search(r"Total: (\d+) passed, (\d+) failed", said)
    failed = re.findall(r"✗ (\S+):", said)
    if total is None:
        print(said[-3_000:])
        return Verdict("MCP conformance", SUITE, "the suite did not end", passed=False)
    scenarios = len(re.findall(r"^[✓✗] ", said, re.MULTILINE))
    figures = f"{scenarios} scenarios, {total[1]} checks passed, {total[2]} failed"
    return Verdict("MCP conformance, --suite all", SUITE, " ".join([figures, *failed]), passed=not failed)


def _conformance(port: int) -> str:
    node = FOLDER / "node_modules/.bin/node"
    script = FOLDER / "node_modules/@modelcontextprotocol/conformance/dist/index.js"
    command = [str(node), str(script), "server", "--url", f"http://127.0.0.1:{port}/mcp", "--suite", "all"]
    command += ["-o", str(FOLDER / "results")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SUITE_SECONDS_MAX, check=False)
    return done.stdout + done.stderr


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + START_SECONDS_MAX
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1.0).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return
