"""Small collections of several kinds, as people have them: with and without prose that is searched by meaning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Documents = list[dict[str, Any]]

_NOTE = "Written down by hand on a rainy afternoon and later copied into a thick green ledger, for"


def _table(names: str, *rows: Sequence[Any]) -> Documents:
    return [dict(zip(names.split(), row, strict=True)) for row in rows]


TIMESHEETS = _table(
    "id employee project hours day billable",
    ("t1", "Ana", "Apollo", 3.5, "2026-01-05", True),
    ("t2", "Ana", "Zephyr", 2.0, "2026-01-06", False),
    ("t3", "Bob", "Apollo", 8.0, "2026-01-05", True),
    ("t4", "Bob", "Zephyr", 4.0, "2026-01-07", True),
    ("t5", "Cleo", "Apollo", 6.0, "2026-02-02", True),
    ("t6", "Ana", "Apollo", 1.5, "2026-02-03", True),
)
AUTHORS = _table("id name born", ("a1", "Mira Holt", 1929), ("a2", "Otto Brandt", 1921), ("a3", "Ines Vega", 1970))
BOOKS = _table(
    "id title author_id year pages price",
    ("b1", "Low Water", "a1", 1974, 387, 12.5),
    ("b2", "The Glass Orchard", "a1", 1968, 205, 9.0),
    ("b3", "Northern Line", "a2", 1961, 204, 7.5),
    ("b4", "Salt Maps", "a3", 2001, 310, 15.0),
)
MEMBERS = _table("id name age", ("m1", "Lea", 31), ("m2", "Max", 44), ("m3", "Ola", 19))
LOANS = _table(
    "id book_id member_id loaned",
    ("l1", "b1", "m1", "2026-01-05"),
    ("l2", "b3", "m1", "2026-02-07"),
    ("l3", "b3", "m2", "2026-02-09"),
)
PRODUCTS = _table(
    "id name category cost weight_kg stock supplier",
    ("p1", "Desk Lamp", "Lighting", 35.0, 1.2, 14, "Brill"),
    ("p2", "Floor Lamp", "Lighting", 80.0, 4.5, 3, "Brill"),
    ("p3", "Oak Table", "Furniture", 240.0, 28.0, 2, "Holm"),
    ("p4", "Office Chair", "Furniture", 120.0, 11.0, 7, "Holm"),
    ("p5", "Wool Rug", "Textiles", 95.0, 6.0, 0, "Nord"),
    ("p6", "Wall Clock", "Decor", 25.0, 0.9, 20, "Brill"),
)
FLIGHTS = _table(
    "id flight airline origin destination delay_minutes seats empty_seats",
    ("f1", "ZE101", "Zeta", "Oslo", "Rome", 0, 180, 12),
    ("f2", "ZE102", "Zeta", "Rome", "Oslo", 45, 180, 30),
    ("f3", "ZE103", "Zeta", "Oslo", "Paris", 20, 150, 0),
    ("f4", "KA7", "Kappa", "Paris", "Rome", 0, 120, 5),
    ("f5", "KA8", "Kappa", "Rome", "Paris", 95, 120, 60),
    ("f6", "KA9", "Kappa", "Oslo", "Rome", 31, 200, 44),
)
CITIES = _table(
    "name country population area_km2",
    ("Arlen", "Freeland", 120_000, 45.0),
    ("Bexley", "Freeland", 310_000, 98.5),
    ("Corto", "Marina", 95_000, 22.0),
    ("Delft", "Marina", 640_000, 210.0),
)
SONGS = _table(
    "id title artist seconds plays",
    ("s1", "Blue Rain", "The Ferns", 215, 900),
    ("s2", "Long Road", "The Ferns", 340, 400),
    ("s3", "Neon", "Kato", 180, 2500),
    ("s4", "Dust", "Kato", 95, 120),
)
EMPLOYEES = _table(
    "id name department salary hired manager",
    ("e1", "Ann Ray", "Sales", 42_000, "2019-05-01", "Zed Poe"),
    ("e2", "Bo Lee", "Sales", 51_000, "2015-02-01", "Zed Poe"),
    ("e3", "Cy Dow", "Tech", 67_000, "2021-09-01", "Yan Fu"),
    ("e4", "Di Fox", "Tech", 39_000, "2023-03-01", "Yan Fu"),
)
STATIONS = _table(
    "id name country altitude_m",
    ("s1", "Alto", "Peru", 3200),
    ("s2", "Baja", "Mexico", 15),
    ("s3", "Cima", "Peru", 4100),
)
READINGS = _table(
    "id station_id day rain_mm",
    ("r1", "s1", "2026-01-01", 0.0),
    ("r2", "s1", "2026-01-02", 14.5),
    ("r3", "s2", "2026-01-01", 2.0),
    ("r4", "s3", "2026-01-02", 0.0),
)
PARCELS = _table(
    "id carrier destination weight_g overdue_days",
    ("p1", "Swift", "Bonn", 450, 0),
    ("p2", "Swift", "Ulm", 2500, 14),
    ("p3", "Tardo", "Bonn", 900, 3),
    ("p4", "Tardo", "Kiel", 120, 0),
)
STAFF = _table("id name branch", ("s1", "Bob", "North"), ("s2", "Ana", "South"))

DATABASES: Mapping[str, Mapping[str, Documents]] = {
    "timesheets": {"timesheets": TIMESHEETS},
    "library": {"authors": AUTHORS, "books": BOOKS, "members": MEMBERS, "loans": LOANS},
    "shop": {"products": PRODUCTS},
    "airport": {"flights": FLIGHTS},
    "atlas": {"cities": CITIES},
    "radio": {"songs": SONGS},
    "company": {"employees": EMPLOYEES},
    "weather": {"stations": STATIONS, "readings": READINGS},
    "depot": {"parcels": PARCELS},
    "office": {"staff": STAFF, "timesheets": TIMESHEETS},
}


def fill(db: Any, name: str, *, searched: bool) -> Any:
    """Put one of them into a database; with `searched`, each document has prose that is embedded."""
    for collection, documents in DATABASES[name].items():
        if searched:
            noted = [{**item, "note": f"{_NOTE} {collection} {number}."} for number, item in enumerate(documents)]
            db.create_collection(collection).add(noted)
        else:
            db.create_collection(collection, embed={}).add(documents)
    return db
