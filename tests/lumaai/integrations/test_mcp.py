"""The MCP server as clients meet it: in process, and as a program over stdio and streamable HTTP."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, MCPError
from mcp.client.stdio import StdioServerParameters
from mcp.types import INVALID_PARAMS, TextContent, TextResourceContents

from lumaai.database import Database
from lumaai.integrations.mcp import create_server

FILMS = [
    {"id": "1", "title": "Alien", "year": 1979, "plot": "A crew meets a creature in space."},
    {"id": "2", "title": "Heat", "year": 1995, "plot": "A detective hunts robbers."},
]
READING = {"list_collections", "describe_collection", "search", "get_documents", "count", "sql", "ask"}
WRITING = {"create_collection", "add_documents", "delete_documents"}

Script = Callable[[Client], Awaitable[Any]]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    with Database(tmp_path / "data", default_model="hashing") as database:
        database.create_collection("films").add(FILMS)
    return tmp_path / "data"


@pytest.fixture
def database(directory: Path) -> Iterator[Database]:
    with Database(directory, default_model="hashing") as database:
        yield database


def ran(target: Any, script: Script) -> Any:
    """What a script gives that is done with a client of `target`."""

    async def run() -> Any:
        async with Client(target) as client:
            return await script(client)

    return asyncio.run(run())


async def called(client: Client, tool: str, **arguments: Any) -> Any:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    return result.structured_content


def test_the_tools_read_and_write_only_where_allowed(database: Database) -> None:
    """Nothing that writes is offered unless it was asked for; what only reads says so."""

    async def names(client: Client) -> dict[str, bool | None]:
        tools = (await client.list_tools()).tools
        return {tool.name: tool.annotations.read_only_hint if tool.annotations else None for tool in tools}

    assert ran(create_server(database), names) == dict.fromkeys(READING, True)
    assert ran(create_server(database, writable=True), names) == {
        **dict.fromkeys(READING, True),
        **dict.fromkeys(WRITING, False),
    }


def test_a_model_finds_its_way(database: Database) -> None:
    """Collections, their fields, a search, documents, a count, SQL, a question with its citations."""

    async def script(client: Client) -> None:
        listed = await called(client, "list_collections")
        assert [(item["name"], item["documents"]) for item in listed["collections"]] == [("films", 2)]
        schema = (await called(client, "describe_collection", collection="films"))["schema"]
        assert schema["fields"]["year"]["type"] == "integer"
        hits = await called(client, "search", collection="films", query="creature in space", filter="year < 1990")
        assert [hit["id"] for hit in hits["hits"]] == ["1"]
        assert (await called(client, "get_documents", collection="films", ids=["2", "x"]))["documents"] == [
            FILMS[1],
            None,
        ]
        assert (await called(client, "count", collection="films", filter={"year": {"$gt": 1990}}))["count"] == 1
        rows = await called(client, "sql", query="SELECT title FROM films WHERE year > ?", params=[1990])
        assert rows["rows"] == [["Heat"]]
        answer = await called(client, "ask", question="How many films are there?")
        assert "2" in answer["text"]
        assert answer["citations"]

    ran(create_server(database), script)


def test_a_model_writes(database: Database) -> None:
    """A collection, documents in it, one of them gone."""

    async def script(client: Client) -> None:
        await called(client, "create_collection", collection="notes", description="What was said")
        added = await called(
            client, "add_documents", collection="notes", documents=[{"id": "a", "text": "x"}, {"id": "b"}]
        )
        assert added["added"] == 2
        assert (await called(client, "delete_documents", collection="notes", ids=["a"]))["deleted"] == 1

    ran(create_server(database, writable=True), script)
    assert database["notes"].get(["a", "b"]) == [None, {"id": "b"}]


@pytest.mark.parametrize(
    ("tool", "arguments", "said"),
    [
        ("search", {"collection": "nothing", "query": "x"}, "does not exist"),
        ("search", {"collection": "films", "query": "x", "filter": "year >"}, "filter"),
        ("search", {"collection": "films", "query": "x", "limit": 1_000}, "limit"),
        ("search", {"collection": "films", "query": "x", "where": "year > 1990"}, "has no argument 'where': expected"),
        ("no_such_tool", {"x": 1}, "no_such_tool"),
        ("sql", {"query": "DROP TABLE films"}, ""),
        ("sql", {"query": "SELECT * FROM '/etc/passwd'"}, ""),
        ("add_documents", {"collection": "films", "documents": [{"id": "3"}]}, "add_documents"),
    ],
)
def test_what_is_refused_is_told(database: Database, tool: str, arguments: dict[str, Any], said: str) -> None:
    """As an error of the tool, which the model can read and mend."""

    async def script(client: Client) -> None:
        result = await client.call_tool(tool, arguments)
        assert result.is_error
        assert isinstance(result.content[0], TextContent)
        assert said in result.content[0].text
        assert "root:" not in result.content[0].text

    ran(create_server(database), script)
    assert database["films"].count() == 2


def test_collections_are_resources(database: Database) -> None:
    """All of them, and each by its name."""

    async def script(client: Client) -> list[Any]:
        found = []
        for uri in ("lumaai://collections", "lumaai://collections/films"):
            content = (await client.read_resource(uri)).contents[0]
            assert isinstance(content, TextResourceContents)
            found.append(json.loads(content.text))
        return found

    listed, films = ran(create_server(database), script)
    assert listed["collections"][0]["name"] == films["name"] == "films"


def test_a_collection_that_is_not_there_is_no_resource(database: Database) -> None:
    """The error says so, by the code of the protocol."""

    async def script(client: Client) -> None:
        with pytest.raises(MCPError, match="does not exist") as lost:
            await client.read_resource("lumaai://collections/nothing")
        assert lost.value.code == INVALID_PARAMS

    ran(create_server(database), script)


def test_schemas_say_that_there_are_no_other_arguments(database: Database) -> None:
    """Clients that constrain what a model writes keep it to those that there are."""

    async def script(client: Client) -> list[Any]:
        return [tool.input_schema.get("additionalProperties") for tool in (await client.list_tools()).tools]

    assert ran(create_server(database), script) == [False] * len(READING)


def test_over_stdio(directory: Path) -> None:
    """`lumaai mcp` as a program that its client starts: nothing but the protocol is on stdout."""
    command = StdioServerParameters(
        command=sys.executable, args=["-m", "lumaai", "mcp", "--db", str(directory)], env={"LUMAAI_MODEL": "hashing"}
    )

    async def script(client: Client) -> None:
        assert (await called(client, "count", collection="films"))["count"] == 2

    ran(command, script)
