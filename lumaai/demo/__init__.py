"""`lumaai demo`: the whole product on Python's own documentation, through a service of its own, in a minute or two."""

from __future__ import annotations

from pathlib import Path


def run(directory: Path) -> None:
    """Runs the demo; its database is kept in `directory`, and its output goes to stdout.

    Raises:
        LumaError: the service could not start or refused something.
        DemoError: something that was to be shown was empty or wrong.
    """
    from lumaai.demo.show import show

    show(directory)
