"""Made from `lumaai/client.py` by `make twins`: change that file, not this one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from lumaai.aio.askable import AsyncAskable
from lumaai.aio.collection import AsyncCollection
from lumaai.aio.jobs import AsyncJobs
from lumaai.aio.key_upkeep import AsyncKeyUpkeep
from lumaai.aio.lesson_keeper import AsyncLessonKeeper
from lumaai.aio.program_keeper import AsyncProgramKeeper
from lumaai.aio.transport import AsyncTransport
from lumaai.aio.upkeep import AsyncUpkeep
from lumaai.asked import Asked, Execution, Question
from lumaai.client import _alias_path, _check_fields, _exists
from lumaai.errors import ConflictError, InvalidRequestError
from lumaai.remote_upkeep import model_of_the_service
from lumaai.results import CollectionInfo
from lumaai.search import check_strings
from lumaai.sql import ROWS_DEFAULT, SECONDS_DEFAULT, Parameters, SqlResult, check_query
from lumaai.texts import Scores, Vectors, check_dimensions, check_texts, in_openais_shape, pieces, scores_of, vectors_of
from lumaai.texts import check_query as check_reranked
from lumaai.transport import collection_path, given_keys, new_key

if TYPE_CHECKING:
    from promptql import Answer, Event, Explanation, PlanCheck, Proposal


class AsyncClient(AsyncUpkeep, AsyncKeyUpkeep, AsyncAskable):
    """A running service. `lumaai.connect_async("http://…")` makes one; it connects when it is first asked something.

    Connections are kept alive and shared by tasks. Close it, or use it in an `async with` block.

    Args:
        url: the service's address.
        api_key: the service's key, where it has one.
        timeout_seconds: how long one answer is waited for.
    """

    def __init__(self, url: str, *, api_key: str | None = None, timeout_seconds: float = 60.0) -> None:
        self._transport = AsyncTransport(url, api_key=api_key, timeout_seconds=timeout_seconds)

    def __repr__(self) -> str:
        return f"AsyncClient({self._transport.url!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    async def __getitem__(self, name: str) -> AsyncCollection:
        return await self.collection(name)

    @property
    def url(self) -> str:
        """The service's address."""
        return self._transport.url

    @property
    def jobs(self) -> AsyncJobs:
        """Work that goes on in the background, and how it ended."""
        return AsyncJobs(self._transport)

    def close(self) -> None:
        """Closes the connections."""
        self._transport.close()

    async def create_collection(
        self,
        name: str,
        fields: Mapping[str, Any] | None = None,
        *,
        embed: Mapping[str, Any] | None = None,
        strict: bool = False,
        ttl: Mapping[str, Any] | None = None,
        exist_ok: bool = False,
        description: str | None = None,
        synonyms: Sequence[str] | None = None,
    ) -> AsyncCollection:
        """A new collection; see `Database.create_collection`."""
        if not name or "/" in name:  # no path leads there
            raise InvalidRequestError(f"collection name is malformed: got={name!r:.40}", code="schema_invalid")
        about = given_keys({"description": description, "synonyms": synonyms})
        _check_fields(fields, embed, strict=strict, ttl=ttl, about=about)
        body = given_keys({"fields": fields, "embed": embed, "strict": strict or None, "ttl": ttl, **about})
        try:
            with model_of_the_service():
                answer = await self._transport.send("PUT", collection_path(name), body=body, safe=False)
        except ConflictError as error:
            # The service says how the schemas differ; to a caller who wants a new collection it is merely there.
            if exist_ok or error.code == "alias_exists":
                raise
            raise _exists(name) from error
        if not (exist_ok or answer.status == HTTPStatus.CREATED):
            raise _exists(name)
        return AsyncCollection(self._transport, name)

    async def collection(self, name: str) -> AsyncCollection:
        """The collection of that name; see `Database.collection`."""
        collection = AsyncCollection(self._transport, name)
        await collection.info()
        return collection

    async def collections(self) -> list[str]:
        """Names of all collections, sorted."""
        return sorted(item["name"] for item in await self._listed())

    async def infos(self, names: Sequence[str] | None = None) -> list[CollectionInfo]:
        """Name, size and schema of all collections, by name; see `Database.infos`."""
        chosen = None if names is None else check_strings("names", names)
        found = {item["name"]: CollectionInfo.from_json(item) for item in await self._listed()}
        return [found[name] for name in (sorted(found) if chosen is None else chosen) if name in found]

    async def drop(self, name: str) -> None:
        """Removes a collection and all it holds."""
        await self._transport.send("DELETE", collection_path(name), safe=False)

    async def aliases(self) -> dict[str, str]:
        """The collection of each alias; see `Database.aliases`."""
        return {item["alias"]: item["collection"] for item in (await self._transport.get("/v1/aliases"))["aliases"]}

    async def set_alias(self, alias: str, collection: str) -> bool:
        """Let a name stand for a collection; see `Database.set_alias`."""
        answer = await self._transport.send("PUT", _alias_path(alias), body={"collection": collection})
        return answer.status == HTTPStatus.CREATED

    async def drop_alias(self, alias: str) -> None:
        """Remove an alias; see `Database.drop_alias`."""
        await self._transport.send("DELETE", _alias_path(alias), safe=False)

    async def _answer(self, asked: Asked) -> Answer:
        from promptql import Answer

        return Answer.from_json(await self._transport.post(asked.path, asked.to_body(), safe=True))

    async def _events(self, asked: Asked) -> AsyncIterator[Event]:
        from promptql import event_from_json

        async with self._transport.events(asked.path, {**asked.to_body(), "stream": True}) as events:
            async for kind, data in events:
                event = event_from_json(kind, data)
                if event is not None:
                    yield event

    async def _proposal(self, question: Question) -> Proposal:
        from promptql import Proposal

        return Proposal.from_json(await self._transport.post("/v1/ask/plan", question.to_body(), safe=True))

    async def _check(self, execution: Execution) -> PlanCheck:
        from promptql import PlanCheck

        return PlanCheck.from_json(await self._transport.post("/v1/ask/validate", execution.to_body(), safe=True))

    async def _explanation(self, execution: Execution) -> Explanation:
        from promptql import Explanation

        return Explanation.from_json(await self._transport.post("/v1/ask/explain", execution.to_body(), safe=True))

    @property
    def _keeper(self) -> AsyncProgramKeeper:
        return AsyncProgramKeeper(self._transport)

    @property
    def _teacher(self) -> AsyncLessonKeeper:
        return AsyncLessonKeeper(self._transport)

    async def sql(
        self,
        query: str,
        params: Parameters | None = None,
        *,
        limit: int = ROWS_DEFAULT,
        timeout: float = SECONDS_DEFAULT,
        dialect: str = "duckdb",
        explain: bool = False,
    ) -> SqlResult:
        """Run a query in SQL; see `Database.sql`."""
        check_query(params, limit, timeout)
        body = given_keys(
            {"sql": query, "params": params, "limit": limit, "timeout": timeout, "dialect": dialect,
             "explain": explain or None}
        )  # fmt: skip
        return SqlResult.from_json(await self._transport.post("/v1/sql", body, safe=True))

    async def query(
        self,
        language: str,
        query: str | Mapping[str, Any],
        params: Parameters | None = None,
        *,
        limit: int = ROWS_DEFAULT,
        timeout: float = SECONDS_DEFAULT,
    ) -> SqlResult:
        """Run a statement in LQL, JQL or NQL; see `Database.query`."""
        check_query(params, limit, timeout)
        body = given_keys({"language": language, "query": query, "params": params, "limit": limit, "timeout": timeout})
        return SqlResult.from_json((await self._transport.write("/v1/query", body, key=new_key())).body)

    async def embed(
        self,
        texts: Sequence[str],
        *,
        model: str | None = None,
        as_queries: bool = False,
        dimensions: int | None = None,
    ) -> Vectors:
        """Vectors of texts, (n, dim) float32; see `Database.embed`. Many texts take several requests."""
        wanted = given_keys(
            {"model": model, "dimensions": check_dimensions(dimensions), "input_type": "query" if as_queries else None}
        )
        found: list[Vectors] = []
        for piece in pieces(check_texts("texts", texts)):
            with in_openais_shape():
                body = {**wanted, "input": piece, "encoding_format": "base64"}
                found.append(vectors_of(await self._transport.post("/v1/embeddings", body, safe=True)))
        return np.concatenate(found)

    async def rerank(self, query: str, texts: Sequence[str], *, model: str | None = None) -> Scores:
        """How well texts answer a query, (n,) float32; see `Database.rerank`. Many texts take several requests."""
        wanted = given_keys({"model": model, "query": check_reranked(query)})
        found: list[Scores] = []
        for piece in pieces(check_texts("texts", texts)):
            with model_of_the_service(), in_openais_shape():
                answer = await self._transport.post("/v1/rerank", {**wanted, "documents": piece}, safe=True)
                found.append(scores_of(answer, len(piece)))
        return np.concatenate(found)

    async def stats(self) -> dict[str, Any]:
        """Bytes on disk and in memory."""
        stats: dict[str, Any] = await self._transport.get("/v1/stats")
        return stats

    async def _listed(self) -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = []
        cursor: str | None = ""
        while cursor is not None:
            page = await self._transport.get("/v1/collections", **({"cursor": cursor} if cursor else {}))
            listed += page["collections"]
            cursor = page.get("next_cursor")
        return listed
