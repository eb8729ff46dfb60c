"""Random models of the families' configurations, written by transformers itself; needs the extra torch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.models.embedders.tiny_bert import VOCABULARY, write_model


@dataclass(frozen=True)
class Family:
    """What tells one family from another: sizes, pooling, prefixes."""

    name: str
    hidden_size: int
    layers: int
    heads: int
    pooling: str
    prompts: dict[str, str] | None = None


# Sizes from the models' own config.json; the base models with 4 of their 12 layers.
FAMILIES = [
    Family("all-MiniLM-L6-v2", 384, 6, 12, "mean_tokens"),
    Family("all-MiniLM-L12-v2", 384, 12, 12, "mean_tokens"),
    Family("bge-small-en-v1.5", 384, 12, 12, "cls_token", {"query": "a b c ", "document": ""}),
    Family("bge-base-en-v1.5", 768, 4, 12, "cls_token", {"query": "a b c ", "document": ""}),
    Family("e5-small-v2", 384, 12, 12, "mean_tokens", {"query": "a ", "document": "b "}),
    Family("e5-base-v2", 768, 4, 12, "mean_tokens", {"query": "a ", "document": "b "}),
    Family("gte-small", 384, 12, 12, "mean_tokens"),
    Family("gte-base", 768, 4, 12, "mean_tokens"),
]


def write_family(directory: Path, family: Family, *, cross_encoder: bool = False, seed: int = 3) -> Path:
    """A directory with weights drawn by transformers; those of norms and biases are moved off their defaults."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertModel

    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=family.hidden_size,
        num_hidden_layers=family.layers,
        num_attention_heads=family.heads,
        intermediate_size=4 * family.hidden_size,
        max_position_embeddings=512,
        initializer_range=0.06,
        num_labels=1 if cross_encoder else 2,
    )
    kind: Any = BertForSequenceClassification if cross_encoder else BertModel
    model = kind(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "LayerNorm" in name or name.endswith("bias"):
                parameter.add_(0.1 * torch.randn_like(parameter))
    write_model(
        directory, pooling=None if cross_encoder else family.pooling, prompts=family.prompts, max_seq_length=128
    )
    (directory / "model.safetensors").unlink()
    model.save_pretrained(directory, safe_serialization=True)
    files = {"tokenizer_config.json": {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 128}}
    files["tokenizer_config.json"] |= {
        name: f"[{token}]"
        for name, token in (("pad_token", "PAD"), ("unk_token", "UNK"), ("cls_token", "CLS"), ("sep_token", "SEP"))
    }
    for name, data in files.items():
        (directory / name).write_text(json.dumps(data), encoding="utf-8")
    return directory
