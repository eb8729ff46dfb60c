"""JSON of any size to values, so that reading it holds up nobody for long.

What is small is read at once. What is large, or has many parts, is for a thread: its collections of garbage wait (each
would look through all that was read so far), and it is read piece by piece, since one call of the parser keeps all
other threads waiting until it is done.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
from pydantic_core import from_json

from lumaai.errors import InvalidRequestError, TooLargeError

# Reading so much holds the event loop for about a millisecond; what is larger is read in a thread.
INLINE_BYTES_MAX = 64 << 10
# So have lists, objects and keys, and items of lists; of what is no longer than COUNTED_BYTES_MIN they are not counted.
INLINE_PARTS_MAX, INLINE_ITEMS_MAX = 2_000, 8_000
COUNTED_BYTES_MIN = 4 << 10
# What is read by one call at once in a thread, if it has more lists and objects than PIECE_PARTS_MAX; how many levels
# of lists and objects are looked through for such pieces; what is deeper is read as one.
PIECE_BYTES_MAX, PIECE_PARTS_MAX = 32 << 10, 2_000
LEVELS_MAX = 8
# Beyond so many items, splitting takes more memory than it is worth.
COMMAS_MAX = 4_000_000
# Each takes 56 bytes or more when it is read, for two in the body. What has so many as DEEP_PARTS_MIN may not be nested
# deeper than documents are: to look through lists in lists for garbage takes ten times as long as through others.
PARTS_MAX, DEEP_PARTS_MIN = 4_000_000, 100_000
DEPTH_MAX = 64


def parse_json(content: bytes) -> Any:
    """A JSON value. NaN and Infinity are read, so that what uses the value can name their place and refuse them.

    Raises:
        InvalidRequestError: status 400; not UTF-8, cut off, too deep (200 levels) or not JSON otherwise.
    """
    try:
        return from_json(content)
    except ValueError as error:
        raise InvalidRequestError(f"body is not valid JSON: {error}", code="invalid_json", status=400) from error


def is_quick(content: bytes) -> bool:
    """Whether JSON is read and checked in about a millisecond or less, whatever it says."""
    if len(content) <= COUNTED_BYTES_MIN:
        return True
    return (
        len(content) <= INLINE_BYTES_MAX
        and _count(content, b"[{:") <= INLINE_PARTS_MAX
        and _count(content, b",") <= INLINE_ITEMS_MAX
    )


@contextmanager
def no_collections() -> Iterator[None]:
    """No collections of garbage meanwhile: 250 kB of lists in lists are read in 7 instead of 60 ms.

    They are of the whole process, so this is for what ends soon. Where two threads are in here at once, the first to
    leave begins them again: what the other one reads takes longer then, and nothing else changes.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def read_large(content: bytes) -> Any:
    """As `parse_large`, without collections of garbage."""
    with no_collections():
        return parse_large(content)


def parse_large(content: bytes) -> Any:
    """As `parse_json`, for a thread: lists and objects by their items, others read on in between.

    What cannot be split (or is not JSON in the eyes of the splitter, such as NaN) is parsed in one.

    Raises:
        InvalidRequestError: as for `parse_json`; or it has many lists and objects and is nested too deep (422).
        TooLargeError: it has more than `PARTS_MAX` lists and objects.
    """
    parts = _count(content, b"[{")
    if parts > PARTS_MAX:
        message = f"body has too many lists and objects: maximum={PARTS_MAX} got={parts}"
        raise TooLargeError(message, code="too_many_values")
    if content.count(b",") > COMMAS_MAX:
        return parse_json(content)
    try:
        return _parsed(content, LEVELS_MAX, DEPTH_MAX if parts > DEEP_PARTS_MIN else parts)
    except _TooDeepError as error:
        message = f"body is nested too deeply: maximum={DEPTH_MAX} where it has {parts} lists and objects"
        raise InvalidRequestError(message, code="too_deep") from error
    except (msgspec.MsgspecError, InvalidRequestError, RecursionError):
        # Once more as a whole, for the message that names the place in the body.
        return parse_json(content)


class _TooDeepError(Exception):
    """Lists and objects are nested deeper than they may be."""


def _parsed(content: bytes, levels: int, depth: int) -> Any:
    """The value; nested `depth` deep at most."""
    parts = _count(content, b"[{")
    if len(content) <= PIECE_BYTES_MAX or not levels or parts <= PIECE_PARTS_MAX:
        if parts > depth:
            _check_depth(content, depth)
        return parse_json(content)
    if content.lstrip()[:1] == b"{":
        return {key: _parsed(bytes(raw), levels - 1, depth - 1) for key, raw in _split_object(content).items()}
    return [_parsed(bytes(raw), levels - 1, depth - 1) for raw in _split_list(content)]


def _check_depth(content: bytes, depth: int) -> None:
    """Refuse what is nested deeper: by its brackets, and where these do not tell, being in strings, by its value."""
    brackets = content.translate(None, _NO_BRACKETS)
    for _ in range(depth):
        brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
        if not brackets:
            return
    level = [parse_json(content)]
    for _ in range(depth):
        inside = (each.values() if isinstance(each, dict) else each for each in level)
        level = [value for values in inside for value in values if isinstance(value, dict | list)]
    if level:
        raise _TooDeepError


def _count(content: bytes, kinds: bytes) -> int:
    """How many bytes are of these kinds, those in strings included."""
    return len(content) - len(content.translate(None, kinds))


_NO_BRACKETS = bytes(sorted(set(range(256)) - set(b"[]{}")))
_split_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_split_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
