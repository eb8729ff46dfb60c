"""Killing a writer at random moments, with an oracle: what was acknowledged is there, and nothing else.

The parent decides every operation and keeps the oracle: the model, and a journal in which each operation is fsynced
before it is sent, and each answer when it has come. The killed process knows nothing that is needed afterwards. After
each kill every collection must be as the model says, or as it says after the one operation of that collection which
was sent and not yet answered.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import IO

from engine import Collection, Database, IdempotencyKey, verify_archive
from tests.model.comparison import compare_snapshot
from tests.model.generation import NAMES, make_operation
from tests.model.pair import KINDS, SEAL_ROWS
from tests.model.reference import Model, Operation

ROOT = Path(__file__).parents[2]
SECONDS_MAX = 1.5  # from the start of the writer's work to its end
STARTING_SECONDS = 30.0
OPENING, UPKEEP = "opening", "upkeep"  # lanes beside those of the collections
UPKEEP_KINDS = ("optimize", "optimize", "compact", "purge", "archive")


@dataclass(slots=True)
class Oracle:
    """What is known: the model, what was sent and not answered, and both on disk."""

    journal: IO[str]
    model: Model = field(default_factory=Model)
    sent: dict[str, Operation] = field(default_factory=dict)
    answers: Counter[str] = field(default_factory=Counter)

    def send(self, lane: str, operation: Operation) -> bytes:
        """Note an operation; the line to send."""
        line = json.dumps({"lane": lane, **operation})
        self._note(f"> {line}")
        self.sent[lane] = operation
        return line.encode() + b"\n"

    def take(self, line: bytes) -> str:
        """Take an answer in; its lane."""
        reply = json.loads(line)
        self._note(f"< {line.decode().rstrip()}")
        lane: str = reply["lane"]
        operation = self.sent.pop(lane, {"op": OPENING})
        self.answers[operation["op"]] += 1
        if lane in (OPENING, UPKEEP):
            assert "error" not in reply["outcome"], reply
        else:
            expected = self.model.apply(operation, now_for_expiry(), reply["sequence"])
            assert reply["outcome"] == expected, f"{operation}: expected={expected} got={reply['outcome']}"
        return lane

    def _note(self, line: str) -> None:
        self.journal.write(line + "\n")
        self.journal.flush()
        os.fsync(self.journal.fileno())


def now_for_expiry() -> int:
    """The model's clock here: real, because the writer's is."""
    return time.time_ns() // 1000


def kill_writers(folder: Path, seed: int, kills: int, report: Callable[[int], None] | None = None) -> Counter[str]:
    """Kill a writer `kills` times; how many operations of each kind were acknowledged, and documents compared.

    Args:
        folder: may hold nothing.
        seed: of the operations and the moments.
        kills: rounds.
        report: called after each round with how many there have been.

    Raises:
        AssertionError: something was lost, stood there that never was written, or came back.
    """
    random = Random(seed)
    with (folder / "oracle").open("w") as journal:
        oracle = Oracle(journal)
        for round_ in range(kills):
            try:
                _round(folder, random, oracle, round_)
            except Exception as error:
                raise AssertionError(f"seed={seed} kill={round_}: {error!r:.3000}") from error
            if report is not None:
                report(round_ + 1)
    return oracle.answers


def _round(folder: Path, random: Random, oracle: Oracle, round_: int) -> None:
    command = [sys.executable, "-m", "tests.model.worker", str(folder / "db")]
    with (folder / "errors").open("w+b") as errors:
        writer = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors)
        pending = b""
        try:
            pending = _drive(writer, random, oracle, folder)
        finally:
            writer.kill()
            rest, _ = writer.communicate()
        errors.seek(0)
        assert errors.read() == b""
    for line in (pending + rest).split(b"\n")[:-1]:  # answered before it died; the last one may be cut short
        oracle.take(line)
    with Database.open(folder / "db", seal_rows=SEAL_ROWS) as database:
        oracle.answers["documents"] += _settle(database, oracle, random)
    for archive in folder.glob("archive-*.tar"):  # whether it was acknowledged or not: under its name it is whole
        verify_archive(archive)
        archive.unlink()


def _drive(writer: subprocess.Popen[bytes], random: Random, oracle: Oracle, folder: Path) -> bytes:
    """Keep every lane busy until the moment has come; what was read of answers and not yet taken.

    In one round of ten the moment comes while the writer is still opening the database.
    """
    assert writer.stdin is not None
    assert writer.stdout is not None
    if random.random() < 0.1:
        time.sleep(random.uniform(0.3, 1.2))
        return b""
    output = writer.stdout.fileno()
    oracle.sent[OPENING] = {"op": OPENING}
    pending, deadline = b"", time.monotonic() + STARTING_SECONDS
    while (left := deadline - time.monotonic()) > 0 and select.select([output], [], [], left)[0]:
        chunk = os.read(output, 65_536)
        assert chunk, "the writer ended by itself"
        *lines, pending = (pending + chunk).split(b"\n")
        for lane in map(oracle.take, lines):
            if lane == OPENING:
                deadline = time.monotonic() + random.uniform(0.05, SECONDS_MAX)
            for free in (*NAMES, UPKEEP) if lane == OPENING else (lane,):
                operation = _upkeep(random, folder, oracle) if free == UPKEEP else _write(random, oracle.model, free)
                writer.stdin.write(oracle.send(free, operation))
            writer.stdin.flush()
    assert OPENING not in oracle.sent, f"the writer was not ready within {STARTING_SECONDS} s"
    return pending


def _upkeep(random: Random, folder: Path, oracle: Oracle) -> Operation:
    operation: Operation = {"op": random.choice(UPKEEP_KINDS)}
    if operation["op"] == "archive":
        operation["target"] = str(folder / f"archive-{oracle.answers.total()}.tar")
    return operation


def _write(random: Random, model: Model, lane: str) -> Operation:
    kind = "create" if lane not in model.collections else random.choices(list(KINDS), list(KINDS.values()))[0]
    operation = make_operation(kind, random, model, lane)
    if kind == "create" and operation["ttl"] is not None and "seconds" in operation["ttl"]:
        operation["ttl"] = {"seconds": 1_000_000_000}
    return operation


def _settle(database: Database, oracle: Oracle, random: Random) -> int:
    """Compare every collection with what may be there, and take up which it is; the number of documents."""
    model = oracle.model
    model.expire(now_for_expiry())
    for lane in NAMES:
        operation = oracle.sent.pop(lane, None)
        after = None if operation is None else _after(database, model, lane, operation)
        seed = random.random()
        try:
            _compare(database, model, lane, seed)
        except AssertionError as error:
            if after is None:
                raise
            try:
                _compare(database, after, lane, seed)
            except AssertionError as other:
                raise AssertionError(f"neither without {operation}: {error!r} nor with it: {other!r}") from error
            model.collections.pop(lane, None)
            model.collections |= {lane: after.collections[lane]} if lane in after.collections else {}
        else:
            _take_up_key(database, model, after, lane, operation)
    oracle.sent.clear()
    return sum(len(each.documents) for each in model.collections.values())


def _after(database: Database, model: Model, lane: str, operation: Operation) -> Model:
    """The model as it is if the operation that was not answered has happened."""
    after = model.copy()
    ids = [body["id"] for body in operation.get("documents", ())]
    versions: list[int | None] = [0]
    if lane in database.collections():
        versions += database.collection(lane).snapshot().versions(ids)
    after.apply(operation, now_for_expiry(), max(version or 0 for version in versions))
    after.expire(now_for_expiry())
    return after


def _compare(database: Database, model: Model, lane: str, seed: float) -> None:
    assert (lane in database.collections()) == (lane in model.collections)
    if lane in model.collections:
        compare_snapshot(database.collection(lane).snapshot(), model.collections[lane], Random(seed))


def _take_up_key(database: Database, model: Model, after: Model | None, lane: str, operation: Operation | None) -> None:
    """A write that changed no document may still have left its idempotency record."""
    if operation is None or after is None or "key" not in operation or lane not in model.collections:
        return
    known, possible = model.collections[lane], after.collections[lane]
    name, fingerprint = operation["key"]
    if (
        name in possible.replies
        and name not in known.replies
        and _recorded(database.collection(lane), name, fingerprint)
    ):
        assert known.documents.keys() == possible.documents.keys()
        known.replies[name] = possible.replies[name]


def _recorded(collection: Collection, name: str, fingerprint: str) -> bool:
    return collection.replayed(IdempotencyKey(name, fingerprint)) is not None
