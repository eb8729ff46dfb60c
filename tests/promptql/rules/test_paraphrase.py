"""Words that mean what the data calls otherwise, with the real embedding model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import lumaai
from lumaai.database import Database
from promptql.catalog import Catalog, read_catalog
from promptql.meanings import Meanings
from promptql.rules.paraphrase import LIKENESS_MIN, paraphrases

STAFF = [
    {
        "id": f"e{n}",
        "salary": 30_000 + 1_000 * n,
        "city": ["Lyon", "Turin"][n % 2],
        "department": ["sales", "research", "support"][n % 3],
    }
    for n in range(30)
]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    with lumaai.connect(tmp_path_factory.mktemp("staff")) as database:
        assert isinstance(database, Database)
        database.create_collection("employees", embed={}).add(STAFF)
        yield database


@pytest.fixture(scope="module")
def catalog(database: Database) -> Catalog:
    return read_catalog(database._native.snapshot())


@pytest.fixture(scope="module")
def meanings(database: Database) -> Meanings:
    return Meanings(database._words_embedder)


def test_likeness_is_a_matrix_of_cosines(meanings: Meanings) -> None:
    """(words, names); a word is like itself; the second time nothing is embedded."""
    found = meanings.likeness(["town", "wage"], ["city", "salary", "town"])
    assert found.shape == (2, 3)
    assert found[0, 2] == pytest.approx(1.0, abs=1e-3)
    assert found[0, 0] > found[0, 1]
    assert found[1, 1] > found[1, 0]


@pytest.mark.parametrize(
    ("question", "said", "name"),
    [
        ("average wage per town", "town", "city"),
        ("What is the highest wage?", "wage", "salary"),
        ("How many employees in each division?", None, None),  # 0.38: too far
        ("How many employees are there?", None, None),  # all is understood
        ("How many elephants are there?", None, None),
    ],
)
def test_a_word_without_a_name_is_compared_with_names(
    catalog: Catalog, meanings: Meanings, question: str, said: str | None, name: str | None
) -> None:
    """The nearest name, where it is near and no other is nearly as near."""
    found = {item.said: item for item in paraphrases(question, catalog, meanings)}
    if said is None:
        assert not found
    else:
        assert found[said].name == name
        assert found[said].likeness >= LIKENESS_MIN


def test_questions_are_answered_with_the_datas_words(database: Database) -> None:
    """The figure is right, and the answer says what was taken for what."""
    answer = database.ask("average wage in each town")
    wages: dict[str, list[int]] = {"Lyon": [], "Turin": []}
    for item in STAFF:
        wages[str(item["city"])].append(int(str(item["salary"])))
    expected = {city: sum(each) / len(each) for city, each in wages.items()}
    figures: dict[Any, Any] = dict(answer.values)
    assert figures == pytest.approx(expected)
    assert answer.band == "answer_with_assumptions"
    said = [item.text for item in answer.assumptions]
    assert "'town' = city, the nearest in meaning" in said
    assert answer.plan["question"] == "average wage in each town"


def test_what_the_data_does_not_say_is_told(database: Database) -> None:
    """A figure of something else is given with little confidence, and says which word it leaves out."""
    answer = database.ask("How many elephants are there?")
    assert answer.confidence < 0.5
    assert answer.band == "answer_with_assumptions"
    assert "“elephants”" in answer.text
