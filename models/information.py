"""What is known of a model without loading it: for lists, and for what a collection remembers."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from models.embedders.model_files import (
    CROSS_ENCODER,
    REVISION_CHARACTERS,
    SPECIAL_TOKENS,
    file_checksum,
    read_architectures,
    read_model_files,
)
from models.embedders.onnx_files import OnnxFilesEmbedder, graph_checksum, is_ready
from models.embedders.static import StaticEmbedder, is_static
from models.errors import ModelNotFoundError, ModelUnsupportedError
from models.names import ModelName
from models.registry import PACKAGED_MODELS, find_model, short_name

_LICENCE = re.compile(r"^licen[sc]e:\s*[\"']?([\w.+-]+)", re.MULTILINE | re.IGNORECASE)
_FRONT_MATTER = re.compile(r"\A---\n(.*?)\n---", re.DOTALL)


@dataclass(frozen=True, slots=True)
class ModelInformation:
    """A model in the registry or in a directory.

    Attributes:
        kind: "embedder", "onnx" (ready files), "static" or "reranker".
        directory: where its files are; None where it is not on this machine: then `install` is the command that brings
            it, and what only the files know is None.
        revision: start of `checksum`, the SHA-256 of the weights.
        max_tokens: tokens read of one text, special ones not counted.
        licence: as the model's card says, e.g. "apache-2.0".
        size_bytes: of all its files.
    """

    name: str
    kind: str
    install: str | None = None
    directory: str | None = None
    revision: str | None = None
    checksum: str | None = None
    dim: int | None = None
    max_tokens: int | None = None
    pooling: str | None = None
    normalized: bool | None = None
    query_prefix: str = ""
    document_prefix: str = ""
    licence: str | None = None
    size_bytes: int | None = None


def list_models() -> list[ModelInformation]:
    """The packaged models, those that are not installed included; checksums are not computed."""
    return [model_information(name, checksum=False) for name in PACKAGED_MODELS]


def model_information(name: str, *, checksum: bool = True) -> ModelInformation:
    """What is known of `name`, a packaged model or a directory.

    Raises:
        ModelNotFoundError: neither; a packaged one that is not installed is no error.
        ModelUnsupportedError: a directory's architecture is not one that we can run, or the name is not of files here.
        ModelDamagedError: a file is unreadable.
    """
    parsed = ModelName.parse(name)
    if parsed.runtime not in {"onnx", "static"}:
        raise ModelUnsupportedError(f"only files on this machine can be described: name={name!r}", name=name)
    packaged = PACKAGED_MODELS.get(short_name(name))
    try:
        directory = find_model(parsed.model)
    except ModelNotFoundError:
        if packaged is None:
            raise
        return ModelInformation(short_name(name), "embedder", install=packaged.install, licence=packaged.licence)
    found = (
        _static(directory) if is_static(directory) else _ready(directory) if is_ready(directory) else _bert(directory)
    )
    digest = _checksum(directory) if checksum else None
    return replace(
        found,
        name=short_name(name),
        directory=str(directory),
        revision=digest[:REVISION_CHARACTERS] if digest else None,
        checksum=digest,
        licence=packaged.licence if packaged else _licence(directory / "README.md"),
        size_bytes=sum(path.stat().st_size for path in directory.rglob("*") if path.is_file()),
    )


def _checksum(directory: Path) -> str:
    return graph_checksum(directory) if is_ready(directory) else file_checksum(directory / "model.safetensors")


def _ready(directory: Path) -> ModelInformation:
    embedder = OnnxFilesEmbedder(directory, name="")  # its dimension stands in the graph only
    return ModelInformation(
        "", "onnx", dim=embedder.dim, max_tokens=embedder.max_tokens, pooling=embedder.pooling,
        normalized=embedder.normalized, query_prefix=embedder.query_prefix, document_prefix=embedder.document_prefix,
    )  # fmt: skip


def _bert(directory: Path) -> ModelInformation:
    files = read_model_files(directory)
    if read_architectures(directory) == [CROSS_ENCODER]:
        return ModelInformation("", "reranker", max_tokens=files.sequence_length)
    return ModelInformation(
        "",
        "embedder",
        dim=files.bert.hidden_size,
        max_tokens=files.sequence_length - SPECIAL_TOKENS,
        pooling=files.pooling,
        normalized=files.normalized,
        query_prefix=files.query_prefix,
        document_prefix=files.document_prefix,
    )


def _static(directory: Path) -> ModelInformation:
    embedder = StaticEmbedder(directory, name="")  # small, and its dimension stands in the weights only
    return ModelInformation(
        "", "static", dim=embedder.dim, max_tokens=embedder.max_tokens, pooling="mean", normalized=True
    )


def _licence(card: Path) -> str | None:
    """The licence that a model card names in its front matter."""
    if not card.is_file():
        return None
    front = _FRONT_MATTER.match(card.read_text(encoding="utf-8", errors="replace"))
    found = _LICENCE.search(front.group(1)) if front else None
    return found.group(1) if found else None
