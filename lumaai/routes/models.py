"""What models give by themselves: vectors of texts, scores by a query, and which models there are."""

from __future__ import annotations

import base64
import threading
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from starlette.responses import Response

from lumaai import wire
from lumaai.access import Verb
from lumaai.embedding import EmbedBounds
from lumaai.errors import ErrorDetail, InvalidRequestError, NotFoundError
from lumaai.reranking import check_over_http
from lumaai.routes.collections import model_of_the_caller
from lumaai.routes.leaving import run_while_wanted
from lumaai.routes.operation import Call, Operation, Reach, json_response
from lumaai.served_models import OURS, Embedded, ServedModel, check_known
from lumaai.translation import translated

TOKENS_REFUSED = (
    "input must be text: token ids are of another model's vocabulary and mean nothing to this one; with LangChain's "
    "OpenAIEmbeddings say check_embedding_ctx_length=False"
)


async def embed(call: Call) -> Response:
    """Vectors of texts, by the service's own model or one that a collection uses.

    Each text is embedded as a whole, up to the tokens that the model reads.
    """
    body = await call.body(wire.EmbeddingsRequest)
    texts, database = _texts(body.input), call.database

    @translated
    def work(gone: threading.Event) -> bytes:
        name = database.embedder_named(body.model)
        embedded = database.served_models.embed(
            texts,
            name,
            as_queries=body.input_type == "query",
            dimensions=body.dimensions,
            bounds=EmbedBounds(call.service.settings.embed_characters_max, gone),
        )
        return _embeddings(body, name, embedded)

    content = await run_while_wanted(call, call.service.embeds, work)
    call.count_rows(len(texts))
    return json_response(content)


def _texts(given: str | Sequence[Any]) -> list[str]:
    texts = [given] if isinstance(given, str) else list(given)
    if not all(isinstance(text, str) for text in texts):
        detail = ErrorDetail("/input", "tokens_not_supported", TOKENS_REFUSED)
        raise InvalidRequestError(TOKENS_REFUSED, code="tokens_not_supported", errors=[detail])
    return texts


def _embeddings(body: wire.EmbeddingsRequest, model: str, embedded: Embedded) -> bytes:
    written: list[Any]
    if body.encoding_format == "base64":
        raw = np.ascontiguousarray(embedded.vectors, dtype="<f4")
        written = [base64.b64encode(row.tobytes()).decode() for row in raw]
    else:
        written = embedded.vectors.tolist()
    data = [{"object": "embedding", "index": index, "embedding": each} for index, each in enumerate(written)]
    usage = {"prompt_tokens": embedded.tokens, "total_tokens": embedded.tokens}
    return msgspec.json.encode({"object": "list", "data": data, "model": model, "usage": usage})


async def rerank(call: Call) -> Response:
    """Texts in the order of how well they answer a query, in the shape of Jina's and Cohere's rerankers."""
    body = await call.body(wire.RerankRequest)
    if not body.query.strip():
        message = "query must not be blank"
        raise InvalidRequestError(message, errors=[ErrorDetail("/query", "query_invalid", message)])
    _check_reranker(call, body.model)
    texts = [each if isinstance(each, str) else each.text for each in body.documents]
    EmbedBounds(call.service.settings.embed_characters_max).check_size(len(body.query) + sum(map(len, texts)))
    score = translated(call.database.served_models.score)
    with model_of_the_caller():
        scores = await run_while_wanted(call, call.service.embeds, lambda _: score(body.query, texts, body.model))
    order = np.argsort(-scores, kind="stable")[: body.top_n]
    results = [
        {"index": int(place), "relevance_score": float(scores[place])}
        | ({"document": {"text": texts[place]}} if body.return_documents else {})
        for place in order
    ]
    call.count_rows(len(texts))
    content = {
        "id": call.request.scope["lumaai.request_id"],
        "model": body.model or call.service.settings.rerank_model,
        "results": results,
        "usage": {"documents": len(texts)},
    }
    return json_response(msgspec.json.encode(content))


def _check_reranker(call: Call, model: str | None) -> None:
    try:
        check_over_http(model, call.service.settings.rerank_model)
    except InvalidRequestError:
        check_known(str(model), call.database.served_models.rerankers())


async def list_models(call: Call) -> Response:
    """What may be named as `model`: to ask (`lumaai`, and `lumaai/COLLECTION` for each), to embed, to rerank."""
    database = call.database
    found = await call.service.searches.run(database.list_models)
    data = [_shown(each, database.served_models.since) for each in found]
    return json_response(msgspec.json.encode({"object": "list", "data": data}))


async def get_model(call: Call) -> Response:
    """One of them."""
    name, database = call.path("model"), call.database
    for each in await call.service.searches.run(database.list_models):
        if each.id == name:
            return json_response(msgspec.json.encode(_shown(each, database.served_models.since)))
    raise NotFoundError(f"there is no such model here: {name!r:.140}", code="model_not_found")


def _shown(model: ServedModel, since: int) -> dict[str, Any]:
    return {"id": model.id, "object": "model", "created": since, "owned_by": OURS, "task": model.task.value}


OPERATIONS = (
    Operation(
        id="create_embeddings",
        method="POST",
        path="/v1/embeddings",
        handler=embed,
        summary="Embed texts, in OpenAI's shape",
        tag="models",
        verb=Verb.READ,
        reach=Reach.SOME,
        answers={200: wire.EmbeddingsResponse},
        body=wire.EmbeddingsRequest,
        errors=(404,),
        like_openai=True,
    ),
    Operation(
        id="rerank",
        method="POST",
        path="/v1/rerank",
        handler=rerank,
        summary="Order texts by how well they answer a query",
        tag="models",
        verb=Verb.READ,
        reach=Reach.SOME,
        answers={200: wire.RerankResponse},
        body=wire.RerankRequest,
        errors=(404,),
        like_openai=True,
    ),
    Operation(
        id="list_models",
        method="GET",
        path="/v1/models",
        handler=list_models,
        summary="List models, in OpenAI's shape",
        tag="models",
        verb=Verb.READ,
        reach=Reach.SOME,
        answers={200: wire.ModelList},
        like_openai=True,
    ),
    Operation(
        id="get_model",
        method="GET",
        path="/v1/models/{model}",
        handler=get_model,
        summary="Show a model, in OpenAI's shape",
        tag="models",
        verb=Verb.READ,
        reach=Reach.SOME,
        answers={200: wire.ModelObject},
        like_openai=True,
    ),
)
