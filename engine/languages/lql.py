"""LQL: statements like SQL's, over one collection.

```
SELECT * | field [AS name], fn(field | * | DISTINCT field) [AS name], …
    FROM collection [WHERE condition] [GROUP BY field, …] [HAVING condition]
    [ORDER BY column [ASC | DESC], …] [LIMIT n [OFFSET n]]
INSERT INTO collection (field, …) VALUES (value, …), …
INSERT INTO collection {document} | [{document}, …]
UPDATE collection SET field = value, … [WHERE condition]
DELETE FROM collection [WHERE condition]
CREATE COLLECTION collection [(field type, …)]
CREATE INDEX [name] ON collection (field)
DROP COLLECTION collection
EXPLAIN SELECT …
```

Conditions are filters written like SQL, and also `a CONTAINS 'x'`, `a STARTS WITH 'x'`, `a ENDS WITH 'x'`, and
`a MATCHES 'words'`.
`?` stands for the next parameter, wherever a value may stand.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from engine.errors import QueryError
from engine.fields.aggregates import AGGREGATES, Aggregate
from engine.fields.order import SortKey
from engine.fields.plain import plain_scalar
from engine.languages.tree import (
    COUNT_DIGITS_MAX,
    COUNT_MAX,
    CreateCollection,
    CreateIndex,
    Delete,
    Drop,
    Group,
    Insert,
    Match,
    Project,
    Query,
    Slice,
    Sort,
    Stage,
    Statement,
    Update,
)
from engine.schema import JSON

CHARACTERS_MAX = 100_000
_TOKEN = re.compile(
    r"""
      (?P<space>\s+ | --[^\n]*)
    | (?P<string>'(?:[^']|'')*')
    | (?P<quoted>"(?:[^"]|"")*")
    | (?P<number>-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)
    | (?P<word>[^\W\d][\w.\-]*)
    | (?P<sign><=|>=|<>|!=|==|[=<>(),*?;{}\[\]:~])
    """,
    re.VERBOSE,
)
_INFIX = {"CONTAINS": "CONTAINS", "MATCHES": "MATCHES", "STARTS": "STARTS_WITH", "ENDS": "ENDS_WITH"}
_CLAUSES = frozenset({"WHERE", "GROUP", "HAVING", "ORDER", "LIMIT", "OFFSET"})
_FUNCTIONS = {**{name: name for name in AGGREGATES}, "mean": "avg", "average": "avg"}


@dataclass(frozen=True, slots=True)
class Token:
    """A word, sign or value, and the character at which it begins."""

    kind: str
    text: str
    offset: int


def read_lql(text: str, parameters: Sequence[JSON] = ()) -> Statement:
    """Parse a statement.

    Raises:
        QueryError: it is malformed; `details["offset"]` says where, in characters.
    """
    if len(text) > CHARACTERS_MAX:
        raise QueryError(f"query is too long: maximum={CHARACTERS_MAX} got={len(text)} characters")
    parser = _Parser(_bind(_tokens(text), parameters), text)
    statement = parser.statement()
    parser.end()
    return statement


def _tokens(text: str) -> list[Token]:
    tokens, place = [], 0
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            raise _fault(f"unexpected character {text[place]!r}", place)
        if match.lastgroup != "space":
            tokens.append(Token(str(match.lastgroup), match[0], place))
        place = match.end()
    return tokens


def _bind(tokens: Sequence[Token], parameters: Sequence[JSON]) -> list[Token]:
    """Put parameters in place of question marks: each as one token, which nothing can break out of."""
    waiting = list(parameters)
    bound = []
    for token in tokens:
        if token.text != "?" or token.kind != "sign":
            bound.append(token)
            continue
        if not waiting:
            raise _fault("parameter is missing", token.offset)
        bound.append(_value_token(waiting.pop(0), token.offset))
    if waiting:
        raise QueryError(f"query has fewer parameters than were given: {len(waiting)} too many", pointer="/params")
    return bound


def _value_token(value: Any, offset: int) -> Token:
    value = plain_scalar(value)
    if value is None or isinstance(value, bool):
        return Token("word", "null" if value is None else str(value).lower(), offset)
    if isinstance(value, int | float):
        return Token("number", repr(value), offset)
    if isinstance(value, str):
        return Token("string", "'" + value.replace("'", "''") + "'", offset)
    raise _fault(f"a parameter must be a string, a number, true, false or null: got={type(value).__name__}", offset)


class _Parser:
    """Goes through the tokens once."""

    def __init__(self, tokens: Sequence[Token], text: str) -> None:
        self._tokens = tokens
        self._text = text
        self._place = 0

    def statement(self) -> Statement:
        first = self._word("a statement").upper()
        readers: Mapping[str, Callable[[], Statement]] = {
            "SELECT": self._select,
            "INSERT": self._insert,
            "UPDATE": self._update,
            "DELETE": self._delete,
            "CREATE": self._create,
            "DROP": self._drop,
            "EXPLAIN": self._explain,
        }
        if first not in readers:
            raise self._expected(", ".join(readers), back=1)
        return readers[first]()

    def end(self) -> None:
        while self._sign(";"):
            pass
        if self._peek() is not None:
            raise self._expected("the end")

    def _explain(self) -> Query:
        self._must("SELECT")
        query = self._select()
        return Query(query.collection, query.stages, explain=True)

    def _select(self) -> Query:
        items = self._items()
        self._must("FROM")
        collection = self._name("a collection")
        stages: list[Stage] = []
        if self._is("WHERE"):
            stages.append(Match(self._condition()))
        grouped = self._group(items)
        if grouped is not None:
            stages.append(grouped)
        if self._is("HAVING"):
            stages.append(Match(self._condition()))
        if self._is("ORDER"):
            self._must("BY")
            renamed = {name: item for item, name in items or () if isinstance(item, str)}
            keys = self._list(self._sort_key)
            stages.append(Sort(tuple(SortKey(renamed.get(key.field, key.field), key.descending) for key in keys)))
        limit = self._count() if self._is("LIMIT") else None
        skip = self._count() if self._is("OFFSET") else 0
        if limit is not None or skip:
            stages.append(Slice(skip, limit))
        if items is not None:
            stages.append(Project(_projection(items, grouped)))
        return Query(collection, tuple(stages))

    def _items(self) -> list[tuple[str | Aggregate, str]] | None:
        """What is selected, each with its name; None for all."""
        return None if self._sign("*") else self._list(self._item)

    def _item(self) -> tuple[str | Aggregate, str]:
        begin = self._peek()
        name = self._name("a field")
        selected: str | Aggregate = name
        if begin is not None and begin.kind == "word" and self._sign("("):
            function = _FUNCTIONS.get(name.lower())
            if function is None:
                raise _fault(f"unknown function {name}: expected one of {', '.join(AGGREGATES)}", begin.offset)
            selected = self._aggregate(function)
            name = selected.alias
        if self._is("AS"):
            name = self._name("a name")
        return (Aggregate(selected.fn, selected.field, name) if isinstance(selected, Aggregate) else selected), name

    def _aggregate(self, function: str) -> Aggregate:
        distinct = self._is("DISTINCT")
        field = None if self._sign("*") else self._name("a field or *")
        self._need(")")
        if distinct:
            if function != "count" or field is None:
                raise self._expected("count(DISTINCT field)", back=1)
            function = "count_distinct"
        return Aggregate(function, field, function if field is None else f"{function}_{field}")

    def _group(self, items: list[tuple[str | Aggregate, str]] | None) -> Group | None:
        aggregates = tuple(item for item, _ in items or () if isinstance(item, Aggregate))
        if self._is("GROUP"):
            self._must("BY")
            return Group(tuple(self._list(lambda: self._name("a field"))), aggregates)
        return Group((), aggregates) if aggregates else None

    def _sort_key(self) -> SortKey:
        field = self._name("a column")
        descending = self._is("DESC")
        if not descending:
            self._is("ASC")
        return SortKey(field, descending)

    def _insert(self) -> Insert:
        self._must("INTO")
        collection = self._name("a collection")
        token = self._peek()
        if token is not None and token.text in ("{", "["):
            return Insert(collection, self._json_documents(token.offset))
        self._need("(")
        names = self._list(lambda: self._name("a field"))
        self._need(")")
        self._must("VALUES")
        rows = self._list(self._row)
        for row in rows:
            if len(row) != len(names):
                raise self._expected(f"{len(names)} values a row", back=1)
        return Insert(collection, tuple(dict(zip(names, row, strict=True)) for row in rows))

    def _json_documents(self, offset: int) -> tuple[Mapping[str, JSON], ...]:
        """The rest of the statement as JSON."""
        self._place = len(self._tokens)
        try:
            found = msgspec.json.decode(self._text[offset:].rstrip().rstrip(";"))
        except (msgspec.DecodeError, RecursionError) as error:
            raise _fault(f"documents are not JSON: {error}", offset) from error
        documents = found if isinstance(found, list) else [found]
        if not documents or not all(isinstance(document, dict) for document in documents):
            raise _fault("documents must be objects", offset)
        return tuple(documents)

    def _row(self) -> list[JSON]:
        self._need("(")
        values = self._list(self._value)
        self._need(")")
        return values

    def _update(self) -> Update:
        collection = self._name("a collection")
        self._must("SET")
        changes = dict(self._list(self._change))
        return Update(collection, self._condition() if self._is("WHERE") else {}, changes)

    def _change(self) -> tuple[str, JSON]:
        field = self._name("a field")
        self._need("=")
        return field, self._value()

    def _delete(self) -> Delete:
        self._must("FROM")
        collection = self._name("a collection")
        return Delete(collection, self._condition() if self._is("WHERE") else {})

    def _create(self) -> Statement:
        if self._is("INDEX"):
            if not self._is("ON"):
                self._name("a name")
                self._must("ON")
            collection = self._name("a collection")
            self._need("(")
            field = self._name("a field")
            self._need(")")
            return CreateIndex(collection, field)
        self._must("COLLECTION")
        collection = self._name("a collection")
        fields = {}
        if self._sign("("):
            fields = dict(self._list(lambda: (self._name("a field"), {"type": self._word("a type").lower()})))
            self._need(")")
        return CreateCollection(collection, fields)

    def _drop(self) -> Drop:
        self._must("COLLECTION")
        return Drop(self._name("a collection"))

    def _condition(self) -> str:
        """The tokens up to the next clause, as a filter written like SQL."""
        depth, pieces = 0, []
        begin = self._place
        while (token := self._peek()) is not None:
            if token.text == ";" or (not depth and token.kind == "word" and token.text.upper() in _CLAUSES):
                break
            depth += {"(": 1, ")": -1}.get(token.text, 0)
            pieces.append(token)
            self._place += 1
        if self._place == begin:
            raise self._expected("a condition")
        return _filter_text(pieces)

    def _value(self) -> JSON:
        token = self._next("a value")
        if token.kind == "string":
            return _unquoted(token.text)
        if token.kind == "number":
            return float(token.text) if any(mark in token.text for mark in ".eE") else int(token.text)
        words = {"true": True, "false": False, "null": None}
        if token.kind == "word" and token.text.lower() in words:
            return words[token.text.lower()]
        raise self._expected("a value", back=1)

    def _count(self) -> int:
        token = self._next("a whole number")
        if token.kind != "number" or not token.text.isdecimal():
            raise self._expected("a whole number", back=1)
        if len(token.text) > COUNT_DIGITS_MAX or int(token.text) > COUNT_MAX:
            raise self._expected(f"a whole number of at most {COUNT_MAX}", back=1)
        return int(token.text)

    def _list(self, item: Callable[[], Any]) -> list[Any]:
        items = [item()]
        while self._sign(","):
            items.append(item())
        return items

    def _name(self, what: str) -> str:
        token = self._next(what)
        if token.kind == "quoted":
            return token.text[1:-1].replace('""', '"')
        if token.kind != "word":
            raise self._expected(what, back=1)
        return token.text

    def _word(self, what: str) -> str:
        token = self._next(what)
        if token.kind != "word":
            raise self._expected(what, back=1)
        return token.text

    def _is(self, word: str) -> bool:
        token = self._peek()
        found = token is not None and token.kind == "word" and token.text.upper() == word
        self._place += found
        return found

    def _sign(self, sign: str) -> bool:
        token = self._peek()
        found = token is not None and token.kind == "sign" and token.text == sign
        self._place += found
        return found

    def _must(self, word: str) -> None:
        if not self._is(word):
            raise self._expected(word)

    def _need(self, sign: str) -> None:
        if not self._sign(sign):
            raise self._expected(repr(sign))

    def _next(self, what: str) -> Token:
        token = self._peek()
        if token is None:
            raise self._expected(what)
        self._place += 1
        return token

    def _peek(self) -> Token | None:
        return self._tokens[self._place] if self._place < len(self._tokens) else None

    def _expected(self, what: str, *, back: int = 0) -> QueryError:
        place = self._place - back
        if place >= len(self._tokens):
            return _fault(f"expected {what}: got the end of the query", len(self._text))
        token = self._tokens[place]
        return _fault(f"expected {what}: got {token.text!r:.60}", token.offset)


def _filter_text(tokens: Sequence[Token]) -> str:
    """The condition with the words between two operands as functions of both."""
    pieces: list[str] = []
    place = 0
    while place < len(tokens):
        token = tokens[place]
        function = _INFIX.get(token.text.upper()) if token.kind == "word" else None
        after = place + 2 if function in ("STARTS_WITH", "ENDS_WITH") else place + 1
        takes = (
            function is not None
            and pieces
            and after < len(tokens)
            and tokens[after].kind in ("string", "number", "word")
        )
        if takes and (after == place + 1 or tokens[place + 1].text.upper() == "WITH"):
            field = pieces.pop()
            negated = field.upper() == "NOT" and bool(pieces)
            field = pieces.pop() if negated else field
            pieces.append(f"{'NOT ' if negated else ''}{function}({field}, {tokens[after].text})")
            place = after + 1
            continue
        pieces.append("=" if token.text == "==" else token.text)
        place += 1
    return " ".join(pieces)


def _projection(items: Sequence[tuple[str | Aggregate, str]], group: Group | None) -> dict[str, str]:
    columns: dict[str, str] = {}
    for item, name in items:
        if name in columns:
            raise QueryError(f"two columns have one name: {name!r}; give one another with AS")
        if isinstance(item, str) and group is not None and item not in group.by:
            raise QueryError(f"field {item!r} is neither grouped by nor within a function")
        columns[name] = item.alias if isinstance(item, Aggregate) else item
    return columns


def _unquoted(text: str) -> str:
    return text[1:-1].replace("''", "'")


def _fault(message: str, offset: int) -> QueryError:
    return QueryError(f"{message} (character {offset})", offset=offset)
