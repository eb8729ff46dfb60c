"""Where users already are: an MCP server, LangChain, LlamaIndex. Each needs an extra of its name."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from lumaai.errors import NotSupportedError


def required(module: str, extra: str) -> ModuleType:
    """A library that an extra brings.

    Raises:
        NotSupportedError: it is not installed; the message names the extra.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != module.partition(".")[0]:
            raise
        message = f"{module.partition('.')[0]} is not installed: pip install 'lumaai[{extra}]'"
        raise NotSupportedError(message, code="extra_missing") from error
