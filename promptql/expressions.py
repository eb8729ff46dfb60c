"""The engine's expressions and predicates, by name."""

from __future__ import annotations

from typing import TypeAlias

from engine import expressions

And = expressions.And
Arithmetic = expressions.Arithmetic
ArithmeticOperator = expressions.ArithmeticOperator
Branch = expressions.Branch
Bucket = expressions.Bucket
Call = expressions.Call
Case = expressions.Case
Compare = expressions.Compare
DateUnit = expressions.DateUnit
FieldRef = expressions.FieldRef
InStep = expressions.InStep
Lookup = expressions.Lookup
Not = expressions.Not
Operator = expressions.Operator
Or = expressions.Or
Param = expressions.Param
ScalarFunction = expressions.ScalarFunction
Value = expressions.Value

Expression: TypeAlias = expressions.Expression
Predicate: TypeAlias = expressions.Predicate
GroupKey: TypeAlias = expressions.GroupKey
Node: TypeAlias = expressions.Node
Scalar: TypeAlias = expressions.Scalar

children = expressions.children
fields_of = expressions.fields_of
steps_of = expressions.steps_of
walk = expressions.walk
