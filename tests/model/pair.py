"""A database and its model, taken through the same steps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import engine
from engine import ChangesGoneError, Database, Snapshot
from engine.document import decode
from engine.store import keys
from engine.store.checks import read_number
from tests.model.clock import Clock
from tests.model.comparison import compare, compare_snapshot, difference
from tests.model.execution import execute
from tests.model.generation import NAMES, make_operation
from tests.model.reference import Model, ModelCollection, Operation, encoded

SEAL_ROWS = 40  # small: the head is sealed, and segments are merged, all the time
HELD_MAX = 3
KINDS = {"add": 30, "insert": 10, "patch": 20, "delete": 14, "create": 3, "drop": 1}
STEPS = {"seal": 3, "merge": 2, "optimize": 2, "hold": 3, "advance": 4, "follow": 3, "check": 8}
RARE_STEPS = {"compact": 2, "purge": 2, "archive": 2, "restore": 1, "reopen": 4, "scrub": 1}  # tens of milliseconds


class Pair:
    """Opens a database at `path`, empty, and keeps its model beside it; `close` when done.

    Args:
        path: a directory that may hold nothing.
        random: what chooses.
        clock: the time that both go by.
    """

    def __init__(self, path: Path, random: Random, clock: Clock) -> None:
        self.path = path
        self.random = random
        self.clock = clock
        self.model = Model()
        self.done: Counter[str] = Counter()
        self._database: Database | None = Database.open(path / "db", seal_rows=SEAL_ROWS)
        self._held: list[tuple[Snapshot, ModelCollection]] = []
        self._archives: list[tuple[Path, Model]] = []
        self._follower = Follower()
        self._numbered = 0

    @property
    def database(self) -> Database:
        """The open database."""
        assert self._database is not None
        return self._database

    def step(self, kind: str) -> None:
        """Take a step of a kind: one of `KINDS`, `STEPS` or `RARE_STEPS`."""
        self.done[kind] += 1
        if kind in KINDS:
            if kind == "create":
                self.clock.recover()  # a new collection has not seen the time yet
            self.run(make_operation(kind, self.random, self.model, self.random.choice(NAMES), self.clock.now))
            return
        self.model.expire(self.clock.now)
        steps: dict[str, Callable[[], object]] = {
            "seal": lambda: self._each(lambda collection: collection.state.seal()),
            "merge": lambda: self._each(lambda collection: collection.state.merge()),
            "optimize": lambda: self._each(lambda collection: collection.optimize()),
            "compact": self.database.compact,
            "purge": self._purge,
            "scrub": self._scrub,
            "archive": self._archive,
            "restore": self._restore,
            "reopen": self._reopen,
            "hold": self._hold,
            "advance": self._advance,
            "follow": self._follow,
            "check": self.check,
        }
        steps[kind]()

    def run(self, operation: Operation) -> None:
        """Run an operation on both, and compare what came of it."""
        actual, sequence = execute(self.database, operation)
        before = self.model.sequence
        expected = self.model.apply(operation, self.clock.now, sequence)
        assert actual == expected, f"{operation}: expected={expected} got={actual}"
        assert self.model.sequence == before or sequence > before, f"{operation}: sequence={sequence} after={before}"
        self.done["refused" if "error" in actual else "accepted"] += 1
        if operation["op"] == "drop":
            self._held.clear()
            self._follower.forget(operation["collection"])

    def check(self) -> None:
        """Compare all that can be read, and what the snapshots held since earlier still say."""
        self.model.expire(self.clock.now)
        compare(self.database, self.model, self.random)
        for snapshot, model in self._held:
            compare_snapshot(snapshot, model, self.random, newest=False)

    def close(self) -> None:
        """Compare a last time, also after opening again, and close."""
        self.check()
        self._follow()
        self._reopen()
        self.check()
        self.abandon()

    def abandon(self) -> None:
        """Close, whatever the state."""
        self._held.clear()
        if self._database is not None:
            self._database.close()
            self._database = None

    def _each(self, work: Callable[[engine.Collection], object]) -> None:
        for name in self.database.collections():
            work(self.database.collection(name))

    def _purge(self) -> None:
        self._held.clear()  # a purge waits for snapshots that are in use
        self.database.purge()

    def _scrub(self) -> None:
        report = self.database.check(repair=False)
        assert not report.problems, report.problems
        living = sum(len(each.documents) for each in self.model.collections.values())
        assert report.documents >= living, f"documents: got={report.documents} expected={living}"

    def _archive(self) -> None:
        self._numbered += 1
        target = self.path / f"archive-{self._numbered}{self.random.choice(('', '.tar'))}"
        before = self.database.sequence
        info = self.database.archive(target)
        assert before <= info.sequence <= self.database.sequence  # what has expired is deleted in the background
        self._archives = [*self._archives[-2:], (target, self.model.copy())]

    def _restore(self) -> None:
        if not self._archives:
            return
        source, model = self.random.choice(self._archives)
        self._held.clear()
        self.clock.recover()  # time goes on within a process only
        self._database = self.database.restore(source)
        self.model = model.copy()
        self.model.begin_above(read_number(self._database._store, keys.VERSION_FLOOR))

    def _reopen(self) -> None:
        self._held.clear()
        self.clock.recover()  # time goes on within a process only
        self.database.close()
        self._database = None
        self._database = Database.open(self.path / "db", seal_rows=SEAL_ROWS)

    def _hold(self) -> None:
        names = sorted(self.model.collections)
        if names:
            name = self.random.choice(names)
            held = (self.database.collection(name).snapshot(), self.model.collections[name].copy())
            self._held = [*self._held[1 - HELD_MAX :], held]

    def _advance(self) -> None:
        self.clock.advance(self.random.choice((0.000001, 0.5, 1, 30, 3600)))
        if self.random.random() < 0.3:  # clocks jump: but what has expired stays so
            self.model.expire(self.clock.now)
            self._each(lambda collection: collection.now())  # the database has seen the time
            self.clock.jump_back(7200)

    def _follow(self) -> None:
        self._follower.catch_up(self.database)
        self._follower.compare(self.model)


class Follower:
    """Somebody who keeps a copy up to date by the change feed."""

    def __init__(self) -> None:
        self._position = 0
        self._copies: dict[str, dict[str, str]] = {}

    def catch_up(self, database: Database) -> None:
        """Read all changes since the last time; start anew from a scroll where the log no longer has them."""
        try:
            while True:
                changes = database.changes(self._position, limit=7)
                for change in changes.changes:
                    copy = self._copies.setdefault(change.collection, {})
                    for id_ in change.deleted:
                        copy.pop(id_, None)
                    copy.update((document["id"], encoded(document)) for document in change.documents)
                done = changes.next == self._position
                self._position = changes.next
                if done:
                    break
        except ChangesGoneError:
            self._start_anew(database)
        known = set(database.collections())
        self._copies = {name: copy for name, copy in self._copies.items() if name in known}

    def forget(self, name: str) -> None:
        """A collection was dropped, which the feed does not tell: one of the same name may be made."""
        self._copies.pop(name, None)

    def compare(self, model: Model) -> None:
        """The copies hold what the model holds, beside what has expired and was not swept yet."""
        for name, collection in model.collections.items():
            copy = self._copies.get(name, {})
            expected = {id_: encoded(stored.body) for id_, stored in collection.documents.items()}
            if collection.ttl is None:
                assert copy == expected, f"{name}: {difference(copy, expected)}"
            else:
                assert expected.items() <= copy.items(), name

    def _start_anew(self, database: Database) -> None:
        snapshots: dict[str, Any] = dict(database.snapshot())
        self._position = database.sequence
        for name, snapshot in snapshots.items():
            bodies = [decode(raw) for raw in snapshot.documents_raw(snapshot.ordinals())]
            self._copies[name] = {body["id"]: encoded(body) for body in bodies}
