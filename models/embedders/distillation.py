"""A static embedder out of a model: its own tokens, each embedded alone, reduced and weighted."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save_file

from models.embedder import Embedder, Progress, Vectors
from models.embedders.onnx import OnnxEmbedder
from models.embedders.quantization import PROBE_TEXTS
from models.embedders.static import DEFAULT_MAX_TOKENS, MODEL_TYPE, StaticEmbedder
from models.errors import ModelError

DEFAULT_DIM = 256

_SMOOTHING = 1e-4  # of smooth inverse frequency; model2vec's value
_TOKENS_AT_ONCE = 512


@dataclass(frozen=True, slots=True)
class Distillation:
    """What came of it.

    Attributes:
        directory: where the model is; its path is its name.
        tokens: rows of the table; `dim` its columns.
        variance: share of the token vectors' variance that the columns keep.
        similarity_correlation: Pearson's, between teacher's and student's similarities of all pairs of the probe texts.
    """

    directory: Path
    tokens: int
    dim: int
    variance: float
    similarity_correlation: float


def distill(
    teacher: OnnxEmbedder,
    directory: Path,
    *,
    dim: int = DEFAULT_DIM,
    sample: Sequence[str] = (),
    progress: Progress | None = None,
) -> Distillation:
    """Write a static embedder made from `teacher` to `directory`.

    The method is model2vec's (https://github.com/MinishLab/model2vec): vectors of single tokens, principal components,
    weights by smooth inverse frequency (Arora, Liang and Ma, ICLR 2017).

    Args:
        teacher: embeds the tokens; better in float32.
        directory: made; must not exist.
        dim: numbers in one vector, at most the teacher's.
        sample: texts like those to be embedded, from which the tokens' frequencies are counted; without them a token's
            frequency is guessed from its place in the vocabulary (Zipf).
        progress: called with a stage and a fraction 0..1 of it.

    Raises:
        ModelError: `directory` exists.
        ValueError: `dim` is not in 2..teacher.dim.
    """
    if not 2 <= dim <= teacher.dim:
        raise ValueError(f"dim must be at least 2 and at most the teacher's: got={dim} teacher={teacher.dim}")
    if directory.exists():
        raise ModelError(f"directory exists: directory={directory}", directory=str(directory))
    report = progress or (lambda _stage, _fraction: None)
    table = _token_vectors(teacher, report)
    report("reducing the table", 0.0)
    reduced, variance = _principal_components(table, dim)
    weights = _smooth_inverse_frequencies(_frequencies(teacher, len(table), sample))
    _write(directory, teacher, (reduced * weights[:, np.newaxis]).astype(np.float32))
    student = StaticEmbedder(directory, name=str(directory))
    report("model ready", 1.0)
    return Distillation(directory, len(table), dim, variance, similarity_correlation(teacher, student))


def similarity_correlation(teacher: Embedder, student: Embedder, texts: Sequence[str] = PROBE_TEXTS) -> float:
    """Pearson's correlation between the two embedders' similarities of all pairs of `texts`; 1 is equal."""
    rows, columns = np.triu_indices(len(texts), k=1)
    similarities = [(vectors @ vectors.T)[rows, columns] for vectors in map(_unit, _vectors(teacher, student, texts))]
    return float(np.corrcoef(similarities[0], similarities[1])[0, 1])


def _vectors(teacher: Embedder, student: Embedder, texts: Sequence[str]) -> list[Vectors]:
    return [embedder.embed_documents(texts) for embedder in (teacher, student)]


def _unit(vectors: Vectors) -> Vectors:
    scaled: Vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return scaled


def _token_vectors(teacher: OnnxEmbedder, report: Progress) -> Vectors:
    parts = []
    for start in range(0, teacher.vocabulary_size, _TOKENS_AT_ONCE):
        report("embedding the tokens", start / teacher.vocabulary_size)
        parts.append(
            teacher.embed_tokens(
                np.arange(start, min(start + _TOKENS_AT_ONCE, teacher.vocabulary_size), dtype=np.int32)
            )
        )
    return np.concatenate(parts)


def _principal_components(table: Vectors, dim: int) -> tuple[Vectors, float]:
    """The first `dim` components of the centred rows, and the share of variance that they keep."""
    centred = table.astype(np.float64) - table.mean(axis=0, dtype=np.float64)
    values, vectors = np.linalg.eigh(centred.T @ centred)  # ascending
    kept = np.ascontiguousarray(vectors[:, ::-1][:, :dim])
    kept *= np.where(kept.sum(axis=0) < 0, -1.0, 1.0)  # the sign of a component is arbitrary: fix it
    return (centred @ kept).astype(np.float32), float(values[::-1][:dim].sum() / values.sum())


def _frequencies(teacher: OnnxEmbedder, tokens: int, sample: Sequence[str]) -> npt.NDArray[np.float64]:
    """Shares of the tokens, (tokens,), adding up to 1; never 0."""
    counts: npt.NDArray[np.float64] = (np.ones(tokens) if sample else 1 / (np.arange(tokens) + 2)).astype(np.float64)
    for text in sample:
        np.add.at(counts, teacher.token_ids(text), 1.0)
    shares: npt.NDArray[np.float64] = counts / counts.sum()
    return shares


def _smooth_inverse_frequencies(frequencies: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    weights: npt.NDArray[np.float64] = _SMOOTHING / (_SMOOTHING + frequencies)
    return weights


def _write(directory: Path, teacher: OnnxEmbedder, table: Vectors) -> None:
    """Into a directory beside it, which is renamed when it is whole."""
    unfinished = directory.with_name(f"{directory.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    shutil.copy(teacher.directory / "tokenizer.json", unfinished / "tokenizer.json")
    save_file({"embeddings": table}, unfinished / "model.safetensors")
    config = {
        "model_type": MODEL_TYPE,
        "architectures": ["StaticModel"],
        "hidden_dim": table.shape[1],
        "normalize": True,
        "seq_length": DEFAULT_MAX_TOKENS,
        "teacher": teacher.name,
        "teacher_revision": teacher.revision,
    }
    (unfinished / "config.json").write_text(json.dumps(config, indent=1), encoding="utf-8")
    unfinished.rename(directory)
