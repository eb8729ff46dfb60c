"""Questions over artists, albums, tracks and invoices, where one name stands in several collections."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import lumaai
from promptql.answer import Band

ARTISTS = ["Ada Moon", "The Pines", "Kestrel"]
# artist, title; an album is called like its artist
ALBUMS = [(0, "Ada Moon"), (0, "Low Tide"), (0, "Salt"), (1, "Needles"), (2, "Kestrel"), (2, "Feathers")]
# album, name, genre; a track is called like its artist, too
TRACKS = [
    (0, "Ada Moon", "folk"), (0, "Lantern", "folk"), (1, "Harbour", "folk"), (2, "Grain", "rock"),
    (3, "Bark", "rock"), (3, "Resin", "rock"), (4, "Glide", "jazz"), (5, "Moult", "jazz"),
]  # fmt: skip
CUSTOMERS = [("Vera", "Lund"), ("Tom", "Ash")]
# customer, day, tracks
INVOICES = [(0, "2022-05-01", [0, 2, 7]), (0, "2023-02-11", [3]), (1, "2022-09-30", [4, 5, 6])]


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The collections, related by numbers as exports have them."""
    path: Path = tmp_path_factory.mktemp("music")
    lines = [(invoice, track) for invoice, (_, _, tracks) in enumerate(INVOICES, 1) for track in tracks]
    rows: dict[str, list[dict[str, Any]]] = {
        "Artist": [{"ArtistId": i, "Name": n} for i, n in enumerate(ARTISTS, 1)],
        "Album": [{"AlbumId": i, "Title": t, "ArtistId": a + 1} for i, (a, t) in enumerate(ALBUMS, 1)],
        "Track": [{"TrackId": i, "Name": n, "AlbumId": a + 1, "Genre": g} for i, (a, n, g) in enumerate(TRACKS, 1)],
        "Customer": [{"CustomerId": i, "FirstName": f, "LastName": n} for i, (f, n) in enumerate(CUSTOMERS, 1)],
        "Invoice": [
            {"InvoiceId": i, "CustomerId": c + 1, "InvoiceDate": d, "Total": float(len(t))}
            for i, (c, d, t) in enumerate(INVOICES, 1)
        ],
        "InvoiceLine": [
            {"InvoiceLineId": i, "InvoiceId": v, "TrackId": t + 1, "Quantity": 1} for i, (v, t) in enumerate(lines, 1)
        ],
    }
    with lumaai.connect(path) as db:
        for name, documents in rows.items():
            collection = db.create_collection(name, embed={})
            collection.add([{"id": f"{name}-{number}", **row} for number, row in enumerate(documents)])
        yield db


@pytest.mark.parametrize("question", ["How many albums does Ada Moon have?", "number of albums by Ada Moon"])
def test_an_artist_has_albums_not_the_album_of_that_name(music: Any, question: str) -> None:
    """The join goes from albums to their artist, the one key that leads there."""
    answer = music.ask(question)
    assert answer.values == (3,)
    assert answer.band is Band.ANSWER
    scanned = {step["collection"] for step in answer.plan["steps"] if step["op"] == "scan"}
    assert scanned == {"Album", "Artist"}


def test_albums_of_an_artist_are_listed(music: Any) -> None:
    """By their titles."""
    assert set(music.ask("albums by Ada Moon").values) == {"Ada Moon", "Low Tide", "Salt"}


def test_of_two_owners_the_further_is_meant_and_that_is_said(music: Any) -> None:
    """Tracks are of an album and of its artist; where both have the name, the artist is assumed."""
    answer = music.ask("How many tracks does Kestrel have?")
    assert answer.values == (2,)
    assert answer.band is Band.ASSUMPTIONS
    assert any("Album" in item.text for item in answer.assumptions)


def test_times_of_another_collection_do_not_make_one_reading_sure(music: Any) -> None:
    """Invoices have dates; a question of tracks and artists is read over their joins all the same."""
    assert music.ask("Which artist has the most albums?").values == ("Ada Moon",)
    assert music.ask("Top 2 artists by number of tracks").values == (("Ada Moon", 4), ("The Pines", 2))


def test_both_parts_of_a_name_are_shown(music: Any) -> None:
    """Customers have a first and a last name."""
    assert music.ask("Top 1 customers by total spending").values == (("Vera", "Lund", 4.0),)
    assert music.ask("Top 1 customers by total spending in 2023").values == (("Vera", "Lund", 1.0),)


def test_sold_reaches_over_the_lines_of_invoices(music: Any) -> None:
    """A year is that of the invoices, though a number of a line may be the same."""
    assert set(music.ask("Which tracks were sold in 2023?").values) == {"Grain"}
    assert music.ask("How many tracks were sold in 2022?").values == (6,)


def test_shares_and_comparisons_reach_over_joins(music: Any) -> None:
    """Parts are counted over the same joins."""
    assert music.ask("What share of tracks are rock?").values == (37.5,)
    compared = music.ask("Compare Ada Moon and The Pines by number of albums").values
    assert compared == (("Ada Moon", 3), ("The Pines", 1))
