"""The columns of steps that ask a language model."""

from __future__ import annotations

from engine import Field, FieldType
from promptql.steps import (
    ColumnType,
    ExtractedColumn,
    LlmClassify,
    LlmExtract,
    LlmFilter,
    LlmFused,
    LlmMap,
    LlmSummarize,
    LlmTopk,
    RowStep,
)
from promptql.validation.columns import Columns, added, field_named
from promptql.validation.naming import confidence_of, sureness_of

SENTENCE, CONFIDENCE = "sentence", "confidence"
_TYPES = {
    ColumnType.STRING: FieldType.KEYWORD,
    ColumnType.NUMBER: FieldType.NUMBER,
    ColumnType.INTEGER: FieldType.INTEGER,
    ColumnType.BOOLEAN: FieldType.BOOLEAN,
    ColumnType.DATE: FieldType.DATETIME,
    ColumnType.DATETIME: FieldType.DATETIME,
}


def semantic_columns(step: RowStep | LlmFused | LlmTopk | LlmSummarize, columns: Columns, pointer: str) -> Columns:
    """The typed columns that a step gives.

    Raises:
        PlanError: it reads a column that there is not, or gives one that there is.
    """
    if isinstance(step, LlmFused):
        for index, item in enumerate(step.steps):
            columns = semantic_columns(item, columns, f"{pointer}/steps/{index}")
        return columns
    check_fields(step.fields, columns, f"{pointer}/fields")
    match step:
        case LlmSummarize():
            return {SENTENCE: Field(FieldType.TEXT), CONFIDENCE: Field(FieldType.NUMBER)}
        case LlmFilter() | LlmTopk():
            return added(columns, sureness_of(step), Field(FieldType.NUMBER), f"{pointer}/as")
        case LlmClassify(alias=alias):
            columns = added(columns, alias, Field(FieldType.KEYWORD), f"{pointer}/as")
        case LlmMap(alias=alias):
            columns = added(columns, alias, Field(FieldType.TEXT), f"{pointer}/as")
        case LlmExtract():
            for column in step.columns:
                place = f"{pointer}/schema/properties/{column.name}"
                columns = added(columns, column.name, extracted_field(column), place)
    return added(columns, sureness_of(step), Field(FieldType.NUMBER), f"{pointer}/as")


def check_fields(fields: tuple[str, ...], columns: Columns, pointer: str) -> None:
    """Check that there are such columns.

    Raises:
        PlanError: one is missing.
    """
    for index, name in enumerate(fields):
        field_named(name, columns, f"{pointer}/{index}")


def extracted_field(column: ExtractedColumn) -> Field:
    """The type of a column that an extraction gives."""
    return Field(_TYPES[column.type], many=column.many)


def made_columns(step: RowStep) -> tuple[str, ...]:
    """The names of the columns that a step adds, in order."""
    match step:
        case LlmFilter():
            return (sureness_of(step),)
        case LlmClassify(alias=alias) | LlmMap(alias=alias):
            return alias, confidence_of(alias)
        case LlmExtract():
            return *(column.name for column in step.columns), sureness_of(step)
