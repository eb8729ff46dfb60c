"""Which files of a directory are taken."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from lumaai.errors import InvalidRequestError
from lumaai.ingestion.walk import Selection, walk


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    files = [
        "a.md", "b.txt", "c.bin", ".hidden.md", "sub/d.md", "sub/deep/e.py", ".git/f.md", "build/g.md", "sub/build.md",
        "sub/keep.log.md",
    ]  # fmt: skip
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    return tmp_path


def names(root: Path, **options: Any) -> list[str]:
    return list(walk(root, Selection(**options)).files)


def test_readable_files_are_taken_recursively_and_in_order(tree: Path) -> None:
    """Hidden names are left out; kinds that cannot be read are counted."""
    assert names(tree) == [
        "a.md",
        "b.txt",
        "build/g.md",
        "sub/build.md",
        "sub/d.md",
        "sub/deep/e.py",
        "sub/keep.log.md",
    ]
    assert walk(tree, Selection()).other == 1
    assert ".git/f.md" in names(tree, hidden=True)


def test_patterns_choose(tree: Path) -> None:
    """As those of .gitignore: a name matches anywhere, a slash anchors, a directory takes what is in it."""
    assert names(tree, include=["*.py", "/a.md"]) == ["a.md", "sub/deep/e.py"]
    assert names(tree, include=["sub/**"], exclude=["deep/", "keep*"]) == ["sub/build.md", "sub/d.md"]
    with pytest.raises(InvalidRequestError, match="must be a list of patterns"):
        names(tree, include="*.md")


def test_gitignore_files_are_respected(tree: Path) -> None:
    """The nearest that says something decides; `gitignore=False` passes them over."""
    (tree / ".gitignore").write_text("build/\n*.log.md\n# comment\n\n[\n")
    (tree / "sub" / ".gitignore").write_text("!keep.log.md\n/d.md\n")
    assert names(tree) == ["a.md", "b.txt", "sub/build.md", "sub/deep/e.py", "sub/keep.log.md"]
    assert "build/g.md" in names(tree, gitignore=False)


def test_links_are_followed_only_when_asked_and_never_in_circles(tree: Path) -> None:
    """A link to the directory above would go on for ever; each directory is visited once."""
    (tree / "sub" / "loop").symlink_to(tree)
    (tree / "self").symlink_to("self")
    (tree / "link.md").symlink_to(tree / "a.md")
    assert "link.md" not in names(tree)
    followed = names(tree, follow_symlinks=True)
    assert "link.md" in followed
    assert len(followed) == 8


def test_a_file_is_itself(tree: Path) -> None:
    """Whatever its kind: reading it will say."""
    assert names(tree / "a.md") == ["a.md"]


def test_a_path_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """Nothing is taken for an empty directory."""
    with pytest.raises(InvalidRequestError, match="no such file or directory"):
        names(tmp_path / "no")


def test_names_that_no_utf8_holds_are_passed_over(tmp_path: Path) -> None:
    """They could be no ids."""
    Path(os.fsdecode(os.fsencode(str(tmp_path)) + b"/\xff.md")).write_text("x")
    assert names(tmp_path) == []


def test_deep_directories_are_no_trouble(tmp_path: Path) -> None:
    """Nothing recurs."""
    path = tmp_path.joinpath(*["d"] * 400)
    path.mkdir(parents=True)
    (path / "a.md").write_text("x")
    assert len(names(tmp_path)) == 1


def test_a_directory_without_permission_is_told(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are read."""
    real = os.scandir

    def scandir(path: Any) -> Any:
        if str(path).endswith("deep/") or str(path).endswith("deep"):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    walked = walk(tree, Selection())
    assert walked.unreadable == {"sub/deep/": "Permission denied"}
    assert "sub/d.md" in walked.files
