"""Names in place of keys: "who wrote Solaris" is answered by the author's name, not by the author's id."""

from __future__ import annotations

from dataclasses import replace

from promptql.rules.asked import Asked
from promptql.rules.columns import View
from promptql.rules.entities import KEY_WORDS, label_columns
from promptql.rules.joins import Joined
from promptql.rules.probe import CannotRunError, Probe
from promptql.rules.sketch import Item, Sketch


def named(asked: Asked, sketch: Sketch, view: View, joined: Joined | None) -> Sketch:
    """The sketch with what the answer's keys refer to called by its name; as it is where keys are asked for."""
    if joined is None or sketch.combine is not None or sketch.shift or KEY_WORDS.intersection(asked.words):
        return sketch
    labels = {item.column: _label(item, view, joined) for item in sketch.select}
    found = {column: label for column, label in labels.items() if label is not None}
    if not found:
        return sketch
    select = tuple(Item(found.get(item.column, item.column)) if not item.fn else item for item in sketch.select)
    group = (*sketch.group, *(label for column, label in found.items() if column in sketch.group))
    renamed = replace(sketch, select=tuple(dict.fromkeys(select)), group=group)
    try:
        return renamed if Probe(view, joined).run(renamed) else sketch
    except CannotRunError:
        return sketch


def _label(item: Item, view: View, joined: Joined) -> int | None:
    """The column that names what a key refers to; None where it refers to nothing, or in more ways than one."""
    if item.fn or item.column < 0:
        return None
    column = view.columns[item.column]
    ways = [edge for edge in joined.edges.get(column.table, ()) if edge[1] == item.column]
    targets = [(table, key) for table, _, key in ways if view.columns[key].distinct_share == 1.0]
    if len(targets) != 1 or column.distinct_share == 1.0:
        return None
    table, key = targets[0]
    if sum(other == table for other, _, _ in joined.edges.get(column.table, ())) > 1:
        return None
    names = [number for number in label_columns(view, table) if number != key and view.columns[number].kind == "text"]
    return names[0] if names else None
