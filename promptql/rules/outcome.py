"""What speaks for a whole reading: how much of the question it explains, and what it gives."""

from __future__ import annotations

from promptql.rules.asked import Asked
from promptql.rules.columns import View, key_of, text_of
from promptql.rules.cues import COUNTING
from promptql.rules.draft import Draft
from promptql.rules.probe import Probe
from promptql.rules.quantities import date_in, number_in

Features = list[tuple[str, float]]


def overall_features(asked: Asked, draft: Draft) -> Features:
    """Words left over, words used twice."""
    union, total, values = 0, 0, 0
    for part in draft.parts:
        total += part.mask.bit_count()
        union |= part.mask
        values |= part.value
    wanted = draft.wanted
    mask = union | draft.mask
    draft.mask = mask
    left = asked.content & ~mask
    features: Features = [("g:uncovered", float(left.bit_count())), ("g:overlap", float(total - union.bit_count()))]
    if not left:
        features.append(("g:allcovered", 1.0))
    if left & asked.capital:
        features.append(("g:capital", float((left & asked.capital).bit_count())))
    numbers = sum(not mask >> number.start & 1 for number in asked.numbers if not number.spelled)
    if numbers:
        features.append(("g:number", float(numbers)))
    if left & asked.quoted:
        features.append(("g:quoted", 1.0))
    conditions = sum(bool(part.value) for part in draft.parts)
    features.append((f"g:conditions:{min(conditions, 4)}", 1.0))
    if wanted is not None:
        if wanted.mask & values:
            features.append(("g:wanted:value", 1.0))
        for part in draft.parts:
            if part.value and part.column == wanted.column:
                features.append(("g:wanted:compared", 1.0))
            elif part.value and part.head & wanted.head:
                features.append(("g:wanted:stolen", 1.0))
    return features


def unheard(asked: Asked, mask: int) -> bool:
    """Whether a name, a quotation or a number of the question was not made anything of: it may be about that."""
    left = ~mask
    numbers = any(not mask >> number.start & 1 for number in asked.numbers if not number.spelled)
    return numbers or bool(left & asked.content & (asked.capital | asked.quoted))


def result_features(asked: Asked, view: View, draft: Draft, answer: list[tuple[object, ...]], probe: Probe) -> Features:
    """How many values of which kind there are, and whether the question already holds them."""
    if not answer:
        return [("d:empty", 1.0)]
    first = answer[0][0]
    size = len(answer)
    kind = kind_of(first)
    features: Features = [(f"d:kind:{asked.asks}:{kind}", 1.0)]
    if draft.name == "value" and draft.wanted is not None and draft.wanted.mention is not None:
        features += [(f"d:number:{cue}:{kind}", 1.0) for cue in COUNTING if cue in asked.cues]
    if size > 1:
        plural = 0 <= asked.head < len(asked.words) and asked.words[asked.head].endswith("s")
        features.append((f"d:{'few' if size <= 4 else 'many'}:{'plural' if plural else 'singular'}", 1.0))
        if len({row[0] for row in answer}) == 1:
            features.append(("d:same", 1.0))
    elif first == 0:
        features.append(("d:zero", 1.0))
    elif first == 1 and draft.name == "count":
        features.append(("d:onecounted", 1.0))
    text = text_of(first)
    if not text:
        features.append(("d:missing", 1.0))
    elif size <= 2 and kind == "text" and f" {key_of(text)} " in f" {' '.join(asked.words)} ":
        features.append((f"d:echo:{'or' if 'or' in asked.cues else 'none'}", 1.0))
    if draft.figure and probe.rows_seen == 1:
        features.append((f"d:figureofone:{draft.name}", 1.0))
    if draft.figure and probe.rows_seen == view.rows[0]:
        features.append((f"d:figureofall:{draft.name}", 1.0))
    return features


def kind_of(value: object) -> str:
    """What a value is: number, date, text or missing."""
    if value is None or value == "":
        return "missing"
    if isinstance(value, (int, float)):
        return "number"
    if date_in(str(value)) is not None:
        return "date"
    number = number_in(str(value))
    return "number" if number is not None and number[1] else "text"
