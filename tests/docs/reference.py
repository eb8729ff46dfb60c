"""The reference, made from the code when the documentation is built (a hook of mkdocs): Python, HTTP, command line."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

import lumaai
from lumaai.job import Job, JobKeeper
from lumaai.key_info import KeyInfo
from lumaai.programs import Programs
from lumaai.routes import all_operations
from lumaai.routes.openapi import TAGS, openapi_document
from lumaai.settings import Settings
from lumaai.sql import SqlResult
from lumaai.teaching import LearnedLessons
from promptql.answer import Answer, Citation, StepReport

CLASSES = (
    "Database", "Collection", "Client", "RemoteCollection", "AsyncClient", "AsyncCollection", "Hits", "Hit",
    "BatchHits", "PassageHit", "WriteResult", "DeleteResult", "Fetched", "ScrollPage", "CollectionInfo", "ModelOptions",
)  # fmt: skip
# What calls give and properties lead to.
GIVEN = (
    Answer, Citation, StepReport, SqlResult, Programs, LearnedLessons, JobKeeper, Job, KeyInfo, lumaai.Changes,
    lumaai.Change, lumaai.SnapshotInfo, lumaai.CheckReport, lumaai.IngestSummary,
)  # fmt: skip
FUNCTIONS = ("connect", "connect_async", "restore", "ingest")
SECTION = re.compile(r"^(Args|Raises|Attributes|Returns):$", re.MULTILINE)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Called by mkdocs: add the pages that are made."""
    for name, make in PAGES.items():
        files.append(File.generated(config, f"reference/{name}.md", content=make()))
    return files


def python_page() -> str:
    """Functions, classes with their public methods, and errors, with their docstrings."""
    parts = [
        "# Python",
        "A directory and an address have the same methods; the asynchronous client has them as coroutines.",
    ]
    parts += [_function(getattr(lumaai, name), name, "##") for name in FUNCTIONS]
    for cls in (*(getattr(lumaai, name) for name in CLASSES), *GIVEN):
        parts += list(_class(cls))
    parts += ["## Errors", "All are `LumaError`s, embedded and over HTTP alike.", "| class | when |", "|---|---|"]
    errors = sorted(name for name in lumaai.__all__ if name.endswith("Error"))
    table = "\n".join(f"| `{name}` | {_first(getattr(lumaai, name))} |" for name in errors)
    return "\n\n".join(parts[:-2]) + "\n\n" + "\n".join(parts[-2:]) + f"\n{table}\n"


def http_page() -> str:
    """The operations of the OpenAPI document, by their tags."""
    document = openapi_document(all_operations(), Settings(), version=lumaai.__version__)
    parts = ["# HTTP", document["info"]["description"], "The OpenAPI 3.1 document is served at `/openapi.json`."]
    for tag, about in TAGS.items():
        parts += [f"## {tag.capitalize()}", about]
        for path, methods in document["paths"].items():
            parts += [
                _operation(method, path, operation)
                for method, operation in methods.items()
                if isinstance(operation, dict) and tag in operation.get("tags", ())
            ]
    return "\n\n".join(parts) + "\n"


def cli_page() -> str:
    """What `--help` says of each command."""
    import click
    from typer.main import get_command

    from lumaai.cli.commands import app

    parts = ["# Command line", "`lumaai COMMAND --help` says the same."]
    root: Any = get_command(app)

    def walk(command: Any, path: tuple[str, ...], parent: Any) -> Iterator[str]:
        context = click.Context(command, info_name=path[-1], parent=parent, max_content_width=100)
        if hasattr(command, "commands"):
            for name in sorted(command.commands):
                yield from walk(command.commands[name], (*path, name), context)
        else:
            yield f"## {' '.join(path)}\n\n```text\n{command.get_help(context)}\n```"

    parts += list(walk(root, ("lumaai",), None))
    return "\n\n".join(parts) + "\n"


PAGES: dict[str, Callable[[], str]] = {"python": python_page, "http": http_page, "cli": cli_page}


def _class(cls: type) -> Iterator[str]:
    yield f"## {cls.__name__}"
    yield _prose(inspect.getdoc(cls) or "")
    for name, member in inspect.getmembers(cls):
        if name.startswith("_") or (not callable(member) and not isinstance(member, property)):
            continue
        if isinstance(member, property):
            yield f"### {cls.__name__}.{name}\n\n{_prose(inspect.getdoc(member) or '')}"
        elif inspect.isfunction(inspect.unwrap(member)):
            yield _function(inspect.unwrap(member), f"{cls.__name__}.{name}", "###")


def _function(function: Callable[..., Any], name: str, level: str) -> str:
    signature = str(inspect.signature(function)).replace("'", "")
    return f"{level} {name}\n\n```python\n{name}{signature}\n```\n\n{_prose(inspect.getdoc(function) or '')}"


def _prose(text: str) -> str:
    """A docstring of Google's style as Markdown: its sections as lists."""
    lines = []
    within = False
    for line in text.splitlines():
        if SECTION.match(line):
            within = True
            lines += [f"**{line.rstrip(':')}**", ""]
        elif within and re.match(r"^ {4}\S", line):
            name, _, rest = line.strip().partition(": ")
            lines.append(f"- `{name}`: {rest}" if rest else f"- {line.strip()}")
        elif within and line.startswith("        "):
            lines.append(f"  {line.strip()}")
        else:
            lines.append(line)
    return "\n".join(lines).replace("<", "&lt;")


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    answers = ", ".join(f"`{status}`" for status in operation.get("responses", {}))
    body = operation.get("requestBody", {}).get("content", {})
    lines = [f"### {method.upper()} {path}", operation.get("summary", ""), operation.get("description", "")]
    for parameter in operation.get("parameters", ()):
        if "name" in parameter:
            lines.append(f"- `{parameter['name']}` in {parameter['in']}: {parameter.get('description', '')}")
    if body:
        lines.append(f"Body: {', '.join(f'`{kind}`' for kind in body)}")
    return "\n\n".join(filter(None, [*lines, f"Answers: {answers}"])).replace("<", "&lt;")


def _first(cls: type) -> str:
    return (inspect.getdoc(cls) or "").split("\n\n")[0].replace("\n", " ").replace("|", "\\|").replace("<", "&lt;")
