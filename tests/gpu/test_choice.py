"""engine.vector.device.choice: what is taken where a device is missing, and which way of searching costs less."""

from __future__ import annotations

import importlib.util
import logging

import pytest

from engine.errors import InvalidInputError
from engine.vector.device.choice import DeviceChoice, find_backend, has_driver, lists_are_cheaper, parse_choice
from engine.vector.device.driver import card_bytes


def _cuda() -> bool:
    if not has_driver():
        return False
    if importlib.util.find_spec("torch") is None:
        return False
    import torch

    return bool(torch.cuda.is_available())


def test_choices_are_three() -> None:
    """Anything else is refused, naming what there is."""
    assert [parse_choice(name).value for name in ("auto", "cpu", "cuda")] == ["auto", "cpu", "cuda"]
    with pytest.raises(InvalidInputError, match="unknown device: expected one of auto, cpu, cuda got='gpu'"):
        parse_choice("gpu")


@pytest.mark.skipif(_cuda(), reason="this machine has a CUDA card")
def test_a_missing_card_is_warned_of_only_if_it_was_asked_for(caplog: pytest.LogCaptureFixture) -> None:
    """`auto` and `cpu` say nothing; `cuda` says once what is missing."""
    with caplog.at_level(logging.WARNING):
        assert find_backend(DeviceChoice.AUTO) is None
        assert find_backend(DeviceChoice.CPU) is None
        assert caplog.records == []
        assert find_backend(DeviceChoice.CUDA) is None
    assert [record.message for record in caplog.records] == ["device.missing"]
    assert "CUDA" in caplog.records[0].__dict__["reason"]


@pytest.mark.gpu
@pytest.mark.skipif(not _cuda(), reason="this machine has no CUDA card")
def test_a_card_is_found() -> None:
    """Both `auto` and `cuda` take it."""
    for choice in (DeviceChoice.AUTO, DeviceChoice.CUDA):
        backend = find_backend(choice)
        assert backend is not None
        assert backend.name.startswith("cuda")


def test_lists_are_for_few_queries_over_many_rows() -> None:
    """One query over ten million rows probes lists; a thousand are compared with all rows at once."""
    assert lists_are_cheaper(1, 10_000_000, 384, 32, 4_096)
    assert not lists_are_cheaper(1_024, 1_000_000, 384, 256, 1_024)
    assert not lists_are_cheaper(1, 10_000, 384, 128, 128)


def test_the_driver_tells_of_no_card_where_there_is_none() -> None:
    """Nothing is imported for it, and nothing fails."""
    assert (card_bytes() is None) or has_driver()


@pytest.mark.gpu
@pytest.mark.skipif(not _cuda(), reason="this machine has no CUDA card")
def test_the_driver_knows_the_memory_of_the_card() -> None:
    """As torch does."""
    import torch

    assert card_bytes() == torch.cuda.get_device_properties(0).total_memory
