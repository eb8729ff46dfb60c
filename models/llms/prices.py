"""What tokens cost: a table, and one's own over it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from models.errors import LLMError
from models.llm import Usage

TOKENS_A_PRICE = 1_000_000


@dataclass(frozen=True, slots=True)
class Price:
    """Dollars for a million tokens, read and written.

    Raises:
        ValueError: one of them is negative, or not finite.
    """

    input: float
    output: float

    def __post_init__(self) -> None:
        for dollars in (self.input, self.output):
            if not (math.isfinite(dollars) and dollars >= 0):
                raise ValueError(f"price must be a number of at least 0: got={dollars!r}")

    def dollars(self, tokens_in: int, tokens_out: int) -> float:
        """What so many tokens cost."""
        return (tokens_in * self.input + tokens_out * self.output) / TOKENS_A_PRICE

    def of(self, usage: Usage) -> Usage:
        """The usage with its dollars."""
        dollars = self.dollars(usage.tokens_in, usage.tokens_out)
        return Usage(usage.calls, usage.tokens_in, usage.tokens_out, dollars)


FREE = Price(0.0, 0.0)

# Standard prices without caches and batches, as the providers listed them in June 2026. They change: give your own
# where dollars matter. Prompts above 270,000 tokens cost more with some.
PRICES: Mapping[str, Price] = {
    "openai/gpt-5.5": Price(5.00, 30.00),
    "openai/gpt-5.4": Price(2.50, 15.00),
    "openai/gpt-5.4-mini": Price(0.75, 4.50),
    "openai/gpt-5.4-nano": Price(0.20, 1.25),
    "anthropic/claude-opus-4-7": Price(5.00, 25.00),
    "anthropic/claude-opus-4-6": Price(5.00, 25.00),
    "anthropic/claude-opus-4-5": Price(5.00, 25.00),
    "anthropic/claude-sonnet-4-6": Price(3.00, 15.00),
    "anthropic/claude-sonnet-4-5": Price(3.00, 15.00),
    "anthropic/claude-haiku-4-5": Price(1.00, 5.00),
    "gemini/gemini-3.5-flash": Price(1.50, 9.00),
}

_DATE = re.compile(r"-20\d\d-?\d\d-?\d\d$")  # of a dated version: gpt-5.4-mini-2026-03-17, claude-haiku-4-5-20251001


def price_of(name: str, prices: Mapping[str, Price]) -> Price | None:
    """The price of "provider/model", also of its dated versions; None if the table has none."""
    return prices.get(name) or prices.get(_DATE.sub("", name))


def read_prices(path: Path) -> dict[str, Price]:
    """The prices in a JSON file: `{"openai/gpt-5.4-mini": {"input": 0.75, "output": 4.5}}`.

    Raises:
        LLMError: it cannot be read, or is something else; the message names the place.
    """
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise LLMError(f"prices cannot be read: path={path} reason={type(error).__name__}") from error
    if not isinstance(table, dict):
        raise LLMError(f"prices must be an object by model: path={path}")
    prices = {}
    for name, row in table.items():
        try:
            prices[name] = Price(**row)
        except (TypeError, ValueError) as error:
            raise LLMError(f"price must have input and output, in dollars: path={path} model={name}") from error
    return prices
