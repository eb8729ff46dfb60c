"""Small collections of five domains: boats, members and loaves as tables, recipes with text, animals with keepers."""

from __future__ import annotations

from typing import Any

# name, harbour, kind, crew, price, built
BOATS = [
    ("Heron", "Brest", "ketch", 4, 90, 1998),
    ("Kestrel", "Brest", "sloop", 2, 40, 2005),
    ("Osprey", "Brest", "sloop", 3, 55, 2011),
    ("Gannet", "Cork", "ketch", 5, 120, 1987),
    ("Puffin", "Cork", "sloop", 2, 35, 2005),
    ("Petrel", "Turku", "cutter", 6, 150, 2018),
    ("Curlew", "Turku", "ketch", 4, 110, 1987),
    ("Plover", "Turku", "sloop", 1, 20, 2020),
]
# name, club, age, fee
MEMBERS = [
    ("Ada", "chess", 25, 30),
    ("Bo", "chess", 31, 30),
    ("Cleo", "rowing", 40, 80),
    ("Dirk", "rowing", 18, 50),
    ("Elin", "rowing", 31, 80),
    ("Finn", "choir", 62, 20),
    ("Gro", "choir", 30, 25),
]
# name, cuisine, ingredients, minutes
RECIPES = [
    ("Ribollita", "Tuscan", 11, 90),
    ("Panzanella", "Tuscan", 7, 20),
    ("Menemen", "Turkish", 6, 25),
    ("Lahmacun", "Turkish", 9, 60),
    ("Ayran", "Turkish", 3, 5),
    ("Borscht", "Ukrainian", 12, 120),
    ("Varenyky", "Ukrainian", 5, 75),
]
KEEPERS = [("k1", "Ines", "aviary"), ("k2", "Jon", "savanna"), ("k3", "Kaja", "forest")]
# name, species, keeper, weight, age
ANIMALS = [
    ("Bruno", "bear", "k3", 310, 12),
    ("Misha", "bear", "k3", 280, 7),
    ("Leo", "lion", "k2", 190, 9),
    ("Nala", "lion", "k2", 130, 6),
    ("Shere", "tiger", "k2", 220, 11),
    ("Polly", "parrot", "k1", 1, 30),
]
# bread, branch, price, quantity, sold on
LOAVES = [
    ("rye", "Nord", 4.2, 12, "2024-01-05"),
    ("spelt", "Nord", 5.1, 8, "2024-02-11"),
    ("rye", "Sud", 4.0, 20, "2024-02-20"),
    ("brioche", "Sud", 6.5, 5, "2024-03-01"),
    ("brioche", "West", 6.9, 9, "2024-03-15"),
    ("rye", "West", 4.4, 7, "2025-01-09"),
    ("spelt", "West", 5.6, 11, "2025-02-02"),
]


def fill_boats(db: Any) -> None:
    """One collection of names and numbers."""
    fields = ("name", "harbour", "kind", "crew", "price", "built")
    _fill(db, "boats", fields, BOATS)


def fill_members(db: Any) -> None:
    """One collection of people, their clubs and ages."""
    _fill(db, "members", ("name", "club", "age", "fee"), MEMBERS)


def fill_recipes(db: Any) -> None:
    """One collection with a text that can be searched, so that the words decide how questions are read."""
    schema = {
        "name": "keyword",
        "cuisine": "keyword",
        "ingredients": "integer",
        "minutes": "integer",
        "text": "text",
    }
    texts = [{"text": f"{row[0]} is a {row[1]} dish. Stir it slowly."} for row in RECIPES]
    rows = [dict(zip(("name", "cuisine", "ingredients", "minutes"), row, strict=True)) for row in RECIPES]
    made = db.create_collection("recipes", schema)
    made.add([{"id": f"r{n}", **row, **text} for n, (row, text) in enumerate(zip(rows, texts, strict=True), 1)])


def fill_animals(db: Any) -> None:
    """Two collections, one of which refers to the other."""
    db.create_collection("keepers", embed={}).add([{"id": i, "name": n, "house": h} for i, n, h in KEEPERS])
    _fill(db, "animals", ("name", "species", "keeper_id", "weight", "age"), ANIMALS)


def fill_loaves(db: Any) -> None:
    """One collection of sales with their days; they have no names, and are called l1 to l7."""
    _fill(db, "loaves", ("bread", "branch", "price", "quantity", "sold_on"), LOAVES)


FILLED = {
    "boats": fill_boats,
    "members": fill_members,
    "loaves": fill_loaves,
    "recipes": fill_recipes,
    "animals": fill_animals,
}


def _fill(db: Any, name: str, fields: tuple[str, ...], rows: list[Any]) -> None:
    documents = [{"id": f"{name[0]}{n}", **dict(zip(fields, row, strict=True))} for n, row in enumerate(rows, 1)]
    db.create_collection(name, embed={}).add(documents)
