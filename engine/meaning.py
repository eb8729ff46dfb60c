"""What a collection or a field is about, in its user's words. The engine only keeps it, for who answers questions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from engine.errors import SchemaError

JSON = Any  # None | bool | int | float | str | list[JSON] | dict[str, JSON]

DESCRIPTION_CHARACTERS_MAX = 2_000
SYNONYMS_MAX = 32
SYNONYM_CHARACTERS_MAX = 128
KEYS = frozenset({"description", "synonyms"})
FIELD_KEYS = KEYS | {"references"}


@dataclass(frozen=True, slots=True)
class Reference:
    """A field whose values are those of `field` of another collection."""

    collection: str
    field: str = "id"


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a collection or a field is about.

    Attributes:
        description: up to 2,000 characters.
        synonyms: other words for it, at most 32.
        references: of a field, where its values lead.
    """

    description: str | None = None
    synonyms: tuple[str, ...] = ()
    references: Reference | None = None

    def __bool__(self) -> bool:
        """Whether it says anything."""
        return bool(self.description or self.synonyms or self.references)

    def changed(self, spec: Mapping[str, JSON], pointer: str) -> Meaning:
        """This with what `spec` says; null takes away.

        Raises:
            SchemaError: naming the place by JSON Pointer.
        """
        changed = self
        if "description" in spec:
            changed = replace(changed, description=_description(spec["description"], f"{pointer}/description"))
        if "synonyms" in spec:
            changed = replace(changed, synonyms=_synonyms(spec["synonyms"], f"{pointer}/synonyms"))
        if "references" in spec:
            changed = replace(changed, references=_reference(spec["references"], f"{pointer}/references"))
        return changed

    def to_json(self) -> dict[str, JSON]:
        """What there is to say, as it stands in a schema's JSON."""
        said: dict[str, JSON] = {}
        if self.description:
            said["description"] = self.description
        if self.synonyms:
            said["synonyms"] = list(self.synonyms)
        if self.references is not None:
            said["references"] = {"collection": self.references.collection, "field": self.references.field}
        return said


def _description(given: JSON, pointer: str) -> str | None:
    if given is None:
        return None
    return _text(given, DESCRIPTION_CHARACTERS_MAX, pointer, "description").strip() or None


def _synonyms(given: JSON, pointer: str) -> tuple[str, ...]:
    if given is None:
        return ()
    if not isinstance(given, list | tuple) or len(given) > SYNONYMS_MAX:
        raise SchemaError(f"synonyms must be a list of at most {SYNONYMS_MAX} texts", pointer=pointer)
    texts = [_text(item, SYNONYM_CHARACTERS_MAX, f"{pointer}/{i}", "a synonym").strip() for i, item in enumerate(given)]
    for index, text in enumerate(texts):
        if not text:
            raise SchemaError("a synonym must not be empty", pointer=f"{pointer}/{index}")
    return tuple(dict.fromkeys(texts))


def _reference(given: JSON, pointer: str) -> Reference | None:
    """`"directors"` for their ids, or `{"collection": "directors", "field": "name"}`."""
    if given is None:
        return None
    if isinstance(given, str):
        given = {"collection": given}
    if not isinstance(given, Mapping) or not {"collection"} <= set(given) <= {"collection", "field"}:
        raise SchemaError("references must be a collection, or its name and a field", pointer=pointer)
    names = [
        _text(given.get(key, "id"), 256, f"{pointer}/{key}", f"references' {key}") for key in ("collection", "field")
    ]
    if not all(names):
        raise SchemaError("references must name a collection and a field", pointer=pointer)
    return Reference(*names)


def _text(given: JSON, characters_max: int, pointer: str, what: str) -> str:
    if not isinstance(given, str) or len(given) > characters_max:
        raise SchemaError(f"{what} must be text of at most {characters_max} characters", pointer=pointer)
    try:
        given.encode()
    except UnicodeEncodeError as error:
        raise SchemaError(f"{what} is not valid Unicode", pointer=pointer) from error
    return given
