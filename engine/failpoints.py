"""Named points where a test can make the process die, the disk fail, or time pass.

`LUMAAI_FAILPOINTS=log.after_append:kill@3;seal.before_swap:error` arms them when this module is imported: at the third
`hit("log.after_append")` the process is killed as by `kill -9`; every `hit("seal.before_swap")` raises. Unarmed, which
is always but in tests, a `hit` is one test of a dict.

| action         | what happens at the point                                        |
|----------------|------------------------------------------------------------------|
| `kill`         | SIGKILL to this process                                          |
| `error`        | `OSError(EIO)`                                                   |
| `full`         | `OSError(ENOSPC)`, as on a full disk                             |
| `sleep(ms)`    | that many milliseconds pass                                      |
| `count`        | nothing; `hits()` tells how often the points were passed         |

`@n` lets only the n-th hit act, counted from 1. `*:count` counts all points.
"""

from __future__ import annotations

import errno
import os
import re
import signal
import threading
import time
from collections import Counter
from dataclasses import dataclass

VARIABLE = "LUMAAI_FAILPOINTS"
_ITEM = re.compile(r"(?P<name>[a-z_.]+|\*):(?P<action>kill|error|full|count|sleep\((?P<ms>\d+)\))(@(?P<nth>\d+))?")


@dataclass(frozen=True, slots=True)
class _Action:
    kind: str
    nth: int | None
    seconds: float


_armed: dict[str, _Action] = {}
_passed: Counter[str] = Counter()
_lock = threading.Lock()


def hit(name: str) -> None:
    """Pass the point `name`, which does what it was armed for.

    Raises:
        OSError: it was armed with `error` or `full`.
    """
    if _armed:
        _act(name)


def arm(text: str) -> None:
    """Arm the points that `text` names, in the form of the module's docstring, in place of those armed before.

    Raises:
        ValueError: `text` cannot be read.
    """
    actions = {}
    for item in filter(None, text.split(";")):
        match = _ITEM.fullmatch(item.strip())
        if match is None:
            raise ValueError(f"failpoint cannot be read: {item!r}")
        nth = int(match["nth"]) if match["nth"] else None
        actions[match["name"]] = _Action(match["action"].split("(")[0], nth, int(match["ms"] or 0) / 1000)
    with _lock:
        _passed.clear()
        _armed.clear()
        _armed.update(actions)


def hits() -> dict[str, int]:
    """How often each point was passed since the last `arm`; counted only while something is armed."""
    with _lock:
        return dict(_passed)


def _act(name: str) -> None:
    with _lock:
        _passed[name] += 1
        passed = _passed[name]
    action = _armed.get(name) or _armed.get("*")
    if action is None or action.nth not in (None, passed):
        return
    match action.kind:
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(60)  # the signal is on its way
        case "error":
            raise OSError(errno.EIO, f"failpoint {name}")
        case "full":
            raise OSError(errno.ENOSPC, f"No space left on device: failpoint {name}")
        case "sleep":
            time.sleep(action.seconds)


arm(os.environ.get(VARIABLE, ""))
