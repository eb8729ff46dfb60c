"""The text index of one collection: a Tantivy index whose documents are the collection's ordinals.

It is derived from the store. Ordinals enter in ascending order, and a commit is atomic, so the highest ordinal in the
index says how far it reaches: whatever lives behind it in the store is added when the index is opened. Which documents
may be found is said by the caller of each search (`Allowed`); deleting only frees room.

| file          | holds                                                  |
|---------------|--------------------------------------------------------|
| `fields.json` | which field is in which slot, and its language         |
| the others    | Tantivy's, immutable but for `meta.json`               |
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import threading
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import tantivy

from engine.arrays import Ordinals
from engine.schema import JSON
from engine.text.analyzer import Analyzer, Term
from engine.text.dictionary import WORDS, Dictionary
from engine.text.errors import TextIndexDamagedError, tantivy_errors
from engine.text.fields import FILE, FieldTable, TextField, make_table, read_table, slot_name, write_table
from engine.text.view import ORDINAL, TextView

log = logging.getLogger(__name__)

HEAP_BYTES = 32 * 1024 * 1024  # of the writer, before it writes a segment by itself
HEAP_BYTES_MIN = 15_000_000  # Tantivy's
_WRITER_LOCK = ".tantivy-writer.lock"
_ANALYZER = "spaced"  # Tantivy's part of the analysis: cut at spaces
_FOOTER_MAGIC = 1337
_READ_BYTES = 1024 * 1024
_SEGMENT = re.compile(r"[0-9a-f]{32}\.")
_abandoned: list[Any] = []  # writers of the parent, which a forked child must not close


class TextIndex:
    """One writer at a time, guarded by `_lock`; views are immutable and for many threads.

    Args:
        directory: of the index; made where there is none.
        languages: text field → language of its stems (None: none).
        heap_bytes: of the writer, before it writes a segment by itself; at least `HEAP_BYTES_MIN`.

    Raises:
        TextIndexDamagedError: remove the directory and build it again.
        TextIndexOutdatedError: likewise.
    """

    def __init__(self, directory: Path, languages: Mapping[str, str | None], heap_bytes: int = HEAP_BYTES) -> None:
        self.directory = directory
        self._heap_bytes = max(HEAP_BYTES_MIN, heap_bytes)
        self._lock = threading.Lock()
        self._analyzers: dict[str | None, Analyzer] = {}
        self._writer: Any = None
        self._dirty = False
        self._broken = False
        known = read_table(directory)
        self._table = _create(directory, languages) if known is None else known.with_fields(languages)
        if known is not None and self._table != known:
            write_table(directory, self._table)
        with tantivy_errors("opened"):
            self._index = tantivy.Index.open(str(directory))
            self._index.config_reader("manual")
            spaced = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.whitespace()).build()
            self._index.register_tokenizer(_ANALYZER, spaced)
        self._dictionary = Dictionary()
        self._view = self._load()
        self._next = self._view.next_ordinal

    @property
    def next_ordinal(self) -> int:
        """Every ordinal below this has been added, or had no text, or may be forgotten."""
        return self._next

    @property
    def fields(self) -> Mapping[str, TextField]:
        """Those it has room for, whether or not a document has them."""
        return self._table.fields

    @property
    def dirty(self) -> bool:
        """Whether something was added or deleted since the last commit."""
        return self._dirty

    @property
    def broken(self) -> bool:
        """Whether a write failed: it holds less than was added, so it must be opened again, from its last commit."""
        return self._broken

    @property
    def documents(self) -> int:
        """How many there are, as of the last commit."""
        return 0 if self._broken else self._view.documents

    def set_fields(self, languages: Mapping[str, str | None]) -> None:
        """Take new fields in, of which no document added so far has a value.

        Raises:
            TextIndexOutdatedError: there is no room, or a language changed.
        """
        with self._lock:
            table = self._table.with_fields(languages)
            if table is not self._table:
                write_table(self.directory, table)
                self._table = table
                self._view = self._load()

    def add(self, ordinals: Ordinals, documents: Sequence[Mapping[str, JSON]], *, late: bool = False) -> None:
        """Add documents' texts; those of fields that are no text fields of the index are left alone.

        Args:
            ordinals: (n,) ascending; those below `next_ordinal` are in already and are passed over.
            documents: field → string, or list of strings.
            late: none of them is in yet, though they may be below `next_ordinal`.

        Raises:
            TextIndexDamagedError: the writer failed; what was not committed is forgotten, and the index is `broken`.
        """
        made = [
            (ordinal, document)
            for ordinal, values in zip(ordinals.tolist(), documents, strict=True)
            if (late or ordinal >= self._next) and (document := self._make(ordinal, values)) is not None
        ]

        def write(writer: Any) -> None:
            for ordinal, document in made:
                if late or ordinal >= self._next:
                    writer.add_document(document)
            self._next = max(self._next, int(ordinals[-1]) + 1)

        if len(ordinals):
            self._write(write, "written", dirty=bool(made))

    def delete(self, ordinals: Ordinals) -> None:
        """Forget documents that no search will allow again; their room is freed as Tantivy merges.

        Raises:
            TextIndexDamagedError: as for `add`.
        """

        def write(writer: Any) -> None:
            for ordinal in ordinals.tolist():
                writer.delete_documents_by_term(ORDINAL, ordinal)

        if len(ordinals):
            self._write(write, "written", dirty=True)

    def commit(self) -> bool:
        """Make what was added durable and visible; whether there was anything.

        Raises:
            TextIndexDamagedError: as for `add`.
        """
        if not self._dirty:
            self._check_whole()
            return False

        def write(writer: Any) -> None:
            if self._dirty:  # else another reader committed while this one waited
                writer.commit()
                self._view = self._load()
                self._dirty = False

        self._write(write, "committed")
        return True

    def view(self) -> TextView:
        """All that was added so far; commits if need be."""
        self.commit()
        return self._view

    def adopt_merges(self) -> bool:
        """Let searches use what Tantivy has merged since the last commit; whether there was anything.

        Views in use pass on to the new one where no deleted document was in the way: then no score is another.
        """
        with self._lock:
            if self._dirty or self._broken or self._view.segments == len(_segments(self.directory)):
                return False
            old, self._view = self._view, self._load()
            if not old.dead and not self._view.dead:
                old.successor = self._view
            return True

    def close_writer(self) -> None:
        """Commit, and let the writer's memory and threads go until the next write."""
        if not self._broken:
            self.commit()
        with self._lock, tantivy_errors("closed"):
            writer, self._writer = self._writer, None
            if writer is not None:
                writer.wait_merging_threads()

    def close(self) -> None:
        """Commit and close; views that are in use stay usable."""
        self.close_writer()

    def let_go(self) -> None:
        """Close without a commit: what was added since the last one is forgotten."""
        with self._lock:
            self._writer = None
            self._dirty, self._broken = False, True

    def destroy(self) -> None:
        """Remove all files without a commit, and let go of what is open; views that are in use stay usable."""
        with self._lock:
            writer, self._writer = self._writer, None
            self._dirty, self._broken = False, True
            if writer is not None:
                with suppress(TextIndexDamagedError), tantivy_errors("closed"):
                    writer.wait_merging_threads()  # else one of them might still write a file
            del self._view
            shutil.rmtree(self.directory, ignore_errors=True)

    def abandon(self) -> None:
        """In a forked child: leave the writer alone, whose threads are the parent's."""
        self._lock = threading.Lock()
        self._broken = True
        _abandoned.append(self._writer)

    def dead_share(self) -> tuple[int, float]:
        """Documents that were deleted and still take room, and their share, as of the last commit."""
        dead, held = _dead(self.directory)
        return dead, dead / held if held else 0.0

    def memory_bytes(self) -> int:
        """Bytes of the heap, at most: the writer's, and the dictionary's for typing errors."""
        return (self._heap_bytes if self._writer is not None else 0) + self._dictionary.memory_bytes()

    def files_bytes(self) -> int:
        """Bytes on disk."""
        return sum(path.stat().st_size for path in self.directory.iterdir() if path.is_file())

    def check(self) -> list[str]:
        """Names of files whose bytes are not those that Tantivy wrote, by its own checksums; of the last commit."""
        with self._lock:
            suspects = [path for path in sorted(self.directory.iterdir()) if not _is_intact(path)]
            left = set(_uncommitted(self.directory))  # asked now: Tantivy's threads merge, and finish and remove files
            return [path.name for path in suspects if path not in left and path.exists() and not _is_intact(path)]

    def free(self) -> None:
        """Remove what a writer left that failed: it is in the way on a full disk. Nobody may be writing."""
        if self._writer is None:
            remove_uncommitted(self.directory)

    def _write(self, write: Callable[[Any], None], what: str, *, dirty: bool = False) -> None:
        with self._lock:
            self._check_whole()
            try:
                with tantivy_errors(what):
                    if self._writer is None:
                        # A forked child may hold the old lock; the database's own keeps other owners away.
                        (self.directory / _WRITER_LOCK).unlink(missing_ok=True)
                        self._writer = self._index.writer(self._heap_bytes, 1)
                    self._dirty = self._dirty or dirty
                    write(self._writer)
            except TextIndexDamagedError:
                log.warning("text_index.failed", extra={"directory": str(self.directory)}, exc_info=True)
                self._writer = None
                self._dirty, self._broken = False, True  # whoever added to it must learn that it is not in
                raise

    def _check_whole(self) -> None:
        if self._broken:
            raise TextIndexDamagedError(f"text index must be opened again: directory={self.directory}")

    def _load(self) -> TextView:
        with tantivy_errors("read"):
            dead = _dead(self.directory)[0] > 0  # first: a merge may do away with what this view still counts
            self._index.reload()
            analyzers = {name: self._analyzer(field.language) for name, field in self._table.fields.items()}
            return TextView(self._index, self._table.fields, analyzers, self._dictionary, dead=dead)

    def _make(self, ordinal: int, values: Mapping[str, JSON]) -> tantivy.Document | None:
        """The Tantivy document of one of ours; None without text."""
        texts: dict[str, list[str]] = {}
        words: set[str] = set()
        for name, field in self._table.fields.items():
            value = values.get(name)
            for item in value if isinstance(value, list) else (value,):
                if isinstance(item, str) and (terms := self._analyzer(field.language).terms(item)):
                    texts.setdefault(field.name, []).append(_spaced(terms, words))
        if not texts:
            return None
        self._dictionary.add(words)
        return tantivy.Document(**{ORDINAL: ordinal, WORDS: " ".join(words), **texts})

    def _analyzer(self, language: str | None) -> Analyzer:
        return self._analyzers.setdefault(language, Analyzer(language))


def _segments(directory: Path) -> list[dict[str, Any]]:
    """What Tantivy says of the segments of the last commit.

    Raises:
        TextIndexDamagedError: it cannot be read.
    """
    try:
        found: list[dict[str, Any]] = json.loads((directory / "meta.json").read_bytes())["segments"]
        return found
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise TextIndexDamagedError(f"text index cannot be read: reason={error}") from error


def _dead(directory: Path) -> tuple[int, int]:
    """Documents of the last commit that were deleted and still take room, and how many do.

    Raises:
        TextIndexDamagedError: it cannot be read.
    """
    try:
        segments = _segments(directory)
        dead = sum((each["deletes"] or {}).get("num_deleted_docs", 0) for each in segments)
        return dead, sum(each["max_doc"] for each in segments)
    except (LookupError, TypeError) as error:
        raise TextIndexDamagedError(f"text index cannot be read: reason={error}") from error


def remove_uncommitted(directory: Path) -> None:
    """Remove the files of segments that no commit knows. Nobody may be writing there."""
    for path in _uncommitted(directory):
        path.unlink(missing_ok=True)


def _uncommitted(directory: Path) -> list[Path]:
    """Files of segments that the last commit does not name: they are named by the hexadecimal digits of a UUID."""
    try:
        segments = json.loads((directory / "meta.json").read_bytes())["segments"]
        known = {each["segment_id"].replace("-", "") for each in segments}
        return [path for path in directory.iterdir() if _SEGMENT.match(path.name) and path.name[:32] not in known]
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return []  # what is wrong with it is said by whoever opens it


def _spaced(terms: list[Term], words: set[str]) -> str:
    words.update([term.entry for term in terms])
    return " ".join([term.term for term in terms])


def _create(directory: Path, languages: Mapping[str, str | None]) -> FieldTable:
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    table = make_table(languages)
    builder = tantivy.SchemaBuilder()
    builder.add_integer_field(ORDINAL, indexed=True, fast=True)
    builder.add_text_field(WORDS, tokenizer_name=_ANALYZER, index_option="basic")
    for slot in range(table.slots):
        builder.add_text_field(slot_name(slot), tokenizer_name=_ANALYZER)
    with tantivy_errors("made"):
        tantivy.Index(builder.build(), path=str(directory), reuse=False)
    write_table(directory, table)  # last: without it there is no index
    return table


def _is_intact(path: Path) -> bool:
    """Whether a file of a Tantivy segment has the CRC-32 that its footer says, or is gone; other files pass.

    The footer is JSON with `crc`, its length, and a magic number, the last two as 32-bit little-endian.
    """
    if path.name.startswith(".") or path.suffix in (".json", ".new", ".lock"):
        return path.name != FILE or read_table(path.parent) is not None
    try:
        return _fits_its_footer(path)
    except FileNotFoundError:  # merged away; that one is missing which is named is said by whoever opens it
        return True


def _fits_its_footer(path: Path) -> bool:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 8))
        tail = file.read(8)
        length = int.from_bytes(tail[:4], "little")
        if int.from_bytes(tail[4:], "little") != _FOOTER_MAGIC or length + 8 > size:
            return False
        file.seek(size - 8 - length)
        try:
            expected = json.loads(file.read(length))["crc"]
        except (ValueError, KeyError, TypeError):
            return False
        file.seek(0)
        crc, left = 0, size - 8 - length
        while left:
            piece = file.read(min(left, _READ_BYTES))
            crc, left = zlib.crc32(piece, crc), left - len(piece)
    return bool(crc == expected)
