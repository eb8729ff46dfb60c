"""A second round, where nothing satisfies the LLM's plan because the data spells a value otherwise."""

from __future__ import annotations

import threading
from dataclasses import replace

from models import LLM, LLMCancelledError, LLMError, ModelError
from promptql.answer import Notice
from promptql.context import Context
from promptql.errors import LLMPlanningError, PlanCancelledError
from promptql.executor import Executed
from promptql.llm.planning import mended_by_llm
from promptql.llm.values import unstored_values
from promptql.planned import LLMUsage, Planned


def is_nothing(executed: Executed) -> bool:
    """Whether a plan found nothing: no row, or one of figures that are all missing or zero."""
    relation = executed.rows.relation
    if len(relation) > 1:
        return False
    return not len(relation) or (executed.rows.grouped and not any(relation.rows()[0].values()))


def mend(context: Context, planned: Planned, llm: LLM, cancelled: threading.Event | None = None) -> Planned:
    """The plan with stored values in place of those that no document has; as it is where there are none.

    One call; where it fails, the plan stays, with a warning.
    """
    faults = unstored_values(planned.plan, context.catalog)
    if not faults:
        return planned
    try:
        return mended_by_llm(planned, faults, context.catalog, llm, cancelled)
    except LLMCancelledError as error:
        raise PlanCancelledError("the question was given up") from error
    except (ModelError, LLMPlanningError) as error:
        spent = error.usage if isinstance(error, LLMPlanningError) else _spent(error)
        notice = Notice("llm_failed", f"the plan finds nothing, and was not mended: {error}")
        return replace(planned, usage=planned.usage + spent, warnings=(*planned.warnings, notice))


def _spent(error: ModelError) -> LLMUsage:
    return LLMUsage.of(error.usage) if isinstance(error, LLMError) else LLMUsage()
