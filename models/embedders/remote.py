"""Embeddings from a service that speaks OpenAI's protocol: OpenAI, Voyage, Jina, Ollama, vLLM, TEI and others."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from models.embedder import PROBE_TEXT, TokenOffsets, Vectors, check_texts
from models.errors import RemoteModelError, RemoteReplyError
from models.llms.openai import OPENAI_URL
from models.remote import RemoteEndpoint
from models.retries import RetryPolicy

DEFAULT_BATCH_TEXTS = 256
DEFAULT_BATCH_TOKENS = 100_000  # OpenAI takes 300,000 a request; ours are estimated
DEFAULT_MAX_TOKENS = 8_000  # OpenAI's models take 8,192 a text

_REQUESTS_AT_ONCE = 4
_TOO_LARGE = 413
_TOKEN_CHARACTERS = 4  # about, in English; only how much is handed on at once depends on it
_UNIT_LENGTH_TOLERANCE = 1e-3
# What byte-pair vocabularies hardly ever cut finer: four letters, three digits, one other character.
_TOKEN = re.compile(r"[A-Za-z]{1,4}|[0-9]{1,3}|[^\sA-Za-z0-9]")


class RemoteEmbedder:
    """Vectors over HTTP; safe to call from many threads. One request is made at once, to learn the dimension.

    Tokens are estimated, rather too many than too few, because the service's tokenizer is not at hand. A text that is
    too long for the service is its error, never silently cut. The fingerprint stands for the model's name, dimension
    and prefixes: services return slightly different numbers from call to call, so that a probe would not be equal.

    Args:
        model: its name at the service.
        name: the model's name as users know it; by default "remote:" and `model`.
        api_key: None for local servers that want none.
        base_url: the address ending before `/embeddings`; by default OpenAI's.
        dimensions: ask for shorter vectors, where the model offers that.
        max_tokens: tokens that the model reads of one text.
        query_prefix: put before every query; `document_prefix` likewise.
        batch_texts: texts of one request at most; `batch_tokens` their estimated tokens.
        policy: retries and timeouts.

    Raises:
        RemoteModelError: the service refused, cannot be reached, or answers with nonsense; see its subclasses.
    """

    is_remote = True

    def __init__(
        self,
        *,
        model: str,
        name: str | None = None,
        api_key: str | None = None,
        base_url: str | None = None,
        dimensions: int | None = None,
        max_tokens: int = DEFAULT_MAX_TOKENS,
        query_prefix: str = "",
        document_prefix: str = "",
        batch_texts: int = DEFAULT_BATCH_TEXTS,
        batch_tokens: int = DEFAULT_BATCH_TOKENS,
        policy: RetryPolicy | None = None,
    ) -> None:
        if base_url is None and not api_key:
            raise RemoteModelError("API key is missing: provider=openai")
        self.name, self.revision, self.max_tokens = name or f"remote:{model}", "remote", max_tokens
        self._model, self._dimensions = model, dimensions
        self._query_prefix, self._document_prefix = query_prefix, document_prefix
        self._batch_texts, self._batch_tokens = batch_texts, batch_tokens
        self.slice_characters = _REQUESTS_AT_ONCE * batch_tokens * _TOKEN_CHARACTERS
        self._encoding = "base64"  # a quarter of the bytes; weakened where it is refused
        self._endpoint = RemoteEndpoint(base_url or OPENAI_URL, api_key=api_key, model=model, policy=policy)
        self._threads = ThreadPoolExecutor(_REQUESTS_AT_ONCE, thread_name_prefix="embed-remote")
        try:
            probe = self._request([PROBE_TEXT], dim=dimensions)[0]
        except BaseException:
            self.close()
            raise
        self.dim = len(probe)
        self.normalized = abs(float(np.linalg.norm(probe)) - 1.0) < _UNIT_LENGTH_TOLERANCE
        described = "\0".join(["remote", model, str(self.dim), query_prefix, document_prefix])
        self.fingerprint = hashlib.sha256(described.encode()).hexdigest()[:16]

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        """Vectors of documents or passages, (n, dim) float32; see `Embedder`.

        Raises:
            RemoteModelError: as the class; nothing is returned of a call of which a part failed.
        """
        return self._embed(texts, self._document_prefix)

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """Vectors of queries, (n, dim) float32; raises what `embed_documents` does."""
        return self._embed(texts, self._query_prefix)

    def token_offsets(self, text: str) -> TokenOffsets:
        """Character spans of estimated tokens, (tokens, 2) int64: rather too many than too few."""
        check_texts([text])
        spans = [match.span() for match in _TOKEN.finditer(text) for _ in range(_tokens_of(match.group()))]
        return np.array(spans, dtype=np.int64).reshape(-1, 2)

    def close(self) -> None:
        """Close the connections; idempotent."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._endpoint.close()

    def _embed(self, texts: Sequence[str], prefix: str) -> Vectors:
        check_texts(texts)
        vectors = np.empty((len(texts), self.dim), dtype=np.float32)
        parts = list(self._batches([prefix + text or " " for text in texts]))  # services refuse an empty text
        made = self._threads.map(lambda part: self._request(part, dim=self.dim), parts)
        start = 0
        for part in made:
            vectors[start : start + len(part)] = part
            start += len(part)
        return vectors

    def _batches(self, texts: Sequence[str]) -> Iterator[list[str]]:
        """Neighbours, within both limits unless one text alone exceeds them."""
        batch: list[str] = []
        tokens = 0
        for text in texts:
            size = len(self.token_offsets(text))
            if batch and (len(batch) == self._batch_texts or tokens + size > self._batch_tokens):
                yield batch
                batch, tokens = [], 0
            batch.append(text)
            tokens += size
        if batch:
            yield batch

    def _request(self, texts: list[str], dim: int | None) -> Vectors:
        """One request; halved as often as the service finds it too large, repeated in floats if base64 is refused."""
        encoding = self._encoding
        body: dict[str, object] = {"model": self._model, "input": texts, "encoding_format": encoding}
        if self._dimensions is not None:
            body["dimensions"] = self._dimensions
        try:
            reply = self._endpoint.post("/embeddings", body)
        except RemoteModelError as error:
            status = error.details.get("status")
            if status == _TOO_LARGE and len(texts) > 1:
                middle = len(texts) // 2
                return np.concatenate([self._request(half, dim) for half in (texts[:middle], texts[middle:])])
            if encoding == "base64" and status in {400, 422} and "encoding_format" in str(error):
                self._encoding = "float"
                return self._request(texts, dim)
            raise
        return _vectors(reply, len(texts), dim, self._model)


def _vectors(reply: object, count: int, dim: int | None, model: str) -> Vectors:
    """The reply's vectors in order of their index, (count, dim) float32; every doubt is an error."""
    rows = reply.get("data") if isinstance(reply, Mapping) else None
    if not isinstance(rows, list) or len(rows) != count:
        got = len(rows) if isinstance(rows, list) else "no list"
        raise RemoteReplyError(f"service returned a wrong number of vectors: model={model} expected={count} got={got}")
    vectors: dict[int, Vectors] = {}
    for row in rows:
        if not isinstance(row, Mapping) or type(row.get("index")) is not int:
            raise RemoteReplyError(f"service returned a vector without an index: model={model}")
        vectors[row["index"]] = _vector(row.get("embedding"), model)
    if sorted(vectors) != list(range(count)):
        raise RemoteReplyError(f"service returned wrong indexes: model={model} expected=0..{count - 1}")
    expected = dim or len(vectors[0])
    for vector in vectors.values():
        if len(vector) != expected:
            raise RemoteReplyError(
                f"service returned a vector of wrong size: model={model} expected={expected} got={len(vector)}"
            )
    return np.stack([vectors[index] for index in range(count)])


def _vector(data: object, model: str) -> Vectors:
    try:
        if isinstance(data, str):
            vector = np.frombuffer(base64.b64decode(data, validate=True), dtype="<f4").astype(np.float32)
        elif isinstance(data, list) and all(type(number) in (int, float) for number in data):
            with np.errstate(over="ignore"):  # becomes infinity, which is refused below
                vector = np.array(data, dtype=np.float32)
        else:
            raise RemoteReplyError(f"service returned something else than numbers: model={model}")
    except (ValueError, OverflowError, binascii.Error) as error:
        raise RemoteReplyError(f"service returned something else than numbers: model={model}") from error
    if not vector.any() or not np.isfinite(vector).all():  # one of zeros points nowhere: nothing is near to it or far
        raise RemoteReplyError(f"service returned an empty vector, zeros, NaN or infinity: model={model}")
    return vector


def _tokens_of(piece: str) -> int:
    """1, and more for characters whose UTF-8 is long: byte-pair vocabularies cut rare ones into bytes."""
    return 1 if piece.isascii() else max(len(piece.encode()) - 1, 1)
