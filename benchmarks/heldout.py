"""Spider through the product, each database read by weights fitted to the others': `python -m benchmarks.heldout`.

What `make eval` says of Spider is of questions that the shipped weights know. How sure answers are is judged by the
shipped signs of trust, which are weighed on readings of databases left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from benchmarks.evaluation import on_databases
from benchmarks.report import machine
from benchmarks.training import WEIGHTS, left_out, questions_of, related_examples, related_prior, workers
from promptql.evaluation.report import Outcome, Report
from promptql.rules import forms, tabular
from promptql.rules.model import Model


@contextmanager
def weighed(weights: Mapping[str, float]) -> Iterator[None]:
    """The product with those weights for several collections in place of the shipped ones."""
    data = _shipped()
    related = data["related"]
    several = Model(weights, float(related["answer_confidence_min"]), trust=related["trust"])
    model = Model(data["weights"], float(data["answer_confidence_min"]), several, data["trust"])
    with patch.object(tabular, "shipped_model", lambda: model), patch.object(forms, "shipped_model", lambda: model):
        yield


def held_out() -> Report:
    """All questions of Spider, each answered by weights that know no question of its database."""
    prior = related_prior(_shipped()["weights"])
    with ProcessPoolExecutor(workers()) as pool:
        packed, owner = related_examples(pool, prior)
    outcomes: list[Outcome] = []
    for left, weights in left_out(prior, packed, owner):
        with weighed(weights):
            outcomes += on_databases(q for q in questions_of("spider") if q.part in left).outcomes
    return Report(outcomes)


def _shipped() -> dict[str, Any]:
    data: dict[str, Any] = json.loads(WEIGHTS.read_text(encoding="utf-8"))
    return data


if __name__ == "__main__":
    print(f"{machine()}\n\n{held_out().to_markdown()}")
