"""A sketch as steps of a plan."""

from __future__ import annotations

from promptql.expressions import (
    Arithmetic,
    ArithmeticOperator,
    Call,
    Expression,
    FieldRef,
    Lookup,
    ScalarFunction,
)
from promptql.rules.chain import Chain
from promptql.rules.columns import View
from promptql.rules.joins import Joined
from promptql.rules.sketch import Sketch
from promptql.steps import (
    AnswerStep,
    Compute,
    Computed,
    Distinct,
    LookupStep,
    Project,
    SetKind,
    SetOperation,
    Step,
)

_COMBINED = {"minus": "difference", "abs": "difference", "ratio": "ratio", "plus": "total"}
_ARITHMETIC = {
    "minus": ArithmeticOperator.SUBTRACT, "abs": ArithmeticOperator.SUBTRACT, "ratio": ArithmeticOperator.DIVIDE,
    "plus": ArithmeticOperator.ADD,
}  # fmt: skip


def compile_sketch(
    sketch: Sketch, view: View, joined: Joined | None = None, *, listed: bool = False
) -> tuple[Step, ...]:
    """The steps of a sketch, an answer last.

    Args:
        sketch: what is asked.
        view: the columns that it names.
        joined: how collections are joined, where there are several.
        listed: text that is compared as numbers is compared with the stored values that satisfy the comparison,
            instead of being computed: for executors and questions of what is there now.

    Raises:
        CannotCompileError: a column of text has too many different values to be told as numbers.
    """
    compiler = Compiler(view, joined, listed=listed)
    last, names = compiler.relation(sketch)
    compiler.steps.append(AnswerStep(compiler.id(), last, names))
    return tuple(compiler.steps)


class Compiler:
    """Collects the steps of one sketch and of those inside it."""

    def __init__(self, view: View, joined: Joined | None, *, listed: bool) -> None:
        self.listed = listed
        self.view = view
        self.joined = joined
        self.steps: list[Step] = []

    def id(self) -> str:
        """The id of the next step."""
        return f"s{len(self.steps) + 1}"

    def add(self, step: Step) -> str:
        """Append a step and give its id."""
        self.steps.append(step)
        return step.id

    def relation(self, sketch: Sketch, *, numeric: bool = False) -> tuple[str, tuple[str, ...]]:
        """The last step of the sketch and the columns that are its answer, as numbers where `numeric`."""
        figures = sketch.combine is not None and sketch.combine[0] in _COMBINED
        last, names = Chain(self, sketch, numeric=numeric or figures).built()
        if sketch.combine is None:
            return last, names
        how, other = sketch.combine
        right, right_names = self.relation(other, numeric=figures)
        if how in ("union", "intersect", "except"):
            left = self.add(Project(self.id(), last, names)) if not self._bare(last, names) else last
            right = self.add(Project(self.id(), right, right_names)) if not self._bare(right, right_names) else right
            return self.add(SetOperation(self.id(), left, right, SetKind(how))), names
        return self._figure(how, (last, names[0]), (right, right_names[0]))

    def _bare(self, step: str, names: tuple[str, ...]) -> bool:
        found = next(item for item in self.steps if item.id == step)
        return isinstance(found, Project) and found.fields == names

    def _figure(self, how: str, left: tuple[str, str], right: tuple[str, str]) -> tuple[str, tuple[str, ...]]:
        """The difference, ratio or sum of two single figures."""
        alias = _COMBINED[how]
        one = self.add(Project(self.id(), left[0], (left[1],)))
        one = self.add(Distinct(self.id(), one))
        other = self.add(Project(self.id(), right[0], (right[1],)))
        other = self.add(Distinct(self.id(), other))
        two = self.add(LookupStep(self.id(), other, right[1]))
        op = _ARITHMETIC[how]
        value: Expression = Arithmetic(op, FieldRef(left[1]), Lookup(two))
        if how == "abs":
            value = Call(ScalarFunction.ABS, (value,))
        done = self.add(Compute(self.id(), one, (Computed(value, alias),)))
        return self.add(Project(self.id(), done, (alias,))), (alias,)
