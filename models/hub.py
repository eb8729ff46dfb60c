"""Models of the Hugging Face Hub, where its library is installed; nothing is downloaded unless its name says so."""

from __future__ import annotations

from pathlib import Path

from models.embedder import Progress
from models.errors import ModelError, ModelNotFoundError

_WANTED = (
    "*.json",
    "*/config.json",
    "model.safetensors",
    "model.onnx",
    "model.onnx_data",
    "onnx/model.onnx",
    "onnx/model.onnx_data",
    "README.md",
)


def download(repository: str, progress: Progress | None = None) -> Path:
    """The directory of a repository's files; what is in the Hub's cache on this machine is not asked for again.

    Raises:
        ModelNotFoundError: there is no such repository, or the library is missing.
        ModelError: the Hub cannot be reached.
    """
    try:
        import huggingface_hub
        from huggingface_hub.errors import (
            EntryNotFoundError,
            HfHubHTTPError,
            HFValidationError,
            LocalEntryNotFoundError,
            RepositoryNotFoundError,
        )
    except ImportError as error:
        raise ModelNotFoundError(
            f"the Hub needs its library: name='hub:{repository}'. Install it with: pip install huggingface_hub; "
            "or download the files yourself and name their directory",
            name=repository,
        ) from error
    try:
        return Path(huggingface_hub.snapshot_download(repository, allow_patterns=list(_WANTED), local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError):
        pass  # not on this machine yet, or no name: the next call says which
    if progress is not None:
        progress(f"downloading {repository}", 0.0)
    try:
        return Path(huggingface_hub.snapshot_download(repository, allow_patterns=list(_WANTED)))
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise ModelNotFoundError(f"the Hub has no such model: name='hub:{repository}'", name=repository) from error
    except (EntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise ModelError(
            f"the Hub cannot be reached: name='hub:{repository}' reason={type(error).__name__}", name=repository
        ) from error
