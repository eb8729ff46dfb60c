"""`make eval-train`: fits the rules planner's weights on training parts, and says how sure its answers are.

Training parts: folds 2 to 9 of WikiSQL (fold 1 calibrates), the training tables of WikiTableQuestions but for the held
ones (which calibrate), and, for what differs where there are several collections, all of Spider, which has no training
part: its figure is measured here, leaving out a fifth of its databases at a time. No question, table or value is kept,
only weights of named features.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.question_sets import (
    Prepared,
    PublicQuestion,
    TableSet,
    spider,
    spider_database,
    wikisql,
    wikitablequestions,
)
from promptql.evaluation.calibration import calibrate
from promptql.evaluation.fitting import Example, fit
from promptql.rules.generate import Candidate, read
from promptql.rules.model import PRIOR, Model
from promptql.rules.tabular import by_outcome

WEIGHTS = Path(__file__).parent.parent / "promptql" / "rules" / "weights.json"
READINGS_KEPT = 50  # of a question that train: the likeliest, and all right ones
WEIGHT_MIN, CHANGE_MIN = 0.08, 0.15  # smaller ones are not shipped
FOLDS = 5
ROUNDS = 2
PRECISION_MIN = 0.95  # of answers without reserve, on held-out questions
Source = tuple[Callable[[str], Prepared], Sequence[PublicQuestion], float]


def examples(model: Model, sources: Sequence[Source]) -> Iterator[Example]:
    """The readings of all questions under a model, with those marked that give the right answer."""
    for prepare, questions, weight in sources:
        for question in questions:
            candidates, right = readings(model, prepare(question.table), question)
            if any(right) and not all(right):
                kept = [i for i in range(len(candidates)) if i < READINGS_KEPT or right[i]]
                yield Example([candidates[i].all_features() for i in kept], [right[i] for i in kept], weight)


def readings(model: Model, prepared: Prepared, question: PublicQuestion) -> tuple[list[Candidate], list[bool]]:
    """The readings of a question, and which are right."""
    candidates = read(question.question, prepared.view, prepared.headers, model, prepared.joined)
    return candidates, [question.right(candidate.answer) for candidate in candidates]


def train(sources: Sequence[Source], start: Mapping[str, float] = PRIOR, rounds: int = ROUNDS) -> dict[str, float]:
    """Weights fitted to the sources: readings are made anew with the weights of the round before."""
    weights = dict(start)
    for number in range(rounds):
        begun = time.perf_counter()
        weights = {**PRIOR, **fit(examples(Model(weights), sources), weights)}
        print(f"round {number + 1}: {len(weights)} weights, {time.perf_counter() - begun:.0f} s", flush=True)
    return {name: round(weight, 3) for name, weight in sorted(weights.items()) if abs(weight) >= WEIGHT_MIN}


def related(weights: Mapping[str, float], questions: Sequence[PublicQuestion]) -> dict[str, Any]:
    """What questions of several collections change about the weights, and how sure answers to them are.

    The curve comes from leaving databases out, a fifth of them at a time.
    """
    databases = sorted({question.part for question in questions})
    outcomes: list[tuple[float, bool]] = []
    for begin in range(FOLDS):
        left = set(databases[begin::FOLDS])
        kept: list[Source] = [(spider_database, [q for q in questions if q.part not in left], 1.0)]
        fold = _adapted(weights, kept)
        outcomes += held_out(Model(fold), [(spider_database, [q for q in questions if q.part in left], 1.0)])
    print(f"several collections, left out: {sum(right for _, right in outcomes) / len(questions):.3f}", flush=True)
    final = _adapted(weights, [(spider_database, questions, 1.0)])
    changes = {name: round(weight - weights.get(name, 0.0), 3) for name, weight in sorted(final.items())}
    points, _ = calibrate(outcomes, PRECISION_MIN)
    return {
        "answer_confidence_min": PRECISION_MIN,
        "calibration": points,
        "changes": {name: change for name, change in changes.items() if abs(change) >= CHANGE_MIN},
    }


def _adapted(weights: Mapping[str, float], sources: Sequence[Source]) -> dict[str, float]:
    """Weights fitted to few questions: many passes, held near zero."""
    adapted = dict(weights)
    for _ in range(ROUNDS):
        fitted = fit(examples(Model(adapted), sources), weights, epochs=100, l2=3e-3, rate=0.05, seen_min=3)
        adapted = {**weights, **fitted}
    return adapted


def held_out(model: Model, sources: Sequence[Source]) -> list[tuple[float, bool]]:
    """(probability, right) of the likeliest answer to each question."""
    found = []
    for prepare, questions, _ in sources:
        for question in questions:
            prepared = prepare(question.table)
            outcomes = by_outcome(read(question.question, prepared.view, prepared.headers, model, prepared.joined))
            if outcomes:
                found.append((outcomes[0].probability, question.right(outcomes[0].readings[0].answer)))
    return found


def main(arguments: list[str]) -> int:
    """Train on a sample of each set: SIZE questions (default 6,000) of the two large ones."""
    size = int(arguments[0]) if arguments else 6_000
    chooser = random.Random(0)
    tables, wiki_tables = TableSet("wikisql-tabfact"), TableSet("wikitablequestions")
    sql, wiki = list(wikisql()), list(wikitablequestions())
    training: list[Source] = [
        (tables.prepared, _sample(chooser, [q for q in sql if q.part != "1"], size), 1.0),
        (wiki_tables.prepared, _sample(chooser, [q for q in wiki if q.part == "train"], size), 1.0),
    ]
    weights = train(training)
    held: list[Source] = [
        (tables.prepared, _sample(chooser, [q for q in sql if q.part == "1"], 1_000), 1.0),
        (wiki_tables.prepared, _sample(chooser, [q for q in wiki if q.part == "held"], 1_000), 1.0),
    ]
    points, least = calibrate(held_out(Model(weights), held), PRECISION_MIN)
    data = {
        "answer_confidence_min": least,
        "calibration": points,
        "weights": weights,
        "related": related(weights, list(spider())),
    }
    WEIGHTS.write_text(json.dumps(data, indent=0, sort_keys=True) + "\n", encoding="utf-8")
    print(f"{len(weights)} weights: {WEIGHTS}")
    return 0


def _sample(chooser: random.Random, questions: Sequence[PublicQuestion], size: int) -> list[PublicQuestion]:
    return chooser.sample(list(questions), min(size, len(questions)))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
