"""Filters that judge few of their rows: a proxy on stored embeddings decides the others, with a guarantee."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from promptql.cascade import (
    FAILED,
    KEPT,
    LEFT_OUT,
    NOT_ASKED,
    ROWS_MIN,
    Certificate,
    Method,
    Selection,
    Target,
    features_of,
    select,
)
from promptql.cascade import Judge as RowJudge
from promptql.cascade import Quality as Promise
from promptql.errors import LimitExceededError
from promptql.judgements import Verdict
from promptql.operators.embeddings import vectors_of
from promptql.operators.semantic.deciding import Decision, Question
from promptql.operators.semantic.inputs import NO_TEXT
from promptql.steps import LlmFilter, ModelSize
from promptql.vectors import unit


def cascade(question: Question) -> Decision | None:
    """Judge as many of the rows as the filter's target needs; None where that would be all.

    The proxy is trained on the embeddings that are stored with the documents where the filter reads the embedded
    fields, else on new ones. Without enough rows, or with too many to embed, every row is judged.
    """
    texts = question.inputs.texts
    if len(texts) < ROWS_MIN:
        return None
    first, counts = _firsts(question.inputs.owners, len(texts))
    try:
        rows = question.rows.over(question.rows.relation.take(np.array(question.places, dtype=np.int64)[first]))
        vectors = vectors_of(rows, question.step.fields, question.scope, question.step.id)
    except LimitExceededError:
        return None
    asked = question.scope.embedder_of(question.rows.collection).embed_queries([question.step.instruction])
    similarity = vectors @ unit(np.asarray(asked))[0]
    said: dict[int, Verdict] = {}
    models = question.scope.models
    helped = models is not None and models.small is not None and question.step.model is not ModelSize.SMALL
    selection = select(
        features_of(vectors, texts, similarity),
        _judge(question, None, said),
        _promise(question.step),
        seed=_seed(question.step),
        similarity=similarity,
        weights=counts,
        helper=_judge(question, ModelSize.SMALL, {}) if helped else None,
    )
    return _decision(question.step, selection, said)


def _firsts(owners: Sequence[int], texts: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Of each distinct text the first row that has it, and how many have it."""
    held = np.array(owners, dtype=np.int64)
    places = np.flatnonzero(held != NO_TEXT)
    _, first, counts = np.unique(held[places], return_index=True, return_counts=True)
    assert len(first) == texts
    return places[first], counts.astype(np.int64)


def _judge(question: Question, size: ModelSize | None, said: dict[int, Verdict]) -> RowJudge:
    """The step's judge in numbers; what it says in full goes into `said`."""

    def judge(places: npt.NDArray[np.int64]) -> npt.NDArray[np.int8]:
        verdicts = question.judge(places.tolist(), size)
        missing = NOT_ASKED if question.ended() else FAILED
        labels = np.full(len(places), missing, dtype=np.int8)
        for index, (place, verdict) in enumerate(zip(places.tolist(), verdicts, strict=True)):
            if verdict is not None:
                said[place] = verdict
                labels[index] = KEPT if verdict.value else LEFT_OUT
        return labels

    return judge


def _promise(step: LlmFilter) -> Promise:
    return Promise(Target(step.quality.target.value), step.quality.value, step.quality.delta)


def _seed(step: LlmFilter) -> int:
    """The same step draws the same rows, so that asking again costs nothing; what it draws depends on no document."""
    words = f"{step.instruction}\0{step.fields}\0{step.quality}"
    return int.from_bytes(hashlib.blake2b(words.encode(errors="surrogatepass"), digest_size=8).digest(), "big")


def _decision(step: LlmFilter, selection: Selection, said: dict[int, Verdict]) -> Decision:
    certificate = selection.certificate
    verdicts: list[Verdict | None] = []
    for place, label in enumerate(selection.labels.tolist()):
        if label == FAILED:
            verdicts.append(None)
        elif place in said:
            verdicts.append(said[place])
        else:
            verdicts.append(Verdict(bool(selection.kept[place]), round(float(selection.confidence[place]), 4)))
    return Decision(verdicts, certificate.to_json(), certificate.proxy_decided, _warning(step, certificate))


def _warning(step: LlmFilter, certificate: Certificate) -> str | None:
    """What a reader is told of a target that was not reached."""
    if certificate.method is not Method.INTERRUPTED:
        return None
    bounds = f"{certificate.count_lower} to {certificate.count_upper} of {certificate.rows} inputs belong"
    return (
        f"step {step.id}: judging ended after {certificate.judged} of {certificate.rows} inputs; "
        f"those found are shown; {bounds}, at confidence {1 - certificate.quality.delta:g}"
    )
