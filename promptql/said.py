"""What rows come to: the parts of an answer that depend on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from promptql.answer import Artifact, Band, Notice
from promptql.citations import Claim
from promptql.planned import LLMUsage

ARTIFACT = "a1"  # the table that an answer's text is about


@dataclass(frozen=True, slots=True)
class Said:
    """What to say, the values that it stands for, what bears it out, and what a language model took for it."""

    text: str
    values: tuple[Any, ...]
    artifact: Artifact | None
    claims: Sequence[Claim]
    confidence: float
    band: Band
    completeness: float = 1.0
    warnings: tuple[Notice, ...] = ()
    usage: LLMUsage = field(default_factory=LLMUsage)
