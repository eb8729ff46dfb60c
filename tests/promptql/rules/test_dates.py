"""promptql.rules.dates: what days a date in a question stands for."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptql.rules.dates import before, find_dates, period
from promptql.rules.words import tokenize

TODAY = date(2026, 11, 30)  # a Monday


def found(text: str, today: date = TODAY) -> list[tuple[str, str, str]]:
    """First day, the day behind the last, and the words, of each mention."""
    tokens = tokenize(text)
    return [
        (str(item.first), str(item.until), text[tokens[item.start].start : tokens[item.end - 1].end])
        for item in find_dates(text, tokens, today)
    ]


@pytest.mark.parametrize(
    ("text", "first", "until", "words"),
    [
        ("orders on 2026-01-05", "2026-01-05", "2026-01-06", "2026-01-05"),
        ("at 2026-01-05T10:00:00Z", "2026-01-05", "2026-01-06", "2026-01-05T10:00:00Z"),
        ("on 2026/1/5", "2026-01-05", "2026-01-06", "2026/1/5"),
        ("on the 5th of May 2026", "2026-05-05", "2026-05-06", "5th of May 2026"),
        ("May 5th, 2026", "2026-05-05", "2026-05-06", "May 5th, 2026"),
        ("dec 25", "2025-12-25", "2025-12-26", "dec 25"),
        ("sept 3", "2026-09-03", "2026-09-04", "sept 3"),
        ("in March 2026", "2026-03-01", "2026-04-01", "March 2026"),
        ("since march", "2026-03-01", "2026-04-01", "march"),
        ("in December", "2025-12-01", "2026-01-01", "December"),
        ("in 2026-02", "2026-02-01", "2026-03-01", "2026-02"),
        ("in Q2 2026", "2026-04-01", "2026-07-01", "Q2 2026"),
        ("2026 Q4", "2026-10-01", "2027-01-01", "2026 Q4"),
        ("in the third quarter of 2025", "2025-07-01", "2025-10-01", "the third quarter of 2025"),
        ("in the first half of 2026", "2026-01-01", "2026-07-01", "the first half of 2026"),
        ("made today", "2026-11-30", "2026-12-01", "today"),
        ("yesterday", "2026-11-29", "2026-11-30", "yesterday"),
        ("this week", "2026-11-30", "2026-12-07", "this week"),
        ("last week", "2026-11-23", "2026-11-30", "last week"),
        ("last month", "2026-10-01", "2026-11-01", "last month"),
        ("the previous quarter", "2026-07-01", "2026-10-01", "the previous quarter"),
        ("next year", "2027-01-01", "2028-01-01", "next year"),
        ("in the last 30 days", "2026-11-01", "2026-12-01", "the last 30 days"),
        ("past two weeks", "2026-11-17", "2026-12-01", "past two weeks"),
        ("next 3 months", "2026-12-01", "2027-03-01", "next 3 months"),
        ("three days ago", "2026-11-27", "2026-11-28", "three days ago"),
        ("a few months ago", "2026-08-01", "2026-09-01", "a few months ago"),
        ("last Monday", "2026-11-23", "2026-11-24", "last Monday"),
        ("year to date", "2026-01-01", "2026-12-01", "year to date"),
    ],
)
def test_dates_stand_for_days(text: str, first: str, until: str, words: str) -> None:
    """Calendar units are whole; "the last 30 days" end today; a date without a year is the last such one."""
    assert found(text) == [(first, until, words)]


@pytest.mark.parametrize(
    "text",
    [
        "orders may be late",
        "the march of time",
        "31 February 2026",
        "9999 years ago",
        "films from 1999",  # a year is a number
        "version 3.11.2",
        "",
        "the 45th of May",
    ],
)
def test_what_is_no_date(text: str) -> None:
    """Verbs, impossible days, bare years."""
    assert not [item for item in found(text) if "May" not in item[2]]
    assert len(found(text)) <= ("May" in text)


def test_several_dates_come_in_order() -> None:
    """Each of its own."""
    assert [item[0] for item in found("between 2026-01-01 and 15 Feb 2026, but not in March 2025")] == [
        "2026-01-01",
        "2026-02-15",
        "2025-03-01",
    ]


def test_what_was_not_said_is_marked() -> None:
    """A month without a year is inferred; what depends on today is relative."""
    text = "in March, since 5 May 2026, and last week"
    march, may, week = find_dates(text, tokenize(text), TODAY)
    assert (march.inferred, march.relative) == (True, False)
    assert (may.inferred, may.relative) == (False, False)
    assert (week.inferred, week.relative) == (False, True)


DAYS = st.dates(date(1600, 1, 1), date(2400, 1, 1))


@given(DAYS, st.sampled_from(["day", "week", "month", "quarter", "year"]), st.integers(-50, 50))
def test_periods_meet_without_gaps(day: date, unit: str, offset: int) -> None:
    """Each ends where the next begins, and the one of no offset holds the day."""
    first, until = period(unit, day, offset)
    assert first < until
    assert period(unit, day, offset + 1)[0] == until
    own = period(unit, day)
    assert own[0] <= day < own[1]


@given(DAYS, st.integers(0, 60))
def test_the_same_day_before(day: date, months: int) -> None:
    """So many months before is a day of that month, at most three days off the end of shorter ones."""
    earlier = before(months, "month", day)
    assert (day.year * 12 + day.month) - (earlier.year * 12 + earlier.month) == months
    assert 0 <= day.day - earlier.day <= 3
    assert before(months, "day", day) == day - timedelta(days=months)


@given(DAYS)
def test_iso_dates_are_read_whatever_today_is(day: date) -> None:
    """The day itself."""
    assert [item[:2] for item in found(f"on {day.isoformat()}")] == [(str(day), str(day + timedelta(days=1)))]


@given(st.text(max_size=60), DAYS)
def test_no_text_breaks_it(text: str, today: date) -> None:
    """Whatever is asked, mentions are in order and hold days."""
    mentions = find_dates(text, tokenize(text), today)
    assert all(item.first < item.until and item.start < item.end for item in mentions)
    assert [item.start for item in mentions] == sorted(item.start for item in mentions)
