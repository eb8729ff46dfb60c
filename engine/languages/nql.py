"""NQL: questions in a small part of English.

```
find [all | the first 5] films [where CONDITIONS] [sorted by year [descending]] [limit 5]
count films [where …]          how many films are there [where …]
average rating of films [where …] [by genre]      also sum, total, min, minimum, max, maximum, median
explain find films …            any of these: also says what was done
CONDITIONS: rating is greater than 4 and genre is drama or title contains 'star'
```
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from engine.errors import QueryError
from engine.fields.aggregates import Aggregate
from engine.fields.order import SortKey
from engine.languages.tree import COUNT_DIGITS_MAX, COUNT_MAX, Group, Match, Query, Slice, Sort, Stage
from engine.schema import JSON

CHARACTERS_MAX = 2_000
_TOKEN = re.compile(
    r"""\s*(?:(?P<string>'(?:[^']|'')*'|"[^"]*")|(?P<number>-?\d+(?:\.\d+)?(?![\w-]))|(?P<word>\w[\w\-]*(?:\.[\w\-]+)*)|(?P<sign><=|>=|!=|<>|[=<>,?.!;]))""",
    re.VERBOSE,
)
_FIND = ("find", "show", "list", "get", "give", "display", "fetch", "select")
_FILLER = frozenset({"me", "all", "the", "of", "any", "every"})
_FIGURES = {
    "average": "avg", "avg": "avg", "mean": "avg", "sum": "sum", "total": "sum", "min": "min", "minimum": "min",
    "lowest": "min", "smallest": "min", "max": "max", "maximum": "max", "highest": "max", "largest": "max",
    "median": "median",
}  # fmt: skip
_WHERE = frozenset({"where", "with", "whose", "having", "that", "which", "who"})
_OPERATORS: Sequence[tuple[str, str]] = (  # longest first
    ("is greater than or equal to", "$gte"), ("is less than or equal to", "$lte"),
    ("is greater than", "$gt"), ("is more than", "$gt"), ("is bigger than", "$gt"), ("is larger than", "$gt"),
    ("is less than", "$lt"), ("is smaller than", "$lt"), ("is lower than", "$lt"), ("is at least", "$gte"),
    ("is at most", "$lte"), ("is not equal to", "$ne"), ("is equal to", "$eq"), ("does not equal", "$ne"),
    ("does not contain", "!$contains"), ("is one of", "$in"), ("is not in", "$nin"), ("is in", "$in"),
    ("is not", "$ne"), ("is above", "$gt"), ("is over", "$gt"), ("is below", "$lt"), ("is under", "$lt"),
    ("is after", "$gt"), ("is before", "$lt"), ("is between", "between"), ("starts with", "$starts_with"),
    ("begins with", "$starts_with"), ("ends with", "$ends_with"), ("greater than", "$gt"), ("more than", "$gt"),
    ("less than", "$lt"), ("at least", "$gte"), ("at most", "$lte"), ("contains", "$contains"),
    ("matches", "$match"), ("includes", "$contains"), ("equals", "$eq"), ("between", "between"), ("above", "$gt"),
    ("over", "$gt"), ("below", "$lt"), ("under", "$lt"), ("after", "$gt"), ("before", "$lt"), ("is", "$eq"),
    ("in", "$in"), ("<=", "$lte"), (">=", "$gte"), ("!=", "$ne"), ("<>", "$ne"), ("=", "$eq"), ("<", "$lt"),
    (">", "$gt"),
)  # fmt: skip
_ENDS = frozenset({"and", "or", "sorted", "sort", "ordered", "order", "limit", "by", "per", "first", "top", "grouped"})


def read_nql(text: str) -> Query:
    """Parse a question.

    Raises:
        QueryError: it is not understood; `details["offset"]` says from where on.
    """
    if len(text) > CHARACTERS_MAX:
        raise QueryError(f"question is too long: maximum={CHARACTERS_MAX} got={len(text)} characters")
    return _Parser(text).query()


class _Parser:
    """Goes through the words once."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._words: list[tuple[str, str, int]] = []
        place = 0
        text = text.rstrip()
        while place < len(text):
            match = _TOKEN.match(text, place)
            if match is None:
                raise _fault(f"unexpected character {text[place]!r}", place)
            kind = str(match.lastgroup)
            self._words.append((kind, match[kind], match.start(kind)))
            place = match.end()
        while self._words and self._words[-1][1] in ("?", ".", "!", ";"):
            self._words.pop()
        self._place = self._begin = 0

    def query(self) -> Query:
        explain = self._take("explain")
        self._begin = self._place
        asked = self._asked()
        return Query(asked.collection, asked.stages, explain=explain)

    def _asked(self) -> Query:
        if self._take("how") and self._take("many"):
            return self._counted()
        if self._take("count"):
            self._take("number")
            return self._counted()
        self._place = self._begin
        figure = self._figure()
        if figure is not None:
            return figure
        if not any(self._take(word) for word in _FIND):
            raise self._expected("find, count, how many, average, sum, min or max")
        return self._found()

    def _found(self) -> Query:
        limit = self._first()
        self._fill()
        collection = self._name("a collection")
        stages: list[Stage] = self._conditions()
        keys = self._sorted()
        if keys:
            stages.append(Sort(keys))
        if self._take("limit") or self._take("first") or self._take("top"):
            limit = self._count()
        if limit is not None:
            stages.append(Slice(0, limit))
        self._end()
        return Query(collection, tuple(stages))

    def _counted(self) -> Query:
        self._fill()
        collection = self._name("a collection")
        for words in (("are", "there"), ("do", "we", "have"), ("exist",), ("have",)):
            if self._phrase(words) and words != ("have",):
                break
        stages = self._conditions()
        by = self._by()
        stages.append(Group(by, (Aggregate("count", None, "count"),)))
        self._end()
        return Query(collection, tuple(stages))

    def _figure(self) -> Query | None:
        """A figure of a field; None where the question is about something else."""
        for words in (("what", "is"), ("what", "was")):
            self._phrase(words)
        self._fill()
        function = _FIGURES.get(self._peek())
        if function is None:
            self._place = self._begin
            return None
        self._place += 1
        self._fill()
        field = self._name("a field")
        if not any(self._take(word) for word in ("of", "in", "for", "from", "across")):
            raise self._expected("of and a collection")
        self._fill()
        collection = self._name("a collection")
        stages = self._conditions()
        stages.append(Group(self._by(), (Aggregate(function, field, f"{function}_{field}"),)))
        self._end()
        return Query(collection, tuple(stages))

    def _first(self) -> int | None:
        mark = self._place
        self._fill()
        if self._take("first") or self._take("top"):
            return self._count()
        self._place = mark
        return None

    def _by(self) -> tuple[str, ...]:
        self._take("grouped")
        if self._take("by") or self._take("per") or self._phrase(("for", "each")):
            names = [self._name("a field")]
            while self._take("and") or self._take(","):
                names.append(self._name("a field"))
            return tuple(names)
        return ()

    def _sorted(self) -> tuple[SortKey, ...]:
        if not any(self._take(word) for word in ("sorted", "ordered", "sort", "order")):
            return ()
        if not self._take("by"):
            raise self._expected("by")
        keys = []
        while True:
            field = self._name("a field")
            descending = any(self._take(word) for word in ("descending", "desc", "decreasing"))
            if not descending:
                any(self._take(word) for word in ("ascending", "asc", "increasing"))
            keys.append(SortKey(field, descending))
            if not (self._take(",") or self._take("and") or self._take("then")):
                return tuple(keys)
            self._take("by")

    def _conditions(self) -> list[Stage]:
        """What follows "where": clauses joined by "and", which binds tighter than "or"."""
        if self._peek() not in _WHERE:
            return []
        self._place += 1
        self._take("have") or self._take("has") or self._take("are")
        either: list[list[dict[str, JSON]]] = [[self._clause()]]
        while True:
            if self._take("and"):
                either[-1].append(self._clause())
            elif self._take("or"):
                either.append([self._clause()])
            else:
                break
        groups: list[JSON] = [group[0] if len(group) == 1 else {"$and": group} for group in either]
        return [Match(groups[0] if len(groups) == 1 else {"$or": groups})]

    def _clause(self) -> dict[str, JSON]:
        field = self._name("a field")
        if self._phrase(("is", "missing")) or self._phrase(("is", "null")) or self._phrase(("is", "empty")):
            return {field: {"$is_null": True}}
        if self._phrase(("exists",)) or self._phrase(("is", "not", "null")) or self._phrase(("is", "set")):
            return {field: {"$is_null": False}}
        for words, operator in _OPERATORS:
            if self._phrase(tuple(words.split())):
                return self._compared(field, operator)
        raise self._expected("a comparison, such as is, is greater than, contains, starts with or between")

    def _compared(self, field: str, operator: str) -> dict[str, JSON]:
        if operator == "between":
            low = self._value()
            if not self._take("and"):
                raise self._expected("and")
            return {"$and": [{field: {"$gte": low}}, {field: {"$lte": self._value()}}]}
        if operator in ("$in", "$nin"):
            values = [self._value()]
            while self._take(","):
                self._take("or")
                values.append(self._value())
            return {field: {operator: values}}
        if operator.startswith("!"):
            return {"$not": {field: {operator[1:]: self._value()}}}
        return {field: {operator: self._value()}}

    def _value(self) -> JSON:
        if self._place >= len(self._words):
            raise self._expected("a value")
        kind, text, _ = self._words[self._place]
        self._place += 1
        if kind == "string":
            return text[1:-1].replace("''", "'")
        if kind == "number":
            return float(text) if "." in text else int(text)
        if kind == "sign":
            self._place -= 1
            raise self._expected("a value")
        if text.lower() in ("true", "false"):
            return text.lower() == "true"
        words = [text]  # several words without quotes are one value
        while self._place < len(self._words) and self._words[self._place][0] == "word" and self._peek() not in _ENDS:
            words.append(self._words[self._place][1])
            self._place += 1
        return " ".join(words)

    def _count(self) -> int:
        kind, text, _ = self._words[self._place] if self._place < len(self._words) else ("", "", 0)
        if kind != "number" or not text.isdecimal():
            raise self._expected("a whole number")
        if len(text) > COUNT_DIGITS_MAX or int(text) > COUNT_MAX:
            raise self._expected(f"a whole number of at most {COUNT_MAX}")
        self._place += 1
        return int(text)

    def _name(self, what: str) -> str:
        kind, text, _ = self._words[self._place] if self._place < len(self._words) else ("", "", 0)
        if kind == "string":
            text = text[1:-1]
        elif kind != "word":
            raise self._expected(what)
        self._place += 1
        return text

    def _fill(self) -> None:
        while self._peek() in _FILLER:
            self._place += 1

    def _phrase(self, words: Sequence[str]) -> bool:
        found = [word.lower() for _, word, _ in self._words[self._place : self._place + len(words)]]
        if found != list(words):
            return False
        self._place += len(words)
        return True

    def _take(self, word: str) -> bool:
        found = self._peek() == word
        self._place += found
        return found

    def _peek(self) -> str:
        if self._place >= len(self._words) or self._words[self._place][0] == "string":
            return ""
        return self._words[self._place][1].lower()

    def _end(self) -> None:
        if self._place < len(self._words):
            raise self._expected("the end")

    def _expected(self, what: str) -> QueryError:
        if self._place >= len(self._words):
            return _fault(f"expected {what}: got the end of the question", len(self._text))
        _, text, offset = self._words[self._place]
        return _fault(f"expected {what}: got {text!r:.60}", offset)


def _fault(message: str, offset: int) -> QueryError:
    return QueryError(f"{message} (character {offset})", offset=offset)
