"""Which of many collections a question may be about."""

from __future__ import annotations

from promptql.rules.relevance import COLLECTIONS_READ, nearest_collections, relevances
from tests.promptql.llm.test_request import wide_catalog


def test_names_fields_and_values_speak_for_a_collection() -> None:
    """Whole names count more than parts; a value is found as a whole phrase, in any case."""
    found = relevances("How many tickets_4 with the status of Value 46 C?", wide_catalog())
    best = max(found, key=lambda name: found[name].weight)
    assert best == "tickets_4"
    assert set(found[best].fields) == {"status_46"}
    assert found[best].values["region_46"] == ["value 46 c"]
    assert 0 < found["tickets_3"].weight < found[best].weight


def test_few_of_many_are_read_word_by_word() -> None:
    """Those that the question has most to do with; all where they are few, in their order."""
    catalog = wide_catalog()
    chosen = nearest_collections("the highest amount_46 of tickets_4", catalog)
    assert len(chosen.collections) == COLLECTIONS_READ
    assert next(iter(chosen.collections)) == "tickets_4"
    assert nearest_collections("what", chosen) is chosen
