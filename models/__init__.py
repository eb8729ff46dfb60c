"""Text to vectors, scores and words. Knows nothing of documents, HTTP, or the environment.

Names are loaded when they are first used, so that importing this package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from models.batcher import BatchingEmbedder
    from models.cache import CacheCounts, CachingEmbedder, EmbeddingCache
    from models.caches.memory import MemoryCache
    from models.caches.redis import RedisCache
    from models.caches.sqlite import SqliteCache
    from models.embedder import Embedder, Progress, TokenOffsets, Vectors
    from models.embedders.bert_graph import Precision
    from models.embedders.distillation import Distillation, distill
    from models.embedders.onnx import OnnxEmbedder, PrecisionChoice
    from models.embedders.remote import RemoteEmbedder
    from models.errors import (
        CacheUnavailableError,
        InvalidTextError,
        LLMBudgetError,
        LLMCancelledError,
        LLMError,
        LLMReplyError,
        LLMUnavailableError,
        ModelDamagedError,
        ModelError,
        ModelNameError,
        ModelNotFoundError,
        ModelUnsupportedError,
        QueueFullError,
        RemoteModelError,
        RemoteReplyError,
        RemoteUnavailableError,
    )
    from models.information import ModelInformation, list_models, model_information
    from models.llm import JSON, LLM, Message, Reply, Usage
    from models.llms.budget import Budget, Budgets
    from models.llms.budgeted import BudgetedLLM
    from models.llms.client import RemoteLLM
    from models.llms.clock import Clock
    from models.llms.keys import read_key_file
    from models.llms.loading import load_llm
    from models.llms.network import restrict_llms_to_loopback
    from models.llms.prices import PRICES, Price, read_prices
    from models.llms.providers import PROVIDERS, Provider, StructuredMode
    from models.llms.rate_limits import RateLimit
    from models.llms.scripted import ScriptedCut, ScriptedLLM, ScriptedRequest
    from models.names import ModelName, RemoteAccess
    from models.registry import DEFAULT_MODEL, LATE_INTERACTION, load_embedder, load_reranker, short_name
    from models.reranker import Reranker, Scores, TokenEmbedder
    from models.rerankers.cross_encoder import CrossEncoderReranker
    from models.rerankers.late_interaction import LateInteractionReranker
    from models.rerankers.remote import RemoteReranker
    from models.retries import RetryPolicy
    from models.splitting.choice import structure_of
    from models.splitting.code import CODE_SUFFIXES, splitter_of
    from models.splitting.markdown import heading_titles
    from models.splitting.passages import split_passages
    from models.splitting.structure import Scope, Splitter, Structure

_EXPORTS = {
    "BatchingEmbedder": "models.batcher",
    "Budget": "models.llms.budget",
    "BudgetedLLM": "models.llms.budgeted",
    "Budgets": "models.llms.budget",
    "CacheCounts": "models.cache",
    "CacheUnavailableError": "models.errors",
    "CachingEmbedder": "models.cache",
    "Clock": "models.llms.clock",
    "CODE_SUFFIXES": "models.splitting.code",
    "CrossEncoderReranker": "models.rerankers.cross_encoder",
    "DEFAULT_MODEL": "models.registry",
    "distill": "models.embedders.distillation",
    "Distillation": "models.embedders.distillation",
    "Embedder": "models.embedder",
    "EmbeddingCache": "models.cache",
    "heading_titles": "models.splitting.markdown",
    "InvalidTextError": "models.errors",
    "LATE_INTERACTION": "models.registry",
    "LateInteractionReranker": "models.rerankers.late_interaction",
    "list_models": "models.information",
    "JSON": "models.llm",
    "LLM": "models.llm",
    "LLMBudgetError": "models.errors",
    "LLMCancelledError": "models.errors",
    "LLMError": "models.errors",
    "LLMReplyError": "models.errors",
    "LLMUnavailableError": "models.errors",
    "load_embedder": "models.registry",
    "load_llm": "models.llms.loading",
    "load_reranker": "models.registry",
    "MemoryCache": "models.caches.memory",
    "Message": "models.llm",
    "model_information": "models.information",
    "ModelDamagedError": "models.errors",
    "ModelError": "models.errors",
    "ModelInformation": "models.information",
    "ModelName": "models.names",
    "ModelNameError": "models.errors",
    "ModelNotFoundError": "models.errors",
    "ModelUnsupportedError": "models.errors",
    "OnnxEmbedder": "models.embedders.onnx",
    "Precision": "models.embedders.bert_graph",
    "PrecisionChoice": "models.embedders.onnx",
    "Price": "models.llms.prices",
    "PRICES": "models.llms.prices",
    "Progress": "models.embedder",
    "Provider": "models.llms.providers",
    "PROVIDERS": "models.llms.providers",
    "QueueFullError": "models.errors",
    "RateLimit": "models.llms.rate_limits",
    "read_key_file": "models.llms.keys",
    "read_prices": "models.llms.prices",
    "RedisCache": "models.caches.redis",
    "RemoteAccess": "models.names",
    "RemoteEmbedder": "models.embedders.remote",
    "RemoteLLM": "models.llms.client",
    "RemoteModelError": "models.errors",
    "RemoteReplyError": "models.errors",
    "RemoteReranker": "models.rerankers.remote",
    "RemoteUnavailableError": "models.errors",
    "Reply": "models.llm",
    "Reranker": "models.reranker",
    "restrict_llms_to_loopback": "models.llms.network",
    "RetryPolicy": "models.retries",
    "Scope": "models.splitting.structure",
    "Scores": "models.reranker",
    "ScriptedCut": "models.llms.scripted",
    "ScriptedLLM": "models.llms.scripted",
    "ScriptedRequest": "models.llms.scripted",
    "short_name": "models.registry",
    "split_passages": "models.splitting.passages",
    "Splitter": "models.splitting.structure",
    "splitter_of": "models.splitting.code",
    "SqliteCache": "models.caches.sqlite",
    "Structure": "models.splitting.structure",
    "structure_of": "models.splitting.choice",
    "StructuredMode": "models.llms.providers",
    "TokenEmbedder": "models.reranker",
    "TokenOffsets": "models.embedder",
    "Usage": "models.llm",
    "Vectors": "models.embedder",
}

__all__ = [
    "CODE_SUFFIXES",
    "DEFAULT_MODEL",
    "JSON",
    "LATE_INTERACTION",
    "LLM",
    "PRICES",
    "PROVIDERS",
    "BatchingEmbedder",
    "Budget",
    "BudgetedLLM",
    "Budgets",
    "CacheCounts",
    "CacheUnavailableError",
    "CachingEmbedder",
    "Clock",
    "CrossEncoderReranker",
    "Distillation",
    "Embedder",
    "EmbeddingCache",
    "InvalidTextError",
    "LLMBudgetError",
    "LLMCancelledError",
    "LLMError",
    "LLMReplyError",
    "LLMUnavailableError",
    "LateInteractionReranker",
    "MemoryCache",
    "Message",
    "ModelDamagedError",
    "ModelError",
    "ModelInformation",
    "ModelName",
    "ModelNameError",
    "ModelNotFoundError",
    "ModelUnsupportedError",
    "OnnxEmbedder",
    "Precision",
    "PrecisionChoice",
    "Price",
    "Progress",
    "Provider",
    "QueueFullError",
    "RateLimit",
    "RedisCache",
    "RemoteAccess",
    "RemoteEmbedder",
    "RemoteLLM",
    "RemoteModelError",
    "RemoteReplyError",
    "RemoteReranker",
    "RemoteUnavailableError",
    "Reply",
    "Reranker",
    "RetryPolicy",
    "Scope",
    "Scores",
    "ScriptedCut",
    "ScriptedLLM",
    "ScriptedRequest",
    "Splitter",
    "SqliteCache",
    "Structure",
    "StructuredMode",
    "TokenEmbedder",
    "TokenOffsets",
    "Usage",
    "Vectors",
    "distill",
    "heading_titles",
    "list_models",
    "load_embedder",
    "load_llm",
    "load_reranker",
    "model_information",
    "read_key_file",
    "read_prices",
    "restrict_llms_to_loopback",
    "short_name",
    "split_passages",
    "splitter_of",
    "structure_of",
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
