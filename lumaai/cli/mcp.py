"""`lumaai mcp`: the database as tools of a language model."""

from __future__ import annotations

from typing import Annotated

import typer

from lumaai.cli.options import examples
from lumaai.cli.target import DirectoryOption, UrlOption, opened
from lumaai.errors import InvalidRequestError

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

serving = typer.Typer()


@serving.command(
    epilog=examples(
        "lumaai mcp --db ./data                        over stdio, for a program that starts it",
        "lumaai mcp --url http://127.0.0.1:8000        of a service that is running",
        "lumaai mcp --http --port 8100 --writable      over streamable HTTP, at http://127.0.0.1:8100/mcp",
    )
)
def mcp(
    *,
    http: Annotated[bool, typer.Option("--http", help="Streamable HTTP instead of stdio.")] = False,
    host: Annotated[str, typer.Option(help="Loopback; it asks for no key.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535)] = 8100,
    writable: Annotated[bool, typer.Option("--writable", help="Let models add and delete documents.")] = False,
    directory: DirectoryOption = None,
    url: UrlOption = None,
) -> None:
    """Serve the database to language models, by the Model Context Protocol (extra `mcp`)."""
    from lumaai.integrations import required

    required("mcp", "mcp")
    from lumaai.integrations.mcp import create_server

    if http and host not in LOOPBACK:
        raise InvalidRequestError(f"the MCP server asks for no key, so it listens on loopback only: got={host}")
    with opened(directory, url, reading=not writable) as database:
        server = create_server(database, writable=writable)
        if http:
            typer.echo(f"lumaai: MCP at http://{host}:{port}/mcp", err=True)
            server.run("streamable-http", host=host, port=port)
        else:
            server.run("stdio")
