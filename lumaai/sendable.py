"""What JSON cannot carry as it is: found before a batch is sent, with the words of the embedded database.

`json.dumps` would write keys that are numbers as strings and tuples as lists, and the service would store another
document than was given. NaN and infinities do travel: the service refuses them itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lumaai.errors import ErrorDetail, InvalidRequestError

_PLAIN = (bool, int, float, type(None))


def check_sendable(documents: Sequence[Any]) -> None:
    """Refuse a batch with values that JSON has no form for; vectors may be numpy arrays.

    Raises:
        InvalidRequestError: code "documents_invalid"; its `errors` name the first such value of each document.
    """
    found = [(index, _document_fault(document)) for index, document in enumerate(documents)]
    errors = [_detail(index, documents[index], *fault) for index, fault in found if fault is not None]
    if errors:
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        message = f"document {errors[0].index}: {errors[0].message}{more}"
        raise InvalidRequestError(message, code="documents_invalid", errors=errors)


_Fault = tuple[str, str, str]  # pointer, code, message


def _detail(index: int, document: Any, pointer: str, code: str, message: str) -> ErrorDetail:
    id_ = document.get("id") if isinstance(document, Mapping) else None
    place = f"/documents/{index}{pointer}"
    return ErrorDetail(place, code, message, index=index, id=id_ if isinstance(id_, str) else None)


def _document_fault(document: Any) -> _Fault | None:
    if not isinstance(document, Mapping):
        return "", "type_mismatch", f"document must be an object: got={type(document).__name__}"
    return next((fault for key, item in document.items() if (fault := _entry_fault(key, item, ""))), None)


def _fault(value: Any, pointer: str) -> _Fault | None:
    kind = type(value)
    if kind is str:
        return None if value.isascii() else _text_fault(value, pointer)
    if kind in _PLAIN or (kind is np.ndarray and pointer.count("/") == 1):
        return None
    if kind is list:
        return next((fault for n, item in enumerate(value) if (fault := _fault(item, f"{pointer}/{n}"))), None)
    if kind is dict:
        return next((fault for key, item in value.items() if (fault := _entry_fault(key, item, pointer))), None)
    return pointer, "type_unsupported", f"value has no JSON type: got={kind.__name__}"


def _entry_fault(key: Any, item: Any, pointer: str) -> _Fault | None:
    if type(key) is not str:
        return pointer, "key_invalid", f"keys must be strings: got={type(key).__name__}"
    token = key.replace("~", "~0").replace("/", "~1")
    return _fault(key, pointer) or _fault(item, f"{pointer}/{token}")


def _text_fault(value: str, pointer: str) -> _Fault | None:
    try:
        value.encode()
    except UnicodeEncodeError:
        return pointer, "text_invalid", "text is not valid Unicode (a lone surrogate)"
    return None
