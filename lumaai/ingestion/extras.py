"""Libraries that come with an optional extra: asked for when a file needs them."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from lumaai.errors import NotSupportedError


def library(module: str, extra: str, what: str | Path) -> Any:
    """The module.

    Args:
        module: its name.
        extra: of ours that installs it.
        what: needs it, for the message.

    Raises:
        NotSupportedError: it is not installed; says how to get it (code "extra_missing").
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        # A module that is there and misses another one is broken, which its own message says best.
        if error.name is not None and not f"{module}.".startswith(f"{error.name}."):
            raise
        raise NotSupportedError(
            f"{what} needs {module.partition('.')[0]}, which is not installed: pip install 'lumaai[{extra}]'",
            code="extra_missing",
        ) from error
