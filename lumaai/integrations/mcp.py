"""A server of the Model Context Protocol (https://modelcontextprotocol.io): a database as tools of a language model.

Search, questions, SQL, documents and collections; writing only where it was allowed. Extra `mcp`.
"""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, TypeVar

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError, ToolError
from mcp.types import CallToolResult, InputRequiredResult, Tool, ToolAnnotations
from pydantic import Field

from lumaai import __version__
from lumaai.client import Client
from lumaai.database import Database
from lumaai.errors import LumaError, NotFoundError

R = TypeVar("R")

HITS_MAX = 100
ROWS_MAX = 1_000
INSTRUCTIONS = """A database of documents to be searched by meaning and words, queried in SQL, and asked in English.
Begin with list_collections and describe_collection, which say what fields there are. search finds documents by meaning;
sql (DuckDB's dialect, collections are tables) counts and computes; ask answers a question with citations."""

Collection = Annotated[str, Field(description="Name of a collection, as list_collections gives it.")]
Filter = Annotated[
    str | dict[str, Any] | None,
    Field(description="Only documents that match, like SQL (\"year >= 1990 AND genre = 'drama'\") or as JSON."),
]
Limit = Annotated[int, Field(ge=1, le=HITS_MAX, description="Results at most.")]


class Tools:
    """The tools: each asks the database in a thread, so that one call does not keep others waiting.

    Args:
        database: embedded or behind an address; it stays the caller's to close.
    """

    def __init__(self, database: Database | Client) -> None:
        self._database = database

    async def list_collections(self) -> dict[str, Any]:
        """The collections that there are, with the number of their documents."""
        infos = await _asked(self._database.infos)
        return {"collections": [_summary(info.to_json()) for info in infos]}

    async def describe_collection(self, collection: Collection) -> dict[str, Any]:
        """Size and schema of a collection: its fields with types, descriptions and synonyms."""
        info = await _asked(lambda: self._database.collection(collection).info())
        return info.to_json()

    async def search(
        self,
        collection: Collection,
        query: Annotated[str, Field(description="What is looked for, in words.")],
        mode: Annotated[str, Field(description='"semantic", "keyword", or "hybrid" (both).')] = "hybrid",
        filter: Filter = None,  # noqa: A002 - the API's word
        limit: Limit = 10,
        select: Annotated[list[str] | None, Field(description="Only these fields of the documents.")] = None,
    ) -> dict[str, Any]:
        """Documents by meaning, words or both, best first, each with its best passage."""

        def find() -> dict[str, Any]:
            found = self._database.collection(collection)
            hits = found.search(query, mode=mode, filter=filter, limit=limit, select=select)
            return {"hits": hits.to_json()["hits"]}

        return await _asked(find)

    async def get_documents(
        self, collection: Collection, ids: Annotated[list[str], Field(min_length=1, max_length=HITS_MAX)]
    ) -> dict[str, Any]:
        """Documents by id; null where there is none."""
        return {"documents": await _asked(lambda: self._database.collection(collection).get(ids))}

    async def count(self, collection: Collection, filter: Filter = None) -> dict[str, Any]:  # noqa: A002
        """How many documents there are, or match a filter."""
        return {"count": await _asked(lambda: self._database.collection(collection).count(filter))}

    async def sql(
        self,
        query: Annotated[str, Field(description="A SELECT in DuckDB's dialect; collections are tables.")],
        params: Annotated[list[Any] | None, Field(description="Values for each ? in the query.")] = None,
        limit: Annotated[int, Field(ge=1, le=ROWS_MAX, description="Rows at most.")] = 100,
    ) -> dict[str, Any]:
        """Rows of a query in SQL over the collections."""
        result = await _asked(lambda: self._database.sql(query, params, limit=limit))
        return result.to_json()

    async def ask(
        self,
        question: Annotated[str, Field(description="In plain English.")],
        collections: Annotated[list[str] | None, Field(description="Where to look; by default everywhere.")] = None,
    ) -> dict[str, Any]:
        """The answer to a question, with the values and the documents that it rests on."""
        answer = await _asked(lambda: self._database.ask(question, collections=collections))
        data = answer.to_json()
        told = {"text": data["answer"]["text"], "values": data["answer"]["values"]}
        return told | {key: data[key] for key in ("citations", "confidence", "band", "assumptions") if key in data}

    async def create_collection(
        self,
        collection: Collection,
        fields: Annotated[
            dict[str, Any] | None,
            Field(description='Declared fields, such as {"year": {"type": "integer"}}; all others are inferred.'),
        ] = None,
        description: Annotated[str | None, Field(description="What it is about.")] = None,
    ) -> dict[str, Any]:
        """Make a collection, which embeds the text of its documents."""

        def make() -> dict[str, Any]:
            made = self._database.create_collection(collection, fields, description=description)
            return made.info().to_json()

        return await _asked(make)

    async def add_documents(
        self,
        collection: Collection,
        documents: Annotated[list[dict[str, Any]], Field(min_length=1, max_length=1_000)],
    ) -> dict[str, Any]:
        """Add documents (objects, each with an "id"), or replace those that have their ids."""
        result = await _asked(lambda: self._database.collection(collection).add(documents))
        return result.to_json()

    async def delete_documents(
        self, collection: Collection, ids: Annotated[list[str], Field(min_length=1, max_length=1_000)]
    ) -> dict[str, Any]:
        """Delete documents by id."""
        result = await _asked(lambda: self._database.collection(collection).delete(ids=ids))
        return result.to_json()


class Server(MCPServer[Any]):
    """A server that refuses arguments which a tool does not have: what a misspelt filter leaves out, no model sees."""

    async def list_tools(self) -> list[Tool]:
        """The tools; their schemas say that there are no other arguments."""
        tools = await super().list_tools()
        return [
            tool.model_copy(update={"input_schema": {**tool.input_schema, "additionalProperties": False}})
            for tool in tools
        ]

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[Any, Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        """The result of a tool.

        Raises:
            ToolError: it does not have these arguments, or refuses them.
        """
        known = next(
            (tool.input_schema.get("properties", {}) for tool in await self.list_tools() if tool.name == name), None
        )
        unknown = [] if known is None else [each for each in arguments if each not in known]
        if known is not None and unknown:
            raise ToolError(f"{name} has no argument {unknown[0]!r:.60}: expected {', '.join(known)}")
        return await super().call_tool(name, arguments, context)


READING = ToolAnnotations(read_only_hint=True, open_world_hint=False)
ADDING = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=False)


def create_server(database: Database | Client, *, writable: bool = False) -> MCPServer[Any]:
    """The server of a database, to be run over stdio or streamable HTTP.

    Args:
        database: embedded or behind an address; it stays the caller's to close.
        writable: whether models may make collections, add and delete documents.
    """
    server = Server("lumaai", title="LumaDB AI", version=__version__, instructions=INSTRUCTIONS, log_level="WARNING")
    tools = Tools(database)
    reading = (
        tools.list_collections, tools.describe_collection, tools.search, tools.get_documents, tools.count, tools.sql,
        tools.ask,
    )  # fmt: skip
    writing = (tools.create_collection, tools.add_documents, tools.delete_documents) if writable else ()
    for function, hints in (*((each, READING) for each in reading), *((each, ADDING) for each in writing)):
        server.add_tool(_refusing(function), annotations=hints)

    @server.resource("lumaai://collections", mime_type="application/json")
    async def collections() -> str:
        """The collections that there are."""
        return json.dumps(await tools.list_collections())

    @server.resource("lumaai://collections/{name}", mime_type="application/json")
    async def collection(name: str) -> str:
        """Size and schema of a collection."""
        try:
            return json.dumps(await tools.describe_collection(name))
        except NotFoundError as error:
            raise ResourceNotFoundError(error.message) from error
        except LumaError as error:
            raise ResourceError(error.message) from error

    return server


def _refusing(function: Callable[..., Any]) -> Callable[..., Any]:
    """What the database refuses is told to the model, with the places that are wrong."""

    @functools.wraps(function)
    async def call(*arguments: Any, **options: Any) -> Any:
        try:
            return await function(*arguments, **options)
        except LumaError as error:
            raise ToolError(_told(error)) from error

    return call


def _told(error: LumaError) -> str:
    details = [f"{detail.pointer}: {detail.message}" for detail in error.errors if detail.message not in error.message]
    return "\n".join([error.message, *details])


def _summary(info: Mapping[str, Any]) -> dict[str, Any]:
    schema: Mapping[str, Any] = info["schema"]
    fields: Sequence[str] = list(schema.get("fields", {}))
    summary = {"name": info["name"], "documents": info["documents"], "fields": fields}
    return summary | ({"description": schema["description"]} if schema.get("description") else {})


async def _asked(call: Callable[[], R]) -> R:
    return await asyncio.to_thread(call)
