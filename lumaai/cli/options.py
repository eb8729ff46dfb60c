"""What several commands have in common: options, examples in their help, and asking before something is lost."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer

FilterOption = Annotated[
    str | None,
    typer.Option("--filter", metavar="FILTER", help='Conditions, e.g. "year >= 1990" or \'{"year": {"$gte": 1990}}\'.'),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for other programs.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def parsed_filter(filter_text: str | None) -> dict[str, Any] | str | None:
    """A filter as it was typed: JSON where it begins like an object, else written like SQL."""
    if filter_text is None or not filter_text.lstrip().startswith("{"):
        return filter_text
    try:
        value: dict[str, Any] = json.loads(filter_text)
    except ValueError as error:
        raise typer.BadParameter(f"not JSON: {error}", param_hint="--filter") from error
    return value


def examples(*lines: str) -> str:
    """An epilog whose lines are kept as they are (what the leading backspace is for)."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def confirm(question: str) -> None:
    """Go on only if the person at the terminal says so.

    Raises:
        typer.BadParameter: nobody can be asked.
        typer.Abort: they say no.
    """
    if not sys.stdin.isatty():
        raise typer.BadParameter("nobody can be asked here: confirm with --yes")
    typer.confirm(question, abort=True)
