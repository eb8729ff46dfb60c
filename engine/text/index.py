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
from engine.text.fields import FILE, FieldTable, make_table, read_table, slot_name, write_table
from engine.text.view import ORDINAL, TextView

log = logging.getLogger(__name__)

HEAP_BYTES = 32 * 1024 * 1024  # of the writer, before it writes a segment by itself
_ANALYZER = "spaced"  # Tantivy's part of the analysis: cut at spaces
_FOOTER_MAGIC = 1337
_READ_BYTES = 1024 * 1024


class TextIndex:
    """One writer at a time, guarded by `_lock`; views are immutable and for many threads.

    Args:
        directory: of the index; made where there is none.
        languages: text field → language of its stems (None: none).

    Raises:
        TextIndexDamagedError: remove the directory and build it again.
        TextIndexOutdatedError: likewise.
    """

    def __init__(self, directory: Path, languages: Mapping[str, str | None]) -> None:
        self.directory = directory
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
    def dirty(self) -> bool:
        """Whether something was added or deleted since the last commit."""
        return self._dirty

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

    def add(self, ordinals: Ordinals, documents: Sequence[Mapping[str, JSON]]) -> None:
        """Add documents' texts; those of fields that are no text fields of the index are left alone.

        Args:
            ordinals: (n,) ascending; those below `next_ordinal` are in already and are passed over.
            documents: field → string, or list of strings.

        Raises:
            TextIndexDamagedError: the writer failed; what was not committed is forgotten (`next_ordinal` tells).
        """
        made = [
            (ordinal, document)
            for ordinal, values in zip(ordinals.tolist(), documents, strict=True)
            if ordinal >= self._next and (document := self._make(ordinal, values)) is not None
        ]

        def write(writer: Any) -> None:
            for ordinal, document in made:
                if ordinal >= self._next:
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

    def close_writer(self) -> None:
        """Commit, and let the writer's memory and threads go until the next write."""
        self.commit()
        with self._lock, tantivy_errors("closed"):
            writer, self._writer = self._writer, None
            if writer is not None:
                writer.wait_merging_threads()

    def close(self) -> None:
        """Commit and close; views that are in use stay usable."""
        self.close_writer()

    def destroy(self) -> None:
        """Remove all files without a commit."""
        with self._lock:
            self._writer = None
            self._dirty = False
            shutil.rmtree(self.directory, ignore_errors=True)

    def memory_bytes(self) -> int:
        """Bytes of the heap, at most: the writer's, and the dictionary's for typing errors."""
        return (HEAP_BYTES if self._writer is not None else 0) + self._dictionary.memory_bytes()

    def files_bytes(self) -> int:
        """Bytes on disk."""
        return sum(path.stat().st_size for path in self.directory.iterdir() if path.is_file())

    def check(self) -> list[str]:
        """Names of files whose bytes are not those that Tantivy wrote, by its own checksums."""
        with self._lock:
            return [path.name for path in sorted(self.directory.iterdir()) if not _is_intact(path)]

    def _write(self, write: Callable[[Any], None], what: str, *, dirty: bool = False) -> None:
        with self._lock:
            if self._broken:
                raise TextIndexDamagedError(f"text index must be opened again: directory={self.directory}")
            try:
                with tantivy_errors(what):
                    if self._writer is None:
                        self._writer = self._index.writer(HEAP_BYTES, 1)
                    self._dirty = self._dirty or dirty
                    write(self._writer)
            except TextIndexDamagedError:
                log.warning("text_index.failed", extra={"directory": str(self.directory)}, exc_info=True)
                self._start_over()
                raise

    def _start_over(self) -> None:
        """Go back to the last commit, after a failure; it may have been of the step behind a commit."""
        self._writer = None
        self._dirty = False
        self._broken = True
        with suppress(TextIndexDamagedError):
            self._view = self._load()
            self._next = self._view.next_ordinal
            self._broken = False

    def _load(self) -> TextView:
        with tantivy_errors("read"):
            self._index.reload()
            analyzers = {name: self._analyzer(field.language) for name, field in self._table.fields.items()}
            return TextView(self._index, self._table.fields, analyzers, self._dictionary)

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
    """Whether a file of a Tantivy segment has the CRC-32 that its footer says; other files pass.

    The footer is JSON with `crc`, its length, and a magic number, the last two as 32-bit little-endian.
    """
    if path.name.startswith(".") or path.suffix in (".json", ".new", ".lock"):
        return path.name != FILE or read_table(path.parent) is not None
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
