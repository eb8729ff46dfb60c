"""A small random BERT on disk, and its forward pass in plain NumPy to compare with."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save_file
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing

Array = npt.NDArray[np.float64]

VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"abcdefghij", *(f"##{letter}" for letter in "abcdefghij")]
CONFIG: dict[str, Any] = {
    "architectures": ["BertModel"],
    "model_type": "bert",
    "hidden_act": "gelu",
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "vocab_size": len(VOCABULARY),
    "max_position_embeddings": 24,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-12,
    "pad_token_id": 0,
}


def random_weights(seed: int = 7) -> dict[str, npt.NDArray[np.float32]]:
    """Weights of `CONFIG` under the names of transformers' BertModel."""
    random = np.random.default_rng(seed)
    size, inner = CONFIG["hidden_size"], CONFIG["intermediate_size"]
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (CONFIG["vocab_size"], size),
        "embeddings.position_embeddings.weight": (CONFIG["max_position_embeddings"], size),
        "embeddings.token_type_embeddings.weight": (CONFIG["type_vocab_size"], size),
        **_norm_shapes("embeddings.LayerNorm"),
    }
    for layer in range(CONFIG["num_hidden_layers"]):
        name = f"encoder.layer.{layer}"
        for part in ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"):
            shapes |= {f"{name}.{part}.weight": (size, size), f"{name}.{part}.bias": (size,)}
        shapes |= {f"{name}.intermediate.dense.weight": (inner, size), f"{name}.intermediate.dense.bias": (inner,)}
        shapes |= {f"{name}.output.dense.weight": (size, inner), f"{name}.output.dense.bias": (size,)}
        shapes |= _norm_shapes(f"{name}.attention.output.LayerNorm") | _norm_shapes(f"{name}.output.LayerNorm")
    weights = {name: random.normal(0, 0.3, shape).astype(np.float32) for name, shape in shapes.items()}
    # Trained scales lie around 1; around 0 they would hide what the layers compute.
    return {name: value + np.float32(name.endswith("LayerNorm.weight")) for name, value in weights.items()}


def write_model(
    directory: Path,
    *,
    weights: dict[str, Any] | None = None,
    pooling: str | None = "mean_tokens",
    normalize: bool = True,
    prompts: dict[str, str] | None = None,
    max_seq_length: int | None = 12,
    **config: Any,
) -> Path:
    """A model directory as sentence-transformers writes it."""
    directory.mkdir(parents=True, exist_ok=True)
    _write(directory / "config.json", CONFIG | config)
    save_file(weights or random_weights(), directory / "model.safetensors")
    _tokenizer().save(str(directory / "tokenizer.json"))
    if max_seq_length:
        _write(directory / "sentence_bert_config.json", {"max_seq_length": max_seq_length})
    if pooling:
        size = (CONFIG | config)["hidden_size"]
        modes = {f"pooling_mode_{mode}": mode == pooling for mode in {"mean_tokens", "cls_token", pooling}}
        _write(directory / "1_Pooling" / "config.json", {"word_embedding_dimension": size} | modes)
        kinds = [("", "Transformer"), ("1_Pooling", "Pooling")] + ([("2_Normalize", "Normalize")] if normalize else [])
        modules = [
            {"idx": index, "name": str(index), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for index, (path, kind) in enumerate(kinds)
        ]
        _write(directory / "modules.json", modules)
    if prompts:
        _write(directory / "config_sentence_transformers.json", {"prompts": prompts})
    return directory


def random_cross_encoder_weights(seed: int = 7) -> dict[str, npt.NDArray[np.float32]]:
    """Weights of `CONFIG` with a head of one label, under the names of BertForSequenceClassification."""
    size = CONFIG["hidden_size"]
    shapes: dict[str, tuple[int, ...]] = {
        "bert.pooler.dense.weight": (size, size),
        "bert.pooler.dense.bias": (size,),
        "classifier.weight": (1, size),
        "classifier.bias": (1,),
    }
    random = np.random.default_rng(seed + 1)
    head = {name: random.normal(0, 0.3, shape).astype(np.float32) for name, shape in shapes.items()}
    return {f"bert.{name}": tensor for name, tensor in random_weights(seed).items()} | head


def write_cross_encoder(directory: Path, *, weights: dict[str, Any] | None = None, **config: Any) -> Path:
    """A directory as transformers writes BertForSequenceClassification with one label."""
    architecture = {"architectures": ["BertForSequenceClassification"], "id2label": {"0": "LABEL_0"}}
    weights = weights or random_cross_encoder_weights()
    return write_model(directory, weights=weights, pooling=None, max_seq_length=None, **(architecture | config))


def reference_score(ids: list[int], segments: list[int], weights: dict[str, Any]) -> float:
    """The logit of one pair, as transformers' BertForSequenceClassification computes it."""
    encoder = {name.removeprefix("bert."): tensor for name, tensor in weights.items()}
    first = reference_tokens(ids, encoder, segments)[0]
    pooled = np.tanh(weights["bert.pooler.dense.weight"] @ first + weights["bert.pooler.dense.bias"])
    return float((weights["classifier.weight"] @ pooled + weights["classifier.bias"])[0])


def reference(ids: list[int], weights: dict[str, Any], *, pooling: str = "mean", normalize: bool = True) -> Array:
    """(hidden_size,) float64: the embedding of one text."""
    x = reference_tokens(ids, weights, [0] * len(ids))
    pooled: Array = x[0] if pooling == "cls" else x.mean(0)
    return pooled / np.linalg.norm(pooled) if normalize else pooled


def reference_tokens(ids: list[int], weights: dict[str, Any], segments: list[int]) -> Array:
    """(tokens, hidden_size) float64: the last hidden state, as Devlin et al. (2018) describe BERT."""

    def linear(x: Array, name: str) -> Array:
        product: Array = x @ weights[f"{name}.weight"].astype(np.float64).T
        shifted: Array = np.add(product, weights[f"{name}.bias"])
        return shifted

    def norm(x: Array, name: str) -> Array:
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + CONFIG["layer_norm_eps"])
        shifted: Array = np.add(scaled * weights[f"{name}.weight"], weights[f"{name}.bias"])
        return shifted

    x = weights["embeddings.word_embeddings.weight"][ids].astype(np.float64)
    x = x + weights["embeddings.position_embeddings.weight"][: len(ids)]
    x = norm(x + weights["embeddings.token_type_embeddings.weight"][segments], "embeddings.LayerNorm")
    for layer in range(CONFIG["num_hidden_layers"]):
        name = f"encoder.layer.{layer}"
        attended = _attend(*(linear(x, f"{name}.attention.self.{part}") for part in ("query", "key", "value")))
        x = norm(linear(attended, f"{name}.attention.output.dense") + x, f"{name}.attention.output.LayerNorm")
        inner = _gelu(linear(x, f"{name}.intermediate.dense"))
        x = norm(linear(inner, f"{name}.output.dense") + x, f"{name}.output.LayerNorm")
    return x


def _attend(query: Array, key: Array, value: Array) -> Array:
    heads = CONFIG["num_attention_heads"]
    query, key, value = (part.reshape(len(part), heads, -1).transpose(1, 0, 2) for part in (query, key, value))
    scores = query @ key.transpose(0, 2, 1) / math.sqrt(query.shape[-1])
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    attended: Array = (weights @ value).transpose(1, 0, 2)
    return attended.reshape(attended.shape[0], -1)


def _gelu(x: Array) -> Array:
    activated: Array = x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))
    return activated


def _norm_shapes(name: str) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (CONFIG["hidden_size"],), f"{name}.bias": (CONFIG["hidden_size"],)}


def _tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(WordPiece({token: i for i, token in enumerate(VOCABULARY)}, unk_token="[UNK]"))
    tokenizer.normalizer = BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    special = [(token, VOCABULARY.index(token)) for token in ("[CLS]", "[SEP]")]
    pair = "[CLS] $A [SEP] $B:1 [SEP]:1"
    tokenizer.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", pair=pair, special_tokens=special)
    return tokenizer


def _write(path: Path, data: object) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(data), encoding="utf-8")
