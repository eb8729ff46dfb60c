from __future__ import annotations

from promptql import PromptQL
from promptql.answer import Band


def test_one_document_asked_by_name_is_quoted_from_its_beginning(promptql: PromptQL) -> None:
    """The first sentence says what the thing is; the others follow."""
    answer = promptql.ask("What does subprocess.run do?")
    assert answer.band is Band.SEARCH
    assert [row["sentence"] for row in answer.artifacts[0].rows] == [
        "Run a command and wait for it.",
        "Give back its exit status.",
    ]
    assert {citation.ids for citation in answer.citations} == {("subprocess.run",)}


def test_each_document_is_quoted_once_otherwise(promptql: PromptQL) -> None:
    """Three documents, the best first, each by its best sentence."""
    answer = promptql.ask("Which function captures a program's output?")
    rows = answer.artifacts[0].rows
    assert len({row["id"] for row in rows}) == len(rows) == 3
    assert rows[0]["sentence"] == "This function captures the output of a program, as bytes."
    assert [row["score"] for row in rows] == sorted((row["score"] for row in rows), reverse=True)


def test_what_bears_on_nothing_is_said_to(promptql: PromptQL) -> None:
    """A weak best sentence is introduced as such."""
    answer = promptql.ask("zzzz qqqq xxxx", collections=["stdlib"])
    assert answer.text.startswith("Nothing in stdlib answers this clearly.")
    named = promptql.ask("Which zzzz qqqq xxxx?", collections=["stdlib"])
    assert named.text.startswith("Nothing in stdlib answers this clearly.")
    assert named.values == ()
    assert answer.confidence < 0.3
