"""Names of the columns that steps make."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from promptql.errors import PlanError
from promptql.plan import Plan
from promptql.steps import CompareStep, Join, JoinType, LlmTopk, RowStep, Scan, Search, SemJoin, Step

RIGHT = "right"


def prefix_of(step: Join | SemJoin, plan: Plan) -> str:
    """What stands before a column of a join's right side whose name is taken: what was said, else its collection."""
    if step.prefix is not None:
        return step.prefix
    below: Step = plan.by_id[step.right]
    while len(below.inputs) == 1:
        below = plan.by_id[below.inputs[0]]
    return below.collection if isinstance(below, (Scan, Search)) else RIGHT


def joined_names(
    step: Join | SemJoin, plan: Plan, left: Iterable[str], right: Iterable[str], pointer: str = ""
) -> dict[str, str]:
    """Of each column that a join takes from the right side, the name that it gets.

    Raises:
        PlanError: that name is taken as well.
    """
    if isinstance(step, Join) and step.type in (JoinType.SEMI, JoinType.ANTI):
        return {}
    taken = set(left)
    names: dict[str, str] = {}
    prefix = prefix_of(step, plan)
    for name in right:
        given = name if name not in taken else f"{prefix}_{name}"
        if given in taken:
            raise PlanError(
                f'the name "{given}" is taken twice in the join',
                pointer=f"{pointer}/prefix",
                hint="give another prefix, or project the columns that are needed",
            )
        names[name] = given
        taken.add(given)
    return names


def compared_names(step: CompareStep, field: str) -> tuple[str, str, str]:
    """The columns of a comparison behind its keys: left, right and result."""
    return field, f"{RIGHT}_{field}", step.alias


def label_of(alias: str) -> str:
    """The column beside a cluster's number: its telling words."""
    return f"{alias}_label"


def confidence_of(alias: str) -> str:
    """The column beside a category: how sure it is, 0 to 1."""
    return f"{alias}_confidence"


def sureness_of(step: RowStep | LlmTopk | SemJoin) -> str:
    """The column that says how sure a language model is of a row: called by the step's id without an alias."""
    return confidence_of(step.alias or step.id)


def template_names(template: str) -> tuple[str, ...]:
    """The names in braces of an answer's template, in order."""
    names = []
    rest = template
    while "{" in rest and "}" in rest.partition("{")[2]:
        name, _, rest = rest.partition("{")[2].partition("}")
        names.append(name)
    return tuple(names)


def filled_template(template: str, values: Mapping[str, str]) -> str:
    """A template with values in place of the names in braces."""
    for name, value in values.items():
        template = template.replace("{" + name + "}", value)
    return template
