"""How a model is named: where it runs, what it is called there, and at which address.

| name | is |
|---|---|
| `all-MiniLM-L6-v2` or a directory, also with `onnx:` before it | weights on this machine, by ONNX Runtime |
| `static:DIRECTORY` | a static model; also found without the prefix |
| `torch:NAME` | any model of sentence-transformers, by torch |
| `hub:ORGANISATION/NAME` | weights or ONNX files of the Hugging Face Hub, by ONNX Runtime |
| `openai:NAME`, `openai:NAME@ADDRESS` | a service that speaks OpenAI's protocol |
| `hashing`, `hashing:DIM` | no weights, for tests |
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from models.errors import ModelNameError, ModelNotFoundError

Runtime: TypeAlias = Literal["onnx", "static", "torch", "hub", "openai", "hashing"]

_RUNTIMES: tuple[Runtime, ...] = get_args(Runtime)
_SCHEMES = ("http://", "https://")


# A name may be a path, and no path is longer.
NAME_CHARACTERS_MAX = 4096


def check_name(name: str) -> None:
    """Refuse what is no model's name.

    Raises:
        ModelNameError: it is too long, or has control characters or half of a pair of surrogates.
    """
    if len(name) > NAME_CHARACTERS_MAX:
        raise ModelNameError(f"model name is too long: maximum={NAME_CHARACTERS_MAX} got={len(name)}")
    if any(ord(character) < 32 or 0xD800 <= ord(character) <= 0xDFFF for character in name):
        raise ModelNameError(f"model name has characters that no name has: name={ascii(name)[:100]}")


def _exists(path: str) -> bool:
    try:
        return Path(path).exists()
    except (OSError, ValueError):  # longer than the system has them
        return False


def is_directory_here(path: str) -> bool:
    """Whether there is a directory at a path; one that the system cannot have is none."""
    try:
        return Path(path).is_dir()
    except (OSError, ValueError):
        return False


@dataclass(frozen=True, slots=True)
class ModelName:
    """A name, taken apart.

    Attributes:
        runtime: what runs it.
        model: what it is called there, or its directory.
        base_url: where the service is, if the name says it.
    """

    runtime: Runtime
    model: str
    base_url: str | None = None

    @classmethod
    def parse(cls, name: str) -> ModelName:
        """Take a name apart; one without a prefix is of weights on this machine.

        Raises:
            ModelNameError: it is no name: too long, or with characters that no name has.
            ModelNotFoundError: nothing is named, or an address is none.
        """
        check_name(name)
        prefix, colon, rest = name.partition(":")
        if prefix not in _RUNTIMES or not (colon or prefix == "hashing") or is_directory_here(name):
            return cls("onnx", name)
        runtime: Runtime = prefix
        if not rest and runtime != "hashing":
            raise ModelNotFoundError(f"model name is incomplete: name={name!r} expected={prefix}:NAME", name=name)
        if runtime != "openai" or "@" not in rest:
            return cls(runtime, rest)
        model, _, address = rest.rpartition("@")
        if not address.startswith(_SCHEMES):  # a name may hold an @
            return cls(runtime, rest)
        if not model:
            raise ModelNotFoundError(f"model name is incomplete: name={name!r} expected=openai:NAME@ADDRESS", name=name)
        return cls(runtime, model, address.rstrip("/"))

    @property
    def is_directory(self) -> bool:
        """Whether it names files by their place on this machine."""
        return self.runtime in {"onnx", "static", "torch"} and _exists(self.model)


@dataclass(frozen=True, slots=True)
class RemoteAccess:
    """The service that models are asked of where their name says no other, and its key, which goes nowhere else.

    Attributes:
        base_url: the address ending before `/embeddings` or `/rerank`; None is OpenAI's.
        api_key: None for services that want none.
    """

    base_url: str | None = None
    api_key: str | None = field(default=None, repr=False)

    def at(self, base_url: str | None) -> RemoteAccess:
        """The access to an address that a name says: with the key only where it is this one."""
        if base_url is None or base_url == (self.base_url or "").rstrip("/"):
            return self
        return RemoteAccess(base_url)
