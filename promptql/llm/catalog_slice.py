"""The part of the catalog that the planner is shown: what the question names first, always the keys, no rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from promptql.catalog import ID, Catalog, CollectionInfo, FieldInfo
from promptql.llm.manual import compact
from promptql.llm.tokens import cut_to_tokens, tokens_of
from promptql.rules.relevance import Relevance, relevances

VALUES_MAX = 3  # of each field
VALUE_CHARACTERS_MAX = 40
DESCRIPTION_CHARACTERS_MAX = 80
MISSES_MAX = 3  # collections that do not fit any more, until no further one is tried
NAMES_TOKENS_MAX = 60  # for the names of collections that have no line of their own
NEIGHBOUR_SHARE = 0.5  # of a collection's weight that the ones that it leads to get as well
QUESTION_CHARACTERS_READ = 500  # looked up in the catalog; longer questions are prose
ROWS_DIGITS = 1  # of the number of documents: a write does not make another prompt
_UNNAMED, _LABEL, _LINKED, _KEY = 0.1, 0.5, 2.0, 3.0


@dataclass(slots=True)
class _Entry:
    """A collection, how much it has to do with the question, and its fields, the most telling first."""

    info: CollectionInfo
    weight: float
    fields: list[tuple[float, FieldInfo]]
    linked: Mapping[str, Sequence[Any]]
    keys: Mapping[str, str] = field(default_factory=dict)  # field → what it leads to
    shown: list[str] = field(default_factory=list)

    def line(self) -> str:
        return f"{self.head()}: {'; '.join(self.shown)}"

    def head(self) -> str:
        info = self.info
        about = [f"about {_rounded(info.rows)} documents"]
        if not info.searchable:
            about.append("no search")
        if info.description:
            about.append(_quoted(info.description, DESCRIPTION_CHARACTERS_MAX))
        return f"{compact(info.name)} ({', '.join(about)})"

    def written(self, item: FieldInfo) -> str:
        kind = f"[{item.type.value}]" if item.many else item.type.value
        parts = [f"{compact(item.name)} {kind}"]
        if item.name in self.keys:
            parts.append(f"= {self.keys[item.name]}")
        elif item.least is not None:
            parts.append(f"{_quoted(item.least)}..{_quoted(item.greatest)}")
        elif item.type.value != "boolean":
            values = dict.fromkeys([*self.linked.get(item.name, ()), *(value for value, _ in item.values)])
            parts += [_quoted(value) for value in list(values)[:VALUES_MAX]]
        if item.description:
            parts.append(f"({_quoted(item.description, DESCRIPTION_CHARACTERS_MAX)})")
        return " ".join(parts)


def catalog_slice(question: str, catalog: Catalog, tokens_max: int) -> str:
    """Lines of at most so many tokens: collections with their fields, keys, ranges, and up to three values each.

    Collections that the question names, and those that they lead to by their keys, come first. Values that the
    question names go before the most frequent ones.
    """
    entries = _entries(question, catalog)
    room = tokens_max - (NAMES_TOKENS_MAX if len(entries) > 1 else 0)
    begun: list[_Entry] = []
    misses = 0
    for entry in entries:
        cost = _begin(entry)
        if begun and cost > room:
            misses += 1
            if misses > MISSES_MAX:
                break
            continue
        room -= cost
        begun.append(entry)
    _fill(begun, room)
    lines = [entry.line() for entry in begun]
    others = [compact(entry.info.name) for entry in entries if entry not in begun]
    if others:
        lines.append(cut_to_tokens(f"Also there: {', '.join(others)}", NAMES_TOKENS_MAX))
    return cut_to_tokens("\n".join(lines), tokens_max)


def _begin(entry: _Entry) -> int:
    """Show its keys and what the question names; the tokens that this takes."""
    must = [item for weight, item in entry.fields if weight >= _LINKED]
    entry.shown = [ID, *(entry.written(item) for item in must)]
    entry.fields = [(weight, item) for weight, item in entry.fields if weight < _LINKED]
    return tokens_of(entry.line()) + 1


def _fill(entries: Sequence[_Entry], room: int) -> None:
    """Show the other fields as long as there is room: those of the first collections first."""
    waiting = [(weight + entry.weight, entry, item) for entry in entries for weight, item in entry.fields]
    waiting.sort(key=lambda found: -found[0])
    for _, entry, item in waiting:
        text = entry.written(item)
        cost = tokens_of(text) + 1
        if cost <= room:
            room -= cost
            entry.shown.append(text)


def _entries(question: str, catalog: Catalog) -> list[_Entry]:
    found = relevances(question[:QUESTION_CHARACTERS_READ], catalog)
    entries = {name: _entry(info, found[name]) for name, info in catalog.collections.items()}
    _relate(entries, catalog)
    return sorted(entries.values(), key=lambda entry: (-entry.weight, -entry.info.rows, entry.info.name))


def _entry(info: CollectionInfo, found: Relevance) -> _Entry:
    fields = []
    for name, item in info.fields.items():
        if item.unfolded:  # its leaves are shown
            continue
        share = found.fields.get(name, 0.0)
        is_named = share >= 1 or name in found.values
        weight = _LINKED if is_named else _LABEL if name == info.label else _UNNAMED
        fields.append((weight + share, item))
    fields.sort(key=lambda each: -each[0])
    return _Entry(info, found.weight, fields, found.values)


def _relate(entries: Mapping[str, _Entry], catalog: Catalog) -> None:
    """Mark keys, and lift the collections that those lead to which the question names."""
    weights = {name: entry.weight for name, entry in entries.items()}
    for item in catalog.relationships:
        left, right = entries.get(item.left_collection), entries.get(item.right_collection)
        if left is None or right is None:
            continue
        left.keys = {**left.keys, item.left_field: f"{item.right_collection}.{item.right_field}"}
        left.weight = max(left.weight, NEIGHBOUR_SHARE * weights[item.right_collection])
        right.weight = max(right.weight, NEIGHBOUR_SHARE * weights[item.left_collection])
        for entry, name in ((left, item.left_field), (right, item.right_field)):
            entry.fields = [(_KEY if held.name == name else weight, held) for weight, held in entry.fields]


def _quoted(value: object, characters_max: int = VALUE_CHARACTERS_MAX) -> str:
    """A value as JSON, on one line and cut: it cannot end its line, nor say much."""
    return compact(" ".join(value.split())[:characters_max]) if isinstance(value, str) else compact(value)


def _rounded(rows: int) -> str:
    """812 → 800."""
    return str(int(float(f"{rows:.{ROWS_DIGITS - 1}e}"))) if rows >= 100 else str(rows)
