"""What several commands have in common: options, examples in their help, and asking before something is lost."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for other programs.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


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
