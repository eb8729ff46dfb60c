"""What words name: columns, values in other forms, collections."""

from __future__ import annotations

from promptql.rules.entities import key_column, link_entities
from promptql.rules.links import link_values
from promptql.rules.nationalities import same_place
from tests.promptql.rules.library import column, library, reading


def values(question: str) -> set[tuple[int, str]]:
    """(column, key) of the whole cells that a question names."""
    read = reading(question)
    return {(link.column, link.key) for link in link_values(read.asked, read.view) if link.kind == "exact"}


def test_adjectives_and_plurals_find_the_cell() -> None:
    """French is France, novels are novel."""
    assert values("Which French writers wrote novels?") >= {
        (column("writers", "country"), "france"),
        (column("books", "genre"), "novel"),
    }


def test_places_have_other_names() -> None:
    """Both ways, and nothing for other words."""
    assert "france" in same_place("french")
    assert "usa" in same_place("united states")
    assert same_place("novel") == []


def test_a_name_that_stands_there_itself_has_no_other_form() -> None:
    """Where the word is a cell, no other name of it is looked for."""
    found = values("Which writers are from Peru?")
    assert found == {(column("writers", "country"), "peru")}


def test_every_mention_of_a_repeated_word_has_its_own_column() -> None:
    """First name, last name: two mentions that do not overlap."""
    mentions = reading("Show first name, last name").mentions
    first, last = mentions[column("writers", "first_name")][0], mentions[column("writers", "last_name")][0]
    assert (first.start, first.end, last.start, last.end) == (1, 3, 3, 5)


def test_collections_are_named_by_their_words_only() -> None:
    """Has and have name nothing; books and loans do."""
    read = reading("Which books have loans?")
    assert [read.view.names[entity.table] for entity in link_entities(read.asked, read.view)] == ["books", "loans"]


def test_the_key_of_a_collection_is_what_others_refer_to() -> None:
    """Titles are different as well, but loans refer to the id."""
    view, _, joined = library()
    assert key_column(view, view.names.index("books"), joined) == column("books", "book_id")


def test_flags_and_negated_flags_are_conditions() -> None:
    """Printed stands for T, not printed for F."""
    found = {
        test.value
        for part in reading("Which books are not printed?").conditions
        for clause in part.clauses
        for test in clause
        if test.column == column("books", "printed")
    }
    assert found == {"t", "f"}


def test_a_number_counts_rather_than_compares_ids() -> None:
    """More than 2 is not compared with ids that nobody names."""
    ids = {n for n, c in enumerate(library()[0].columns) if c.name.endswith("_id")}
    conditions = reading("Which genres have more than 2 books?").conditions
    assert not any(test.column in ids for part in conditions for clause in part.clauses for test in clause)
