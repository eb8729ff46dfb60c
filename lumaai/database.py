"""A database directory, open in this process."""

from __future__ import annotations

import copy
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import engine
import models
from lumaai.access import Caller, Verb
from lumaai.aliases import Aliases
from lumaai.collection import Collection
from lumaai.declare import check_same, declared_schema
from lumaai.embedded_models import EmbeddedModels
from lumaai.embedded_questions import EmbeddedQuestions
from lumaai.embedders import Embedders, LoadEmbedder, identity_of, precision_of
from lumaai.embedding_cache import EmbeddingCaches
from lumaai.environment import default_cache_directory
from lumaai.errors import CorruptionError, InvalidRequestError, NotFoundError
from lumaai.ingestion.manifest import check_name, is_manifest, manifest_name
from lumaai.jobs import Jobs, JobTable
from lumaai.key_upkeep import KeyUpkeep
from lumaai.keys import Keyring
from lumaai.model_options import ModelOptions
from lumaai.opened import Opened
from lumaai.options import check_durability
from lumaai.questions import LLMSource, Questions
from lumaai.reranking import Rerankers
from lumaai.results import CollectionInfo
from lumaai.search import check_strings
from lumaai.served_models import ServedModels
from lumaai.snapshots import SNAPSHOTS, SnapshotDirectory
from lumaai.sql import Queries
from lumaai.translation import translated
from lumaai.upkeep import Upkeep, open_engine

_log = logging.getLogger("lumaai")


class Database(Upkeep, KeyUpkeep, EmbeddedModels, EmbeddedQuestions):
    """Collections of documents in one directory. Safe for many threads; one process writes at a time.

    Close it, or use it in a `with` block. Models are loaded when they are first needed.

    Args:
        path: the directory, made if it is missing.
        load_embedder: how to get a model by its name; by default from `models`.
        llm: the language model that plans questions, or how to get it when the first question is asked.
        default_model: embeds collections that name no model.
        cache_directory: where models are kept; by default `lumaai` in the user's cache directory.
        model_options: how models are run, and where the vectors of texts are kept.
        progress: called with a stage and a fraction 0..1 while a model is made ready.
        read_only: look at a directory that another process may be writing to. Shows what was written when it was
            opened, or at the last `refresh`.
        durability: of writes that ask for none: "sync", "interval" or "none".
        sync_interval_seconds: how long at most a write of durability "interval" may wait for the disk.
        memory_bytes_max: of all caches together; by default the engine's own choice.
        device: where vectors are searched: "auto" takes a CUDA card where there is one, "cuda" warns where there is
            none, "cpu" wants none.
        snapshots_directory: where snapshots of this database, and of no other, are kept; by default "snapshots" in
            `path`. On another file system files are copied rather than linked.

    Raises:
        DatabaseLockedError: another process has it open; the message names it.
        InvalidRequestError: the directory cannot be made or used (code "directory_unusable"), holds something else, or
            a database of a newer version (code "format_unsupported").
        CorruptionError: the files in it are damaged.
    """

    @translated
    def __init__(
        self,
        path: str | Path,
        *,
        load_embedder: LoadEmbedder | None = None,
        llm: LLMSource = None,
        default_model: str | None = None,
        cache_directory: str | Path | None = None,
        model_options: ModelOptions | None = None,
        progress: Callable[[str, float], None] | None = None,
        read_only: bool = False,
        durability: str = "sync",
        sync_interval_seconds: float | None = None,
        memory_bytes_max: int | None = None,
        device: str = "auto",
        snapshots_directory: str | Path | None = None,
    ) -> None:
        place = _directory(path)
        directory = Path(cache_directory) if cache_directory is not None else default_cache_directory()
        self._default_model = default_model or models.DEFAULT_MODEL
        chosen_options = model_options or ModelOptions()

        def load(name: str, precision: str | None) -> models.Embedder:
            if load_embedder is not None:
                return load_embedder(name)
            return chosen_options.load_embedder(name, precision, cache_directory=directory, progress=progress)

        chosen = {
            "sync_interval_seconds": sync_interval_seconds,
            "memory_bytes_max": memory_bytes_max,
            "device": device,
        }
        options: dict[str, Any] = {name: value for name, value in chosen.items() if value is not None}
        check_durability(durability)

        def open_at(directory: Path) -> engine.Database:
            return open_engine(directory, lambda: engine.Database.open(directory, read_only=read_only, **options))

        native = open_at(place)
        self._path = native.path
        limits = engine.MemoryLimits.split(memory_bytes_max or engine.MEMORY_BYTES_DEFAULT)
        caches = EmbeddingCaches(chosen_options, None if read_only else native.path, limits.embeddings_bytes)
        embedders = Embedders(load, caches)

        def load_reranker(name: str, embedder: object) -> models.Reranker:
            return chosen_options.load_reranker(name, embedder, cache_directory=directory, progress=progress)

        rerankers = Rerankers(load_reranker, embedders, chosen_options.reranker)
        self._opened = Opened(native, embedders, rerankers, durability, lambda: open_at(self._path))
        kept = native.path / SNAPSHOTS if snapshots_directory is None else _directory(snapshots_directory)
        self._snapshots = SnapshotDirectory(kept)
        self._queries = Queries(self._opened, memory_bytes_max)
        self.keyring = Keyring(self._opened)
        self._aliases = Aliases(self._opened)
        self.served_models = ServedModels(self._opened, self._default_model)
        self._questions = Questions(
            self._opened,
            self._embedder_of,
            llm,
            lambda: self._queries.running,
            self._opened.reranking,
            self._words_embedder,
        )
        self._job_table = JobTable(self, self._opened)
        if not read_only:
            self._snapshots.sweep()
            self._opened.reembeddings.sweep()
            self._job_table.sweep()

    def __repr__(self) -> str:
        return f"Database({str(self.path)!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getitem__(self, name: str) -> Collection:
        return self.collection(name)

    def seen_by(self, caller: Caller, note_act: Callable[[str, str], None] | None = None) -> Database:
        """This database as a caller may see it: lists, queries, questions and changes keep to their collections.

        Who works on one collection has been let through to it before.

        Args:
            caller: who asks.
            note_act: told what a statement makes or drops.
        """
        if caller.id == self._caller.id and caller.everything and note_act is None:
            return self
        seen = copy.copy(self)
        vars(seen).update(_caller=caller, _note_act=note_act)
        return seen

    @property
    def path(self) -> Path:
        """The directory."""
        return self._path

    @property
    @translated
    def sequence(self) -> int:
        """Number of the last write."""
        return self._native.sequence

    @property
    def is_closed(self) -> bool:
        """Whether it was closed."""
        return self._opened.is_closed

    def records(self, kind: str) -> engine.Records:
        """Records of a kind that outlive going back to a snapshot: the way of the HTTP service."""
        return self._native.records(kind, lasting=True)

    @property
    def jobs(self) -> Jobs:
        """Work that goes on in the background, and how it ended."""
        return Jobs(self._job_table, self._caller)

    @property
    def _native(self) -> engine.Database:
        return self._opened.native

    @translated
    def close(self) -> None:
        """Close the directory for others to open. Doing it twice does no harm.

        Jobs under way end at their next step, and are found interrupted by the next opening.
        """
        self._job_table.stop()
        self._queries.close()
        self._questions.close()
        self._opened.close()
        self._job_table.join()

    @translated
    def create_collection(
        self,
        name: str,
        fields: Mapping[str, Any] | None = None,
        *,
        embed: Mapping[str, Any] | None = None,
        strict: bool = False,
        ttl: Mapping[str, Any] | None = None,
        exist_ok: bool = False,
        description: str | None = None,
        synonyms: Sequence[str] | None = None,
    ) -> Collection:
        """Make a collection.

        Args:
            name: letters, digits, `_`, `.` and `-`, up to 128; names that begin with `_files.` are reserved.
            fields: types by field name, such as `{"year": {"type": "integer"}, "vector": {"type": "vector",
                "dim": 384}}`; what is not declared is inferred from the documents. A field may also have a
                `description`, `synonyms`, and `references`: the collection, or the field of one, that has its values.
            embed: what is embedded into which vector field: `{"vector": {"from": ["title", "plot"], "model":
                "all-MiniLM-L6-v2", "splitter": "markdown"}}`; the splitter says where long text is cut: "auto" (by the
                suffix of a document's `path`), "sentences", "markdown", "code" or "none". None embeds all text into
                "vector" with the default model, unless `fields` declares vector fields, which are then the caller's to
                fill; `{}` embeds nothing.
            strict: refuse documents with fields that are not declared.
            ttl: when documents expire: `{"field": "expires_at"}` (at the time in that field, which this declares as a
                datetime if `fields` does not) or `{"seconds": 3600}` (so long after they were last written).
            exist_ok: answer the collection that there is, if it was declared the same; what it is about may differ.
            description: what it is about, for questions.
            synonyms: other words for it, for questions.

        Raises:
            ConflictError: it exists, and (with `exist_ok`) was declared otherwise; the message names where.
            InvalidRequestError: the name or the schema is malformed.
            ModelUnavailableError: the weights of the model are missing.
        """
        if not isinstance(name, str):
            raise InvalidRequestError(f"name must be a string: got={type(name).__name__}", code="type_mismatch")
        check_name(name, fields, embed, strict=strict, ttl=ttl)
        name = self.resolve(name) if is_manifest(name) else name
        self._aliases.check_free(name)
        if name in self._native.collections():
            if not exist_ok:
                raise engine.CollectionExistsError(name)
            return self._same(name, fields, embed, strict=strict, ttl=ttl)
        schema = self._schema(fields, embed, strict=strict, ttl=ttl)
        schema = schema.described({"description": description, "synonyms": synonyms})
        try:
            with self._aliases.lock:
                self._aliases.check_free(name)
                return self._wrapped(self._native.create_collection(name, schema))
        except engine.CollectionExistsError:
            if not exist_ok:
                raise
        return self._same(name, fields, embed, strict=strict, ttl=ttl)

    @translated
    def collection(self, name: str) -> Collection:
        """The collection of that name.

        Raises:
            NotFoundError: there is none.
        """
        return self._wrapped(self._native.collection(_shown(self.resolve(name))))

    @translated
    def collections(self) -> list[str]:
        """Names of all collections, sorted."""
        return self._reached(Verb.READ)

    def _reached(self, verb: Verb) -> list[str]:
        """Names of collections that the caller may do this to, but for the manifests of files."""
        may = self._caller.may
        return [name for name in self._native.collections() if not is_manifest(name) and may(verb, name)]

    @translated
    def infos(self, names: Sequence[str] | None = None) -> list[CollectionInfo]:
        """Name, size and schema of all collections, by name; of one that is damaged, its name and what is wrong.

        Args:
            names: of these; those that are not there, or no longer, are left out.
        """
        found = []
        for name in self.collections() if names is None else check_strings("names", names):
            try:
                found.append(self.collection(name).info())
            except NotFoundError:
                continue
            except CorruptionError as error:
                found.append(CollectionInfo(name, 0, 0, {}, damaged=error.message))
        return found

    def infos_page(self, cursor: str, limit: int) -> tuple[list[CollectionInfo], str | None]:
        """As `infos`, some at a time: the collections that a cursor leads to, and the next cursor; "" begins.

        Raises:
            InvalidRequestError: the cursor was not made here.
            GoneError: it is of a process that has ended.
        """
        cursors = self._opened.cursors
        after = cursors.name_of("collections", cursor) if cursor else ""
        names = [name for name in self.collections() if name > after]
        page = names[:limit]
        return self.infos(page), cursors.after("collections", page[-1]) if len(names) > len(page) else None

    @translated
    def aliases(self) -> dict[str, str]:
        """The collection of each alias, by the alias's name."""
        may = self._caller.may
        return {alias: to for alias, to in sorted(self._aliases.table.items()) if may(Verb.READ, to)}

    @translated
    def set_alias(self, alias: str, collection: str) -> bool:
        """Let a name stand for a collection, wherever a collection's name is taken but to drop it.

        An alias that is there is switched: at once, for all, and durably. Scrolls that were begun under it end.

        Returns:
            Whether there was no such alias before.

        Raises:
            ConflictError: there is a collection of that name.
            InvalidRequestError: it is no name.
            NotFoundError: there is no such collection; an alias is none.
        """
        return self._aliases.set(alias, collection)

    @translated
    def drop_alias(self, alias: str) -> None:
        """Remove an alias; its collection stays.

        Raises:
            NotFoundError: there is none.
        """
        self._aliases.drop(alias)

    @translated
    def drop(self, name: str) -> None:
        """Remove a collection and all it holds, and the aliases that lead to it. An alias itself is not taken.

        Raises:
            NotFoundError: there is none.
        """
        if name in self._aliases.table:  # to what it leads may not be for the caller to know
            message = (
                f"this is an alias: drop the collection behind it by its own name, or the alias alone: {name!r:.140}"
            )
            raise NotFoundError(message, code="collection_not_found")
        self._opened.reembeddings.forget(name)
        _shown(name)
        if name in self._native.collections():
            self._aliases.forget_of(name)
        # What is remembered of its files goes first: without it files are read again, and with it they would not be.
        with suppress(engine.CollectionNotFoundError):
            self._native.drop_collection(manifest_name(name))
        self._native.drop_collection(name)
        self._opened.cursors.forget(name)

    @translated
    def stats(self) -> dict[str, Any]:
        """Bytes on disk and in memory; where that is, `path` says."""
        stats = {name: value for name, value in self._native.stats().items() if name != "path"}
        embedders = self._opened.embedders
        caches = embedders.caches
        kept = {"embeddings_bytes": caches.memory_bytes, "embeddings_bytes_max": caches.memory_bytes_max}
        memory = {**stats["memory"], **kept}
        limits = {name.removesuffix("_max"): value for name, value in memory.items() if name.endswith("_max")}
        taken = {name: value for name, value in memory.items() if not name.endswith("_max")}
        limits = {**limits, **stats.get("memory_limits", {})}
        stats |= {"collections": len(self.collections()), "memory": taken, "memory_limits": limits}
        return {**stats, "embedding_cache": embedders.figures()}

    def _wrapped(self, native: engine.Collection) -> Collection:
        return Collection(native, self._opened)

    def _same(
        self,
        name: str,
        fields: Mapping[str, Any] | None,
        embed: Mapping[str, Any] | None,
        *,
        strict: bool,
        ttl: Mapping[str, Any] | None,
    ) -> Collection:
        """The existing collection, if that is how it was declared."""
        collection = self._native.collection(name)
        stored = {embedding.model: embedding.identity for embedding in collection.schema.embed.values()}
        check_same(name, collection.schema, self._schema(fields, embed, strict=strict, ttl=ttl, known=stored))
        return self._wrapped(collection)

    def _schema(
        self,
        fields: Mapping[str, Any] | None,
        embed: Mapping[str, Any] | None,
        *,
        strict: bool,
        ttl: Mapping[str, Any] | None,
        known: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> engine.Schema:
        """The schema that is declared; `known` spares loading a model only to compare."""
        given = _declared_precisions(embed, self._default_model)

        def identity(model: str) -> Mapping[str, Any]:
            stored = (known or {}).get(model)
            return stored if stored is not None else identity_of(self._opened.embedders.get(model, given.get(model)))

        return declared_schema(
            fields, embed, strict=strict, ttl=ttl, default_model=self._default_model, identity_of=identity
        )

    def _words_embedder(self) -> models.Embedder:
        """The default model, which tells what words of questions mean."""
        return self._opened.embedders.get(self._default_model)

    def _embedder_of(self, name: str) -> models.Embedder:
        """The model that a question's searches in a collection are embedded with."""
        embed = self._native.collection(name).schema.embed
        if not embed:
            raise InvalidRequestError(
                f"collection {name!r} embeds no text: it cannot be searched by meaning", code="not_embedded"
            )
        return self._opened.embedders.of(next(iter(embed.values())), name)


def _shown(name: str) -> str:
    """The name, unless it is one that only the database itself may know."""
    if str(name).startswith(engine.HIDDEN_PREFIX):
        raise engine.CollectionNotFoundError(name)
    return name


def _declared_precisions(embed: object, default_model: str) -> dict[str, str]:
    """The precision of each model whose identity is declared, as another collection has it."""
    declared = embed.values() if isinstance(embed, Mapping) else ()
    found = {}
    for spec in declared:
        if isinstance(spec, Mapping) and isinstance(spec.get("identity"), Mapping):
            found[str(spec.get("model") or default_model)] = precision_of(spec["identity"])
    return found


def _directory(path: object) -> Path:
    if not isinstance(path, str | os.PathLike):
        raise InvalidRequestError(f"path must be a directory's name: got={type(path).__name__}", code="type_mismatch")
    name = os.fspath(path)
    if not isinstance(name, str) or "\0" in name:
        raise InvalidRequestError(f"path cannot be a directory: {name!r:.100}", code="directory_unusable")
    return Path(name)
