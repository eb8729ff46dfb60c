"""The MCP server with the tools, resources and prompts that the conformance suite asks any server for by name.

`python -m benchmarks.judges.mcp_service PORT`: `lumaai mcp --http --writable` over a small database, and beside its own
tools what scenarios such as `tools-call-image` call. They go through the same server, transport and protocol versions.
"""

from __future__ import annotations

import asyncio
import base64
import sys
import tempfile
from typing import Any

from mcp import types
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.prompts.base import UserMessage
from mcp.server.streamable_http import EventCallback, EventId, EventMessage, EventStore, StreamId
from pydantic import BaseModel, Field

from lumaai.database import Database
from lumaai.integrations.mcp import create_server

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
)
WAV = b"RIFF&\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00@\x1f\x00\x00\x80>\x00\x00\x02\x00\x10\x00"
WAV += b"data\x02\x00\x00\x00\x00\x00"
PNG_TEXT, WAV_TEXT = base64.b64encode(PNG).decode(), base64.b64encode(WAV).decode()
SECONDS = 0.05


class Events(EventStore):
    """Events of streams, kept so that a client that lost its connection goes on where it was."""

    def __init__(self) -> None:
        self._events: list[tuple[StreamId, Any]] = []

    async def store_event(self, stream_id: StreamId, message: Any) -> EventId:
        self._events.append((stream_id, message))
        return str(len(self._events) - 1)

    async def replay_events_after(self, last_event_id: EventId, send_callback: EventCallback) -> StreamId | None:
        stream = self._events[int(last_event_id)][0]
        for place in range(int(last_event_id) + 1, len(self._events)):
            owner, message = self._events[place]
            if owner == stream and message is not None:
                await send_callback(EventMessage(message, str(place)))
        return stream


class Address(BaseModel):
    street: str | None = None
    city: str | None = None


class Person(BaseModel):
    username: str = Field(description="User's response")
    email: str = Field(description="User's email address")


class Defaults(BaseModel):
    name: str = "John Doe"
    age: int = 30
    score: float = 95.5
    status: str = Field(default="active", json_schema_extra={"enum": ["active", "inactive", "pending"]})
    verified: bool = True


CHOICES = [{"const": f"value{n}", "title": f"Option {n}"} for n in (1, 2, 3)]
ENUMS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "untitledSingle": {"type": "string", "enum": ["option1", "option2", "option3"]},
        "titledSingle": {"type": "string", "oneOf": CHOICES},
        "legacyEnum": {"type": "string", "enum": ["opt1", "opt2", "opt3"], "enumNames": ["One", "Two", "Three"]},
        "untitledMulti": {"type": "array", "items": {"type": "string", "enum": ["option1", "option2", "option3"]}},
        "titledMulti": {"type": "array", "items": {"anyOf": CHOICES}},
    },
    "required": [],
}


def add_contents(server: MCPServer[Any]) -> None:
    @server.tool()
    def test_simple_text() -> str:
        """Text."""
        return "This is a simple text response for testing."

    @server.tool(structured_output=False)
    def test_image_content() -> types.ImageContent:
        """An image."""
        return types.ImageContent(type="image", data=PNG_TEXT, mime_type="image/png")

    @server.tool(structured_output=False)
    def test_audio_content() -> types.AudioContent:
        """Sound."""
        return types.AudioContent(type="audio", data=WAV_TEXT, mime_type="audio/wav")

    @server.tool(structured_output=False)
    def test_embedded_resource() -> types.EmbeddedResource:
        """A resource."""
        return _embedded("test://embedded-resource", "This is an embedded resource content.", "text/plain")

    @server.tool(structured_output=False)
    def test_multiple_content_types() -> list[types.ContentBlock]:
        """Several kinds."""
        return [
            types.TextContent(type="text", text="Multiple content types test:"),
            types.ImageContent(type="image", data=PNG_TEXT, mime_type="image/png"),
            _embedded("test://mixed-content-resource", '{"test":"data","value":123}', "application/json"),
        ]

    @server.tool()
    def test_error_handling() -> str:
        """An error."""
        raise ToolError("This tool intentionally returns an error for testing")


def add_conversations(server: MCPServer[Any]) -> None:
    @server.tool()
    async def test_tool_with_logging(context: Context) -> str:
        """Log messages."""
        for text in ("Tool execution started", "Tool processing data", "Tool execution completed"):
            await context.info(text)
            await asyncio.sleep(SECONDS)
        return "done"

    @server.tool()
    async def test_tool_with_progress(context: Context) -> str:
        """Progress."""
        for done in (0, 50, 100):
            await context.report_progress(done, 100)
            await asyncio.sleep(SECONDS)
        return "done"

    @server.tool()
    async def test_sampling(prompt: str, context: Context) -> str:
        """What the client's model says."""
        message = types.SamplingMessage(role="user", content=types.TextContent(type="text", text=prompt))
        result = await context.session.create_message([message], max_tokens=100, related_request_id=context.request_id)
        return f"LLM response: {getattr(result.content, 'text', '')}"

    @server.tool()
    async def test_elicitation(message: str, context: Context) -> str:
        """What the user says."""
        return f"User response: {await context.elicit(message, Person)}"

    @server.tool()
    async def test_elicitation_sep1034_defaults(context: Context) -> str:
        """What the user says, with defaults."""
        return f"Elicitation completed: {await context.elicit('Please review', Defaults)}"

    @server.tool()
    async def test_elicitation_sep1330_enums(context: Context) -> str:
        """What the user chooses."""
        found = await context.session.elicit_form("Please choose", ENUMS, related_request_id=context.request_id)
        return f"Elicitation completed: action={found.action}, content={found.content}"

    @server.tool()
    async def test_reconnection(context: Context) -> str:
        """Closes its stream, and ends after the client has come back."""
        await context.close_sse_stream()
        await asyncio.sleep(10 * SECONDS)
        return "Reconnection test completed successfully"


def add_resources_and_prompts(server: MCPServer[Any]) -> None:
    @server.resource("test://static-text", mime_type="text/plain")
    def text() -> str:
        """A text."""
        return "This is the content of the static text resource."

    @server.resource("test://static-binary", mime_type="image/png")
    def binary() -> bytes:
        """An image."""
        return PNG

    @server.resource("test://watched-resource", mime_type="text/plain")
    def watched() -> str:
        """What could change."""
        return "Watched."

    @server.resource("test://template/{id}/data", mime_type="application/json")
    def template(id: str) -> str:  # noqa: A002
        """By name."""
        return f'{{"id":"{id}","templateTest":true,"data":"Data for ID: {id}"}}'

    @server.prompt()
    def test_simple_prompt() -> str:
        """A prompt."""
        return "This is a simple prompt for testing."

    @server.prompt()
    def test_prompt_with_arguments(arg1: str, arg2: str) -> str:
        """A prompt with arguments."""
        return f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'"

    @server.prompt()
    def test_prompt_with_embedded_resource(resourceUri: str) -> list[UserMessage]:  # noqa: N803 - the suite's name
        """A prompt with a resource."""
        embedded = _embedded(resourceUri, "Embedded resource content for testing.", "text/plain")
        return [UserMessage(embedded), UserMessage("Please process the embedded resource above.")]

    @server.prompt()
    def test_prompt_with_image() -> list[UserMessage]:
        """A prompt with an image."""
        image = types.ImageContent(type="image", data=PNG_TEXT, mime_type="image/png")
        return [UserMessage(image), UserMessage("Please analyze the image above.")]

    @server.completion()  # type: ignore[no-untyped-call,untyped-decorator]
    async def complete(*_: Any) -> types.Completion:
        return types.Completion(values=["paris", "park", "party"], total=3, has_more=False)


def add_handlers(server: MCPServer[Any]) -> None:
    low = server._lowlevel_server  # noqa: SLF001 - the high-level server has no such handlers

    async def empty(*_: Any) -> types.EmptyResult:
        return types.EmptyResult()

    low.add_request_handler("logging/setLevel", types.SetLevelRequestParams, empty)
    low.add_request_handler("resources/subscribe", types.SubscribeRequestParams, empty)
    low.add_request_handler("resources/unsubscribe", types.UnsubscribeRequestParams, empty)

    @server.tool(name="json_schema_2020_12_tool")
    def schema_tool(name: str | None = None, address: Address | None = None) -> str:
        """Tool with JSON Schema 2020-12 features."""
        return f"{name} {address}"

    tool = server._tool_manager.get_tool(  # noqa: SLF001 - nor a way to state a schema
        "json_schema_2020_12_tool"
    )
    assert tool is not None
    tool.parameters = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": {
            "address": {"type": "object", "properties": {"street": {"type": "string"}, "city": {"type": "string"}}}
        },
        "properties": {"name": {"type": "string"}, "address": {"$ref": "#/$defs/address"}},
        "additionalProperties": False,
    }


def _embedded(uri: str, text: str, kind: str) -> types.EmbeddedResource:
    resource = types.TextResourceContents(uri=uri, mime_type=kind, text=text)
    return types.EmbeddedResource(type="resource", resource=resource)


def main(port: int) -> None:
    with tempfile.TemporaryDirectory() as folder, Database(folder, default_model="hashing") as database:
        database.create_collection("films").add([{"id": "1", "title": "Alien", "year": 1979}])
        server = create_server(database, writable=True)
        for add in (add_contents, add_conversations, add_resources_and_prompts, add_handlers):
            add(server)
        server.run("streamable-http", host="127.0.0.1", port=port, event_store=Events(), retry_interval=100)


if __name__ == "__main__":
    main(int(sys.argv[1]))
