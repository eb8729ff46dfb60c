"""Typed expressions and predicates over the columns of a relation. Pure data; nothing of it is ever run as code.

An expression has a value for each row, a predicate holds for a row or does not. Logic has two values: a comparison with
a missing value does not hold (`!=` neither), and `not` turns round what its item says. On a list a comparison holds if
it does for any element; `!=` if none is equal and the list has an element. A list is missing where it is empty; a
number where it is not finite, an integer beyond 64 bits. `Param`, `Lookup` and `InStep` name what whoever evaluates
puts in their place first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

Scalar: TypeAlias = bool | int | float | str | None


class Operator(StrEnum):
    """Comparison operators; ``==`` is read as ``=``."""

    EQ = "="
    NE = "!="
    LT = "<"
    LE = "<="
    GT = ">"
    GE = ">="
    IN = "in"
    CONTAINS = "contains"
    STARTS_WITH = "starts_with"
    ENDS_WITH = "ends_with"
    LIKE = "like"
    MATCHES = "matches"
    IS_NULL = "is_null"


class ArithmeticOperator(StrEnum):
    """Arithmetic. ``/`` always gives a number; dividing by zero gives nothing; ``%`` has the sign of its left side."""

    ADD = "+"
    SUBTRACT = "-"
    MULTIPLY = "*"
    DIVIDE = "/"
    REMAINDER = "%"


class ScalarFunction(StrEnum):
    """Functions of a row's values; all but `coalesce` give nothing where an argument is missing.

    `round(x, digits=0)` goes away from zero at halves; integers stay integers there, and in `floor` and `ceil`.
    `substring(text, start, length)` counts characters from 1; `length` counts characters, or elements of a list.
    `weekday` is 1 on Monday. `date_diff(unit, a, b)` counts the beginnings of units between a and b. `to_number` reads
    "-1,395.5" and "1e3"; other text gives nothing. `same_text` compares without regard to case.
    """

    ABS = "abs"
    ROUND = "round"
    FLOOR = "floor"
    CEIL = "ceil"
    LOWER = "lower"
    UPPER = "upper"
    LENGTH = "length"
    SUBSTRING = "substring"
    CONCAT = "concat"
    COALESCE = "coalesce"
    YEAR = "year"
    MONTH = "month"
    DAY = "day"
    WEEKDAY = "weekday"
    DATE_TRUNC = "date_trunc"
    DATE_DIFF = "date_diff"
    TO_NUMBER = "to_number"
    TO_TEXT = "to_text"
    CONTAINS = "contains"
    STARTS_WITH = "starts_with"
    SAME_TEXT = "same_text"


class DateUnit(StrEnum):
    """Units of dates; weeks begin on Monday."""

    YEAR = "year"
    QUARTER = "quarter"
    MONTH = "month"
    WEEK = "week"
    DAY = "day"
    HOUR = "hour"


@dataclass(frozen=True, slots=True)
class FieldRef:
    """A column of the row: ``{"field": "year"}``."""

    name: str


@dataclass(frozen=True, slots=True)
class Value:
    """A constant, ``{"value": 3}``; a tuple for `in`."""

    value: Scalar | tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class Param:
    """A parameter of the plan, by name: ``{"param": "since"}``."""

    name: str


@dataclass(frozen=True, slots=True)
class Lookup:
    """The scalar that a lookup (or compare) step found: ``{"lookup": "s4"}``."""

    step: str


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """``{"op": "+", "l": E, "r": E}``; nothing where a side is missing."""

    op: ArithmeticOperator
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Call:
    """``{"fn": "round", "args": [E, …]}``."""

    fn: ScalarFunction
    args: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Branch:
    """One branch of a case: ``{"when": P, "then": E}``."""

    when: Predicate
    then: Expression


@dataclass(frozen=True, slots=True)
class Case:
    """The value of the first branch that holds: ``{"case": [branch, …], "else": E}``; without "else", nothing."""

    branches: tuple[Branch, ...]
    otherwise: Expression | None = None


@dataclass(frozen=True, slots=True)
class Compare:
    """`left op right`; the right side is None for `is_null` only."""

    op: Operator
    left: Expression
    right: Expression | None

    @property
    def field(self) -> str | None:
        """The name of the column on the left, where that is all that stands there."""
        return self.left.name if isinstance(self.left, FieldRef) else None


@dataclass(frozen=True, slots=True)
class InStep:
    """The value is among those of a column of another step: ``{"in_step": "s2", "field": E, "column": "name"}``."""

    step: str
    left: Expression
    column: str


@dataclass(frozen=True, slots=True)
class And:
    """All of the items hold."""

    items: tuple[Predicate, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """At least one of the items holds."""

    items: tuple[Predicate, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The item does not hold."""

    item: Predicate


Expression: TypeAlias = FieldRef | Value | Param | Lookup | Arithmetic | Call | Case
Predicate: TypeAlias = Compare | InStep | And | Or | Not
Node: TypeAlias = Expression | Predicate


def children(node: Node) -> tuple[Node, ...]:
    """What a node is made of, in order."""
    match node:
        case Arithmetic(_, left, right):
            return left, right
        case Call(_, args):
            return args
        case Case(branches, otherwise):
            parts = tuple(part for branch in branches for part in (branch.when, branch.then))
            return parts if otherwise is None else (*parts, otherwise)
        case Compare(_, left, right):
            return (left,) if right is None else (left, right)
        case InStep(_, left, _):
            return (left,)
        case And(items) | Or(items):
            return items
        case Not(item):
            return (item,)
        case _:
            return ()


def walk(node: Node | None) -> Iterator[Node]:
    """The node and all below it."""
    if node is None:
        return
    yield node
    for child in children(node):
        yield from walk(child)


def fields_of(node: Node | None) -> frozenset[str]:
    """Names of the columns that are read."""
    return frozenset(part.name for part in walk(node) if isinstance(part, FieldRef))


def steps_of(node: Node | None) -> tuple[str, ...]:
    """Ids of other steps whose results are read: lookups, and memberships."""
    found = (part.step for part in walk(node) if isinstance(part, (Lookup, InStep)))
    return tuple(dict.fromkeys(found))


@dataclass(frozen=True, slots=True)
class Bucket:
    """A key of a group that stands for a range of values, in a column named ``<field>_<unit>`` or ``<field>_bucket``.

    Attributes:
        unit: of dates; a bucket is named by its first moment.
        width: of numbers; a bucket is named by its lower bound, a multiple of the width.
    """

    field: str
    unit: DateUnit | None = None
    width: float | None = None

    @property
    def name(self) -> str:
        """The name of its column."""
        return f"{self.field}_{self.unit.value if self.unit is not None else 'bucket'}"


GroupKey: TypeAlias = str | Bucket
