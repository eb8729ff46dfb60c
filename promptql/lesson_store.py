"""Where lessons are kept."""

from __future__ import annotations

from engine import Database
from promptql.lessons import NO_LESSONS, Lessons


class LessonStore:
    """The lessons of a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def active(self) -> Lessons:
        """Those in force."""
        return NO_LESSONS
