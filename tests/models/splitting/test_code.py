from __future__ import annotations

import pytest

from models import Splitter, split_passages, splitter_of
from models.embedders.hashing import HashingEmbedder
from models.splitting.code import code

WORDS = HashingEmbedder()  # words and marks are its tokens


def passages(text: str, max_tokens: int, path: str = "a.py") -> list[str]:
    spans = split_passages(text, WORDS.token_offsets(text), max_tokens=max_tokens, structure=code(text, path))
    return [text[start:end] for start, end in spans]


def count(text: str) -> int:
    return len(WORDS.token_offsets(text))


PYTHON = '''"""Module."""

import os

LIMIT = 3


# Adds one.
@cached
def first(x):
    """A text.

    def none(of): it
    """
    return x + 1


class Point:
    """Two numbers."""

    def __init__(self, x, y):
        self.x, self.y = x, y

    def moved(self, by):
        if by:
            return Point(self.x + by, self.y)
        return self
'''
FIRST = PYTHON[PYTHON.index("# Adds") : PYTHON.index("\n\n\nclass")]
POINT = PYTHON[PYTHON.index("class Point") :].strip()


def test_functions_and_classes_are_whole_where_they_fit() -> None:
    """With their decorators and the comment above."""
    assert passages(PYTHON, count(POINT)) == [PYTHON[: PYTHON.index("\n\n\nclass")], POINT]
    assert passages(PYTHON, count(FIRST) + 5)[:2] == [PYTHON[: PYTHON.index("# Adds")].strip(), FIRST]


def test_a_class_that_does_not_fit_is_cut_between_its_methods() -> None:
    """And each method says which class it is of."""
    found = passages(PYTHON, count(POINT) - 5)
    moved = PYTHON[PYTHON.index("    def moved") :].strip()
    assert found[-1] == moved
    assert code(PYTHON, "a.py").titles_at(PYTHON.index("return self")) == ("class Point:"[:-1], "def moved(self, by)")
    assert code(PYTHON, "a.py").titles_at(PYTHON.index("class Point")) == ()


def test_a_string_of_several_lines_is_not_cut_between_its_lines_before_code_is() -> None:
    """Statements are better places than the lines of a docstring."""
    text = 'def f():\n    """One.\n\n    Two.\n    """\n    a = 1\n    b = 2\n'
    assert passages(text, 17)[0] == 'def f():\n    """One.\n\n    Two.\n    """'


@pytest.mark.parametrize("text", ["def f(:\n  x\n\ny = 1\n", "x = 1\x00", "(" * 400 + "\n\n" + "a = 1\n" * 50])
def test_what_is_no_python_is_split_all_the_same(text: str) -> None:
    """By lines: nothing is lost."""
    assert "".join("".join(passages(text, 5)).split()) == "".join(text.split())


JAVA = """package a;

import b.C;

/** A { brace } in a comment. */
public class Point {
    private final String open = "{";

    int x() {
        return 1;
    }

    // Moves.
    int moved(int by) {
        if (by > 0) {
            return x() + by;
        }
        return 0;
    }
}

class Other {
    int y = 2;
}
"""


def test_blocks_in_braces_are_whole_where_they_fit() -> None:
    """Braces in strings and comments count for nothing."""
    other = JAVA[JAVA.index("class Other") :].strip()
    found = passages(JAVA, count(JAVA) - count(other), "A.java")
    assert found == [JAVA[: JAVA.index("class Other")].strip(), other]
    titles = code(JAVA, "A.java").titles_at(JAVA.index("return x()"))
    assert titles == ("public class Point", "int moved(int by)")


def test_methods_are_whole_where_their_class_is_not() -> None:
    """The comment above goes with its method."""
    moved = JAVA[JAVA.index("    // Moves.") : JAVA.index("}\n\nclass Other")].strip()
    assert any(moved in part for part in passages(JAVA, count(moved) + 12, "A.java"))


def test_other_languages_are_cut_at_blank_lines() -> None:
    """Ruby has no braces: a line without indent after a blank one begins something."""
    text = "def a\n  x = 1\n\n  y = 2\nend\n\ndef b\n  z = 3\nend\n"
    assert passages(text, 11, "a.rb") == ["def a\n  x = 1\n\n  y = 2\nend", "def b\n  z = 3\nend"]


def test_the_language_is_found_out_where_no_path_tells() -> None:
    """Python by its parser, braces by their number."""
    assert code(PYTHON).titles_at(PYTHON.index("return self"))[0] == "class Point"
    assert code(JAVA).titles_at(JAVA.index("return x()"))[0] == "public class Point"


@pytest.mark.parametrize(
    ("path", "splitter"),
    [("a.md", "markdown"), ("b/c.html", "markdown"), ("x.docx", "markdown"), ("d.PY", "code"), ("e.rs", "code"),
     ("f.txt", "sentences"), ("g", "sentences"), ("h.pdf", "sentences")],
)  # fmt: skip
def test_files_are_split_by_their_suffix(path: str, splitter: str) -> None:
    """`auto` in one table."""
    assert splitter_of(path) is Splitter(splitter)
