"""The command line. `main` is what `lumaai` runs; nothing heavy is imported before a command needs it."""

from __future__ import annotations

import os
import sys

COMPLETE = "_LUMAAI_COMPLETE"


def main() -> None:
    """Runs the command in `sys.argv` and exits: 0 done, 1 failed, 2 wrongly called."""
    from lumaai.cli.commands import app

    if COMPLETE in os.environ:  # a shell asks what could follow
        from typer.completion import completion_init  # type: ignore[attr-defined]  # typer's, imported there

        completion_init()
    try:
        app()
    except BrokenPipeError:  # the reader, such as `head`, has gone: no more output, and no complaint at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
