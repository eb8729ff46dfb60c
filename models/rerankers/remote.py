"""Reranking by a service that has `/rerank`: Cohere, Jina, Voyage, TEI behind a gateway, vLLM and others."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from models.embedder import check_texts
from models.errors import RemoteReplyError
from models.remote import RemoteEndpoint
from models.reranker import Scores
from models.retries import RetryPolicy

_BATCH_TEXTS = 256  # Cohere advises at most 1,000


class RemoteReranker:
    """Scores over HTTP; safe to call from many threads. No request is made before the first `score`.

    POST {base_url}/rerank with model, query, documents, top_n; the reply holds index and relevance_score of each, under
    "results" (Cohere, Jina: https://docs.cohere.com/reference/rerank, https://jina.ai/reranker) or "data" (Voyage:
    https://docs.voyageai.com/reference/reranker-api).

    Args:
        model: its name at the service.
        base_url: the address ending before `/rerank`, e.g. "https://api.jina.ai/v1".
        name: the model's name as users know it; by default "remote:" and `model`.
        api_key: None for local servers that want none.
        policy: retries and timeouts.
    """

    is_remote = True

    def __init__(
        self,
        *,
        model: str,
        base_url: str,
        name: str | None = None,
        api_key: str | None = None,
        policy: RetryPolicy | None = None,
    ) -> None:
        self.name = name or f"remote:{model}"
        self._model = model
        self._endpoint = RemoteEndpoint(base_url, api_key=api_key, model=model, policy=policy)

    def score(self, query: str, texts: Sequence[str]) -> Scores:
        """One score for each text, (n,) float32; see `Reranker`.

        Raises:
            RemoteModelError: the service refused, cannot be reached, or answers with nonsense; see its subclasses.
        """
        check_texts([query])
        check_texts(texts)
        scores = np.empty(len(texts), dtype=np.float32)
        for start in range(0, len(texts), _BATCH_TEXTS):
            part = [text or " " for text in texts[start : start + _BATCH_TEXTS]]
            body = {"model": self._model, "query": query or " ", "documents": part, "top_n": len(part)}
            scores[start : start + len(part)] = _scores(self._endpoint.post("/rerank", body), len(part), self._model)
        return scores

    def close(self) -> None:
        """Close the connections; idempotent."""
        self._endpoint.close()


def _scores(reply: object, count: int, model: str) -> list[float]:
    rows = reply.get("results", reply.get("data")) if isinstance(reply, Mapping) else None
    if not isinstance(rows, list) or len(rows) != count:
        got = len(rows) if isinstance(rows, list) else "no list"
        raise RemoteReplyError(f"service returned a wrong number of scores: model={model} expected={count} got={got}")
    scores: dict[int, float] = {}
    for row in rows:
        index, score = (row.get("index"), row.get("relevance_score")) if isinstance(row, Mapping) else (None, None)
        if type(index) is not int or not isinstance(score, int | float) or not math.isfinite(score):
            raise RemoteReplyError(f"service returned something else than a score: model={model}")
        scores[index] = float(score)
    if sorted(scores) != list(range(count)):
        raise RemoteReplyError(f"service returned wrong indexes: model={model} expected=0..{count - 1}")
    return [scores[index] for index in range(count)]
