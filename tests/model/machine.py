"""The state machine: hypothesis chooses the steps, and shrinks those that show a fault."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from random import Random
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.model.clock import Clock
from tests.model.pair import Pair

RANDOMS = st.randoms(use_true_random=False)


class StoreMachine(RuleBasedStateMachine):
    """A database and its model; every step compares its outcome, and then all that can be read is compared."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="lumaai-machine-"))
        self.clock = Clock()
        self.pair = Pair(self.folder, Random(0), self.clock)
        self.broken = False

    @initialize(random=RANDOMS)
    def begin(self, random: Random) -> None:
        for _ in range(3):
            self._take("create", random)

    @rule(random=RANDOMS, kind=st.sampled_from(["add", "add", "insert", "patch", "delete"]))
    def write(self, random: Random, kind: str) -> None:
        self._take(kind, random)

    @rule(random=RANDOMS, kind=st.sampled_from(["create", "create", "drop"]))
    def change_collections(self, random: Random, kind: str) -> None:
        self._take(kind, random)

    @rule(random=RANDOMS, kind=st.sampled_from(["seal", "merge", "optimize", "compact", "purge", "scrub"]))
    def maintain(self, random: Random, kind: str) -> None:
        self._take(kind, random)

    @rule(random=RANDOMS, kind=st.sampled_from(["archive", "restore", "reopen"]))
    def copy(self, random: Random, kind: str) -> None:
        self._take(kind, random)

    @rule(random=RANDOMS, kind=st.sampled_from(["hold", "advance", "follow"]))
    def observe(self, random: Random, kind: str) -> None:
        self._take(kind, random)

    @invariant()
    def all_that_can_be_read_agrees(self) -> None:
        if not self.broken:
            self.pair.check()

    def teardown(self) -> None:
        try:
            if not self.broken:
                self.pair.close()
        finally:
            self.pair.abandon()
            self.clock.close()
            shutil.rmtree(self.folder)

    def _take(self, kind: str, random: Random) -> None:
        self.pair.random = random
        self.broken = True
        self.pair.step(kind)
        self.broken = False
        self.pair.random = Random(self.pair.done.total())


TestCase: Any = StoreMachine.TestCase
