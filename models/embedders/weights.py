"""Tensors of a safetensors file by their BERT name, checked and as float32."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open

from models.errors import ModelDamagedError

FloatArray = npt.NDArray[np.float32]

_ENCODER_PREFIX = "bert."  # weights saved with a head (BertForSequenceClassification) carry the encoder under it


class Weights:
    """One open file; `weights(name, *shape)` is a tensor of the encoder, wherever the file keeps it."""

    def __init__(self, path: Path, tensors: safe_open) -> None:
        self._path = path
        self._tensors = tensors
        self._names = frozenset(tensors.keys())  # type: ignore[no-untyped-call]  # the library's stubs
        self._prefix = "" if "embeddings.word_embeddings.weight" in self._names else _ENCODER_PREFIX

    def __call__(self, name: str, *shape: int) -> FloatArray:
        """The encoder's tensor `name`; raises what `head` does."""
        return self.head(self._prefix + name, *shape)

    def check_layers(self, count: int) -> None:
        """Refuse weights that have more layers than the configuration says; one that is missing shows when it is read.

        Raises:
            ModelDamagedError: there are more.
        """
        more = f"{self._prefix}encoder.layer.{count}."
        if any(name.startswith(more) for name in self._names):
            raise self._damaged(f"has more layers than config.json says: num_hidden_layers={count}")

    def head(self, name: str, *shape: int) -> FloatArray:
        """The tensor called `name` in the file, float32.

        Raises:
            ModelDamagedError: it is missing, of another shape, or holds NaN or infinity.
        """
        if name not in self._names:
            raise self._damaged(f"tensor={name} is missing")
        try:
            stored = self._tensors.get_tensor(name)  # type: ignore[no-untyped-call]  # the library's stubs
            tensor: FloatArray = np.asarray(stored).astype(np.float32)
        except (SafetensorError, TypeError) as error:
            raise self._damaged(f"tensor={name} {error}") from error
        if tensor.shape != shape:
            raise self._damaged(f"tensor={name} has the wrong shape: expected={shape} got={tensor.shape}")
        if not np.isfinite(tensor).all():
            raise self._damaged(f"tensor={name} holds NaN or infinity")
        return tensor

    def _damaged(self, reason: str) -> ModelDamagedError:
        return ModelDamagedError(f"model file is damaged: file={self._path} {reason}", file=str(self._path))


@contextmanager
def open_weights(path: Path) -> Iterator[Weights]:
    """The tensors of a safetensors file.

    Raises:
        ModelDamagedError: the file is unreadable.
    """
    try:
        tensors = safe_open(path, framework="numpy")
    except (SafetensorError, OSError) as error:
        raise ModelDamagedError(f"model file is damaged: file={path} reason={error}", file=str(path)) from error
    with tensors as opened:
        yield Weights(path, opened)
