"""A model directory as sentence-transformers lays it out, read and checked.

Layout: https://www.sbert.net/docs/sentence_transformer/usage/custom_models.html (`config.json`,
`tokenizer.json`, `model.safetensors`, and optionally `modules.json`, `1_Pooling/config.json`,
`sentence_bert_config.json`, `config_sentence_transformers.json`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from models.errors import ModelDamagedError, ModelNotFoundError, ModelUnsupportedError

REQUIRED_FILES = ("config.json", "tokenizer.json", "model.safetensors")

CROSS_ENCODER = "BertForSequenceClassification"
REVISION_CHARACTERS = 16  # of the weights' checksum
SPECIAL_TOKENS = 2  # [CLS] and [SEP]

_HASH_CHUNK_BYTES = 1 << 20

Pooling: TypeAlias = Literal["mean", "cls"]


@dataclass(frozen=True, slots=True)
class BertConfig:
    """The numbers of a BERT encoder, under the names of its config.json."""

    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    vocab_size: int
    max_position_embeddings: int
    type_vocab_size: int
    layer_norm_eps: float
    pad_token_id: int


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """What a model directory says about its embedder.

    Attributes:
        sequence_length: tokens read of one text, [CLS] and [SEP] included.
        query_prefix: text that the model wants before every query; likewise `document_prefix`.
    """

    directory: Path
    bert: BertConfig
    pooling: Pooling
    normalized: bool
    sequence_length: int
    query_prefix: str
    document_prefix: str

    @property
    def weights(self) -> Path:
        """The safetensors file."""
        return self.directory / "model.safetensors"

    @property
    def tokenizer(self) -> Path:
        """The tokenizer of the `tokenizers` library."""
        return self.directory / "tokenizer.json"


def read_model_files(directory: Path) -> ModelFiles:
    """Read and check the configuration files of `directory`; the weights are not read.

    Raises:
        ModelNotFoundError: a required file is missing.
        ModelUnsupportedError: the architecture, activation or pooling is not one that we can run.
        ModelDamagedError: a file is not JSON or lacks a number.
    """
    missing = [name for name in REQUIRED_FILES if not (directory / name).is_file()]
    if missing:
        raise ModelNotFoundError(
            f"model directory is incomplete: directory={directory} missing={', '.join(missing)}", missing=missing
        )
    bert = _bert_config(directory / "config.json")
    prompts = read_prompts(directory)
    return ModelFiles(
        directory=directory,
        bert=bert,
        pooling=read_pooling(directory),
        normalized=read_normalized(directory),
        sequence_length=_sequence_length(directory, bert),
        query_prefix=prompts.get("query", ""),
        document_prefix=prompts.get("document", prompts.get("passage", "")),
    )


def read_architectures(directory: Path) -> list[str]:
    """The classes that config.json names; empty where it names none.

    Raises:
        ModelDamagedError: the file is unreadable.
    """
    return _architectures(directory / "config.json", read_optional_object(directory / "config.json"))


def read_label_count(directory: Path) -> int:
    """Labels of a classifier's head; transformers' default is 2. Raises what `read_architectures` does."""
    labels = read_optional_object(directory / "config.json").get("id2label")
    return read_number(directory / "config.json", "num_labels", len(labels) if isinstance(labels, dict) else 2)


def file_checksum(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while chunk := file.read(_HASH_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise ModelDamagedError(f"model file is unreadable: file={path} reason={error}", file=str(path)) from error


def read_optional_object(path: Path) -> Mapping[str, Any]:
    """The JSON object in a file; empty where there is no file.

    Raises:
        ModelDamagedError: it is unreadable, or no object.
    """
    data = _read_json(path) if path.is_file() else {}
    if not isinstance(data, dict):
        raise ModelDamagedError(f"model file is not a JSON object: file={path}", file=str(path))
    return data


def read_number(path: Path, name: str, default: int) -> int:
    """The integer called `name` of the JSON object in a file; `default` where there is none, or no file.

    Raises:
        ModelDamagedError: the file is unreadable, or has something else there.
    """
    value = read_optional_object(path).get(name)
    if value is None:
        return default
    if type(value) is not int:
        raise ModelDamagedError(f"model configuration lacks a number: file={path} {name}={value!r:.40}", file=str(path))
    return value


def _architectures(path: Path, data: Mapping[str, Any]) -> list[str]:
    names = data.get("architectures") or []
    if not isinstance(names, list):
        raise ModelDamagedError(f"model configuration is damaged: file={path} architectures={names!r:.40}")
    return [str(name) for name in names]


def _bert_config(path: Path) -> BertConfig:
    data = read_optional_object(path)
    _check_architecture(path, data)
    try:
        bert = BertConfig(
            hidden_size=int(data["hidden_size"]),
            intermediate_size=int(data["intermediate_size"]),
            num_hidden_layers=int(data["num_hidden_layers"]),
            num_attention_heads=int(data["num_attention_heads"]),
            vocab_size=int(data["vocab_size"]),
            max_position_embeddings=int(data["max_position_embeddings"]),
            type_vocab_size=int(data.get("type_vocab_size", 2)),
            layer_norm_eps=float(data.get("layer_norm_eps", 1e-12)),
            pad_token_id=int(data.get("pad_token_id", 0)),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ModelDamagedError(
            f"model configuration lacks a number: file={path} field={error}", file=str(path)
        ) from error
    sizes = (bert.hidden_size, bert.num_hidden_layers, bert.num_attention_heads, bert.vocab_size, bert.type_vocab_size)
    if min(sizes) < 1 or bert.hidden_size % bert.num_attention_heads or not 0 <= bert.pad_token_id < bert.vocab_size:
        raise ModelDamagedError(f"model configuration contradicts itself: file={path} got={bert}", file=str(path))
    return bert


def _check_architecture(path: Path, data: Mapping[str, Any]) -> None:
    architectures = _architectures(path, data)
    named = ", ".join(architectures) or "none named"
    if data.get("model_type") != "bert" or not all(name.startswith("Bert") for name in architectures):
        raise ModelUnsupportedError(
            f"model architecture is not supported: got={named} model_type={data.get('model_type')} "
            "supported=BertModel (all-MiniLM, bge-*-en-v1.5, e5-*-v2, gte-small and gte-base v1)",
            architectures=architectures,
        )
    wanted = {"hidden_act": "gelu", "position_embedding_type": "absolute"}
    for field, value in wanted.items():
        if data.get(field, value) != value:
            raise ModelUnsupportedError(
                f"model configuration is not supported: architecture={named} {field}={data[field]} supported={value}"
            )


def _modules(directory: Path) -> list[tuple[str, str]]:
    """(type, path) of each module in order; a bare encoder has no modules.json and so no normalisation."""
    path = directory / "modules.json"
    if not path.is_file():
        return []
    data = _read_json(path)
    try:
        modules = [(str(module["type"]), str(module["path"])) for module in data]
    except (TypeError, KeyError) as error:
        raise ModelDamagedError(f"model file is not a list of modules: file={path}", file=str(path)) from error
    if not modules:
        raise ModelDamagedError(f"model file names no modules: file={path}", file=str(path))
    unknown = [kind for kind, _ in modules if not kind.endswith(("Transformer", "Pooling", "Normalize"))]
    if unknown:
        raise ModelUnsupportedError(
            f"model module is not supported: got={', '.join(unknown)} supported=Transformer, Pooling, Normalize"
        )
    return modules


def read_pooling(directory: Path) -> Pooling:
    """Pooling as written; mean where nothing is written, which is sentence-transformers' own default.

    Raises:
        ModelUnsupportedError: it is neither mean nor CLS.
        ModelDamagedError: a file is unreadable.
    """
    paths = [path for kind, path in _modules(directory) if kind.endswith("Pooling")]
    data = read_optional_object(directory / (paths[0] if paths else "1_Pooling") / "config.json")
    if "pooling_mode" in data:  # sentence-transformers 5 and later write one name
        modes = [str(data["pooling_mode"])]
    else:
        modes = [
            key.removeprefix("pooling_mode_") for key, on in data.items() if key.startswith("pooling_mode_") and on
        ]
    match modes:
        case [] | ["mean_tokens"] | ["mean"]:
            return "mean"
        case ["cls_token"] | ["cls"]:
            return "cls"
        case _:
            raise ModelUnsupportedError(f"model pooling is not supported: got={', '.join(modes)} supported=mean, cls")


def _sequence_length(directory: Path, bert: BertConfig) -> int:
    path = directory / "sentence_bert_config.json"
    length = min(read_number(path, "max_seq_length", bert.max_position_embeddings), bert.max_position_embeddings)
    if length <= SPECIAL_TOKENS:
        raise ModelDamagedError(f"model reads no tokens: file={path} max_seq_length={length}", file=str(path))
    return length


def read_normalized(directory: Path) -> bool:
    """Whether a module scales vectors to length 1; raises what `read_pooling` does."""
    return any(kind.endswith("Normalize") for kind, _ in _modules(directory))


def read_prompts(directory: Path) -> Mapping[str, str]:
    """The prefixes of the model's kinds of texts, by the kind's name.

    Raises:
        ModelDamagedError: the file is unreadable, or a prefix is no text.
    """
    path = directory / "config_sentence_transformers.json"
    prompts = read_optional_object(path).get("prompts") or {}
    if not isinstance(prompts, dict) or not all(isinstance(text, str | None) for text in prompts.values()):
        raise ModelDamagedError(f"model's prompts are not texts by name: file={path}", file=str(path))
    return {name: text or "" for name, text in prompts.items()}
