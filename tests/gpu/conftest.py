"""The devices that are at hand: torch's "cpu" where torch is installed, and a CUDA card."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from engine.vector.device.searcher import SearchDevice
from engine.vector.device.tensors import TorchBackend


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def backend(request: pytest.FixtureRequest) -> TorchBackend:
    """A device by torch, each of those that this machine has."""
    torch = pytest.importorskip("torch", reason="torch is not installed: make slow runs this in .venv-torch")
    torch.set_num_threads(1)
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("this machine has no CUDA card")
    return TorchBackend(request.param)


@pytest.fixture
def device(backend: TorchBackend) -> Iterator[SearchDevice]:
    """It, with the thread that owns it, for segments of any size."""
    found = SearchDevice(lambda: backend, bytes_min=0)
    yield found
    found.close()
