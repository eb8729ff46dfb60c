"""What a reader is told of a step that asked a language model: what it could not judge, or not read as a whole."""

from __future__ import annotations

from models import LLMBudgetError, LLMUnavailableError
from promptql.answer import Notice
from promptql.operators.semantic.caller import Caller
from promptql.operators.semantic.inputs import CHARACTERS_MAX


def notices_of(caller: Caller, rows: int, fate: str) -> list[Notice]:
    """Rows that failed and why, and rows that were cut.

    Args:
        caller: of the step.
        rows: of its input.
        fate: what became of rows that failed: "are left out".
    """
    notices = []
    if caller.failed:
        detail = f"step {caller.step}: {caller.failed} of {rows} rows could not be judged and {fate}"
        notices.append(Notice("llm_rows_failed", detail))
    match caller.ended:
        case LLMBudgetError():
            notices.append(Notice("llm_budget", f"step {caller.step} ended early: {caller.ended}"))
        case LLMUnavailableError():
            notices.append(Notice("llm_unavailable", f"step {caller.step} ended early: {caller.ended}"))
        case _:
            pass
    if caller.cut:
        detail = f"step {caller.step}: of {caller.cut} rows only about {CHARACTERS_MAX} characters were read"
        notices.append(Notice("llm_rows_cut", detail))
    return notices
