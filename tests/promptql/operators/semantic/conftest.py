"""Plans over the films, with a scripted model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from engine import Database
from models import LLM, Embedder
from promptql.catalog import read_catalog
from promptql.executor import Executed, Limits, execute
from promptql.language_models import LanguageModels
from promptql.plan import Plan
from promptql.validation import validate

FILMS = {"id": "films", "op": "scan", "collection": "movies"}
EVERY = {"target": "recall", "value": 1.0}


def plan_of(*steps: dict[str, Any]) -> Plan:
    """The films, the steps, and an answer that reads the last of them."""
    end = {"id": "end", "op": "answer", "input": steps[-1]["id"]}
    return Plan.from_json({"steps": [FILMS, *steps, end], "output": "end"})


def filter_step(instruction: str = "it is sad", **changes: Any) -> dict[str, Any]:
    """A filter of the films that has every row judged."""
    data = {"id": "f", "op": "llm_filter", "input": "films", "instruction": instruction, "fields": ["title"]}
    return data | {"quality": EVERY} | changes


Run = Callable[..., Executed]


@pytest.fixture
def run(database: Database, embedder_of: Callable[[str], Embedder]) -> Run:
    """Validate and execute a plan, with language models."""
    snapshots = database.snapshot()

    def act(plan: Plan, large: LLM, small: LLM | None = None, **options: Any) -> Executed:
        validate(plan, read_catalog(snapshots))
        limits = options.pop("limits", Limits())
        return execute(plan, snapshots, embedder_of, limits, models=LanguageModels(large, small), **options)

    return act
