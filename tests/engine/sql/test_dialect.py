"""engine.sql.dialect: how much of another dialect is read."""

from __future__ import annotations

import pytest

from engine import SqlError
from engine.sql.dialect import translate
from tests.work import calls_of


def test_sums_of_thousands_of_numbers_are_refused() -> None:
    """Before sqlglot reads them, which takes seconds of processor time."""

    def refused() -> None:
        with pytest.raises(
            SqlError, match="query is too long for another dialect: maximum=8000 got=17998 words and signs"
        ):
            translate("SELECT " + "1+" * 8_998 + "1", "sqlite", {})

    assert calls_of(refused) < 1_000_000
