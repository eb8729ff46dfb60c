"""SQLite's functions of dates and times, said to DuckDB.

`date`, `time`, `datetime`, `julianday`, `unixepoch` and `strftime` take a date or time as text, a column of datetimes,
"now", or a number: a Julian day, or with "unixepoch" seconds. Modifiers go from left to right; what is no date, and a
modifier that is none, give null. All times are UTC.

https://sqlite.org/lang_datefunc.html
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, TypeAlias

from sqlglot import exp

from engine.sql.sqlite_terms import as_number, call, copied, is_of, number, string, string_of

Node: TypeAlias = Any
NAMES = frozenset({"date", "time", "datetime", "julianday", "unixepoch", "strftime"})
_TEMPORAL = exp.DataType.TEMPORAL_TYPES
_CLOCK = r"\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?\s*(?:[Zz]|[-+]\d{2}:\d{2})?"
_DATE = rf"^\s*(\d{{4}}-\d{{2}}-\d{{2}}(?:[ T]+{_CLOCK})?)\s*$"
_TIME = rf"^\s*({_CLOCK})\s*$"
_SHIFT = re.compile(r"\s*([-+]?\d{1,12}(?:\.\d{1,9})?)\s+(second|minute|hour|day|month|year)s?\s*", re.IGNORECASE)
_CLOCK_SHIFT = re.compile(r"\s*([-+])(\d{2}):(\d{2})(?::(\d{2}(?:\.\d+)?))?\s*")
_SECONDS = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400, "month": 30 * 86_400, "year": 365 * 86_400}
_MONTHS = {"month": 1, "year": 12}
_EPOCH_DAY = 2_440_587.5  # the Julian day of 1970-01-01
_DAY_MICROSECONDS = 86_400_000_000
_EARLIEST, _LATEST = -210_866_760_000, 253_402_300_799  # what SQLite takes, in seconds from 1970
_MONTHS_MAX = 12 * 14_713
_FORMATS = {
    "date": "%Y-%m-%d", "time": "%H:%M:%S", "datetime": "%Y-%m-%d %H:%M:%S",
}  # fmt: skip
_DIRECTIVES = {
    **{letter: f"%{letter}" for letter in "dHjmMSwWY%"}, "f": "%S.%g", "F": "%Y-%m-%d", "R": "%H:%M", "T": "%H:%M:%S",
    "I": "%I", "p": "%p", "u": "%u", "U": "%U", "V": "%V", "G": "%G",
}  # fmt: skip


def dated(node: Node) -> Node | None:
    """What stands for a call of one of the functions; None where a node is none."""
    if isinstance(node, exp.Date):
        return _written("date", [node.this, *node.expressions] if node.this is not None else [])
    if isinstance(node, exp.TimeToStr) and isinstance(node.this, exp.TsOrDsToTimestamp):
        return _written("strftime", [node.args["format"], node.this.this])
    if isinstance(node, exp.Anonymous) and str(node.this).lower() in NAMES:
        return _written(str(node.this).lower(), list(node.expressions))
    return None


def _written(name: str, arguments: Sequence[Node]) -> Node | None:
    form = string(arguments[0]) if name == "strftime" and arguments else None
    if name == "strftime" and form is None:
        return None
    value, *modifiers = (arguments[1:] if name == "strftime" else arguments) or [exp.Literal.string("now")]
    moment = _moment(value, modifiers)
    if name == "julianday":
        return _computed(name, _julian(moment), "DOUBLE")
    if name == "unixepoch":
        return _computed(name, _unix(moment), "BIGINT")
    return _computed(name, _formatted(_FORMATS[name] if form is None else form, moment), "VARCHAR")


def _computed(name: str, node: Node, kind: str) -> Node:
    """An expression with a type, which is nobody's column: SQLite compares it as it is."""
    cast = exp.cast(node, kind, copy=False)
    cast.meta["computed"] = name
    return cast


def _moment(value: Node, modifiers: Sequence[Node]) -> Node:
    """The timestamp that a value and modifiers stand for."""
    rest = list(modifiers)
    first = (string(rest[0]) or "").strip().lower() if rest else ""
    if first in ("unixepoch", "julianday", "auto"):
        rest = rest[1:]
    moment = _parsed(value, first)
    for modifier in rest:
        moment = _modified(moment, modifier)
    return moment


def _parsed(value: Node, unit: str) -> Node:
    text = string(value)
    if text is not None and text.strip().lower() == "now":
        return call("timezone", string_of("UTC"), call("now"))
    if value.type is not None and value.type.this in (exp.DType.TIMESTAMPTZ, exp.DType.TIMESTAMPLTZ):
        return call("timezone", string_of("UTC"), value)
    if isinstance(value, exp.CurrentTimestamp | exp.CurrentDate):
        return call("timezone", string_of("UTC"), call("now"))
    if is_of(value, _TEMPORAL):
        return exp.cast(value, "TIMESTAMP", copy=False)
    if unit in ("unixepoch", "julianday") or is_of(value, exp.DataType.NUMERIC_TYPES):
        return _from_number(as_number(value), unit)
    if value.meta.get("computed") in ("date", "datetime"):
        return exp.TryCast(this=value, to=exp.DataType.build("TIMESTAMP"))
    text_value = exp.cast(value, "VARCHAR", copy=False)
    clock = call("regexp_extract", copied(text_value), string_of(_TIME), number(1))
    on_a_day = exp.DPipe(this=string_of("2000-01-01 "), expression=call("NULLIF", clock, string_of("")))
    whole = call("regexp_extract", text_value, string_of(_DATE), number(1))
    zoned = [exp.TryCast(this=written, to=exp.DataType.build("TIMESTAMPTZ")) for written in (whole, on_a_day)]
    return call("timezone", string_of("UTC"), call("COALESCE", *zoned))


def _from_number(value: Node, unit: str) -> Node:
    seconds: Node = exp.cast(value, "DOUBLE", copy=False)
    if unit != "unixepoch":
        days = exp.Sub(this=seconds, expression=number(_EPOCH_DAY))
        seconds = exp.Mul(this=exp.Paren(this=days), expression=number(86_400))
    inside = exp.Between(this=copied(seconds), low=number(_EARLIEST), high=number(_LATEST))
    milliseconds = call("round", exp.Mul(this=exp.Paren(this=seconds), expression=number(1_000)))
    micros = exp.Mul(this=exp.cast(milliseconds, "BIGINT", copy=False), expression=number(1_000))
    return exp.Case(ifs=[exp.If(this=inside, true=call("make_timestamp", micros))])


def _modified(moment: Node, modifier: Node) -> Node:
    text = string(modifier)
    if text is None:
        return _shifted_by_text(moment, modifier)
    words = text.strip().lower()
    if words in ("utc", "localtime", "subsec", "subsecond"):
        return moment
    if words in ("start of day", "start of month", "start of year"):
        return call("date_trunc", string_of(words.removeprefix("start of ")), moment)
    if re.fullmatch(r"weekday\s+[0-6](?:\.0*)?", words):
        ahead = exp.Sub(this=number(int(words.split()[1][0]) + 7), expression=call("dayofweek", copied(moment)))
        return exp.Add(
            this=moment, expression=call("to_days", exp.Mod(this=exp.Paren(this=ahead), expression=number(7)))
        )
    clock = _CLOCK_SHIFT.fullmatch(text)
    if clock is not None:
        sign, hours, minutes, seconds = clock.groups()
        total = int(hours) * 3_600 + int(minutes) * 60 + float(seconds or 0)
        return _later(moment, -total if sign == "-" else total)
    shift = _SHIFT.fullmatch(text)
    if shift is None:
        return exp.cast(exp.Null(), "TIMESTAMP")
    return _shifted(moment, float(shift[1]), shift[2].lower())


def _shifted(moment: Node, count: float, unit: str) -> Node:
    """So many units later. Months keep the day, and go over into the next one where it has no such day."""
    months = _MONTHS.get(unit)
    if months is None:
        return _later(moment, count * _SECONDS[unit])
    whole = int(count)
    if abs(whole * months) > _MONTHS_MAX:
        return exp.cast(exp.Null(), "TIMESTAMP")
    moment = _months_later(moment, number(whole * months))
    return moment if whole == count else _later(moment, (count - whole) * _SECONDS[unit])


def _months_later(moment: Node, months: Node) -> Node:
    first = call("date_trunc", string_of("month"), copied(moment))
    into = exp.Paren(this=exp.Sub(this=copied(moment), expression=call("date_trunc", string_of("month"), moment)))
    return exp.Paren(this=exp.Add(this=exp.Add(this=first, expression=call("to_months", months)), expression=into))


def _later(moment: Node, seconds: float) -> Node:
    if abs(seconds) > _LATEST - _EARLIEST:
        return exp.cast(exp.Null(), "TIMESTAMP")
    micros = number(round(seconds * 1_000) * 1_000)
    return exp.Paren(this=exp.Add(this=moment, expression=call("to_microseconds", micros)))


def _shifted_by_text(moment: Node, modifier: Node) -> Node:
    """By a modifier that is only known when the query runs, such as `n || ' days'`."""
    text = exp.cast(modifier, "VARCHAR", copy=False)
    pattern = r"(?i)^\s*([-+]?\d{1,9}(?:\.\d{1,9})?)\s+UNITs?\s*$"
    found = {
        unit: call("regexp_extract", copied(text), string_of(pattern.replace("UNIT", f"(?:{unit})")), number(1))
        for unit in ("month|year", "second|minute|hour|day")
    }
    per = exp.Case(
        this=call("lower", call("regexp_extract", copied(text), string_of(r"([A-Za-z]+?)[sS]?\s*$"), number(1))),
        ifs=[
            exp.If(this=string_of(unit), true=number(_MONTHS.get(unit, seconds))) for unit, seconds in _SECONDS.items()
        ],
    )
    months, seconds = (
        exp.Mul(this=exp.TryCast(this=value, to=exp.DataType.build("DOUBLE")), expression=per.copy())
        for value in found.values()
    )
    whole = exp.cast(call("trunc", months), "INTEGER", copy=False)
    micros = exp.cast(exp.Mul(this=exp.Paren(this=seconds), expression=number(1_000_000)), "BIGINT", copy=False)
    later = exp.Add(this=copied(moment), expression=call("to_microseconds", micros))
    return call("COALESCE", exp.Paren(this=later), _months_later(moment, whole))


def _julian(moment: Node) -> Node:
    days = exp.Div(this=call("epoch_us", moment), expression=number(float(_DAY_MICROSECONDS)))
    return exp.Paren(this=exp.Add(this=days, expression=number(_EPOCH_DAY)))


def _unix(moment: Node) -> Node:
    return call("floor", call("epoch", moment))


def _formatted(form: str, moment: Node) -> Node:
    """A time in SQLite's format; null where that has a directive that is none."""
    pieces: list[Node] = []
    plain = ""
    for match in re.finditer(r"%(.?)|[^%]+", form, re.DOTALL):
        letter = match[1]
        if letter is None:
            plain += match[0]
        elif letter in _DIRECTIVES:
            plain += _DIRECTIVES[letter]
        elif letter in ("s", "J"):
            pieces += [_strftime(moment, plain)] if plain else []
            figure = exp.cast(_unix(copied(moment)), "BIGINT", copy=False) if letter == "s" else _julian(copied(moment))
            pieces.append(exp.cast(figure, "VARCHAR", copy=False))
            plain = ""
        else:
            return exp.Null()
    if plain or not pieces:
        pieces.append(_strftime(moment, plain))
    joined = pieces[0]
    for piece in pieces[1:]:
        joined = exp.DPipe(this=joined, expression=piece)
    return joined


def _strftime(moment: Node, form: str) -> Node:
    return call("strftime", copied(moment), string_of(form))
