"""What PromptQL itself takes of a question that a language model plans rightly at once: processor time."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.report import Report
from engine import Database, Schema
from models import Embedder, Message, ScriptedLLM, ScriptedRequest, load_embedder
from promptql import PromptQL
from promptql.llm.manual import compact
from promptql.llm.reply import REPLY_SCHEMA
from promptql.llm.tokens import tokens_of

COLLECTIONS = 100
FIELDS = 12
DOCUMENTS = 1_000
ROUNDS = 30
TARGET = "≤ 50 ms"
_TOPICS = "orders customers products invoices shipments reviews tickets employees stores suppliers".split()


def run(report: Report) -> None:
    with tempfile.TemporaryDirectory() as folder, Database.open(Path(folder) / "data") as database:
        names = [f"{_TOPICS[number % 10]}_{number // 10}" for number in range(COLLECTIONS)]
        for name in names:
            _fill(database, name)
        embedder = load_embedder("hashing", cache_directory=Path(folder))
        for shown, collections in (
            (f"{COLLECTIONS} collections of {FIELDS} fields", None),
            ("one of them", [names[46]]),
        ):
            _measure(report, database, embedder, shown, collections)


def _fill(database: Database, name: str) -> None:
    fields = {f"status_{number}": "keyword" for number in range(FIELDS // 2)}
    fields |= {f"amount_{number}": "number" for number in range(FIELDS - FIELDS // 2)}
    documents: list[dict[str, Any]] = [
        {"id": f"d{place}"}
        | {key: f"value {place % 8}" if kind == "keyword" else place * 1.5 for key, kind in fields.items()}
        for place in range(DOCUMENTS)
    ]
    database.create_collection(name, Schema.from_json({"fields": fields})).add(documents)


def _measure(report: Report, database: Database, embedder: Embedder, shown: str, collections: list[str] | None) -> None:
    """A new question each time, so that no plan is known; the model's plan is right at once."""
    llm = ScriptedLLM(_right)
    promptql = PromptQL(database, lambda _: embedder, llm)
    promptql.ask(
        "what is the sum of amount_1 in tickets_4", collections=collections, planner="llm"
    )  # reads the catalog
    taken = []
    for number in range(ROUNDS):
        question = f"which status_2 of tickets_4 has the best amount_{number % 6} beyond {number}"
        began = time.process_time()
        answer = promptql.ask(question, collections=collections, planner="llm")
        taken.append(1000 * (time.process_time() - began))
        assert answer.planner == "llm", answer.warnings
    tokens = max(_tokens(list(request.messages)) for request in llm.requests)
    report.add(
        f"PromptQL's own share of a question that a right model plans, {shown}",
        f"{float(np.median(taken)):.1f} ms CPU (p95 {float(np.percentile(taken, 95)):.1f})",
        f"prompt of at most {tokens} tokens, estimated from above",
        TARGET,
    )


def _tokens(messages: list[Message]) -> int:
    return tokens_of("\n".join(message.content for message in messages)) + tokens_of(compact(REPLY_SCHEMA))


def _right(_: ScriptedRequest) -> Any:
    steps: list[dict[str, Any]] = [
        {"id": "s1", "op": "scan", "collection": "tickets_4"},
        {
            "id": "s2",
            "op": "group",
            "input": "s1",
            "by": [{"field": "status_2"}],
            "aggs": [{"fn": "avg", "field": "amount_1", "as": "a"}],
        },
        {"id": "s3", "op": "sort", "input": "s2", "by": [{"field": "a", "dir": "desc"}]},
        {"id": "s4", "op": "limit", "input": "s3", "n": 1},
        {"id": "s5", "op": "answer", "input": "s4", "fields": ["status_2"]},
    ]
    return {"steps": steps}
