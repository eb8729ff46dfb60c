from __future__ import annotations

from collections.abc import Callable

import pytest

from lumaai.access import ANYBODY, NOBODY, Caller, Grant, Verb
from lumaai.errors import ForbiddenError, InvalidRequestError


@pytest.mark.parametrize(
    ("pattern", "collection", "covered"),
    [
        ("films", "films", True),
        ("films", "films2", False),
        ("films", "Films", False),
        ("films", "film", False),
        ("films", "_files.films", True),
        ("films", "_files.films2", False),
        ("film*", "films", True),
        ("film*", "film", True),
        ("film*", "a-film", False),
        ("film*", "_files.films", True),
        ("*", "anything", True),
        ("*", "_files.anything", True),
        ("a.b", "a-b", False),
    ],
)
def test_patterns_are_names_or_beginnings(pattern: str, collection: str, *, covered: bool) -> None:
    """Exactly, and with what is noted of the collection's files; no other character than a last * is special."""
    assert Grant.of(["read"], [pattern]).covers(collection) is covered


def test_admin_includes_the_others_and_nothing_else_does() -> None:
    """WRITE is not READ."""
    for verb in Verb:
        grant = Grant.of([verb], ["*"])
        assert [grant.allows(other) for other in Verb] == [other is verb or verb is Verb.ADMIN for other in Verb]


def test_grants_do_not_mix() -> None:
    """To read one collection and write another is not to write the one; nor is it to do both to all."""
    caller = Caller("key:1", (Grant.of(["read"], ["a"]), Grant.of(["write"], ["b"])))
    assert caller.may(Verb.READ, "a")
    assert caller.may(Verb.WRITE, "b")
    assert not caller.may(Verb.WRITE, "a")
    assert not caller.may(Verb.READ, "b")
    assert not caller.may_everywhere(Verb.READ)
    assert not caller.may_somewhere(Verb.ASK)


def test_refusals_say_what_is_lacking() -> None:
    """The verb, or the collection."""
    caller = Caller("key:1", (Grant.of(["read"], ["a"]),))
    cases: tuple[tuple[Callable[[], None], str], ...] = (
        (lambda: caller.check(Verb.READ, "b"), "collection_not_allowed"),
        (lambda: caller.check(Verb.WRITE, "a"), "verb_not_allowed"),
        (lambda: caller.check_everywhere(Verb.READ), "collection_not_allowed"),
        (lambda: caller.check_somewhere(Verb.ASK), "verb_not_allowed"),
        (lambda: NOBODY.check_somewhere(Verb.READ), "verb_not_allowed"),
    )
    for refused, code in cases:
        with pytest.raises(ForbiddenError) as caught:
            refused()
        assert caught.value.code == code
    ANYBODY.check_everywhere(Verb.ADMIN)


def test_what_is_remembered_of_names_is_bounded() -> None:
    """Callers may make names up."""
    caller = Caller("key:1", (Grant.of(["read"], ["a*"]),))
    for i in range(5_000):
        assert caller.may(Verb.READ, f"a{i}")
        assert not caller.may(Verb.READ, f"b{i}" * 100)
    assert len(caller._known) <= 1_024


def test_more_patterns_than_anybody_needs_are_refused() -> None:
    """Each is compared with each name."""
    with pytest.raises(InvalidRequestError):
        Grant.of(["read"], [f"c{i}" for i in range(257)])
