"""`make eval-train`: fits the rules planner's weights on training parts, and says how sure its answers are.

Training parts: folds 2 to 9 of WikiSQL, the training tables of WikiTableQuestions but for the held ones, and, for
questions of several collections, all of Spider, which has no training part: its figure is measured here, leaving out
one of its databases at a time. How sure answers are is learned on the same training parts: the tables are halved, and
the questions of each half answered by weights that were fitted to the other; of Spider, on the databases left out.
Fold 1 and the held tables only measure. No question, table or value is kept, only weights of named features.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
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
from promptql.evaluation.calibration import Trusted, calibrate_trust, judged
from promptql.evaluation.fitting import Example, Examples, Packed, fit
from promptql.rules.confidence import signs
from promptql.rules.generate import read, understood
from promptql.rules.model import Model
from promptql.rules.outcomes import by_outcome
from promptql.rules.priors import PRIOR, RELATED_PRIOR

WEIGHTS = Path(__file__).parent.parent / "promptql" / "rules" / "weights.json"
SIZE, HELD = 6_000, 1_500  # questions of each of the two large sets: to train on, to calibrate on
READINGS_KEPT = 50  # of a question that train: the likeliest, and all right ones
WEIGHT_MIN = 0.1  # smaller ones are not shipped
L2, RELATED_L2 = 1.0, 3.0
# Features whose weights single tables teach otherwise: what is asked for, what is found, what is left over.
OWN = ("s", "d", "g")
SEEN_MIN, RELATED_SEEN_MIN = 5, 3  # questions that must have a feature for it to be weighed
RELATED_PARTS_MIN = 4  # databases that must have it, of 19: what fewer have is learned of their words
ROUNDS = 2
RELATED_ITERATIONS, RELATED_SETTLED = 150, 1e-6
FOLDS = 19  # of Spider's databases: each by itself
QUESTIONS_A_TASK = 40
PRECISION_MIN = {"wikisql": 0.95, "wikitablequestions": 0.91, "spider": 0.85}  # of answers without reserve
Weights = Mapping[str, float]


@lru_cache(maxsize=3)
def questions_of(name: str) -> list[PublicQuestion]:
    """A set's questions in the order of their tables."""
    makers: dict[str, Callable[[], Iterator[PublicQuestion]]] = {
        "wikisql": wikisql, "wikitablequestions": wikitablequestions, "spider": spider,
    }  # fmt: skip
    return sorted(makers[name](), key=lambda question: question.table)


@lru_cache(maxsize=3)
def _tables(name: str) -> Callable[[str], Prepared]:
    if name == "spider":
        return spider_database
    return TableSet("wikisql-tabfact" if name == "wikisql" else name).prepared


@dataclass(frozen=True, slots=True)
class Chosen:
    """Some questions of a set, by their numbers, ascending: small enough to be handed to another process."""

    name: str
    numbers: tuple[int, ...]

    def split(self) -> list[Chosen]:
        """In parts for one task each."""
        return [
            Chosen(self.name, self.numbers[begin : begin + QUESTIONS_A_TASK])
            for begin in range(0, len(self.numbers), QUESTIONS_A_TASK)
        ]

    def halves(self) -> tuple[Chosen, Chosen]:
        """In two parts that share no table."""
        known = questions_of(self.name)
        odd = [number for number in self.numbers if zlib.crc32(known[number].table.encode()) & 1]
        even = sorted(set(self.numbers) - set(odd))
        return Chosen(self.name, tuple(even)), Chosen(self.name, tuple(odd))

    def questions(self) -> list[PublicQuestion]:
        """The questions themselves."""
        return [questions_of(self.name)[number] for number in self.numbers]


def choose(name: str, admits: Callable[[str], bool], size: int | None = None) -> Chosen:
    """The questions of a set whose part is admitted, or a sample of them."""
    numbers = [number for number, question in enumerate(questions_of(name)) if admits(question.part)]
    if size is not None and size < len(numbers):
        numbers = sorted(random.Random(0).sample(numbers, size))
    return Chosen(name, tuple(numbers))


def main(arguments: list[str]) -> int:
    """Train on SIZE questions (default 6,000) of each large set, and on Spider; "tables", "related": one of the two."""
    begun = time.perf_counter()
    sizes = [int(argument) for argument in arguments if argument.isdigit()]
    data = json.loads(WEIGHTS.read_text(encoding="utf-8"))
    with ProcessPoolExecutor(workers()) as pool:
        if "related" not in arguments:
            data |= tables(pool, sizes[0] if sizes else SIZE)
        if "tables" not in arguments:
            data["related"] = related(pool, data["weights"])
    WEIGHTS.write_text(json.dumps(data, indent=0, sort_keys=True) + "\n", encoding="utf-8")
    number, several = len(data["weights"]), len(data["related"]["weights"])
    print(f"{number} weights, {several} for several collections, {time.perf_counter() - begun:.0f} s: {WEIGHTS}")
    return 0


def tables(pool: Executor, size: int) -> dict[str, Any]:
    """The weights for questions of one collection, and how sure answers to them are; tells what is held out."""
    learned = learn(pool, training_questions(size, lambda fold: fold != "1"))
    held = (("wikisql", "1"), ("wikitablequestions", "held"))
    for name, part in held:
        found = answers(pool, learned["weights"], choose(name, part.__eq__, HELD))
        sure = [answer for answer in found if is_sure(learned, answer)]
        print(f"{name}, held out: {share(found):.3f}", flush=True)
        print(f"  without reserve: {share(sure):.3f} of {len(sure) / len(found):.3f}", flush=True)
    return learned


def learn(pool: Executor, sources: Sequence[Chosen], rounds: int = ROUNDS) -> dict[str, Any]:
    """Weights fitted to the sources, weights of the signs of trust, and the confidence that needs no reserve.

    How sure answers are is learned of answers by weights that do not know their tables: those of each half of the
    tables are fitted to the other half, in one round.
    """
    halves = list(zip(*(chosen.halves() for chosen in sources), strict=True))
    packed, owner = source_examples(pool, PRIOR, [chosen for half in halves for chosen in half])
    unknown: dict[str, list[Trusted]] = {chosen.name: [] for chosen in sources}
    for number, half in enumerate(halves):
        known = [i for i, source in enumerate(owner) if source // len(sources) != number]
        weights = shipped(_fit(packed.packed(known)))
        for chosen in half:
            unknown[chosen.name] += answers(pool, weights, chosen)
    weights = shipped(_again(pool, sources, _fit(packed.packed()), rounds - 1))
    return {"weights": weights, **calibrate_trust(unknown, PRECISION_MIN)}


def is_sure(learned: Mapping[str, Any], answer: Trusted) -> bool:
    """Whether what was learned gives an answer without reserve."""
    return bool(answer.signs) and judged(learned["trust"], answer) >= learned["answer_confidence_min"]


def workers() -> int:
    """Processes that read questions: one a core, or what EVAL_WORKERS says."""
    return int(os.environ.get("EVAL_WORKERS", "0")) or os.cpu_count() or 1


def training_questions(size: int, folds: Callable[[str], bool]) -> list[Chosen]:
    """Samples of WikiSQL's folds and of WikiTableQuestions' training part."""
    return [choose("wikisql", folds, size), choose("wikitablequestions", lambda part: part == "train", size)]


def train(pool: Executor, sources: Sequence[Chosen], rounds: int = ROUNDS) -> dict[str, float]:
    """Weights fitted to the sources: readings are made anew with the weights of the round before."""
    return shipped(_again(pool, sources, PRIOR, rounds))


def _again(pool: Executor, sources: Sequence[Chosen], weights: Weights, rounds: int) -> Weights:
    """The weights of so many more rounds."""
    for number in range(rounds):
        begun = time.perf_counter()
        packed, _ = source_examples(pool, weights, sources)
        weights = _fit(packed.packed())
        print(f"round {number + 1}: {len(weights)} weights, {time.perf_counter() - begun:.0f} s", flush=True)
    return weights


def source_examples(pool: Executor, weights: Weights, sources: Sequence[Chosen]) -> tuple[Examples, list[int]]:
    """The examples of the sources that teach something, and the number of the source of each."""
    tasks = [(n, pool.submit(examples, weights, part)) for n, chosen in enumerate(sources) for part in chosen.split()]
    packed, owner = Examples(), list[int]()
    for number, task in tasks:
        for example in task.result():
            packed.add(example)
            owner += [number] * (len(packed) - len(owner))
    return packed, owner


def _fit(examples: Packed) -> dict[str, float]:
    return fit(examples, PRIOR, l2=L2, seen_min=SEEN_MIN)


def shipped(weights: Weights) -> dict[str, float]:
    """Weights that matter, rounded."""
    return {name: round(weight, 3) for name, weight in sorted(weights.items()) if abs(weight) >= WEIGHT_MIN}


def examples(weights: Weights, chosen: Chosen) -> list[Example]:
    """The readings of questions under weights, with those marked that give the right answer."""
    model, prepare = Model(weights), _tables(chosen.name)
    found = []
    for question in chosen.questions():
        prepared = prepare(question.table)
        candidates = read(question.question, prepared.view, prepared.headers, model, prepared.joined)
        right = [question.right(candidate.answer) for candidate in candidates]
        kept = [i for i in range(len(candidates)) if i < READINGS_KEPT or right[i]]
        features = [candidates[i].all_features() for i in kept]
        found.append(Example(features, [right[i] for i in kept], part=question.part))
    return found


def related(pool: Executor, weights: Weights) -> dict[str, Any]:
    """The weights for questions of several collections, and how sure answers to them are.

    The readings that train are made with weights that know no question of Spider, and the fitted ones are held near
    those. Each database's questions are read anew with weights that were fitted to other databases' questions.
    """
    prior = related_prior(weights)
    judged: list[tuple[str, Future[list[Trusted]]]] = []
    packed, owner = related_examples(pool, prior)
    for left, fitted in left_out(prior, packed, owner):
        judged += [(d, pool.submit(_answers, fitted, part)) for d in left for part in _asked(d).split()]
    outcomes = [answer for _, task in sorted(judged, key=lambda item: item[0]) for answer in task.result()]
    print(f"spider, held out: {share(outcomes):.3f}", flush=True)
    for category in sorted({outcome.category for outcome in outcomes}):
        print(f"spider, {category}, held out: {share([o for o in outcomes if o.category == category]):.3f}", flush=True)
    final = shipped(_related_fit(prior, packed.packed()))
    return {"weights": final, **calibrate_trust({"spider": outcomes}, PRECISION_MIN)}


def related_examples(pool: Executor, prior: Weights) -> tuple[Examples, list[str]]:
    """The examples of Spider that teach something, and the database of each."""
    databases = sorted({question.part for question in questions_of("spider")})
    packed, owner = source_examples(pool, prior, [_asked(database) for database in databases])
    return packed, [databases[number] for number in owner]


def left_out(prior: Weights, packed: Examples, owner: Sequence[str]) -> Iterator[tuple[list[str], dict[str, float]]]:
    """Databases that are left out together, and the weights fitted to the others."""
    databases = sorted({question.part for question in questions_of("spider")})
    for fold in range(FOLDS):
        left = databases[fold::FOLDS]
        known = [number for number, database in enumerate(owner) if database not in left]
        yield left, shipped(_related_fit(prior, packed.packed(known)))


def _asked(database: str) -> Chosen:
    return choose("spider", database.__eq__)


def related_prior(weights: Weights) -> dict[str, float]:
    """Where the weights for several collections begin."""
    kept = {name: weight for name, weight in weights.items() if name.split(":")[0] not in OWN}
    return {**PRIOR, **kept, **RELATED_PRIOR}


def _related_fit(prior: Weights, examples: Packed) -> dict[str, float]:
    return fit(
        examples,
        prior,
        l2=RELATED_L2,
        seen_min=RELATED_SEEN_MIN,
        parts_min=RELATED_PARTS_MIN,
        iterations=RELATED_ITERATIONS,
        settled=RELATED_SETTLED,
    )


def answers(pool: Executor, weights: Weights, chosen: Chosen) -> list[Trusted]:
    """What the model answers to questions that it does not know, with the signs of its being right."""
    tasks = [pool.submit(_answers, weights, part) for part in chosen.split()]
    return [answer for task in tasks for answer in task.result()]


def _answers(weights: Weights, chosen: Chosen) -> list[Trusted]:
    model, prepare = Model(weights), _tables(chosen.name)
    found = []
    for question in chosen.questions():
        prepared = prepare(question.table)
        outcomes = by_outcome(read(question.question, prepared.view, prepared.headers, model, prepared.joined))
        if outcomes:
            asked = understood(question.question, prepared.view)
            right = question.right(outcomes[0].readings[0].answer)
            found.append(Trusted(dict(signs(asked, prepared.view, outcomes, outcomes[0])), right, question.category))
        else:
            found.append(Trusted({}, False, question.category))
    return found


def share(answers: Sequence[Trusted]) -> float:
    """Of right ones."""
    return sum(answer.right for answer in answers) / max(1, len(answers))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
