"""Pieces that SQLite's meaning is spelled out with."""

from __future__ import annotations

from typing import Any, TypeAlias

from sqlglot import exp

from engine.errors import SqlError

Node: TypeAlias = Any  # an expression of sqlglot, whose classes have no common type that says what they hold
COPIED_MAX = 1_000  # nodes; what stands in several places, nested, doubles with every level
TEXT = exp.DataType.TEXT_TYPES
_BEGIN = r"^\s*[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|\s0$"  # the second for what begins with no number


def call(name: str, *arguments: Node) -> Node:
    """A call of a function of DuckDB's, as it is."""
    return exp.Anonymous(this=name, expressions=list(arguments))


def number(value: float) -> Node:
    """A number."""
    return exp.Literal.number(repr(value)) if value >= 0 else exp.Neg(this=exp.Literal.number(repr(-value)))


def string_of(text: str) -> Node:
    """A string."""
    return exp.Literal.string(text)


def string(node: Node) -> str | None:
    """The text of a string that stands there; None for anything else."""
    return str(node.this) if isinstance(node, exp.Literal) and node.is_string else None


def copied(node: Node) -> Node:
    """An expression for a second place.

    Raises:
        SqlError: it is so large that several more would make the query explode.
    """
    if sum(1 for _ in node.walk()) > COPIED_MAX:
        raise SqlError("query is nested too deep: what SQLite means by it becomes too large")
    return node.copy()


def is_of(node: Any, types: Any) -> bool:
    """Whether an expression is of one of the types, also through parentheses and queries of one column."""
    if isinstance(node, exp.Paren):
        return is_of(node.this, types)
    if isinstance(node, exp.Subquery) and isinstance(node.this, exp.Query) and len(node.this.selects) == 1:
        return is_of(node.this.selects[0].unalias(), types)
    return node is not None and node.type is not None and node.type.this in types


def as_number(node: Node) -> Node:
    """Of text the number that it begins with, 0 where it begins with none; anything else as it is."""
    if not is_of(node, TEXT):
        return node
    padded = exp.DPipe(this=exp.cast(node, "VARCHAR"), expression=exp.Literal.string(" 0"))
    begin = call("regexp_extract", padded, exp.Literal.string(_BEGIN))
    return exp.cast(exp.TryCast(this=begin, to=exp.DataType.build("DOUBLE")), "DOUBLE", copy=False)
