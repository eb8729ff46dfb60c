"""Scrolls: every document once, over one state, by cursors that cannot be forged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lumaai.collection import Collection
from lumaai.database import Database
from lumaai.errors import GoneError, InvalidRequestError
from lumaai.scroll import PIN_AGE_SECONDS_MAX, PIN_SECONDS_MAX, PINS_MAX, Cursors, Pin


def scrolled(collection: Collection, **options: Any) -> list[dict[str, Any]]:
    page = collection.scroll(**options)
    documents = list(page.documents)
    while page.next_cursor is not None:
        page = collection.scroll(cursor=page.next_cursor, limit=options.get("limit", 1000))
        documents += page.documents
    return documents


@pytest.mark.parametrize(("limit", "count"), [(1, 25), (7, 25), (25, 25), (1000, 25)])
def test_a_scroll_gives_every_document_once(db: Database, limit: Any, count: Any) -> None:
    """Whatever the size of the pages."""
    notes = db.create_collection("notes", embed={})
    notes.add([{"id": f"{i:02}", "even": i % 2 == 0} for i in range(count)])
    assert sorted(d["id"] for d in scrolled(notes, limit=limit)) == [f"{i:02}" for i in range(count)]
    assert len(scrolled(notes, limit=limit, filter={"even": True})) == 13


def test_a_scroll_shows_the_state_at_its_first_page(db: Database) -> None:
    """Writes and deletions meanwhile change nothing of it."""
    notes = db.create_collection("notes", embed={})
    notes.add([{"id": str(i), "n": i} for i in range(6)])
    page = notes.scroll(limit=2)
    notes.delete(ids=["3", "4"])
    notes.add([{"id": "5", "n": 50}, {"id": "6", "n": 6}])
    rest = notes.scroll(cursor=page.next_cursor, limit=10)
    assert [d["n"] for d in [*page.documents, *rest.documents]] == [0, 1, 2, 3, 4, 5]
    assert rest.next_cursor is None
    assert notes.scroll(cursor=page.next_cursor, limit=10) == rest


def test_an_order_holds_while_others_write(db: Database) -> None:
    """Each document once, in order, nulls last, ties as written, while documents come, change and go."""
    notes = db.create_collection("notes", embed={})
    notes.add([{"id": f"{i:03}", "n": i % 7 if i % 5 else None} for i in range(200)])
    expected = sorted((i for i in range(200) if i % 5), key=lambda i: -(i % 7)) + list(range(0, 200, 5))
    page = notes.scroll(order_by="n desc", limit=9)
    found = [document["id"] for document in page.documents]
    while page.next_cursor is not None:
        first = int(found[-1])
        notes.delete(ids=[f"{first:03}", f"{(first + 50) % 200:03}"])
        notes.add([{"id": f"{(first + 20) % 200:03}", "n": 6}, {"id": f"new {len(found)}", "n": 3}])
        notes.optimize()
        page = notes.scroll(cursor=page.next_cursor, limit=9)
        found += [document["id"] for document in page.documents]
    assert found == [f"{i:03}" for i in expected]


def test_a_cursor_ends_when_it_is_too_old(films: Collection) -> None:
    """However often it is used."""
    now = 0.0
    cursors = Cursors(lambda: now)
    snapshot = films._native.snapshot()
    cursor = cursors.start(Pin("films", None, snapshot, snapshot.ordinals()), 1)
    while now < PIN_AGE_SECONDS_MAX - PIN_SECONDS_MAX / 2:
        now += PIN_SECONDS_MAX / 2
        cursors.resume(cursor)
    now = PIN_AGE_SECONDS_MAX + 1
    with pytest.raises(GoneError, match="expired"):
        cursors.resume(cursor)


def test_a_cursor_that_was_changed_or_is_anothers_is_refused(films: Collection, db: Database) -> None:
    """Tampering, noise, another collection, another filter: code cursor_invalid."""
    cursor = films.scroll(limit=1).next_cursor
    assert cursor is not None
    number: Any = 7
    other = db.create_collection("other", embed={})
    swapped = cursor[:20] + ("A" if cursor[20] != "A" else "B") + cursor[21:]
    calls: list[Callable[[], object]] = [
        lambda: films.scroll(cursor=swapped),
        lambda: films.scroll(cursor="noise"),
        lambda: films.scroll(cursor="é"),
        lambda: films.scroll(cursor=""),
        lambda: films.scroll(cursor=number),
        lambda: other.scroll(cursor=cursor),
        lambda: films.scroll(cursor=cursor, filter={"year": 1979}),
    ]
    for call in calls:
        with pytest.raises(InvalidRequestError) as caught:
            call()
        assert caught.value.code == "cursor_invalid"
        assert [detail.pointer for detail in caught.value.errors] == ["/cursor"]


def test_a_cursor_of_another_process_is_gone(films: Collection) -> None:
    """A restart ends scrolls: 410, not "invalid"."""
    snapshot = films._native.snapshot()
    cursor = Cursors().start(Pin("films", None, snapshot, snapshot.ordinals()), 1)
    with pytest.raises(GoneError):
        films.scroll(cursor=cursor)


def test_scrolls_end_when_unused_or_crowded_out(films: Collection) -> None:
    """After five minutes without use, or when 64 others were used since; use keeps a cursor alive."""
    now = [0.0]
    cursors = Cursors(lambda: now[0])
    snapshot = films._native.snapshot()
    pin = Pin("films", None, snapshot, snapshot.ordinals())
    first = cursors.start(pin, 1)
    now[0] = PIN_SECONDS_MAX - 1
    assert cursors.resume(first)[1] == 1
    now[0] = 2 * PIN_SECONDS_MAX - 2
    assert cursors.resume(first)[0] is pin
    now[0] = 4 * PIN_SECONDS_MAX
    with pytest.raises(GoneError) as caught:
        cursors.resume(first)
    assert caught.value.status == 410
    oldest, *newer = [cursors.start(pin, 1) for _ in range(PINS_MAX + 1)]
    with pytest.raises(GoneError):
        cursors.resume(oldest)
    assert all(cursors.resume(cursor)[0] is pin for cursor in newer)


def test_nobody_crowds_out_the_scrolls_of_others(films: Collection) -> None:
    """Whoever has most loses their own, the one unused for longest."""
    cursors = Cursors()
    snapshot = films._native.snapshot()
    pin = Pin("films", None, snapshot, snapshot.ordinals())
    quiet = [cursors.start(pin, 1, "quiet") for _ in range(3)]
    loud = [cursors.start(pin, 1, "loud") for _ in range(2 * PINS_MAX)]
    assert all(cursors.resume(cursor)[0] is pin for cursor in quiet)
    kept = PINS_MAX - len(quiet)
    assert all(cursors.resume(cursor)[0] is pin for cursor in loud[-kept:])
    for cursor in loud[:-kept]:
        with pytest.raises(GoneError):
            cursors.resume(cursor)


def test_cursors_of_lists_are_signed() -> None:
    """Of one kind of list and one process; changed in any place, they are refused."""
    cursors = Cursors()
    cursor = cursors.after("collections", "Amélie")
    assert cursors.name_of("collections", cursor) == "Amélie"
    with pytest.raises(InvalidRequestError):
        cursors.name_of("keys", cursor)
    with pytest.raises(GoneError):
        Cursors().name_of("collections", cursor)
    for place in range(len(cursor)):
        changed = f"{cursor[:place]}{'A' if cursor[place] != 'A' else 'Q'}{cursor[place + 1 :]}"
        with pytest.raises((InvalidRequestError, GoneError)):
            cursors.name_of("collections", changed)
    for none_of_ours in ("", "a", "collections", 7, None):
        with pytest.raises((InvalidRequestError, GoneError)):
            cursors.name_of("collections", none_of_ours)
