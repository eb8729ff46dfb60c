"""Vectors in fewer bits: which FAISS storage each quantization is, and whether given vectors fit it.

fp16 keeps 11 bits of each component and is what its segment holds; the others are lossy, and their candidates are
compared again with the exact vectors that lie beside the index. sq8: 8 bits a component, between the least and the
largest value of each. pq4: product quantization (Jégou, Douze and Schmid, IEEE TPAMI 2011), 4 bits a sub-vector,
scanned in registers (André, Kermarrec and Le Scouarnec, VLDB 2015). rabitq: one bit a component after a random
rotation (Gao and Long, SIGMOD 2024, https://arxiv.org/abs/2405.12497).
"""

from __future__ import annotations

from typing import Any

import faiss
import numpy as np

from engine.arrays import Vectors
from engine.schema import Quantization
from engine.vector.index import CannotTrainError

FP16_MAX = 65_504.0
SUB_DIMS = (4, 3, 2, 5)  # components a sub-vector of pq4, in order of preference; 8 halve the recall of 60 candidates
SUB_DIMS_SMALL = (2, 1)  # below `SMALL_DIM`, where 4 would leave too few bits altogether
SMALL_DIM = 64
SQ8_ROWS_MIN = 100  # the range of each component is learnt from so many at least


def sub_quantizers(dim: int) -> int:
    """Sub-vectors of pq4: a divisor of `dim`."""
    for size in SUB_DIMS if dim >= SMALL_DIM else SUB_DIMS_SMALL:
        if dim % size == 0:
            return dim // size
    return dim


def scalar_type(quantization: Quantization) -> int:
    """FAISS's number of a scalar quantizer."""
    kind = faiss.ScalarQuantizer.QT_fp16 if quantization is Quantization.FP16 else faiss.ScalarQuantizer.QT_8bit
    return int(kind)


def check_fits(vectors: Vectors, quantization: Quantization) -> None:
    """Refuse vectors that a scalar quantizer cannot hold.

    Raises:
        CannotTrainError: values too large for fp16, or too few rows to learn the ranges of sq8 from.
    """
    if quantization is Quantization.FP16 and len(vectors):
        largest = float(max(vectors.max(), -vectors.min()))
        if largest > FP16_MAX:
            raise CannotTrainError(f"fp16 holds values up to {FP16_MAX:.0f}: got={largest:g}")
    if quantization is Quantization.SQ8 and len(vectors) < SQ8_ROWS_MIN:
        raise CannotTrainError(f"sq8 needs at least {SQ8_ROWS_MIN} rows: got={len(vectors)}")


def half_view(index: Any) -> Any:
    """(n, dim) float16 view of what a FAISS scalar quantizer of 16 bits holds."""
    codes = faiss.rev_swig_ptr(index.codes.data(), index.ntotal * index.code_size)
    return codes.view(np.float16).reshape(index.ntotal, index.d)
