"""Text to vectors, scores and words. Knows nothing of documents, HTTP, or the environment.

Names are loaded when they are first used, so that importing this package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from models.batcher import BatchingEmbedder
    from models.embedder import Embedder, Progress, TokenOffsets, Vectors
    from models.errors import (
        InvalidTextError,
        LLMError,
        LLMReplyError,
        LLMUnavailableError,
        ModelDamagedError,
        ModelError,
        ModelNotFoundError,
        ModelUnsupportedError,
        QueueFullError,
    )
    from models.llm import LLM, Message, Reply, Usage
    from models.llms.network import restrict_llms_to_loopback
    from models.llms.scripted import ScriptedLLM, ScriptedRequest
    from models.registry import DEFAULT_MODEL, load_embedder, load_llm
    from models.splitter import split_passages

_EXPORTS = {
    "BatchingEmbedder": "models.batcher",
    "DEFAULT_MODEL": "models.registry",
    "Embedder": "models.embedder",
    "InvalidTextError": "models.errors",
    "LLM": "models.llm",
    "LLMError": "models.errors",
    "LLMReplyError": "models.errors",
    "LLMUnavailableError": "models.errors",
    "Message": "models.llm",
    "ModelDamagedError": "models.errors",
    "ModelError": "models.errors",
    "ModelNotFoundError": "models.errors",
    "ModelUnsupportedError": "models.errors",
    "Progress": "models.embedder",
    "QueueFullError": "models.errors",
    "Reply": "models.llm",
    "ScriptedLLM": "models.llms.scripted",
    "ScriptedRequest": "models.llms.scripted",
    "TokenOffsets": "models.embedder",
    "Usage": "models.llm",
    "Vectors": "models.embedder",
    "load_embedder": "models.registry",
    "load_llm": "models.registry",
    "restrict_llms_to_loopback": "models.llms.network",
    "split_passages": "models.splitter",
}

__all__ = [
    "DEFAULT_MODEL",
    "LLM",
    "BatchingEmbedder",
    "Embedder",
    "InvalidTextError",
    "LLMError",
    "LLMReplyError",
    "LLMUnavailableError",
    "Message",
    "ModelDamagedError",
    "ModelError",
    "ModelNotFoundError",
    "ModelUnsupportedError",
    "Progress",
    "QueueFullError",
    "Reply",
    "ScriptedLLM",
    "ScriptedRequest",
    "TokenOffsets",
    "Usage",
    "Vectors",
    "load_embedder",
    "load_llm",
    "restrict_llms_to_loopback",
    "split_passages",
]


def __getattr__(name: str) -> Any:
    try:
        module = _EXPORTS[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    value = getattr(importlib.import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
