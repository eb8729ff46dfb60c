"""What SQLite means by a query, said to DuckDB.

| SQLite                                                     | here                                                  |
|------------------------------------------------------------|-------------------------------------------------------|
| `"x"` is a string where no column is called so             | a string                                              |
| `text = 5`, `number = '5'`: one side takes the other's type | the same side is cast                                 |
| `5 / 2` is 2, and dividing by zero gives null              | `//`, `NULLIF`                                        |
| `LIKE` ignores the case of letters                         | `ILIKE`                                               |
| columns beside aggregates that are not grouped by          | `first(x)`; under one `max(y)` or `min(y)` that row's |
| `SELECT DISTINCT a … ORDER BY b`                           | `GROUP BY a … ORDER BY first(b)`                      |

Casts and functions are in `sqlite_functions`, those of dates in `sqlite_dates`.

https://sqlite.org/quirks.html, https://sqlite.org/datatype3.html#comparison_expressions
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from sqlglot import exp
from sqlglot.optimizer.annotate_types import annotate_types
from sqlglot.optimizer.scope import Scope, traverse_scope
from sqlglot.schema import MappingSchema

from engine.schema import Field, FieldType, Schema
from engine.sql.sqlite_functions import spell_out, truth
from engine.sql.sqlite_terms import TEXT, as_number, copied, is_of
from engine.sql.tables import named_fields

_TYPES = {
    FieldType.TEXT: "VARCHAR",
    FieldType.KEYWORD: "VARCHAR",
    FieldType.INTEGER: "BIGINT",
    FieldType.NUMBER: "DOUBLE",
    FieldType.BOOLEAN: "BOOLEAN",
    FieldType.DATETIME: "TIMESTAMPTZ",
    FieldType.JSON: "JSON",
}
_COMPARISONS = (exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE)
_NUMERIC = exp.DataType.NUMERIC_TYPES | {exp.DataType.Type.BOOLEAN}
_CLOSED = (exp.AggFunc, exp.Filter, exp.Query, exp.Subquery, exp.Window)  # what has rows of its own
Node: TypeAlias = Any  # an expression of sqlglot, whose classes have no common type that says what they hold


def translate(tree: exp.Query, schemas: Mapping[str, Schema]) -> Node:
    """The query with SQLite's meaning spelled out; it is changed in place.

    Args:
        tree: as sqlglot reads SQLite's dialect.
        schemas: of the collections, by name.
    """
    columns: dict[str, Any] = {name.lower(): _columns(schema) for name, schema in schemas.items()}
    _lower(tree)
    for limit in list(tree.find_all(exp.Limit)):
        if isinstance(limit.expression, exp.Neg):  # no limit
            limit.pop()
    for scope in traverse_scope(tree):
        _resolve(scope, columns)
    known = MappingSchema(dict(columns), dialect="duckdb")
    typed: Node = annotate_types(tree, schema=known, dialect="sqlite")
    if spell_out(typed):
        typed = annotate_types(typed, schema=known, dialect="sqlite")
    for node in list(typed.walk(bfs=False)):
        _compare(node)
        _calculate(node)
        truth(node)
    for select in list(typed.find_all(exp.Select)):
        _aggregate(select)
        _distinct(select)
    return typed


def _columns(schema: Schema) -> dict[str, str]:
    return {name.lower(): _type(field) for name, _, field in named_fields(schema)}


def _type(field: Field) -> str:
    return "JSON" if field.many else _TYPES.get(field.type, "JSON")


def _lower(tree: exp.Query) -> None:
    """Names mean the same in any case: one of them for sqlglot, which tells them apart."""
    for node in tree.walk():
        if isinstance(node, exp.Table) and isinstance(node.this, exp.Identifier):
            node.this.set("this", node.name.lower())
            if not node.alias:
                node.set("alias", exp.TableAlias(this=exp.to_identifier(node.name, quoted=True)))
        if isinstance(node, exp.TableAlias) and node.this is not None:
            node.this.set("this", node.name.lower())
        if isinstance(node, exp.Column):
            if node.table:
                node.args["table"].set("this", node.table.lower())
            if isinstance(node.this, exp.Identifier):
                node.meta["written"] = node.name
                node.this.set("this", node.name.lower())
        if isinstance(node, exp.Alias) and node.find_ancestor(exp.Subquery, exp.CTE, exp.SetOperation) is not None:
            node.args["alias"].set("this", node.alias.lower())


def _resolve(scope: Scope, columns: Mapping[str, Mapping[str, str]]) -> None:
    """Give every column of a query its table; what is none and stands in double quotes is a string."""
    aliases = {name.lower() for name in _aliases(scope.expression)}
    for column in scope.columns:
        if column.table or isinstance(column.this, exp.Star):
            continue
        owner = _owner(scope, column.name, columns)
        if owner is not None:
            column.set("table", exp.to_identifier(owner, quoted=True))
        elif column.this.args.get("quoted") and column.name not in aliases:
            column.replace(exp.Literal.string(column.meta["written"]))


def _owner(scope: Scope | None, name: str, columns: Mapping[str, Mapping[str, str]]) -> str | None:
    """The source that has a column of that name, in this query or in those around it."""
    while scope is not None:
        for alias, (_, source) in scope.selected_sources.items():
            if isinstance(source, exp.Table):
                known: Any = columns.get(source.name.lower(), {})
            else:
                query: Any = source.expression
                known = {output.lower() for output in query.named_selects}
            if name in known:
                return str(alias).lower()
        scope = scope.parent
    return None


def _aliases(query: Node) -> Iterator[str]:
    for select in query.args.get("expressions") or ():
        if isinstance(select, exp.Alias):
            yield select.alias


def _compare(node: Node) -> None:
    """Let both sides of a comparison be of one type, as SQLite's affinities have it."""
    if isinstance(node, _COMPARISONS):
        _meet(node, "this", "expression")
    elif isinstance(node, exp.Between):
        _meet(node, "this", "low")
        _meet(node, "this", "high")
    elif isinstance(node, exp.In):
        _meet_list(node)
    elif isinstance(node, exp.NullSafeEQ | exp.NullSafeNEQ):
        first, second = node.this, node.expression
        if all(isinstance(side, exp.Literal) for side in (first, second)) and first.is_string != second.is_string:
            node.replace(exp.Boolean(this=isinstance(node, exp.NullSafeNEQ)))  # never the same
    elif isinstance(node, exp.Like):
        if not is_of(node.this, TEXT):
            node.set("this", exp.cast(node.this, "VARCHAR", copy=False))
        node.replace(exp.ILike(this=node.this, expression=node.expression, negate=node.args.get("negate")))


def _meet(node: Node, left: str, right: str) -> None:
    first, second = node.args[left], node.args[right]
    if is_of(first, _NUMERIC) and is_of(second, TEXT):
        _meet_number(node, left, right)
    elif is_of(second, _NUMERIC) and is_of(first, TEXT):
        _meet_number(node, right, left)


def _meet_number(node: Node, number: str, text: str) -> None:
    """One side is a number, the other text: a text column makes a bare number text, else text becomes a number."""
    a, b = node.args[number], node.args[text]
    if _has_affinity(b) and not _has_affinity(a):
        node.set(number, exp.cast(a, "VARCHAR", copy=False))
    elif isinstance(b, exp.Literal) and _number(b.name) is not None:
        node.set(text, exp.Literal.number(b.name.strip()))
    elif isinstance(b, exp.Literal):  # a number is less than any text
        node.set(number, exp.cast(a, "VARCHAR", copy=False))
    else:
        node.set(text, _among_numbers(b))


def _meet_list(node: exp.In) -> None:
    if is_of(node.this, _NUMERIC):
        for item in node.expressions:
            if isinstance(item, exp.Literal) and item.is_string and _number(item.name) is not None:
                item.replace(exp.Literal.number(item.name.strip()))
    elif is_of(node.this, TEXT):
        for item in node.expressions:
            if is_of(item, _NUMERIC):
                item.replace(exp.cast(item.copy(), "VARCHAR"))
        query = node.args.get("query")
        outputs = query.this.selects if isinstance(query, exp.Subquery) else []
        if len(outputs) == 1 and is_of(outputs[0], _NUMERIC):
            node.set("this", _among_numbers(node.this))
    if is_of(node.this, _NUMERIC):
        query = node.args.get("query")
        outputs = query.this.selects if isinstance(query, exp.Subquery) else []
        if len(outputs) == 1 and is_of(outputs[0], TEXT):
            inner = outputs[0].unalias()
            inner.replace(_among_numbers(inner.copy()))


def _calculate(node: Node) -> None:
    """Numbers from text, and division, as SQLite has them."""
    if isinstance(node, exp.Div):
        whole = is_of(node.this, exp.DataType.INTEGER_TYPES) and is_of(node.expression, exp.DataType.INTEGER_TYPES)
        divisor = exp.func("NULLIF", as_number(node.expression).copy(), exp.Literal.number(0))
        kind = exp.IntDiv if whole else exp.Div
        node.replace(kind(this=as_number(node.this), expression=divisor))
    elif isinstance(node, exp.Mod):
        left, right = _whole(node.this), _whole(node.expression)
        node.set("this", left)
        node.set("expression", exp.func("NULLIF", right.copy(), exp.Literal.number(0)))
    elif isinstance(node, exp.Add | exp.Sub | exp.Mul):
        node.set("this", as_number(node.this))
        node.set("expression", as_number(node.expression))
    elif isinstance(node, exp.Sum | exp.Avg) and is_of(node.this, TEXT):
        node.set("this", as_number(node.this))


def _whole(node: Node) -> Node:
    """A number without its fraction, which a remainder does not look at."""
    value = as_number(node)
    if not is_of(node, TEXT | exp.DataType.REAL_TYPES):
        return value
    return exp.cast(exp.Anonymous(this="trunc", expressions=[value.copy()]), "BIGINT", copy=False)


def _among_numbers(node: Node) -> Node:
    """Text that is a number as that number, other text as what is greater than all of them."""
    number = exp.TryCast(this=node, to=exp.DataType.build("DOUBLE"))
    greatest = exp.cast(exp.Literal.string("infinity"), "DOUBLE")
    return exp.If(
        this=exp.Is(this=copied(node), expression=exp.Null()),
        true=exp.Null(),
        false=exp.func("COALESCE", number, greatest),
    )


def _aggregate(select: exp.Select) -> None:
    """Bare columns beside aggregates become those of the group's first row, or of the row with the one minimum."""
    group = select.args.get("group")
    calls = [node for part in _parts(select) for node in _own(part) if _aggregates(node)]
    if not calls and group is None:
        return
    keys = {_plain(key, select) for key in (group.expressions if group else ())}
    extremes = [call for call in calls if isinstance(call, exp.Min | exp.Max) and not call.expressions]
    for part in _parts(select):
        for column in list(_bare(part, keys, select)):
            column.replace(_chosen(column, extremes))


def _aggregates(node: Node) -> bool:
    """Whether it makes one row of many: an aggregate that is not computed over a window."""
    if not isinstance(node, exp.AggFunc):
        return False
    place: Node = node
    while isinstance(place.parent, exp.Filter | exp.IgnoreNulls | exp.RespectNulls) and place.arg_key == "this":
        place = place.parent
    return not (isinstance(place.parent, exp.Window) and place.arg_key == "this")


def _parts(select: exp.Select) -> Iterator[Node]:
    yield from select.expressions
    for name in ("having", "order"):
        if select.args.get(name) is not None:
            yield select.args[name]


def _own(part: Node) -> Iterator[Node]:
    """The nodes of an expression, without those of queries in it."""
    yield from part.walk(prune=lambda node: isinstance(node, exp.Query | exp.Subquery))


def _bare(part: Node, keys: set[str], select: exp.Select) -> Iterator[exp.Column]:
    aliases = {item.alias.lower() for item in select.expressions if isinstance(item, exp.Alias)}
    for node in part.walk(prune=lambda node: isinstance(node, _CLOSED) or (bool(keys) and _plain(node) in keys)):
        is_column = isinstance(node, exp.Column) and not isinstance(node.this, exp.Star)
        if is_column and _plain(node) not in keys and (node.table or node.name.lower() not in aliases):
            yield node


def _chosen(column: exp.Column, extremes: list[Any]) -> Node:
    if len(extremes) == 1:
        kind = "ARG_MAX" if isinstance(extremes[0], exp.Max) else "ARG_MIN"
        return exp.Anonymous(this=kind, expressions=[column.copy(), extremes[0].this.copy()])
    return exp.Anonymous(this="first", expressions=[column.copy()])


def _distinct(select: exp.Select) -> None:
    """Order by what DISTINCT leaves out."""
    order = select.args.get("order")
    if select.args.get("distinct") is None or order is None or select.args.get("group") is not None:
        return
    shown = {_plain(item.unalias()) for item in select.expressions} | {
        item.alias_or_name.lower() for item in select.expressions
    }
    foreign = [key for key in order.expressions if _plain(key.this) not in shown and key.this.name.lower() not in shown]
    if not foreign or any(isinstance(node, exp.AggFunc) for item in select.expressions for node in _own(item)):
        return
    select.set("distinct", None)
    select.set("group", exp.Group(expressions=[item.unalias().copy() for item in select.expressions]))
    for key in foreign:
        key.set("this", exp.Anonymous(this="first", expressions=[key.this.copy()]))


def _plain(node: Node, select: exp.Select | None = None) -> str:
    """A text that is the same for the same expression; of a key that is a place or an alias, of what it stands for."""
    if select is not None and isinstance(node, exp.Literal) and not node.is_string:
        place = int(node.name) - 1
        return _plain(select.expressions[place].unalias()) if 0 <= place < len(select.expressions) else ""
    if select is not None and isinstance(node, exp.Column) and not node.table:
        for item in select.expressions:
            if isinstance(item, exp.Alias) and item.alias.lower() == node.name.lower():
                return _plain(item.this)
    return str(node.sql(dialect="duckdb")).lower()


def _has_affinity(node: Node) -> bool:
    """Whether SQLite gives an expression a type of its own: columns and casts, also through parentheses and queries."""
    if isinstance(node, exp.Paren):
        return _has_affinity(node.this)
    if isinstance(node, exp.Subquery):
        outputs = node.this.selects if isinstance(node.this, exp.Query) else []
        return len(outputs) == 1 and _has_affinity(outputs[0].unalias())
    return isinstance(node, exp.Column | exp.Cast) and not node.meta.get("computed")


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
