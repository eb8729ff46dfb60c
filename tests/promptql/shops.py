"""A shop's customers, products and orders: as three collections, and as one of sales."""

from __future__ import annotations

from typing import Any

CUSTOMERS = [
    ("c1", "Bob Stone", "France", "2022-03-01"),
    ("c2", "Ana Ruiz", "Spain", "2021-07-11"),
    ("c3", "Karl Maier", "Germany", "2023-01-20"),
    ("c4", "Lena Vogt", "Germany", "2024-11-05"),
    ("c5", "Marie Blanc", "France", "2020-05-17"),
    ("c6", "Ivo Kral", "France", "2024-02-02"),
    ("c7", "Ole Dahl", "Norway", "2023-09-09"),
    ("c8", "Pia Koch", "Germany", "2024-06-30"),
]
PRODUCTS = [
    ("p1", "Desk Lamp", "lighting", 40.0),
    ("p2", "Oak Table", "furniture", 480.0),
    ("p3", "Wool Rug", "textiles", 210.0),
    ("p4", "Floor Lamp", "lighting", 120.0),
    ("p5", "Bar Stool", "furniture", 85.0),
]
# customer, product, status, quantity, day
ORDERS = [
    ("c1", "p1", "shipped", 2, "2023-02-04"),
    ("c1", "p2", "shipped", 1, "2024-03-09"),
    ("c1", "p5", "cancelled", 4, "2024-07-19"),
    ("c2", "p3", "delivered", 1, "2024-01-12"),
    ("c2", "p1", "cancelled", 1, "2025-05-05"),
    ("c3", "p4", "shipped", 2, "2024-04-01"),
    ("c3", "p2", "delivered", 2, "2025-01-30"),
    ("c4", "p5", "pending", 2, "2025-02-14"),
    ("c5", "p3", "shipped", 3, "2023-11-11"),
    ("c7", "p2", "delivered", 3, "2024-10-10"),
    ("c8", "p1", "pending", 5, "2024-12-24"),
    ("c8", "p4", "cancelled", 1, "2025-03-03"),
]
COUNTRIES = {customer: country for customer, _, country, _ in CUSTOMERS}
PRICES = {product: price for product, _, _, price in PRODUCTS}


def total(customer: str, product: str, status: str, quantity: int, day: str) -> float:
    """What an order cost."""
    return quantity * PRICES[product]


def fill_shop(db: Any) -> None:
    """Customers, products and orders, which refer to them by id."""
    made = {name: db.create_collection(name, embed={}) for name in ("customers", "products", "orders")}
    made["customers"].add([{"id": i, "name": n, "country": c, "joined": j} for i, n, c, j in CUSTOMERS])
    made["products"].add([{"id": i, "name": n, "category": c, "price": p} for i, n, c, p in PRODUCTS])
    made["orders"].add(
        [
            {
                "id": f"o{number}",
                "customer_id": order[0],
                "product_id": order[1],
                "status": order[2],
                "quantity": order[3],
                "total": total(*order),
                "ordered_on": order[4],
            }
            for number, order in enumerate(ORDERS, 1)
        ]
    )


def fill_sales(db: Any) -> None:
    """The same orders as one collection that is called Sales-Data."""
    names = {i: (n, c) for i, n, c, _ in CUSTOMERS}
    products = {i: (n, c) for i, n, c, _ in PRODUCTS}
    db.create_collection("Sales-Data", embed={}).add(
        [
            {
                "id": f"o{number}",
                "customer": names[order[0]][0],
                "country": names[order[0]][1],
                "product": products[order[1]][0],
                "category": products[order[1]][1],
                "status": order[2],
                "quantity": order[3],
                "revenue": total(*order),
                "order_date": order[4],
            }
            for number, order in enumerate(ORDERS, 1)
        ]
    )
