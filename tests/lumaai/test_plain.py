"""Values of Python's that JSON lacks."""

from __future__ import annotations

import datetime as dt
import math
from typing import Any

import numpy as np

from lumaai.plain import plain_documents

MOMENT = dt.datetime(2024, 2, 29, 12, 30, tzinfo=dt.UTC)


def test_documents_without_any_stay_the_same_objects() -> None:
    """Arrays too, which are vectors; what is not finite is refused later."""
    document = {"id": "a", "vector": np.zeros(3), "nested": {"list": [1, [2.5, None]]}, "nan": math.nan}
    (found,) = plain_documents([document])
    assert found is document


def test_they_are_found_at_any_depth() -> None:
    """In objects and lists; the given document is left as it was."""
    document = {"id": "a", "times": [{"at": MOMENT}], "n": {"x": [np.int32(1), 2]}}
    (found,) = plain_documents([document])
    assert found == {"id": "a", "times": [{"at": "2024-02-29T12:30:00+00:00"}], "n": {"x": [1, 2]}}
    assert document["times"] == [{"at": MOMENT}]


def test_a_document_in_itself_is_left_to_be_refused() -> None:
    """Neither endless nor exponential."""
    own: list[Any] = [MOMENT]
    own += [own, own]
    (found,) = plain_documents([{"own": own}])
    assert found["own"] is own
