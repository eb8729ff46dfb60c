"""What steps gave, kept for the next plan that begins with the same steps over the same documents."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Mapping

from engine import Snapshot
from promptql.operators.rows import Rows
from promptql.plan import Plan
from promptql.steps import Scan, Search, Step, dependencies_of, is_named_by_id, step_to_json

ENTRIES_MAX = 64
BYTES_MAX = 256 << 20


class Outputs:
    """A bounded cache of rows by what made them: a step with all before it, and the collections' sequences.

    `_lock` guards the entries. What is oldest goes first; what was read from an older snapshot goes as soon as a newer
    one is seen, as it would else keep that from being cleared away.

    Args:
        entries_max: steps.
        bytes_max: of their rows.
    """

    def __init__(self, entries_max: int = ENTRIES_MAX, bytes_max: int = BYTES_MAX) -> None:
        self._entries_max = entries_max
        self._bytes_max = bytes_max
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, tuple[dict[str, int], Rows]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, plan: Plan, step: Step, snapshots: Mapping[str, Snapshot]) -> Rows | None:
        """What the step gave over the same documents; None where it is not known."""
        key, sequences = _key(plan, step, snapshots)
        with self._lock:
            for other in [other for other, (read, _) in self._entries.items() if _is_older(read, snapshots)]:
                del self._entries[other]
            found = self._entries.get(key)
            if found is None or found[0] != sequences:
                return None
            self._entries.move_to_end(key)
            return found[1]

    def put(self, plan: Plan, step: Step, snapshots: Mapping[str, Snapshot], rows: Rows) -> None:
        """Keep what a step gave, if there is room for it."""
        if rows.relation.nbytes > self._bytes_max:
            return
        key, sequences = _key(plan, step, snapshots)
        with self._lock:
            self._entries[key] = (sequences, rows)
            self._entries.move_to_end(key)
            while len(self._entries) > self._entries_max or self._bytes() > self._bytes_max:
                self._entries.popitem(last=False)

    def forget(self, plan: Plan, step_id: str, snapshots: Mapping[str, Snapshot]) -> None:
        """Let a step and all that read it run again."""
        again = {step_id}
        for step in plan.order():
            if again & set(dependencies_of(step)):
                again.add(step.id)
        with self._lock:
            for step in plan.steps:
                if step.id in again:
                    self._entries.pop(_key(plan, step, snapshots)[0], None)

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._entries.clear()

    def _bytes(self) -> int:
        return sum(rows.relation.nbytes for _, rows in self._entries.values())


def _is_older(read: Mapping[str, int], snapshots: Mapping[str, Snapshot]) -> bool:
    return any(name in snapshots and snapshots[name].sequence != sequence for name, sequence in read.items())


def _key(plan: Plan, step: Step, snapshots: Mapping[str, Snapshot]) -> tuple[str, dict[str, int]]:
    """What made the rows, without ids, and the sequences of the collections that were read."""
    digests: dict[str, str] = {}
    sequences: dict[str, int] = {}
    params = {name: [item.type.value, item.value] for name, item in sorted(plan.params.items())}

    def digest(step_id: str) -> str:
        if step_id not in digests:
            item = plan.by_id[step_id]
            if isinstance(item, Scan | Search):
                sequences[item.collection] = snapshots[item.collection].sequence
            text = json.dumps(step_to_json(item) | ({} if is_named_by_id(item) else {"id": ""}), sort_keys=True)
            for name in dependencies_of(item):
                text = text.replace(json.dumps(name), json.dumps(digest(name)))
            digests[step_id] = hashlib.sha256(text.encode()).hexdigest()
        return digests[step_id]

    whole = f"{digest(step.id)} {json.dumps(params)}"
    return hashlib.sha256(whole.encode()).hexdigest(), sequences
