"""Dates in a question: absolute, relative, quarters and the like, each as the days that it covers."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from promptql.rules.words import Token

_MONTHS = "january february march april may june july august september october november december".split()
_MONTH = rf"(?P<month>{'|'.join(f'{name[:3]}(?:{name[3:]})?' for name in _MONTHS if name != 'may')}|may|sept)\b\.?"
_WEEKDAYS = "monday tuesday wednesday thursday friday saturday sunday".split()
_NUMBERS = dict(
    zip("one two three four five six seven eight nine ten eleven twelve".split(), range(1, 13), strict=True)
)
_NUMBERS |= {"a": 1, "an": 1, "couple of": 2, "a couple of": 2, "few": 3, "a few": 3, "fourteen": 14, "thirty": 30}
_COUNT = rf"(?P<count>\d{{1,4}}|{'|'.join(sorted(_NUMBERS, key=len, reverse=True))})"
_UNIT = r"(?P<unit>day|week|month|quarter|year)"
_YEAR = r"(?P<year>[12]\d{3})"
_DAY = r"(?P<day>[0-3]?\d)(?:st|nd|rd|th)?"
_ORDINALS = {"first": 1, "1st": 1, "second": 2, "2nd": 2, "third": 3, "3rd": 3, "fourth": 4, "4th": 4, "last": 4}
_ORDINAL = rf"(?P<part>{'|'.join(_ORDINALS)})"
_DAYS_MAX = 366 * 400  # "9999 years ago" is no date that anybody means


@dataclass(frozen=True, slots=True)
class DateMention:
    """Tokens [start, end) stand for the days [first, until).

    Attributes:
        inferred: the year, or which of several days is meant, was not said.
        relative: it depends on the day on which it is asked.
    """

    first: date
    until: date
    start: int
    end: int
    inferred: bool = False
    relative: bool = False


_Span = tuple[date, date] | None  # [first day, day behind the last)


def find_dates(text: str, tokens: Sequence[Token], today: date) -> tuple[DateMention, ...]:
    """The dates of a question, the longest reading of each; bare years are numbers and left to `mentions`.

    Args:
        text: the question.
        tokens: its words.
        today: where the question is asked.
    """
    taken: list[tuple[int, int]] = []
    found: list[DateMention] = []
    for pattern, read, relative in _PATTERNS:
        for match in pattern.finditer(text):
            begin, end = _place(match)
            if any(begin < until and first < end for first, until in taken):
                continue
            try:
                span = read(match, today)
            except (ValueError, OverflowError):  # the 31st of February, the year 0
                taken.append((begin, end))
                continue
            covered = [index for index, token in enumerate(tokens) if begin <= token.start and token.end <= end]
            if span is None or not covered:
                continue
            taken.append((begin, end))
            inferred = not relative and match.groupdict().get("year") is None
            found.append(DateMention(*span, covered[0], covered[-1] + 1, inferred, relative))
    return tuple(sorted(found, key=lambda mention: mention.start))


def _place(match: re.Match[str]) -> tuple[int, int]:
    """The characters of the date itself, without a word before it that only shows that it is one."""
    before = match["in"] if "in" in match.groupdict() else None
    return match.start() + len(before or ""), match.end()


# ── spans ────────────────────────────────────────────────────────────────────


def period(unit: str, day: date, offset: int = 0) -> tuple[date, date]:
    """The calendar day, week (from Monday), month, quarter or year around `day`, or so many later."""
    match unit:
        case "day":
            first = day + timedelta(days=offset)
            return first, first + timedelta(days=1)
        case "week":
            first = day - timedelta(days=day.weekday()) + timedelta(weeks=offset)
            return first, first + timedelta(weeks=1)
        case "month" | "quarter":
            width = 3 if unit == "quarter" else 1
            first = _month_later(day.replace(day=1, month=day.month - (day.month - 1) % width), width * offset)
            return first, _month_later(first, width)
        case _:
            return date(day.year + offset, 1, 1), date(day.year + offset + 1, 1, 1)


def _month_later(first: date, months: int) -> date:
    place = first.year * 12 + first.month - 1 + months
    return date(place // 12, place % 12 + 1, 1)


def before(count: int, unit: str, today: date) -> date:
    """The same day so many days, weeks, months, quarters or years before; of the 31st maybe the 30th.

    Raises:
        ValueError, OverflowError: that is before the year 1.
    """
    match unit:
        case "day" | "week":
            days = count * (7 if unit == "week" else 1)
            if days > _DAYS_MAX:
                raise OverflowError
            return today - timedelta(days=days)
        case _:
            first = _month_later(today.replace(day=1), -count * {"month": 1, "quarter": 3, "year": 12}[unit])
            last = (_month_later(first, 1) - timedelta(days=1)).day
            return first.replace(day=min(today.day, last))


# ── readings of matches ──────────────────────────────────────────────────────


def _month_number(match: re.Match[str]) -> int:
    name = match["month"].rstrip(".").lower()
    return next(number for number, month in enumerate(_MONTHS, 1) if month.startswith(name[:3]))


def _day_of(match: re.Match[str], today: date) -> _Span:
    """A day; without a year the last such day up to today."""
    day = date(_year_of(match, today.year), _month_number(match), int(match["day"]))
    if match["year"] is None and day > today:
        day = day.replace(year=day.year - 1)
    return period("day", day)


def _year_of(match: re.Match[str], otherwise: int) -> int:
    return otherwise if match["year"] is None else int(match["year"])


def _iso_day(match: re.Match[str], _: date) -> _Span:
    return period("day", date(int(match["year"]), int(match["m"]), int(match["day"])))


def _iso_month(match: re.Match[str], _: date) -> _Span:
    return period("month", date(int(match["year"]), int(match["m"]), 1))


def _month_of(match: re.Match[str], today: date) -> _Span:
    """A month; without a year the last one that has begun."""
    if match["year"] is None and match["month"] == "may" and not match["in"]:
        return None  # the verb
    if match["year"] is None and match["month"].lower() in {"mar", "march"} and not match["in"]:
        return None
    first = date(_year_of(match, today.year), _month_number(match), 1)
    if match["year"] is None and first > today:
        first = first.replace(year=first.year - 1)
    return period("month", first)


def _quarter_of(match: re.Match[str], today: date) -> _Span:
    number = int(match["q"]) if "q" in match.groupdict() else _ORDINALS[match["part"].lower()]
    first = date(_year_of(match, today.year), 3 * number - 2, 1)
    if match["year"] is None and first > today:
        first = first.replace(year=first.year - 1)
    return period("quarter", first)


def _half_of(match: re.Match[str], today: date) -> _Span:
    number = int(match["q"]) if "q" in match.groupdict() else _ORDINALS[match["part"].lower()]
    if number not in (1, 2, 4):
        return None
    first = date(_year_of(match, today.year), 1 if number == 1 else 7, 1)
    return first, _month_later(first, 6)


def _named_day(match: re.Match[str], today: date) -> _Span:
    offset = {"today": 0, "yesterday": -1, "tomorrow": 1, "the day before yesterday": -2, "day before yesterday": -2}
    return period("day", today, offset[match[0].lower()])


def _this_or_last(match: re.Match[str], today: date) -> _Span:
    offset = {"this": 0, "current": 0, "next": 1}.get(match["which"].lower(), -1)
    return period(match["unit"].lower(), today, offset)


def _last_several(match: re.Match[str], today: date) -> _Span:
    """The last 30 days, today included; the next ones begin tomorrow."""
    said = " ".join(match["count"].lower().split())
    count = int(said) if said.isdecimal() else _NUMBERS[said]
    tomorrow = today + timedelta(days=1)
    if match["which"].lower() in {"next", "coming"}:
        return tomorrow, before(-count, match["unit"].lower(), tomorrow)
    return before(count, match["unit"].lower(), tomorrow), tomorrow


def _ago(match: re.Match[str], today: date) -> _Span:
    """The day, week, month or year so many before this one."""
    said = " ".join(match["count"].lower().split())
    count = int(said) if said.isdecimal() else _NUMBERS[said]
    return period(match["unit"].lower(), today, -count)


def _so_far(_: re.Match[str], today: date) -> _Span:
    return date(today.year, 1, 1), today + timedelta(days=1)


def _weekday(match: re.Match[str], today: date) -> _Span:
    """The last such day before today."""
    number = _WEEKDAYS.index(match["weekday"].lower())
    back = (today.weekday() - number) % 7 or 7
    return period("day", today, -back)


def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


_BEFORE = "in|of|during|since|before|after|until|till|by|through|from|between|to|and|for|last"
_IN = rf"(?:(?P<in>\b(?:{_BEFORE})\s+))?"
_OF_YEAR = rf"(?:,?\s+(?:of\s+)?{_YEAR}\b)?"
# Pattern, reading, whether it depends on today; the first that matches a place wins.
_PATTERNS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str], date], _Span], bool], ...] = (
    (_compiled(rf"\b{_YEAR}-(?P<m>[01]?\d)-(?P<day>[0-3]?\d)(?:[T ]\d\d:\d\d(?::\d\d)?Z?)?\b"), _iso_day, False),
    (_compiled(rf"\b{_YEAR}/(?P<m>[01]?\d)/(?P<day>[0-3]?\d)\b"), _iso_day, False),
    (_compiled(rf"\b{_DAY}\s+(?:of\s+)?{_MONTH}{_OF_YEAR}"), _day_of, False),
    (_compiled(rf"\b{_MONTH}\s+(?:the\s+)?{_DAY}\b(?!\d){_OF_YEAR}"), _day_of, False),
    (_compiled(rf"\b{_YEAR}[\s/-]*Q(?P<q>[1-4])\b"), _quarter_of, False),
    (_compiled(rf"\b(?:the\s+)?Q(?P<q>[1-4])(?:[\s/'-]*(?:of\s+)?{_YEAR})?\b"), _quarter_of, False),
    (_compiled(rf"\b(?:the\s+)?{_ORDINAL}\s+quarter\s+of\s+(?:the\s+year\s+)?{_YEAR}\b"), _quarter_of, False),
    (_compiled(rf"\b(?:the\s+)?(?!last\b){_ORDINAL}\s+quarter{_OF_YEAR}\b"), _quarter_of, False),
    (_compiled(rf"\b(?:the\s+)?H(?P<q>[12])[\s/'-]*(?:of\s+)?{_YEAR}\b"), _half_of, False),
    (_compiled(rf"\b(?:the\s+)?(?P<part>first|second|last|1st|2nd)\s+half\s+of\s+{_YEAR}\b"), _half_of, False),
    (_compiled(rf"\b{_YEAR}-(?P<m>0[1-9]|1[0-2])\b"), _iso_month, False),
    (_compiled(rf"{_IN}\b{_MONTH}(?:,?\s+(?:of\s+)?|-){_YEAR}\b"), _month_of, False),
    (_compiled(rf"{_IN}\b{_MONTH}(?P<year>(?!))?(?![\w-])"), _month_of, False),
    (_compiled(r"\b(?:the\s+)?day before yesterday\b|\btoday\b|\byesterday\b|\btomorrow\b"), _named_day, True),
    (
        _compiled(rf"\b(?:the\s+)?(?P<which>last|past|previous|next|coming|recent)\s+{_COUNT}\s+{_UNIT}s?\b"),
        _last_several,
        True,
    ),
    (_compiled(rf"\b(?:the\s+)?(?P<which>this|current|last|past|previous|next)\s+{_UNIT}\b"), _this_or_last, True),
    (_compiled(rf"\b{_COUNT}\s+{_UNIT}s?\s+ago\b"), _ago, True),
    (_compiled(r"\b(?:so far this year|year[\s-]to[\s-]date|ytd)\b"), _so_far, True),
    (_compiled(rf"\b(?:on|last)\s+(?P<weekday>{'|'.join(_WEEKDAYS)})\b"), _weekday, True),
)
