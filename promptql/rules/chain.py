"""One sketch as a chain of steps: scan or join, filter, group, order, limit, project."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from promptql.expressions import (
    And,
    Arithmetic,
    ArithmeticOperator,
    Call,
    Compare,
    FieldRef,
    InStep,
    Lookup,
    Not,
    Operator,
    Or,
    Predicate,
    ScalarFunction,
    Value,
)
from promptql.rules.columns import MISSING, Column
from promptql.rules.joins import Hop
from promptql.rules.probe import CannotRunError, Probe, holding
from promptql.rules.sketch import ROWS, Condition, Item, Pick, Sketch
from promptql.rules.stored_values import (
    LISTED_MAX,
    OPERATORS,
    CannotCompileError,
    any_of,
    as_number,
    numeric,
    stored,
    whole,
)
from promptql.steps import (
    Aggregation,
    Compute,
    Computed,
    Distinct,
    Filter,
    Function,
    Group,
    Join,
    JoinKey,
    Limit,
    LookupStep,
    Order,
    Project,
    Scan,
    Sort,
    Step,
    Window,
    WindowFunction,
)

if TYPE_CHECKING:
    from promptql.rules.compile import Compiler

_FUNCTIONS = {
    "max": Function.MAX, "min": Function.MIN, "sum": Function.SUM, "avg": Function.AVG, "count": Function.COUNT,
    "distinct": Function.COUNT_DISTINCT,
}  # fmt: skip
_YEAR = re.compile(r"[12]\d{3}")
NO_HOPS: tuple[Hop, ...] = ()


class Chain:
    """One sketch without what it is combined with: scan or join, filter, group, order, limit, project."""

    def __init__(self, compiler: Compiler, sketch: Sketch, *, numeric: bool) -> None:
        self.numeric = numeric
        self.compiler = compiler
        self.sketch = sketch
        self.view = compiler.view
        self.names: dict[int, str] = {}
        self.numbers: dict[int, str] = {}
        self.last = ""

    def add(self, step: Step) -> None:
        """Append a step, which is now the last."""
        self.last = self.compiler.add(step)

    def built(self) -> tuple[str, tuple[str, ...]]:
        """The last step and the answer's columns."""
        sketch = self.sketch
        lookups = {
            id(test): self._inner(test) for clause in sketch.where for test in clause if isinstance(test.value, Sketch)
        }
        self._source()
        selected = tuple(self.names.get(item.column, "") for item in sketch.select)
        shifted = self._shift(selected) if sketch.shift else selected
        self._prepare()
        predicates = [self._clause(clause, lookups) for clause in sketch.where]
        if predicates:
            self.add(
                Filter(self.compiler.id(), self.last, predicates[0] if len(predicates) == 1 else And(tuple(predicates)))
            )
        if sketch.group:
            return self._grouped()
        best = self._best_cells() if self.compiler.listed else None
        if best is not None and sketch.pick is not None:
            self.add(Filter(self.compiler.id(), self.last, any_of(self.names[sketch.pick.item.column], best)))
        elif sketch.pick is not None:
            self._pick(sketch.pick, self._ordering(sketch.pick.item))
        if any(item.fn for item in sketch.select):
            return self._figures((), sketch.select)
        if self.numeric:
            shifted = tuple(self.numbers.get(item.column, self.names[item.column]) for item in sketch.select)
        names = tuple(dict.fromkeys(shifted))
        self.add(Project(self.compiler.id(), self.last, tuple(dict.fromkeys((*names, *self._shown())))))
        if sketch.distinct:
            self.add(Distinct(self.compiler.id(), self.last))
        return self.last, names

    def _shown(self) -> tuple[str, ...]:
        """What rows were ordered by, shown beside the answer."""
        pick = self.sketch.pick
        if pick is None or pick.item.column == ROWS or self.sketch.distinct or self.sketch.combine is not None:
            return ()
        return (self.names[pick.item.column],)

    def _best_cells(self) -> list[object] | None:
        """The stored values that are the greatest or least of a text column read as numbers; None for others."""
        pick = self.sketch.pick
        if pick is None or pick.how not in ("max", "min") or pick.n != 1 or pick.everything or self.sketch.group:
            return None
        number = pick.item.column
        if number == ROWS or pick.item.fn or self.view.columns[number].stored_numbers:
            return None
        probe = Probe(self.view, self.compiler.joined)
        try:
            return [
                row[0]
                for row in probe.run(
                    replace(self.sketch, select=(Item(number),), combine=None, shift=0, distinct=False)
                )
            ]
        except CannotRunError:
            return None

    def _source(self) -> None:
        if self.compiler.joined is None:
            first, hops = 0, NO_HOPS
        else:
            first, hops = self.compiler.joined.path(self.sketch)
        self.add(Scan(self.compiler.id(), self.view.names[first]))
        for number in self.view.of_table(first):
            self.names[number] = self.view.columns[number].name
        for hop in hops:
            self._join(hop)

    def _join(self, hop: Hop) -> None:
        name = self.view.names[hop.table]
        right = self.compiler.add(Scan(self.compiler.id(), name))
        keys = JoinKey(self.names[hop.key], self.view.columns[hop.column].name)
        taken = {step.alias for found in self.compiler.steps if isinstance(found, Compute) for step in found.columns}
        taken |= set(self.names.values()) | {"id"}
        if self._numbered(hop.key) and not self._numbered(hop.column):
            self.last, alias = self._as_text(self.last, keys.left)
            keys = JoinKey(alias, keys.right)
        elif self._numbered(hop.column) and not self._numbered(hop.key):
            right, alias = self._as_text(right, keys.right)
            keys = JoinKey(keys.left, alias)
        prefix = name
        while any(f"{prefix}_{self.view.columns[n].name}" in taken for n in self.view.of_table(hop.table)):
            prefix += "_"
        self.add(Join(self.compiler.id(), self.last, right, (keys,), prefix=prefix))
        for number in self.view.of_table(hop.table):
            own = self.view.columns[number].name
            self.names[number] = f"{prefix}_{own}" if own in taken else own

    def _numbered(self, column: int) -> bool:
        return self.view.columns[column].stored_numbers

    def _as_text(self, step: str, name: str) -> tuple[str, str]:
        """A step with a column of numbers as text beside it: keys are compared with keys of their own type."""
        alias = f"{name} (text)"
        value = Call(ScalarFunction.TO_TEXT, (FieldRef(name),))
        return self.compiler.add(Compute(self.compiler.id(), step, (Computed(value, alias),))), alias

    def _shift(self, selected: tuple[str, ...]) -> tuple[str, ...]:
        names = []
        for name in selected:
            alias = f"next_{name}" if self.sketch.shift > 0 else f"previous_{name}"
            fn = WindowFunction.LEAD if self.sketch.shift > 0 else WindowFunction.LAG
            self.add(Window(self.compiler.id(), self.last, fn, alias, name, n=abs(self.sketch.shift)))
            names.append(alias)
        return tuple(names)

    def _prepare(self) -> None:
        """Columns of numbers for text that is compared, ordered or summed as numbers."""
        listed = self.compiler.listed
        tests = [test for clause in self.sketch.where for test in clause]
        needed: dict[int, None] = dict.fromkeys(
            test.column
            for test in tests
            if test.op in OPERATORS and (isinstance(test.value, Sketch) or not (listed or isinstance(test.value, str)))
        )
        items = [*self.sketch.select, *([self.sketch.pick.item] if self.sketch.pick else [])]
        items += [self.sketch.having[0]] if self.sketch.having else []
        needed |= dict.fromkeys(
            item.column for item in items if item.column != ROWS and item.fn not in ("", "count", "distinct")
        )
        resolved = self.compiler.listed and self._best_cells() is not None
        if (
            not resolved
            and self.sketch.pick
            and self.sketch.pick.item.fn == ""
            and self.sketch.pick.item.column != ROWS
        ):
            needed[self.sketch.pick.item.column] = None
        if self.numeric:
            needed |= dict.fromkeys(item.column for item in self.sketch.select if item.column != ROWS)
        computed = []
        for number in needed:
            column = self.view.columns[number]
            if column.stored_numbers:
                self.numbers[number] = self.names[number]
            elif column.ordered:
                alias = f"{self.names[number]} (number)"
                computed.append(Computed(as_number(column, self.names[number]), alias))
                self.numbers[number] = alias
        if computed:
            self.add(Compute(self.compiler.id(), self.last, tuple(computed)))

    def _inner(self, test: Condition) -> str:
        assert isinstance(test.value, Sketch)
        last, names = self.compiler.relation(test.value)
        column = self.view.columns[test.column]
        inner = test.value.select[0]
        if test.op in ("in", "not in"):
            if inner.column != ROWS and self._numbered(inner.column) and not column.stored_numbers:
                last, alias = self._as_text(last, names[0])
                names = (alias,)
            return self.compiler.add(Project(self.compiler.id(), last, names[:1]))
        if column.ordered and not column.stored_numbers and inner.fn == "" and test.op not in ("=", "!="):
            alias = f"{names[0]} (number)"
            last = self.compiler.add(Compute(self.compiler.id(), last, (Computed(as_number(column, names[0]), alias),)))
            names = (alias,)
        last = self.compiler.add(Project(self.compiler.id(), last, names[:1]))
        last = self.compiler.add(Distinct(self.compiler.id(), last))
        return self.compiler.add(LookupStep(self.compiler.id(), last, names[0]))

    def _clause(self, clause: Sequence[Condition], lookups: dict[int, str]) -> Predicate:
        predicates = tuple(self._predicate(test, lookups) for test in clause)
        return predicates[0] if len(predicates) == 1 else Or(predicates)

    def _predicate(self, test: Condition, lookups: dict[int, str]) -> Predicate:
        column, name = self.view.columns[test.column], self.names[test.column]
        if isinstance(test.value, Sketch):
            step = lookups[id(test)]
            if test.op in ("in", "not in"):
                left = FieldRef(name)
                inner = test.value.select[0].column
                if self._numbered(test.column) and inner != ROWS and not self._numbered(inner):
                    found: Predicate = InStep(step, Call(ScalarFunction.TO_TEXT, (left,)), self._inner_name(step))
                else:
                    found = InStep(step, left, self._inner_name(step))
                return Not(found) if test.op == "not in" else found
            left = FieldRef(name if test.op in ("=", "!=") else self.numbers.get(test.column, name))
            return Compare(OPERATORS[test.op], left, Lookup(step))
        if test.op in ("filled", "missing"):
            return self._filled(column, name, wanted=test.op == "filled")
        if test.op in ("~", "!~") or isinstance(test.value, str):
            return self._text(test, column, name)
        assert isinstance(test.value, float | int)
        if self.compiler.listed and not column.stored_numbers:
            return any_of(name, [column.cells[row] for row in holding(column, test.op, test.value)])
        return numeric(column, FieldRef(self.numbers.get(test.column, name)), test.op, float(test.value))

    def _inner_name(self, step: str) -> str:
        found = next(item for item in self.compiler.steps if item.id == step)
        assert isinstance(found, Project)
        return found.fields[0]

    def _filled(self, column: Column, name: str, *, wanted: bool) -> Predicate:
        empty = [cell for cell in stored(column, MISSING & set(column.rows_by_key)) if cell is not None]
        missing: Predicate = Compare(Operator.IS_NULL, FieldRef(name), None)
        if empty:
            missing = Or((missing, Compare(Operator.IN, FieldRef(name), Value(tuple(empty)))))
        return Not(missing) if wanted else missing

    def _text(self, test: Condition, column: Column, name: str) -> Predicate:
        assert isinstance(test.value, str)
        if (
            test.op in ("~", "!~")
            and not self.compiler.listed
            and column.kind == "date"
            and _YEAR.fullmatch(test.value)
        ):
            year = And(
                (self._from(name, Operator.GE, test.value), self._from(name, Operator.LT, str(int(test.value) + 1)))
            )
            return year if test.op == "~" else And((Not(year), self._filled(column, name, wanted=True)))
        if test.op in ("=", "!="):
            keys = [test.value]
        else:
            padded = f" {test.value} "
            keys = [key for key in column.rows_by_key if padded in f" {key} "]
        cells = stored(column, keys)
        if len(cells) > LISTED_MAX:
            return Compare(Operator.CONTAINS, FieldRef(name), Value(test.value))
        op, value = (Operator.EQ, Value(cells[0])) if len(cells) == 1 else (Operator.IN, Value(tuple(cells)))
        found = Compare(op, FieldRef(name), value)
        if test.op in ("=", "~"):
            return found
        return And((Not(found), self._filled(column, name, wanted=True)))

    def _from(self, name: str, op: Operator, year: str) -> Predicate:
        """A comparison with the first day of a year."""
        return Compare(op, FieldRef(name), Value(f"{year}-01-01"))

    def _grouped(self) -> tuple[str, tuple[str, ...]]:
        sketch = self.sketch
        items = [item for item in sketch.select if item.fn]
        if sketch.having is not None:
            items.append(sketch.having[0])
        if sketch.pick is not None and sketch.pick.item.fn:
            items.append(sketch.pick.item)
        columns = self.view.columns
        known = tuple(self._filled(columns[number], self.names[number], wanted=True) for number in sketch.group)
        self.add(Filter(self.compiler.id(), self.last, known[0] if len(known) == 1 else Or(known)))
        plain = dict.fromkeys([*sketch.group, *(item.column for item in sketch.select if not item.fn)])
        aliases = {item: self._alias(item) for item in items}
        aggregations = tuple(self._aggregation(item, alias) for item, alias in aliases.items())
        if not aggregations:
            aggregations = (Aggregation(Function.COUNT, None, self._alias(Item(ROWS, "count"))),)
        self.add(Group(self.compiler.id(), self.last, tuple(self.names[number] for number in plain), aggregations))
        if sketch.having is not None:
            item, op, bound = sketch.having
            where = Compare(OPERATORS[op], FieldRef(aliases[item]), Value(whole(bound)))
            self.add(Filter(self.compiler.id(), self.last, where))
        if sketch.pick is not None:
            key = aliases.get(sketch.pick.item) or self.names[sketch.pick.item.column]
            self._pick(sketch.pick, key)
        names = tuple(dict.fromkeys(aliases[item] if item.fn else self.names[item.column] for item in sketch.select))
        return self.last, names

    def _figures(self, by: tuple[str, ...], items: Sequence[Item]) -> tuple[str, tuple[str, ...]]:
        spans = [item for item in items if item.fn == "range"]
        if spans:
            return self._range(spans[0])
        aggregations = tuple(self._aggregation(item, self._alias(item)) for item in dict.fromkeys(items))
        self.add(Group(self.compiler.id(), self.last, by, aggregations))
        return self.last, tuple(aggregation.alias for aggregation in aggregations)

    def _range(self, item: Item) -> tuple[str, tuple[str, ...]]:
        field = self._number(item.column)
        self.add(
            Group(
                self.compiler.id(),
                self.last,
                (),
                (Aggregation(Function.MAX, field, "greatest"), Aggregation(Function.MIN, field, "least")),
            )
        )
        value = Arithmetic(ArithmeticOperator.SUBTRACT, FieldRef("greatest"), FieldRef("least"))
        self.add(Compute(self.compiler.id(), self.last, (Computed(value, "difference"),)))
        self.add(Project(self.compiler.id(), self.last, ("difference",)))
        return self.last, ("difference",)

    def _alias(self, item: Item) -> str:
        if item.column == ROWS:
            alias = "n"
        else:
            words = {"avg": "average", "sum": "total", "distinct": "distinct", "count": "n"}
            alias = f"{words.get(item.fn, item.fn)}_{self.names[item.column]}"
        while alias in self.names.values():
            alias += "_"
        return alias

    def _aggregation(self, item: Item, alias: str) -> Aggregation:
        if item.column == ROWS:
            return Aggregation(Function.COUNT, None, alias)
        column, name = self.view.columns[item.column], self.names[item.column]
        if item.fn in ("max", "min") and column.kind == "date":
            fn = Function.ARGMAX if item.fn == "max" else Function.ARGMIN
            return Aggregation(fn, name, alias, by=self._number(item.column))
        field = name if item.fn in ("count", "distinct") else self._number(item.column)
        return Aggregation(_FUNCTIONS[item.fn], field, alias)

    def _number(self, column: int) -> str:
        """The column that holds the numbers of a column.

        Raises:
            CannotCompileError: it has none.
        """
        if column not in self.numbers:
            raise CannotCompileError(f"no numbers in the field {self.view.columns[column].name}")
        return self.numbers[column]

    def _ordering(self, item: Item) -> str:
        return "" if item.column == ROWS else self.numbers.get(item.column, self.names[item.column])

    def _pick(self, pick: Pick, key: str) -> None:
        id_ = self.compiler.id
        if pick.how in ("first", "nth"):
            offset = pick.n - 1 if pick.how == "nth" else 0
            self.add(Limit(id_(), self.last, 1 if pick.how == "nth" else pick.n, offset=offset))
        elif pick.how == "last":
            self.add(Window(id_(), self.last, WindowFunction.ROW_NUMBER, "row number"))
            self.add(Sort(id_(), self.last, (Order("row number", True),)))
            self.add(Limit(id_(), self.last, pick.n))
        else:
            self.add(Sort(id_(), self.last, (Order(key, pick.how == "max"),)))
            if not pick.everything:
                self.add(Limit(id_(), self.last, pick.n, ties=pick.n == 1))
