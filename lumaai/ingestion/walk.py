"""The files of a directory that are to be ingested."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lumaai.errors import InvalidRequestError
from lumaai.ingestion.read import is_readable

if TYPE_CHECKING:
    import pathspec

GITIGNORE = ".gitignore"
_GITIGNORE_BYTES_MAX = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Selection:
    """Which files of a directory are meant. Patterns are those of .gitignore files: `*.md`, `docs/**`, `!draft.md`.

    Attributes:
        include: only files that match; None for all of a kind that can be read.
        exclude: not these files, nor anything below these directories.
        gitignore: leave out what the .gitignore files in the directory leave out.
        hidden: take files and directories whose names begin with a dot.
        follow_symlinks: go where symbolic links lead, each directory once; otherwise they are passed over.
    """

    include: Sequence[str] | None = None
    exclude: Sequence[str] = ()
    gitignore: bool = True
    hidden: bool = False
    follow_symlinks: bool = False


@dataclass(slots=True)
class Walked:
    """What was found.

    Attributes:
        files: by name: the path from the directory, with "/".
        unreadable: directories that could not be listed, as names, with the reason.
        other: files of kinds that cannot be read.
    """

    files: dict[str, Path] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)
    other: int = 0


def walk(root: Path, selection: Selection) -> Walked:
    """The selected files below a directory, sorted by name; of a file, itself.

    Raises:
        InvalidRequestError: there is nothing at `root` (code "file_unreadable"), or a pattern is malformed.
    """
    if not root.exists():
        raise InvalidRequestError(f"cannot read {root}: no such file or directory", code="file_unreadable")
    if not root.is_dir():
        return Walked(files={root.name: root})
    walked = _Walk(root, selection).run()
    walked.files = dict(sorted(walked.files.items()))
    return walked


class _Walk:
    """One walk; directories wait in a list, so that however deep they are nothing recurs."""

    def __init__(self, root: Path, selection: Selection) -> None:
        self._root, self._selection = root, selection
        self._include = None if selection.include is None else _patterns("include", selection.include)
        self._exclude = _patterns("exclude", selection.exclude)
        self._ignored: dict[str, pathspec.GitIgnoreSpec] = {}
        self._seen: set[tuple[int, int]] = set()
        self._found = Walked()

    def run(self) -> Walked:
        """Everything below the root."""
        waiting = [""]
        while waiting:
            name = waiting.pop()
            try:
                entries = self._entries(name)
            except OSError as error:
                self._found.unreadable[name] = error.strerror or str(error)
                continue
            waiting += [f"{name}{entry.name}/" for entry in entries if self._takes(entry, f"{name}{entry.name}")]
        return self._found

    def _entries(self, name: str) -> list[os.DirEntry[str]]:
        folder = self._root / name
        status = folder.stat()
        if (status.st_dev, status.st_ino) in self._seen:
            return []  # a link that leads back
        self._seen.add((status.st_dev, status.st_ino))
        with os.scandir(folder) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
        if self._selection.gitignore and any(entry.name == GITIGNORE for entry in entries):
            self._ignored[name] = _gitignore(folder / GITIGNORE)
        return entries

    def _takes(self, entry: os.DirEntry[str], name: str) -> bool:
        """Take a file that is selected; whether it is a directory to go into."""
        if entry.name.startswith(".") and not self._selection.hidden:
            return False
        follow = self._selection.follow_symlinks
        try:
            if not follow and entry.is_symlink():
                return False
            is_directory, is_file = entry.is_dir(), entry.is_file()
        except OSError:
            return False  # a link that leads nowhere, or in a circle
        if is_directory:
            return not self._leaves_out(f"{name}/")
        if is_file and not self._leaves_out(name) and _is_name(name):
            self._take(entry, name)
        return False

    def _take(self, entry: os.DirEntry[str], name: str) -> None:
        if self._include is not None and not self._include.match_file(name):
            return
        if is_readable(Path(entry.name)):
            self._found.files[name] = Path(entry.path)
        else:
            self._found.other += 1

    def _leaves_out(self, name: str) -> bool:
        if self._exclude.match_file(name):
            return True
        # The nearest .gitignore that says anything of it decides.
        folder = name.rstrip("/").rpartition("/")[0]
        while True:
            above = f"{folder}/" if folder else ""
            spec = self._ignored.get(above)
            decided = spec.check_file(name[len(above) :]).include if spec is not None else None
            if decided is not None:
                return decided
            if not folder:
                return False
            folder = folder.rpartition("/")[0]


def _is_name(name: str) -> bool:
    """Whether the name can be an id: file systems have names that no UTF-8 holds."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _spec(lines: Iterable[str]) -> pathspec.GitIgnoreSpec:
    import pathspec

    return pathspec.GitIgnoreSpec.from_lines(lines)


def _patterns(what: str, given: Sequence[str]) -> pathspec.GitIgnoreSpec:
    if isinstance(given, str):
        raise InvalidRequestError(f"{what} must be a list of patterns: got={given!r:.60}", code="pattern_invalid")
    try:
        return _spec(given)
    except (ValueError, TypeError) as error:
        raise InvalidRequestError(f"{what} has a malformed pattern: {error}", code="pattern_invalid") from error


def _gitignore(path: Path) -> pathspec.GitIgnoreSpec:
    """The patterns of a .gitignore file; one that cannot be read, or is too large, has none."""
    try:
        with path.open("rb") as file:
            text = file.read(_GITIGNORE_BYTES_MAX).decode("utf-8", "replace")
    except OSError:
        return _spec([])
    return _spec(_sound_lines(text))


def _sound_lines(text: str) -> Iterator[str]:
    for line in text.splitlines():
        try:
            _spec([line])
        except ValueError:
            continue  # as git does
        yield line
