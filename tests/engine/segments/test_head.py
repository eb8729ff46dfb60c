"""engine.segments.head: the growing part."""

from __future__ import annotations

import numpy as np

from engine.document import Passage
from engine.schema import Field, FieldType, Metric, VectorField
from engine.segments.head import Head
from engine.vector.parameters import DEFAULT

NUMBER = Field(FieldType.INTEGER)
SPEC = VectorField(2, Metric.L2)


def add(head: Head, first: int, count: int) -> None:
    base = len(head)
    head.append(first, [b'{"id":"%d","n":%d}' % (i, i) for i in range(first, first + count)])
    vectors = np.array([[i, 0] for i in range(first, first + count)], np.float32)
    spans = [Passage("t", i, i + 1) if i % 2 else None for i in range(first, first + count)]
    numbers = np.arange(first, first + count)
    head.append_vectors("v", SPEC).append(numbers, vectors, base + np.arange(count), spans)


def test_a_view_stays_as_it_was_taken() -> None:
    """However much is added after: ordinals, columns, vectors and origins."""
    head = Head()
    add(head, 0, 3)
    view = head.view()
    for i in range(60):
        add(head, 3 + 2 * i, 2)
    assert view.ordinals.tolist() == [0, 1, 2]
    part = view.vector_part("v")
    assert part is not None
    assert part.vectors.tolist() == [[0, 0], [1, 0], [2, 0]]
    assert [part.origins.passage(i) for i in range(3)] == [None, Passage("t", 1, 2), None]
    assert view.column("n", NUMBER).to_pylist() == [0, 1, 2]


def test_columns_serve_views_of_any_size_in_any_order() -> None:
    """A later, smaller request gets its own length; chunks are joined on the way."""
    head = Head()
    views = []
    for i in range(50):
        add(head, i, 1)
        views.append(head.view())
        if i % 3:
            views[-1].column("n", NUMBER)
    for i in (49, 3, 20, 0):
        assert views[i].column("n", NUMBER).to_pylist() == list(range(i + 1))
        assert views[i].column("id", NUMBER).to_pylist() == [str(j) for j in range(i + 1)]
    assert Head().view().column("n", NUMBER).to_pylist() == []


def test_what_is_left_after_sealing_is_a_head_of_its_own() -> None:
    """The rest keeps ordinals, row numbers and passages, with places from 0; the old one stays for its views."""
    head = Head()
    add(head, 10, 5)
    view = head.view()
    rest = head.without_first(3)
    add(rest, 15, 1)
    assert rest.view().ordinals.tolist() == [13, 14, 15]
    part = rest.view().vector_part("v")
    assert part is not None
    assert part.origins.numbers.tolist() == [13, 14, 15]
    assert part.origins.documents.tolist() == [0, 1, 2]
    assert part.origins.passage(0) == Passage("t", 13, 14)
    assert rest.view().column("n", NUMBER).to_pylist() == [13, 14, 15]
    assert view.ordinals.tolist() == [10, 11, 12, 13, 14]
    assert len(head.without_first(5)) == 0
    assert head.without_first(0) is head


def test_views_search_exactly_and_under_a_mask() -> None:
    """Rows by number within the view."""
    head = Head()
    add(head, 0, 5)
    part = head.view().vector_part("v")
    assert part is not None
    allowed = np.array([True, False, False, True, True])
    scores, rows, how = part.search(
        np.array([[2.9, 0]], np.float32), 2, allowed=part.allowed(allowed), parameters=DEFAULT, threads=1
    )
    assert rows.tolist() == [[3, 4]]
    np.testing.assert_allclose(scores, [[-0.1, -1.1]], atol=1e-5)
    assert how == "head, exact"
    assert head.view().vector_part("w") is None
