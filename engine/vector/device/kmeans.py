"""k-means on one of torch's devices, for the centroids of inverted lists."""

from __future__ import annotations

from typing import Any

from engine.vector.device.tensors import TorchBackend, torch_module

SPLIT = 1.0 / 1024  # how far apart the halves of a split cluster begin, relative to its centroid; as FAISS does


def train_centroids(backend: TorchBackend, sample: Any, count: int, rounds: int, initial: Any | None = None) -> Any:
    """(count, dim) float32 centroids of a (n, dim) float32 tensor; n at least `count`.

    Lloyd's algorithm; an empty cluster takes half of the largest. `initial` centroids save the drawing of some.
    """
    torch = torch_module()
    with torch.inference_mode():
        if initial is None:
            generator = torch.Generator(device="cpu").manual_seed(1)
            centroids = sample[torch.randperm(len(sample), generator=generator)[:count].to(sample.device)].clone()
        else:
            centroids = initial.clone()
        for _ in range(rounds):
            nearest = assign(backend, sample, centroids)
            sums = torch.zeros_like(centroids).index_add_(0, nearest, sample)
            sizes = torch.bincount(nearest, minlength=count)
            there = sizes > 0
            centroids[there] = sums[there] / sizes[there].unsqueeze(1)
            _fill_empty(centroids, sizes)
        return centroids


def assign(backend: TorchBackend, vectors: Any, centroids: Any) -> Any:
    """(n,) int64 the nearest centroid, by Euclidean distance, of each of (n, dim) vectors."""
    torch = torch_module()
    bias = 0.5 * (centroids * centroids).sum(1)
    step = max(1, backend.tile_elements // len(centroids))
    pieces = [vectors[begin : begin + step].float() for begin in range(0, len(vectors), step)]
    return torch.cat([(piece @ centroids.T - bias).argmax(1) for piece in pieces])


def _fill_empty(centroids: Any, sizes: Any) -> None:
    """Split the largest clusters for those that have no row."""
    empty = (sizes == 0).nonzero().squeeze(1)
    if not len(empty):
        return
    largest = sizes.topk(len(empty)).indices
    largest = largest[sizes[largest] > 0]
    empty = empty[: len(largest)]
    centroids[empty] = centroids[largest] * (1 + SPLIT)
    centroids[largest] *= 1 - SPLIT
