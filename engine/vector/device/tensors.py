"""Vectors as torch's tensors: where they lie, in which precision, and how far that is from the truth.

The same code runs on any of torch's devices; tests run it on its "cpu".
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

import numpy as np

from engine.arrays import Rows, Vectors
from engine.schema import Metric
from engine.vector.device.backend import DeviceBrokenError, DeviceFullError, RowsOf, Source
from engine.vector.room import machine_bytes

PIECE_BYTES = 64 * 1024 * 1024  # of vectors that travel at a time: about 3 ms of PCIe 4
BLOCK_ROWS = 32  # of an inverted list, which is padded to a multiple: what is gathered lies together
LARGEST_EXPONENT = 13  # half precision ends at 2^16; what is scaled so has three bits to spare
TILE_ELEMENTS = 1 << 28  # scores at a time: 1 GiB
TILE_ELEMENTS_CPU = 1 << 22
TILE_ELEMENTS_MIN = 1 << 16
FULL_SHARE_MAX = 0.8  # of the free memory that float32 vectors may take beside those of half precision

P = ParamSpec("P")
T = TypeVar("T")


def torch_module() -> Any:
    """torch, imported when it is first needed."""
    import torch

    return torch


@contextmanager
def translating() -> Generator[None, None, None]:
    """Torch's errors as ours."""
    torch = torch_module()
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise DeviceFullError(_one_line(error)) from error
    except RuntimeError as error:
        raise DeviceBrokenError(_one_line(error)) from error


def translated(work: Callable[P, T]) -> Callable[P, T]:
    """`work`, whose errors of torch are raised as ours."""

    @functools.wraps(work)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        with translating():
            return work(*args, **kwargs)

    return wrapped


class TorchBackend:
    """One of torch's devices. For one thread.

    Args:
        device: "cuda", "cuda:1", "cpu".
        precision: of the products: "float16", "bfloat16" or "float32". All vectors are scaled by a power of two, so
            float16 holds any range that float32 does, with three more bits than bfloat16.

    Attributes:
        tile_elements: scores that are held at a time.
    """

    def __init__(self, device: str, precision: str = "float16") -> None:
        torch = torch_module()
        self.device = torch.device(device)
        self.precision = precision
        self.dtype = getattr(torch, precision)
        self.name = self.device.type if self.device.type == "cuda" else f"torch on {self.device.type}"
        self.tile_elements = TILE_ELEMENTS if self.device.type == "cuda" else TILE_ELEMENTS_CPU

    def load(self, source: Source) -> Generator[None, None, Any]:
        """See `Backend.load`."""
        from engine.vector.device.resident import TorchResident

        with translating():
            rows = yield from _load_rows(self, source)
            return TorchResident(self, rows, source.vectors)

    @translated
    def centroids(self, sample: Vectors, count: int, rounds: int) -> Vectors:
        """See `Backend.centroids`."""
        from engine.vector.device.kmeans import train_centroids

        found: Vectors = train_centroids(self, self.upload(sample), count, rounds).cpu().numpy()
        return found

    def upload(self, array: Any) -> Any:
        """A tensor on the device."""
        return torch_module().from_numpy(np.ascontiguousarray(array)).to(self.device)

    def memory_bytes(self) -> int | None:
        """See `Backend.memory_bytes`."""
        if self.device.type != "cuda":
            return machine_bytes()
        return int(torch_module().cuda.mem_get_info(self.device)[1])

    def free_bytes(self) -> int | None:
        """Of the device's memory; None where torch cannot tell."""
        if self.device.type != "cuda":
            return None
        torch = torch_module()
        cached: int = torch.cuda.memory_reserved(self.device) - torch.cuda.memory_allocated(self.device)
        return int(torch.cuda.mem_get_info(self.device)[0]) + cached

    def give_back(self) -> None:
        """Let other processes have what torch keeps in case it is wanted again."""
        if self.device.type == "cuda":
            torch_module().cuda.empty_cache()

    def narrower(self) -> bool:
        """Hold half as many scores at a time from now on; whether that can be."""
        self.tile_elements //= 2
        return self.tile_elements >= TILE_ELEMENTS_MIN

    def product(self, queries: Any, rows: Any) -> Any:
        """(q, n) float32 inner products of (q, dim) and (n, dim) tensors of one precision, summed in float32."""
        torch = torch_module()
        if rows.dtype == torch.float32:
            return queries @ rows.T
        if rows.device.type == "cuda":
            return torch.mm(queries, rows.T, out_dtype=torch.float32)
        return queries.float() @ rows.float().T

    def block_product(self, blocks: Any, queries: Any) -> Any:
        """(p, b) float32 inner products of (p, b, dim) rows with (p, dim) queries."""
        torch = torch_module()
        column = queries.unsqueeze(-1)
        if blocks.dtype == torch.float32:
            return torch.bmm(blocks, column).squeeze(-1)
        if blocks.device.type == "cuda":
            return torch.bmm(blocks, column, out_dtype=torch.float32).squeeze(-1)
        return torch.bmm(blocks.float(), column.float()).squeeze(-1)


@dataclass(slots=True)
class TensorRows:
    """The rows of a segment on the device, ordered by inverted list and padded, or as they are.

    A place is where a row lies here; `row_of` leads back.

    Attributes:
        half: (places, dim) times `scale`, in the backend's precision.
        full: (places, dim) float32; None where the memory does not hold it, and candidates are sent along.
        bias: (places,) float32 to be added to the products: minus half the squared length for l2, minus infinity for
            padding; None where it would be zero everywhere.
        row_of: (places,) int64, -1 for padding; None where rows are in place.
        blocks: (lists,) first block of each list, and (lists,) how many it has; None without lists.
        centroids: (lists, dim) float32; likewise.
        residual: the longest difference between a vector and what `half` says of it.
        longest: the length of the longest.
    """

    count: int
    metric: Metric
    scale: float
    half: Any
    full: Any | None
    bias: Any | None
    row_of: Any | None
    blocks: tuple[Any, Any] | None
    centroids: Any | None
    residual: float
    longest: float

    @property
    def bytes(self) -> int:
        """Of all tensors."""
        tensors = [self.half, self.full, self.bias, self.row_of, self.centroids, *(self.blocks or ())]
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors if tensor is not None)


def half_scale(largest: float) -> float:
    """A power of two that brings the largest component to the upper end of half precision."""
    return 1.0 if not largest else 2.0 ** (LARGEST_EXPONENT - math.frexp(largest)[1])


def _load_rows(backend: TorchBackend, source: Source) -> Generator[None, None, TensorRows]:
    torch = torch_module()
    row_of, blocks = _layout(source)
    places = len(source.vectors) if row_of is None else len(row_of)
    dim = source.vectors.shape[1]
    scale = half_scale((yield from _largest(source)))
    half = torch.zeros((places, dim), dtype=backend.dtype, device=backend.device)
    free = backend.free_bytes()
    fits = backend.precision != "float32" and (free is None or 4 * places * dim < FULL_SHARE_MAX * free)
    full = torch.zeros((places, dim), dtype=torch.float32, device=backend.device) if fits else None
    squares = torch.zeros(places, dtype=torch.float32, device=backend.device)
    residual = 0.0
    step = max(1, PIECE_BYTES // (4 * dim))
    for begin in range(0, places, step):
        chosen = slice(begin, begin + step)
        exact = backend.upload(_at(source.vectors, row_of, chosen))
        scaled = exact * scale
        half[chosen] = scaled.to(backend.dtype)
        if full is not None:
            full[chosen] = exact
        squares[chosen] = (exact * exact).sum(1)
        difference = (scaled - half[chosen].float()).square_().sum(1)
        residual = max(residual, math.sqrt(float(difference.max())) / scale)
        yield
    if backend.precision == "float32":
        half /= scale
        full, scale, residual = half, 1.0, 0.0
    longest = math.sqrt(float(squares.max()))
    bias = -0.5 * squares if source.metric is Metric.L2 else None
    order = None if row_of is None else backend.upload(row_of)
    if order is not None:
        bias = torch.zeros_like(squares) if bias is None else bias
        bias[order < 0] = -math.inf
    centroids = None if source.centroids is None else backend.upload(source.centroids)
    listed = None if blocks is None else (backend.upload(blocks[0]), backend.upload(blocks[1]))
    return TensorRows(
        len(source.vectors), source.metric, scale, half, full, bias, order, listed, centroids, residual, longest
    )


def _largest(source: Source) -> Generator[None, None, float]:
    """The largest absolute value of any component, or more."""
    if source.metric is Metric.COSINE:
        return 1.0
    largest, step = 0.0, max(1, PIECE_BYTES // (4 * source.vectors.shape[1]))
    for begin in range(0, len(source.vectors), step):
        piece = source.vectors[begin : begin + step]
        largest = max(largest, float(piece.max()), -float(piece.min()))
        yield
    return largest


def _layout(source: Source) -> tuple[Rows | None, tuple[Rows, Rows] | None]:
    """Row of each place, -1 for padding, and the blocks of each list; None, None without lists."""
    if source.list_of is None:
        return None, None
    sizes = np.bincount(source.list_of, minlength=source.lists)
    counts = -(-sizes // BLOCK_ROWS)
    firsts = np.cumsum(counts) - counts
    order = np.argsort(source.list_of, kind="stable")
    before = np.repeat(BLOCK_ROWS * firsts - (np.cumsum(sizes) - sizes), sizes)  # padding that comes before each row
    row_of = np.full(int(counts.sum()) * BLOCK_ROWS, -1, dtype=np.int64)
    row_of[np.arange(len(order)) + before] = order
    return row_of, (firsts.astype(np.int64), counts.astype(np.int64))


def _at(vectors: RowsOf, row_of: Rows | None, chosen: slice) -> Vectors:
    """The vectors of some places; zeros for padding."""
    if row_of is None:
        return vectors[chosen]
    rows = row_of[chosen]
    taken = vectors[np.maximum(rows, 0)]
    taken[rows < 0] = 0
    return taken


def _one_line(error: Exception) -> str:
    return str(error).strip().split("\n", maxsplit=1)[0][:300]
