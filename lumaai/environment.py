"""What the environment says of models: where they are kept, how they are run, and which language model is asked."""

from __future__ import annotations

import os
from pathlib import Path

import models
from lumaai.model_options import ModelOptions


def default_cache_directory() -> Path:
    """Where models are kept: `$XDG_CACHE_HOME/lumaai`, by default `~/.cache/lumaai`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lumaai"


def configured_llm() -> models.LLM | None:
    """The language model that the environment names, or None.

    Raises:
        InvalidRequestError: a variable of the environment is wrong.
    """
    from lumaai.settings import load_settings

    return load_settings().llm


def configured_model_options() -> ModelOptions:
    """How models are run, as the environment says.

    Raises:
        InvalidRequestError: a variable of the environment is wrong.
    """
    if not any(name.startswith("LUMAAI_") or name == "OPENAI_API_KEY" for name in os.environ):
        return ModelOptions()  # spares reading the settings
    from lumaai.settings import load_model_settings

    return load_model_settings().model_options
