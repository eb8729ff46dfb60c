"""Keys of providers from files."""

from __future__ import annotations

from pathlib import Path

from models.errors import LLMError

KEY_BYTES_MAX = 8192


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
    if not key or len(key) > KEY_BYTES_MAX or not (key.isascii() and key.isprintable()) or " " in key:
        raise LLMError(f"key file must hold one key and nothing else: path={path}")
    return key
