"""Sizes as people write them: 512MB, 2 GiB, 100000."""

from __future__ import annotations

import re

_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([kMGT]?)(i?)B?", re.IGNORECASE)


def bytes_of(size: str) -> int:
    """Bytes of a size such as 512MB (of 1000 × 1000), 2 GiB (of 1024 × 1024 × 1024) or 100000.

    Raises:
        ValueError: it is none.
    """
    found = _SIZE.fullmatch(size.strip())
    if found is None:
        raise ValueError("not a size, such as 512MB or 2GiB")
    power = " KMGT".index(found[2].upper() or " ")
    return int(float(found[1]) * (1024 if found[3] else 1000) ** power)
