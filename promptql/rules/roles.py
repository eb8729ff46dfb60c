"""Roles: of fields that hold the same values the one that a preposition means, as in "flights from Oslo to Rome"."""

from __future__ import annotations

from collections.abc import Sequence

from promptql.catalog import CollectionInfo, FieldInfo
from promptql.rules.words import Token, name_words

_FROM, _TO = "from", "to"
_NAMES = {
    _FROM: frozenset("origin source from start departure sender seller giver payer".split()),
    _TO: frozenset("destination target to end arrival receiver recipient buyer payee".split()),
}
_CUES = {
    "from": _FROM, "leaving": _FROM, "departing": _FROM, "left": _FROM,
    "to": _TO, "into": _TO, "towards": _TO, "toward": _TO, "reaching": _TO,
}  # fmt: skip
_COMMON_MIN = 0.5  # of the values of the smaller field that the other has as well


def role_of(field: FieldInfo) -> str | None:
    """Where the field's name says that things come from or go to."""
    words = set(name_words(field.name))
    return next((role for role, names in _NAMES.items() if words & names), None)


def role_before(tokens: Sequence[Token], start: int) -> str | None:
    """What the word before a value says of its role; an article may stand between."""
    place = start - 2 if start > 1 and tokens[start - 1].folded == "the" else start - 1
    return _CUES.get(tokens[place].folded) if place >= 0 else None


def fits_role(field: FieldInfo, tokens: Sequence[Token], start: int) -> int:
    """1 where the word before the value names the field's role, -1 where it names the other, 0 where nothing does."""
    said, own = role_before(tokens, start), role_of(field)
    if said is None or own is None:
        return 0
    return 1 if said == own else -1


def are_alike(one: FieldInfo, other: FieldInfo) -> bool:
    """Whether two fields hold the same kind of thing, so that a value alone does not tell which is meant."""
    ours, theirs = set(one.index), set(other.index)
    return bool(ours and theirs) and len(ours & theirs) >= _COMMON_MIN * min(len(ours), len(theirs))


def speaks_of_roles(tokens: Sequence[Token], collection: CollectionInfo) -> bool:
    """Whether a value in two fields alike follows a word that says which of them is meant."""
    fields = [field for field in collection.fields.values() if field.small and role_of(field) is not None]
    pairs = [(one, other) for one in fields for other in fields if role_of(one) != role_of(other)]
    alike = {field.name: field for one, other in pairs if are_alike(one, other) for field in (one, other)}
    return any(
        token.folded in _CUES and any(_begins(tokens, index + 1, field) for field in alike.values())
        for index, token in enumerate(tokens)
    )


def _begins(tokens: Sequence[Token], start: int, field: FieldInfo) -> bool:
    """Whether one of the field's values begins there."""
    texts = (" ".join(token.folded for token in tokens[start:end]) for end in range(start + 1, start + 4))
    return start < len(tokens) and any(text in field.index for text in texts)
