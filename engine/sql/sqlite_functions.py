"""SQLite's casts and functions, where DuckDB's of the same name differ or are missing.

| SQLite                                       | here                                                            |
|----------------------------------------------|-----------------------------------------------------------------|
| `CAST(text AS INTEGER)`, `REAL`, `NUMERIC`   | the number that it begins with, or 0                            |
| `CAST(2.7 AS INTEGER)`                       | 2, within 64 bits                                               |
| `total(x)`                                   | `sum`, 0.0 of nothing                                           |
| `typeof(x)`                                  | `integer`, `real`, `text`, `null`                               |
| `length(5)`, `abs('-3x')`, `-text`           | of the text, of the number                                      |
| `round(5)`                                   | a floating-point number                                         |
| `x % y`                                      | of whole numbers                                                |
| `char(65, 66)`, `format`, `likely`           | all characters, `printf`, what is in it                         |
| `printf('%d', NULL)`                         | 0, and "" of `%s`                                             |
| text where a condition is expected           | true if the number that it begins with is not 0                 |

https://sqlite.org/lang_expr.html#castexpr, https://sqlite.org/lang_corefunc.html
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, TypeAlias

from sqlglot import exp

from engine.sql.sqlite_dates import dated
from engine.sql.sqlite_terms import TEXT, as_number, call, copied, is_of, number, string, string_of

Node: TypeAlias = Any
_INTEGERS = exp.DataType.INTEGER_TYPES
_REALS = exp.DataType.FLOAT_TYPES | {exp.DType.DECIMAL}
_NUMBERS = exp.DataType.NUMERIC_TYPES
_BOOLEAN = {exp.DType.BOOLEAN}
_TEMPORAL = exp.DataType.TEMPORAL_TYPES
_SMALLEST, _LARGEST = -(2**63), 2**63 - 1
_DIGITS = r"^\s*[-+]?\d{1,38}|\s0$"
_DIRECTIVE = re.compile(r"%[-+ 0#]*\d*(?:\.\d+)?([A-Za-z%])")
_HINTS = {"likely": 1, "unlikely": 1, "likelihood": 2}


def spell_out(tree: Node) -> bool:
    """Replace the calls and casts in a query, whose expressions have types; whether there were any."""
    changed = False
    for node in reversed(list(tree.walk(bfs=True))):  # what is within first
        if isinstance(node, exp.Anonymous) and str(node.this).lower() == "total" and len(node.expressions) == 1:
            _total(node)
            changed = True
            continue
        found = _spelled(node)
        if found is not None:
            node.replace(found)
            changed = True
    return changed


def _spelled(node: Node) -> Node | None:
    if isinstance(node, exp.Cast) and not isinstance(node, exp.TryCast):
        return _cast(node)
    if isinstance(node, exp.Typeof):
        return _type_of(node.this)
    if isinstance(node, exp.Length) and is_of(node.this, _NUMBERS):
        return exp.Length(this=exp.cast(node.this, "VARCHAR"))
    if isinstance(node, exp.Abs | exp.Neg) and is_of(node.this, TEXT):
        return type(node)(this=as_number(node.this))
    if isinstance(node, exp.Round) and not is_of(node.this, TEXT):
        return exp.cast(node.copy(), "DOUBLE", copy=False)
    if isinstance(node, exp.Chr) and len(node.expressions) > 1:
        return exp.Concat(expressions=[exp.Chr(expressions=[item.copy()]) for item in node.expressions])
    if isinstance(node, exp.Format):
        return _printed([node.this, *node.expressions])
    if isinstance(node, exp.Sum | exp.Avg) and is_of(node.this, _BOOLEAN):
        return type(node)(this=exp.cast(node.this, "BIGINT"))
    if isinstance(node, exp.Anonymous):
        return _called(node)
    return dated(node)


def _called(node: exp.Anonymous) -> Node | None:
    name, arguments = str(node.this).lower(), node.expressions
    if name == "printf":
        return _printed(arguments)
    if _HINTS.get(name) == len(arguments):
        return arguments[0].copy()
    return dated(node)


def _printed(arguments: Sequence[Node]) -> Node | None:
    """`printf`, whose directives say what their values are; nothing is printed as "" or 0."""
    form = string(arguments[0]) if arguments else None
    if form is None:
        return None
    letters = [letter.lower() for letter in _DIRECTIVE.findall(form) if letter != "%"]
    if len(letters) != len(arguments) - 1:
        return None
    values = [_printable(letter, value) for letter, value in zip(letters, arguments[1:], strict=True)]
    return call("printf", arguments[0].copy(), *values)


def _printable(letter: str, value: Node) -> Node:
    if letter in ("d", "i", "x", "o"):
        return call("COALESCE", _integer(value), number(0))
    if letter in ("f", "e", "g"):
        return call("COALESCE", exp.cast(as_number(value), "DOUBLE"), number(0.0))
    return call("COALESCE", exp.cast(value, "VARCHAR"), string_of(""))


def _total(node: exp.Anonymous) -> None:
    """Replaces the call together with its FILTER and OVER, which belong to the sum within."""
    argument = node.expressions[0]
    if isinstance(argument, exp.Distinct):
        within: Node = exp.Distinct(expressions=[exp.cast(as_number(item), "DOUBLE") for item in argument.expressions])
    else:
        within = exp.cast(as_number(argument), "DOUBLE")
    whole: Node = node
    while isinstance(whole.parent, exp.Filter | exp.Window) and whole.arg_key == "this":
        whole = whole.parent
    total = exp.Sum(this=within)
    if whole is node:
        node.replace(call("COALESCE", total, number(0.0)))
        return
    node.replace(total)
    whole.replace(call("COALESCE", whole.copy(), number(0.0)))


def _cast(node: exp.Cast) -> Node | None:
    kind, value = node.to.this, node.this
    if is_of(value, _TEMPORAL):
        return None
    if kind in _INTEGERS:
        return _integer(value)
    if kind in TEXT:
        return exp.cast(exp.cast(value, "BIGINT"), "VARCHAR", copy=False) if is_of(value, _BOOLEAN) else None
    if kind in _REALS and kind != exp.DType.DECIMAL:
        return exp.cast(as_number(value), "DOUBLE")
    if kind in _REALS | _BOOLEAN | _TEMPORAL:  # they are all NUMERIC to SQLite
        return as_number(value).copy() if is_of(value, TEXT | _NUMBERS | _BOOLEAN) else None
    return None


def _integer(value: Node) -> Node:
    if is_of(value, _INTEGERS | _BOOLEAN):
        return exp.cast(value, "BIGINT")
    if is_of(value, _REALS):
        whole = call("trunc", exp.cast(value, "DOUBLE"))
    else:
        padded = exp.DPipe(this=exp.cast(value, "VARCHAR"), expression=exp.Literal.string(" 0"))
        digits = call("regexp_extract", padded, exp.Literal.string(_DIGITS))
        whole = exp.cast(call("trim", digits), "HUGEINT", copy=False)
    bounds = [
        exp.If(this=exp.GTE(this=copied(whole), expression=number(_LARGEST)), true=number(_LARGEST)),
        exp.If(this=exp.LTE(this=copied(whole), expression=number(_SMALLEST)), true=number(_SMALLEST)),
    ]
    within = exp.TryCast(this=whole, to=exp.DataType.build("BIGINT"))
    return exp.cast(exp.Case(ifs=bounds, default=within), "BIGINT", copy=False)


def _type_of(value: Node) -> Node | None:
    if isinstance(value, exp.Null):
        return exp.Literal.string("null")
    names = (("integer", _INTEGERS | _BOOLEAN), ("real", _REALS), ("text", TEXT | _TEMPORAL))
    name = next((name for name, types in names if is_of(value, types)), None)
    if name is None:
        return None
    missing = exp.If(this=exp.Is(this=value.copy(), expression=exp.Null()), true=exp.Literal.string("null"))
    return exp.Case(ifs=[missing], default=exp.Literal.string(name))


def truth(node: Node) -> None:
    """Where an expression expects conditions, let text be one."""
    places = {exp.And: ("this", "expression"), exp.Or: ("this", "expression"), exp.Not: ("this",), exp.Where: ("this",)}
    keys = places.get(type(node), ())
    if isinstance(node, exp.If) and not (isinstance(node.parent, exp.Case) and node.parent.this is not None):
        keys = ("this",)
    for key in keys:
        if is_of(node.args.get(key), TEXT):
            node.set(key, exp.NEQ(this=as_number(node.args[key]), expression=number(0)))
