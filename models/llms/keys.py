"""Keys of providers: what can be one, and keys from files."""

from __future__ import annotations

from pathlib import Path

from models.errors import LLMError

KEY_BYTES_MAX = 8192


def can_be_key(key: str) -> bool:
    """Whether a text can go into a header as a key: printable ASCII without white space, and not too long."""
    return 0 < len(key) <= KEY_BYTES_MAX and key.isascii() and key.isprintable() and " " not in key


def read_key_file(path: Path) -> str:
    """The key in a file, without the white space around it.

    Raises:
        LLMError: the file cannot be read, or holds no key; the message has its path and nothing of its content.
    """
    try:
        with path.open("rb") as file:
            key = file.read(KEY_BYTES_MAX + 1).decode("ascii", errors="replace").strip()
    except OSError as error:
        raise LLMError(f"key file cannot be read: path={path} reason={type(error).__name__}") from error
    if not can_be_key(key):
        raise LLMError(f"key file must hold one key and nothing else: path={path}")
    return key
