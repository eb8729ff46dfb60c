"""Weights as int8, and what that costs in quality.

Symmetric, one scale per output column. Activations are quantized by the operator while it runs
(`DynamicQuantizeMatMul`: uint8, one scale a run), so that no calibration texts are needed.
"""

from __future__ import annotations

import hashlib
import json
import platform
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models.embedder import Vectors
from models.embedders.weights import FloatArray

# Where int8 stays well within .01 of the float32 nDCG@10. Measured with all-MiniLM-L6-v2 on Cranfield (float32 .3995):
#   weights rounded to        nDCG@10   cosine_min   cosine_mean   similarity_error_max
#   8 bits by column          .4023     .968         .992          .048
#   6 bits by column          .3961     .905         .984          .051
#   5 bits by column          .3920     .847         .962          .129
#   8 bits by matrix          .3863     .815         .952          .123
# and on SciFact 8 bits by column .6479 beside .6451.
COSINE_MIN = 0.9
COSINE_MEAN_MIN = 0.98
SIMILARITY_ERROR_MAX = 0.1

_LARGEST = 127  # -128 is left out, so that the scale is the same to both sides


def quantized_columns(matrix: FloatArray) -> tuple[npt.NDArray[np.int8], FloatArray]:
    """Integers and scales with matrix ≈ integers × scales.

    Args:
        matrix: (in, out) float32.

    Returns:
        (in, out) int8 in -127..127 and (out,) float32.
    """
    largest = np.abs(matrix).max(axis=0)
    scales = np.where(largest > 0, largest / _LARGEST, 1.0).astype(np.float32)
    return np.rint(matrix / scales).astype(np.int8), scales


@dataclass(frozen=True, slots=True)
class QuantizationLoss:
    """How far int8 vectors of `PROBE_TEXTS` are from the float32 ones.

    Attributes:
        fingerprint: of the int8 embedder, made from that of the float32 one.
        cosine_min: least cosine between a text's two vectors; `cosine_mean` the mean.
        similarity_error_max: largest change of the cosine between two different texts.
    """

    fingerprint: str
    cosine_min: float
    cosine_mean: float
    similarity_error_max: float

    @classmethod
    def between(cls, exact: Vectors, rounded: Vectors, *, fingerprint: str) -> QuantizationLoss:
        """Compare float32 vectors with int8 ones, both (n, dim); `fingerprint` is that of the float32 embedder."""
        exact, rounded = _unit(exact), _unit(rounded)
        cosines = (exact * rounded).sum(axis=1)
        errors = np.abs(exact @ exact.T - rounded @ rounded.T)
        return cls(
            fingerprint=hashlib.sha256(f"{fingerprint} int8".encode()).hexdigest()[:16],
            cosine_min=float(cosines.min()),
            cosine_mean=float(cosines.mean()),
            similarity_error_max=float(errors.max()),
        )

    @property
    def is_acceptable(self) -> bool:
        """Whether the loss is within the bounds above; NaN is not."""
        return (
            self.cosine_min >= COSINE_MIN
            and self.cosine_mean >= COSINE_MEAN_MIN
            and self.similarity_error_max <= SIMILARITY_ERROR_MAX
        )

    def to_json(self) -> bytes:
        """As written beside the graph."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, data: bytes) -> QuantizationLoss:
        """What `to_json` wrote."""
        return cls(**json.loads(data))


def instruction_set() -> str:
    """Which kind of int8 arithmetic this processor has: without VNNI sums of products may saturate."""
    path = Path("/proc/cpuinfo")
    flags = path.read_text(encoding="ascii", errors="replace") if path.is_file() else ""
    return f"{platform.machine()}-vnni" if "vnni" in flags else platform.machine()


def _unit(vectors: Vectors) -> Vectors:
    scaled: Vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return scaled


_SENTENCES = (
    "The harbour was closed for three days after the storm.",
    "Insulin lowers the concentration of glucose in the blood.",
    "def parse(path): return json.loads(path.read_text())",
    "How do I reset my password?",
    "Quarterly revenue rose 4.2 % to EUR 1.3 million, against expectations.",
    "She had never seen the mountains before, and for a while she said nothing at all.",
    "Mice lacking the receptor showed reduced inflammation and lived longer than their littermates.",
    "ERROR 2024-03-01T12:00:00Z worker-7: connection refused (10.0.0.3:5432), retrying in 5 s",
    "The court held that the contract was void because consent had been obtained by deception.",
    "Preheat the oven to 180 degrees and butter a loaf tin.",
    "What is the capital of Mongolia?",
    "Graph traversal visits neighbours in order of distance until the candidate list no longer improves.",
    "Die Sitzung wurde auf den nächsten Morgen verschoben.",
    "A red bicycle, hardly used, with lights and a basket; price negotiable.",
    "Photosynthesis converts light energy into chemical energy stored in carbohydrates.",
    "The orchestra rehearsed the slow movement twice, then the conductor asked for silence.",
    "Returns a new array with the axes reversed; the data is not copied.",
    "Patients received 20 mg daily for twelve weeks, and adverse events were recorded at each visit.",
    "No.",
    "Stock photo of a smiling person holding a laptop in a bright office",
    "In 1848 revolutions broke out across Europe, from Palermo to Vienna and Budapest.",
    "Shipping is free for orders over 50 dollars within the continental United States.",
    "The defender cleared the ball off the line in the final minute of extra time.",
    "Section 4(b) applies mutatis mutandis to subsidiaries incorporated outside the territory.",
)

# Short and long: every sentence, and eight texts of several sentences up to the usual 256 tokens.
PROBE_TEXTS = (*_SENTENCES, *(" ".join(_SENTENCES[start : start + 2 + 2 * start]) for start in range(8)))
