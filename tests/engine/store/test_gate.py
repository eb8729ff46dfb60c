"""engine.store.gate: who is inside."""

from __future__ import annotations

import threading

import pytest

from engine.errors import DatabaseClosedError
from engine.store.gate import Gate


def test_alone_waits_for_those_inside() -> None:
    """`alone` begins when the reader inside has left, and lets the next one in only when it ends."""
    gate = Gate()
    order: list[str] = []
    entered, leave = threading.Event(), threading.Event()

    def inside() -> None:
        with gate:
            entered.set()
            leave.wait(5)
            order.append("reader left")

    def alone() -> None:
        with gate.alone():
            order.append("alone")

    threads = [threading.Thread(target=inside), threading.Thread(target=alone)]
    threads[0].start()
    assert entered.wait(5)
    threads[1].start()
    leave.set()
    for thread in threads:
        thread.join()
    assert order == ["reader left", "alone"]
    with gate:
        order.append("next")
    assert order[-1] == "next"


def test_a_closed_gate_says_why() -> None:
    """Closed from the start, or by closing: nobody enters, alone neither."""
    for gate, reason in ((Gate(closed_because="forked"), "forked"), (Gate(), "database is closed")):
        gate.close()
        with pytest.raises(DatabaseClosedError, match=reason), gate:
            pass
        with pytest.raises(DatabaseClosedError, match=reason), gate.alone():
            pass


def test_a_wait_that_is_interrupted_leaves_the_gate_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while `alone` waits for those inside: others enter as before."""
    gate = Gate()

    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    with gate, monkeypatch.context() as patched:
        patched.setattr(gate._changed, "wait_for", interrupt)
        with pytest.raises(KeyboardInterrupt), gate.alone():
            pass
    entered = threading.Event()

    def enter() -> None:
        with gate:
            entered.set()

    threading.Thread(target=enter, daemon=True).start()
    assert entered.wait(5)
