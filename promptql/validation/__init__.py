"""Static rules: a plan is checked against the catalog before anything runs.

`validate` finds unknown collections and fields, clashes of types, cycles, several outputs and sizes out of bounds;
`faults_of` tells all of these at once, and `columns_of` the typed columns of every step.
"""

from __future__ import annotations

from promptql.validation.columns import SCORE, Columns, stored_columns
from promptql.validation.plan import columns_of, faults_of, validate

__all__ = ["SCORE", "Columns", "columns_of", "faults_of", "stored_columns", "validate"]
