"""Between Roaring bitmaps and numpy arrays, by way of Roaring's portable format: pyroaring itself takes 70 ns a value.

https://github.com/RoaringBitmap/RoaringFormatSpec
"""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np
import numpy.typing as npt
from pyroaring import BitMap

from engine.arrays import Mask

CONTAINER_ROWS = 1 << 16
_ARRAY_MAX = 4096  # values of a container that is kept as a list of them; more are kept as bits
_WITHOUT_RUNS = 12346  # the cookie of the format


def bitmap_of_places(places: npt.NDArray[Any]) -> BitMap:
    """A bitmap of (n,) whole numbers below 2**32, in any order."""
    values = array("I")
    values.frombytes(np.ascontiguousarray(places, dtype=np.uint32).tobytes())
    return BitMap(values)


def places_of(bitmap: BitMap) -> npt.NDArray[np.uint32]:
    """The values of a bitmap, (n,) ascending."""
    values: npt.NDArray[np.uint32] = np.frombuffer(bitmap.to_array(), dtype=np.uint32)
    return values


def bitmap_of_mask(mask: Mask) -> BitMap:
    """The places at which a mask, (n,), is set."""
    if not len(mask):
        return BitMap()
    bits = np.packbits(mask, bitorder="little")
    keys, counts, pieces = [], [], []
    for start in range(0, len(mask), CONTAINER_ROWS):
        part = mask[start : start + CONTAINER_ROWS]
        count = int(np.count_nonzero(part))
        if not count:
            continue
        keys.append(start // CONTAINER_ROWS)
        counts.append(count)
        if count <= _ARRAY_MAX:
            pieces.append(np.flatnonzero(part).astype("<u2").tobytes())
        else:
            pieces.append(bits[start // 8 : (start + CONTAINER_ROWS) // 8].tobytes().ljust(CONTAINER_ROWS // 8, b"\0"))
    header = np.array([_WITHOUT_RUNS, len(keys)], dtype="<u4").tobytes()
    sizes = np.array([[key, count - 1] for key, count in zip(keys, counts, strict=True)], dtype="<u2").tobytes()
    first = len(header) + len(sizes) + 4 * len(pieces)
    offsets = first + np.cumsum([0, *map(len, pieces)])[:-1]
    return BitMap.deserialize(b"".join([header, sizes, offsets.astype("<u4").tobytes(), *pieces]))


def mask_of_bitmap(bitmap: BitMap, rows: int) -> Mask:
    """One flag for each of `rows` places; all values of the bitmap are below `rows`."""
    mask = np.zeros(rows, dtype=bool)
    if len(bitmap) * 8 < rows:
        mask[places_of(bitmap)] = True
        return mask
    facts = bitmap.get_statistics()
    if facts["n_run_containers"]:  # those are written in another form
        mask[places_of(bitmap)] = True
        return mask
    data = bitmap.serialize()
    count = int(np.frombuffer(data, dtype="<u4", count=2)[1])
    sizes = np.frombuffer(data, dtype="<u2", offset=8, count=2 * count).reshape(-1, 2)
    offsets = np.frombuffer(data, dtype="<u4", offset=8 + 4 * count, count=count)
    for key, size, offset in zip(sizes[:, 0].tolist(), sizes[:, 1].tolist(), offsets.tolist(), strict=True):
        part = mask[key * CONTAINER_ROWS : (key + 1) * CONTAINER_ROWS]
        if size < _ARRAY_MAX:
            part[np.frombuffer(data, dtype="<u2", offset=offset, count=size + 1)] = True
        else:
            bits = np.frombuffer(data, dtype=np.uint8, offset=offset, count=CONTAINER_ROWS // 8)
            part[:] = np.unpackbits(bits, count=len(part), bitorder="little")
    return mask


def bitmap_bytes(bitmap: BitMap) -> int:
    """About what a bitmap takes in memory."""
    facts = bitmap.get_statistics()
    content = facts["n_bytes_array_containers"] + facts["n_bytes_run_containers"] + facts["n_bytes_bitset_containers"]
    return int(content) + 32 * int(facts["n_containers"]) + 100
