"""What a caller may do: verbs on collections. Everything that asks "may they?" asks here."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from lumaai.errors import ErrorDetail, ForbiddenError, InvalidRequestError

if TYPE_CHECKING:
    from lumaai.rates import Meter

ALL = "*"
PATTERNS_MAX = 256
_PATTERN_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-")
_PATTERN_CHARACTERS_MAX = 128
# What is remembered of names that were asked about, a caller; callers may make names up.
_NAMES_KNOWN_MAX = 1024


class Verb(StrEnum):
    """What is done. ADMIN includes the others."""

    READ = "read"
    WRITE = "write"
    ASK = "ask"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Grant:
    """Verbs on collections: names, or beginnings of names with a "*" behind."""

    verbs: frozenset[Verb]
    collections: tuple[str, ...]

    @classmethod
    def of(cls, verbs: Iterable[str], collections: Iterable[str]) -> Grant:
        """A grant from words.

        Raises:
            InvalidRequestError: there are none, or some that mean nothing; it names the place.
        """
        return cls(frozenset(_verbs(verbs)), tuple(dict.fromkeys(_patterns(collections))))

    @property
    def covers_all(self) -> bool:
        """Whether it reaches every collection, those to come included."""
        return ALL in self.collections

    def allows(self, verb: Verb) -> bool:
        """Whether it has the verb."""
        return verb in self.verbs or Verb.ADMIN in self.verbs

    def covers(self, collection: str) -> bool:
        """Whether it reaches a collection. What is noted of a collection's files goes with the collection."""
        return any(_matches(pattern, collection) for pattern in self.collections)


@dataclass(eq=False, slots=True)
class Caller:
    """Who sends a request.

    Attributes:
        id: for logs: how they were known, and a name that is no secret.
        grants: what they may do.
        everything: they may do everything, as where no key is needed.
        meter: counts their requests, where they are bounded.
    """

    id: str
    grants: tuple[Grant, ...] = ()
    everything: bool = False
    meter: Meter | None = None
    _known: dict[tuple[Verb, str], bool] = field(default_factory=dict, repr=False)

    def may(self, verb: Verb, collection: str) -> bool:
        """Whether they may do that to that collection, which need not exist."""
        if self.everything:
            return True
        found = self._known.get((verb, collection))
        if found is None:
            found = any(grant.allows(verb) and grant.covers(collection) for grant in self.grants)
            if len(self._known) < _NAMES_KNOWN_MAX and len(collection) <= _PATTERN_CHARACTERS_MAX:
                self._known[verb, collection] = found
        return found

    def may_somewhere(self, verb: Verb) -> bool:
        """Whether they may do that to any collection at all."""
        return self.everything or any(grant.allows(verb) for grant in self.grants)

    def may_everywhere(self, verb: Verb) -> bool:
        """Whether they may do that to all collections, and so to the database as a whole."""
        return self.everything or any(grant.allows(verb) and grant.covers_all for grant in self.grants)

    def check(self, verb: Verb, collection: str, said: str | None = None) -> None:
        """Refuse what they may not do; whether there is such a collection makes no difference.

        Args:
            verb: what they would do.
            collection: to what.
            said: what they called it, where that is an alias: to what it leads is told to nobody who may not.

        Raises:
            ForbiddenError: code "collection_not_allowed", or "verb_not_allowed" where no collection would do.
        """
        if not self.may(verb, collection):
            self.check_somewhere(verb)
            raise ForbiddenError(
                f"the key does not allow to {verb} collection {(said or collection)!r:.140}",
                code="collection_not_allowed",
            )

    def check_somewhere(self, verb: Verb) -> None:
        """Refuse a verb that they have for no collection.

        Raises:
            ForbiddenError: code "verb_not_allowed".
        """
        if not self.may_somewhere(verb):
            raise ForbiddenError(f"the key does not allow to {verb}", code="verb_not_allowed")

    def check_everywhere(self, verb: Verb) -> None:
        """Refuse what concerns the database as a whole to those whose reach has bounds.

        Raises:
            ForbiddenError: code "verb_not_allowed" or "collection_not_allowed".
        """
        if not self.may_everywhere(verb):
            self.check_somewhere(verb)
            raise ForbiddenError(
                f"this concerns the database as a whole: it takes a key for {verb} on all collections (*)",
                code="collection_not_allowed",
            )


# Where no key is needed, and where one is and was not asked for.
ANYBODY = Caller("anybody", everything=True)
NOBODY = Caller("nobody")


def _matches(pattern: str, collection: str) -> bool:
    from lumaai.ingestion.manifest import manifest_name  # a client needs none of what comes with it

    if pattern.endswith(ALL):
        beginning = pattern[:-1]
        return collection.startswith(beginning) or (bool(beginning) and collection.startswith(manifest_name(beginning)))
    return collection in (pattern, manifest_name(pattern))


def _verbs(given: Iterable[str]) -> list[Verb]:
    known = [verb.value for verb in Verb]
    words = _words("verbs", given)
    for place, word in enumerate(words):
        if word not in known:
            raise _refused(f"/verbs/{place}", f"verbs are {', '.join(known)}: got={word!r:.40}")
    return [Verb(word) for word in words]


def _patterns(given: Iterable[str]) -> Sequence[str]:
    patterns = _words("collections", given)
    for place, pattern in enumerate(patterns):
        name = pattern.removesuffix(ALL)
        if len(pattern) > _PATTERN_CHARACTERS_MAX or not _PATTERN_CHARACTERS.issuperset(name) or not pattern:
            message = f"collections are names, or beginnings of names with a * behind: got={pattern!r:.140}"
            raise _refused(f"/collections/{place}", message)
    return patterns


def _words(name: str, given: object) -> Sequence[str]:
    if isinstance(given, str) or not isinstance(given, Collection) or not all(isinstance(each, str) for each in given):
        raise _refused(f"/{name}", f"{name} must be a list of strings")
    if not 1 <= len(given) <= PATTERNS_MAX:
        raise _refused(f"/{name}", f"{name} must be 1 to {PATTERNS_MAX}: got={len(given)}")
    return list(given)


def _refused(pointer: str, message: str) -> InvalidRequestError:
    return InvalidRequestError(message, code="invalid_value", errors=[ErrorDetail(pointer, "invalid_value", message)])
