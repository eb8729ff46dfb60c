from __future__ import annotations

import pytest

from models import Splitter, split_passages, structure_of
from models.embedders.hashing import HashingEmbedder
from models.splitting.markdown import heading_titles, markdown

WORDS = HashingEmbedder()  # words and marks are its tokens


def passages(text: str, max_tokens: int, overlap_tokens: int = 0) -> list[str]:
    spans = split_passages(
        text, WORDS.token_offsets(text), max_tokens=max_tokens, overlap_tokens=overlap_tokens, structure=markdown(text)
    )
    return [text[start:end] for start, end in spans]


def test_a_section_that_fits_is_not_torn() -> None:
    """Eight or ten tokens would take the first section and half of the second; each is whole instead."""
    text = "# A\n\none two three\n\n# B\n\nfour five six seven\n\n# C\n\neight"
    assert passages(text, 10) == ["# A\n\none two three", "# B\n\nfour five six seven\n\n# C\n\neight"]
    assert passages(text, 8) == ["# A\n\none two three", "# B\n\nfour five six seven", "# C\n\neight"]


def test_small_sections_share_a_passage() -> None:
    """As many whole sections as fit go together."""
    text = "# A\n\none\n\n# B\n\ntwo\n\n# C\n\nthree"
    assert passages(text, 6) == ["# A\n\none\n\n# B\n\ntwo", "# C\n\nthree"]


def test_a_heading_stands_with_its_text() -> None:
    """No passage ends with a heading, nor between a heading and the one below it."""
    text = "one two three four. five six seven.\n\n# A\n\n## B\n\neight nine ten"
    assert passages(text, 13) == ["one two three four. five six seven.", "# A\n\n## B\n\neight nine ten"]


def test_fenced_code_is_whole_where_it_fits() -> None:
    """The paragraphs before it give way, although it begins in the first half of the passage."""
    code = "```python\na = 1\n\nb = 2\n```"  # 13 tokens
    text = f"one two.\n\n{code}\n\nlast"
    assert passages(text, 14) == ["one two.", f"{code}\n\nlast"]


def test_fenced_code_that_does_not_fit_is_cut_between_lines() -> None:
    """Six lines of three tokens, nine allowed; what looks like a heading in it is none."""
    text = "```\n# b 1\n# b 2\n# b 3\n# b 4\n```"
    assert passages(text, 9) == ["```\n# b 1\n# b 2", "# b 3\n# b 4\n```"]


def test_tables_are_whole_where_they_fit_and_else_cut_between_rows() -> None:
    """A row is never torn, and the rows that follow carry the header as their context."""
    table = "| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |\n| 5 | 6 |"
    assert passages(f"word.\n\n{table}", 40) == [f"word.\n\n{table}"]
    assert passages(table, 27) == [table[: table.index("\n| 5")], "| 5 | 6 |"]
    assert markdown(table).titles_at(table.index("| 5")) == ("| a | b |",)


def test_titles_are_those_of_the_sections_around() -> None:
    """A heading ends the sections of its depth and of those below; underlined ones count."""
    text = "Guide\n=====\n\nhi\n\n## Install ##\n\none\n\n### Linux\n\ntwo\n\n## Use\n\nthree\n"
    structure = markdown(text)
    assert structure.titles_at(text.index("hi")) == ("Guide",)
    assert structure.titles_at(text.index("two")) == ("Guide", "Install", "Linux")
    assert structure.titles_at(text.index("three")) == ("Guide", "Use")
    assert structure.titles_at(text.index("## Use")) == ("Guide",)
    assert heading_titles(text) == ["Guide"]


@pytest.mark.parametrize(
    "text",
    ["```\n# no\n```", "    # no", "#no", "---\n# no: yaml\n---\n", "- item\n---\n", "~~~\n```\n# no\n~~~"],
)
def test_what_is_no_heading(text: str) -> None:
    """Comments in code, indented code, tags, front matter and rules are not taken for headings."""
    assert heading_titles(text) == []


def test_nothing_is_repeated_over_a_heading() -> None:
    """The overlap would bring a sentence of another section."""
    text = "# A\n\none two three. four five.\n\n# B\n\nsix seven eight. nine ten."
    assert passages(text, 10, 4) == ["# A\n\none two three. four five.", "# B\n\nsix seven eight. nine ten."]


def test_overlap_within_a_section_repeats_sentences() -> None:
    """As in prose."""
    text = "# A\n\none two three. four five six. seven eight nine."
    assert passages(text, 10, 4)[1].startswith("four five six.")


def test_auto_goes_by_the_suffix() -> None:
    """A heading is a barrier in Markdown and nothing in plain text."""
    assert structure_of("# A\n\ntext", Splitter.AUTO, "a/b.MD").barriers == [0]
    assert structure_of("# A\n\ntext", Splitter.AUTO, "a/b.txt").barriers == ()
    assert structure_of("# A\n\ntext", Splitter.AUTO).barriers == ()
