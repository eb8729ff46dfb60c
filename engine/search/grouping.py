"""Documents gathered by the values of a field: the best groups, each with its best documents."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.arrays import Ordinals
from engine.errors import InvalidInputError
from engine.fields.filter import And, Filter, parse_filter
from engine.schema import JSON, Field, FieldType
from engine.search.ranking import WINDOW_GROWTH, Rank, Ranking
from engine.search.request import GroupBy

if TYPE_CHECKING:
    from engine.snapshot import Snapshot

GROUPABLE = frozenset(
    {
        FieldType.TEXT,
        FieldType.KEYWORD,
        FieldType.INTEGER,
        FieldType.NUMBER,
        FieldType.BOOLEAN,
        FieldType.DATETIME,
    }
)


@dataclass(frozen=True, slots=True)
class Group:
    """The documents of one value: `count` of the answer's, one group's after the other's."""

    value: JSON
    count: int


@dataclass(frozen=True, slots=True)
class Filler:
    """How to look for what is missing without going through everything that ranks before it.

    Only for rankings in which the score of a document is the same whatever else may be found.

    Attributes:
        rank: (filter, documents) → the best of those that satisfy it.
        where: the search's own filter.
    """

    rank: Callable[[Filter, int], Ranking]
    where: Filter | None


def groupable_field(snapshot: Snapshot, group_by: GroupBy) -> Field:
    """The field to group by.

    Raises:
        InvalidInputError: there is none of that name, or its values cannot be compared.
    """
    is_stored = group_by.field in snapshot.schema.fields
    field = (snapshot.schema.fields if is_stored else snapshot.fields).get(group_by.field)
    if field is None:
        known = ", ".join(name for name, each in snapshot.schema.fields.items() if each.type in GROUPABLE)
        message = f"unknown field {group_by.field!r:.100}: expected one of {known or '(none)'}"
        raise InvalidInputError(message, pointer="/group_by/field")
    if field.type not in GROUPABLE or (field.type is FieldType.DATETIME and not is_stored):  # filters see its strings
        message = f"field {group_by.field!r} cannot be grouped by: type={field.type}"
        raise InvalidInputError(message, pointer="/group_by/field")
    return field


def with_value(group_by: GroupBy, where: Filter | None) -> Filter:
    """`where`, and the field has a value: what is in no group need not be found."""
    has = parse_filter({group_by.field: {"$exists": True}})
    return has if where is None else And((where, has))


def gather(
    snapshot: Snapshot, rank: Rank, window: int, group_by: GroupBy, page: slice, filler: Filler | None
) -> tuple[Ranking, list[Group]]:
    """The groups of a page, best first by their best document, and their documents, best first.

    Looks further until the groups of the page are found and full, or nothing is left.
    """
    field = groupable_field(snapshot, group_by)
    found = rank(window)
    groups = _grouped(snapshot, found, group_by)
    searched_all = found.whole
    while not searched_all and not (len(groups) >= page.stop and (filler or _full(groups, page, group_by.size))):
        if filler is not None and not field.many:
            others = _other_values(group_by.field, groups, filler.where)
            rest = filler.rank(others, window)
            searched_all = rest.whole
            found = rest.after(found, falling=True)
        else:
            window *= WINDOW_GROWTH
            found = rank(window).after(found, falling=False)
            searched_all = found.whole
        groups = _grouped(snapshot, found, group_by)
    chosen = list(groups.items())[page]
    rankings = [found.take(np.array(places)) for _, places in chosen]
    if filler is not None:
        rankings = [
            ranking if len(ranking) == group_by.size else _filled(group_by, value, filler)
            for (value, _), ranking in zip(chosen, rankings, strict=True)
        ]
    return _concatenated(rankings), [Group(v, len(r)) for (v, _), r in zip(chosen, rankings, strict=True)]


def _grouped(snapshot: Snapshot, ranking: Ranking, group_by: GroupBy) -> dict[Any, list[int]]:
    """Value → places of its first `size` documents; values in the order in which they come."""
    groups: dict[Any, list[int]] = {}
    for place, value in enumerate(values_of(snapshot, group_by.field, ranking.ordinals)):
        for each in dict.fromkeys(value) if isinstance(value, list) else () if value is None else (value,):
            if each is not None:
                members = groups.setdefault(each, [])
                if len(members) < group_by.size:
                    members.append(place)
    return groups


def values_of(snapshot: Snapshot, name: str, ordinals: Ordinals) -> list[JSON]:
    """One field of some documents, as JSON values; None where it has none."""
    return snapshot.values_of(name, ordinals)


def _full(groups: dict[Any, list[int]], page: slice, size: int) -> bool:
    return all(len(places) == size for places in list(groups.values())[page])


def _other_values(field: str, groups: dict[Any, list[int]], where: Filter | None) -> Filter:
    others: Filter = parse_filter({field: {"$exists": True, "$nin": list(groups)}})
    return others if where is None else And((where, others))


def _filled(group_by: GroupBy, value: Any, filler: Filler) -> Ranking:
    own: Filter = parse_filter({group_by.field: {"$eq": value}})
    condition = own if filler.where is None else And((filler.where, own))
    return filler.rank(condition, group_by.size).first(group_by.size)


def _concatenated(rankings: Sequence[Ranking]) -> Ranking:
    if not rankings:
        return Ranking(np.empty(0, dtype=np.uint32), np.empty(0, dtype=np.float32), [], whole=True)
    return Ranking(
        np.concatenate([each.ordinals for each in rankings]),
        np.concatenate([each.scores for each in rankings]),
        [passage for each in rankings for passage in each.passages],
    )
