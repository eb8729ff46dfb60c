"""Searching vectors that lie on one of torch's devices: tile by tile, or list by list; then again in float32.

Products are of half precision (summed in float32), and give more candidates than are wanted; these are compared again
with the float32 vectors. What half precision can be wrong by is known for each query, so it is known too whether a row
that is no candidate might be nearer; such queries are answered again in float32 throughout.
"""

from __future__ import annotations

import math
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from engine.arrays import Rows, Scores, Vectors
from engine.schema import Metric
from engine.vector.allowed import Allowed
from engine.vector.device.backend import Nearest, RowsOf
from engine.vector.device.tensors import (
    BLOCK_ROWS,
    LARGEST_EXPONENT,
    TensorRows,
    TorchBackend,
    torch_module,
    translated,
)

SPARE = 32  # candidates beside twice the rows that are wanted
GROUP = 64  # scores whose largest stands for them at first: the best w lie in the w groups with the largest
GATHER_SHARE_MAX = 0.1  # fewer allowed rows are gathered, more are picked out by their bias
SUM_ERROR = 2.0**-22  # of a float32 sum, for each component, relative to the lengths
RESCORED_ELEMENTS = 1 << 26  # components of candidates that are compared in float32 at a time


class TorchResident:
    """The rows of a segment, on the device."""

    def __init__(self, backend: TorchBackend, rows: TensorRows, vectors: RowsOf) -> None:
        self._backend = backend
        self._rows = rows
        self._vectors = vectors
        self.bytes = rows.bytes
        self.lists = 0 if rows.centroids is None else len(rows.centroids)
        self._biases: WeakKeyDictionary[Allowed, tuple[Any | None, Any]] = WeakKeyDictionary()

    @translated
    def search(self, queries: Vectors, k: int, allowed: Allowed | None, nprobe: int | None) -> Nearest:
        """See `Resident.search`."""
        torch = torch_module()
        with torch.inference_mode():
            exact = self._backend.upload(queries)
            if nprobe is not None and self.lists:
                return self._in_lists(exact, k, allowed, min(nprobe, self.lists))
            return self._among_all(exact, k, allowed)

    def _among_all(self, queries: Any, k: int, allowed: Allowed | None) -> Nearest:
        """By comparing with every row, in half precision and then again."""
        rows = self._rows
        if rows.full is rows.half:
            found, places = self._again(queries, k, allowed)
            sure = np.ones(len(queries), dtype=np.bool_)
            return Nearest(*self._outward(found, places), sure, f"{self._backend.name}, exact float32")
        count = rows.count if allowed is None else allowed.count
        wanted = min(count, 2 * k + SPARE)
        halved = self._halved(queries)
        products, places = self._candidates(*halved, wanted, allowed)
        found, best = self._rescored(queries, places, products, k)
        if wanted == count:
            sure = torch_module().ones(len(queries), dtype=torch_module().bool, device=found.device)
        else:
            sure = found[:, -1] >= self._most(queries, halved, products[:, -1])
        doubtful = (~sure).nonzero().squeeze(1)
        if len(doubtful) and rows.full is not None:
            found[doubtful], best[doubtful] = self._again(queries[doubtful], k, allowed)
            sure[:] = True
        how = f"{self._backend.name}, exact {self._backend.precision} then float32"
        return Nearest(*self._outward(found, best), sure.cpu().numpy(), how)

    def _again(self, queries: Any, k: int, allowed: Allowed | None) -> tuple[Any, Any]:
        """As `_among_all`, from products of float32."""
        count = self._rows.count if allowed is None else allowed.count
        products, places = self._candidates(queries, self._rows.full, None, min(count, k + SPARE), allowed)
        return self._rescored(queries, places, products, k)

    def _in_lists(self, queries: Any, k: int, allowed: Allowed | None, nprobe: int) -> Nearest:
        """By comparing with the rows of the nearest lists."""
        rows, torch = self._rows, torch_module()
        found = torch.full((len(queries), k), -math.inf, device=queries.device)
        best = torch.zeros((len(queries), k), dtype=torch.int64, device=queries.device)
        assert rows.blocks is not None
        _, bias = self._bias(allowed)
        halved, _, factors = self._halved(queries)
        numbers = self._nearest_lists(queries, nprobe)
        counts = rows.blocks[1][numbers].sum(1)
        step = max(1, self._backend.tile_elements // max(1, int(counts.max()) * BLOCK_ROWS))
        for begin in range(0, len(queries), step):
            piece = slice(begin, begin + step)
            scores, blocks = self._list_scores(halved[piece], factors[piece], numbers[piece], bias)
            wanted = min(2 * k + SPARE, scores.shape[1])
            products, slots = best_of(scores, wanted)
            places = blocks.gather(1, slots // BLOCK_ROWS) * BLOCK_ROWS + slots % BLOCK_ROWS
            width = min(k, wanted)
            found[piece, :width], best[piece, :width] = self._rescored(queries[piece], places, products, width)
        how = f"{self._backend.name}, ivf nprobe {nprobe}, {self._backend.precision} then float32"
        return Nearest(*self._outward(found, best), (found[:, -1] > -math.inf).cpu().numpy(), how)

    def _list_scores(self, queries: Any, factors: Any, numbers: Any, bias: Any | None) -> tuple[Any, Any]:
        """(q, s × block) biased products with the rows of some lists each, and (q, s) which blocks those were."""
        rows, torch = self._rows, torch_module()
        assert rows.blocks is not None
        firsts, counts = rows.blocks[0][numbers], rows.blocks[1][numbers]
        ends = counts.cumsum(1)
        width = int(ends[:, -1].max())
        slots = torch.arange(width, device=queries.device).expand(len(queries), width).contiguous()
        at = torch.searchsorted(ends, slots, right=True).clamp_(max=numbers.shape[1] - 1)
        blocks = firsts.gather(1, at) + slots - (ends - counts).gather(1, at)
        there = slots < ends[:, -1:]
        scores = torch.full((len(queries), width, BLOCK_ROWS), -math.inf, device=queries.device)
        owner, slot = there.nonzero(as_tuple=True)
        chosen = blocks[owner, slot]
        shaped = rows.half.view(-1, BLOCK_ROWS, rows.half.shape[1])
        step = max(1, self._backend.tile_elements // (BLOCK_ROWS * rows.half.shape[1]))
        for begin in range(0, len(chosen), step):
            piece = slice(begin, begin + step)
            products = self._backend.block_product(shaped[chosen[piece]], queries[owner[piece]])
            products.mul_(factors[owner[piece]])
            if bias is not None:
                products.add_(bias.view(-1, BLOCK_ROWS)[chosen[piece]])
            scores[owner[piece], slot[piece]] = products
        return scores.flatten(1), blocks.clamp_(0, len(shaped) - 1)

    def _nearest_lists(self, queries: Any, nprobe: int) -> Any:
        """(q, nprobe) numbers of lists."""
        centroids = self._rows.centroids
        assert centroids is not None
        nearness = queries @ centroids.T
        if self._rows.metric is not Metric.DOT:  # as the lists were made
            nearness -= 0.5 * (centroids * centroids).sum(1)
        return nearness.topk(nprobe, dim=1).indices

    def _candidates(
        self, queries: Any, matrix: Any, factors: Any | None, wanted: int, allowed: Allowed | None
    ) -> tuple[Any, Any]:
        """(q, wanted) largest biased products and their places.

        Args:
            queries: (q, dim) in the precision of `matrix`.
            matrix: (places, dim).
            factors: (q, 1) by which products are to be multiplied.
            wanted: places; at most as many as are allowed.
            allowed: rows.
        """
        torch = torch_module()
        chosen, bias = self._bias(allowed)
        count = len(matrix) if chosen is None else len(chosen)
        step = max(wanted, GROUP, self._backend.tile_elements // len(queries))
        found: list[tuple[Any, Any]] = []
        for begin in range(0, count, step):
            piece = slice(begin, begin + step)
            rows = matrix[piece] if chosen is None else matrix[chosen[piece]]
            products = self._backend.product(queries, rows)
            if factors is not None:
                products.mul_(factors)
            if bias is not None:
                products.add_(bias[piece])
            values, places = best_of(products, min(wanted, products.shape[1]))
            found.append((values, places + begin))
            if len(found) > 1:
                values = torch.cat([each[0] for each in found], 1)
                places = torch.cat([each[1] for each in found], 1)
                values, order = values.topk(min(wanted, values.shape[1]), dim=1)
                found = [(values, places.gather(1, order))]
        values, places = found[0]
        return values, places if chosen is None else chosen[places]

    def _bias(self, allowed: Allowed | None) -> tuple[Any | None, Any | None]:
        """Places to compare with, None for all; and what to add to their products. Kept as long as `allowed` is."""
        if allowed is None:
            return None, self._rows.bias
        known = self._biases.get(allowed)
        if known is None:
            known = self._biases[allowed] = self._make_bias(allowed)
        return known

    def _make_bias(self, allowed: Allowed) -> tuple[Any | None, Any]:
        rows, torch = self._rows, torch_module()
        mask = self._backend.upload(allowed.mask)
        if rows.row_of is not None:
            mask = mask[rows.row_of.clamp(min=0)] & (rows.row_of >= 0)
        bias = torch.zeros(len(mask), device=mask.device) if rows.bias is None else rows.bias
        if allowed.share <= GATHER_SHARE_MAX and not self.lists:
            chosen = mask.nonzero().squeeze(1)
            return chosen, bias[chosen]
        return None, bias.masked_fill(~mask, -math.inf)

    def _halved(self, queries: Any) -> tuple[Any, Any, Any]:
        """Queries in half precision; the rows; and what to multiply their products by."""
        rows = self._rows
        torch = torch_module()
        exponents = torch.frexp(queries.abs().amax(1, keepdim=True)).exponent
        scale = torch.exp2((LARGEST_EXPONENT - exponents).float())  # as `half_scale`
        return (queries * scale).to(self._backend.dtype), rows.half, 1.0 / (scale * rows.scale)

    def _most(self, queries: Any, halves: tuple[Any, Any, Any], products: Any) -> Any:
        """(q,) the best that a row can have, in the units of `_rescored`, whose biased product is at most so large."""
        rows = self._rows
        halved, _, factors = halves
        lengths = queries.norm(dim=1)
        lost = (queries - halved.float() * (factors * rows.scale)).norm(dim=1)
        summed = SUM_ERROR * queries.shape[1] * lengths * rows.longest
        most = products + rows.residual * lengths + (rows.longest + rows.residual) * lost + summed
        if rows.metric is not Metric.L2:
            return most
        squared = SUM_ERROR * queries.shape[1] * (rows.longest**2 + lengths.square())  # of both squared lengths
        return 2 * most - lengths.square() + squared

    def _rescored(self, queries: Any, places: Any, products: Any, k: int) -> tuple[Any, Any]:
        """The k best of (q, w) places by float32: inner products or minus squared distances; ties by row."""
        torch, l2 = torch_module(), self._rows.metric is Metric.L2
        scores = torch.empty_like(products)
        step = max(1, RESCORED_ELEMENTS // (places.shape[1] * queries.shape[1]))
        for begin in range(0, len(queries), step):
            piece = slice(begin, begin + step)
            vectors, each = self._exact_at(places[piece]), queries[piece].unsqueeze(1)
            scores[piece] = -(vectors - each).square_().sum(2) if l2 else (vectors * each).sum(2)
        scores[products == -math.inf] = -math.inf
        places, order = places.sort(dim=1)
        scores, order = torch.sort(scores.gather(1, order), dim=1, descending=True, stable=True)
        return scores[:, :k], places.gather(1, order)[:, :k]

    def _exact_at(self, places: Any) -> Any:
        """(q, w, dim) float32 vectors at (q, w) places."""
        if self._rows.full is not None:
            return self._rows.full[places]
        numbers = self._numbers(places).clamp_(min=0).cpu().numpy()
        return self._backend.upload(self._vectors[numbers.ravel()]).view(*places.shape, -1)

    def _numbers(self, places: Any) -> Any:
        """Rows at places."""
        return places.clone() if self._rows.row_of is None else self._rows.row_of[places]

    def _outward(self, found: Any, places: Any) -> tuple[Scores, Rows]:
        """Scores and rows as the engine has them."""
        numbers = self._numbers(places).masked_fill_(found == -math.inf, -1)
        scores = -(-found).clamp_(min=0).sqrt_() if self._rows.metric is Metric.L2 else found
        return scores.cpu().numpy(), numbers.cpu().numpy()


def best_of(scores: Any, wanted: int) -> tuple[Any, Any]:
    """(q, wanted) largest of (q, n) scores and where they are; n at least `wanted`.

    torch's `topk` reads its input several times. The best w lie in those w groups whose largest are the largest, so all
    is read once for the groups' largest, and then only the best groups.
    """
    torch = torch_module()
    count = scores.shape[1]
    groups = count // GROUP
    if groups < 4 * wanted:
        values, places = scores.topk(wanted, dim=1)
        return values, places
    grouped = scores[:, : groups * GROUP].unflatten(1, (groups, GROUP))
    best = grouped.amax(2).topk(wanted, dim=1).indices
    offsets = torch.arange(GROUP, device=scores.device)
    places = (best.unsqueeze(2) * GROUP + offsets).flatten(1)
    rest = torch.arange(groups * GROUP, count, device=scores.device).expand(len(scores), -1)
    places = torch.cat([places, rest], 1)
    values, order = scores.gather(1, places).topk(wanted, dim=1)
    return values, places.gather(1, order)
