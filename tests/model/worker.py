"""A process that writes as it is told and is killed: `python -m tests.model.worker PATH`.

Reads one JSON operation a line, `{"lane": …, "op": …}`, and answers each with `{"lane", "outcome", "sequence"}` once it
is done. Operations of one lane run one after the other, lanes run at the same time.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from contextlib import suppress
from pathlib import Path

from engine import CollectionNotFoundError, Database, EngineError
from tests.model.execution import execute
from tests.model.pair import SEAL_ROWS
from tests.model.reference import Operation, Outcome


def run(path: Path) -> None:
    """Serve standard input until it ends."""
    database = Database.open(path, seal_rows=SEAL_ROWS)
    lanes: dict[str, queue.SimpleQueue[Operation | None]] = {}
    threads: list[threading.Thread] = []
    writing = threading.Lock()

    def answer(reply: Outcome) -> None:
        with writing:
            os.write(1, json.dumps(reply).encode() + b"\n")

    def work(lane: str) -> None:
        while (operation := lanes[lane].get()) is not None:
            outcome, sequence = maintain(database, operation) if lane == "upkeep" else execute(database, operation)
            answer({"lane": lane, "outcome": outcome, "sequence": sequence})

    answer({"lane": "opening", "outcome": {}, "sequence": database.sequence})
    for line in sys.stdin:
        operation = json.loads(line)
        lane = operation.pop("lane")
        if lane not in lanes:
            lanes[lane] = queue.SimpleQueue()
            threads.append(threading.Thread(target=work, args=(lane,)))
            threads[-1].start()
        lanes[lane].put(operation)
    for waiting in lanes.values():
        waiting.put(None)
    for thread in threads:
        thread.join()
    database.close()


def maintain(database: Database, operation: Operation) -> tuple[Outcome, int]:
    """Upkeep of everything, while the other lanes write."""
    try:
        match operation["op"]:
            case "archive":
                database.archive(Path(operation["target"]))
            case "compact":
                database.compact()
            case "purge":
                database.purge()
            case _:
                for name in database.collections():
                    with suppress(CollectionNotFoundError):  # another lane drops it
                        database.collection(name).optimize()
    except EngineError as error:
        return {"error": f"{operation}: {error!r}"}, database.sequence
    return {}, database.sequence


if __name__ == "__main__":
    run(Path(sys.argv[1]))
