"""Embedding a collection anew, with another model, while it is read and written.

A collection is made beside it under a hidden name, and filled with copies of its documents, versions and expiry
included, with vectors of the new model. Then nobody may write for a moment, what was written meanwhile is copied, and
the two change places in one atomic step; what has the hidden name after that is dropped. A process that is killed
before the step leaves the old collection as it is: the same call again goes on with the copies that there are.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace

import numpy as np
import numpy.typing as npt

import engine
from lumaai.embedders import Embedders, identity_of
from lumaai.embedding import embed_documents
from lumaai.errors import ConflictError, InvalidRequestError, OverloadedError
from lumaai.reports import Progress, Reembedding
from lumaai.translation import translate
from models import Embedder

log = logging.getLogger(__name__)

COPIED_AT_ONCE = 256  # documents
ROUNDS_MAX = 8  # of catching up before the last, in which nobody may write
FEW_DOCUMENTS = 512  # so many left are copied while nobody may write
READERS_SECONDS = 5.0  # how long what was replaced is kept for requests that began before

_PREFIX = f"{engine.HIDDEN_PREFIX}reembedding-"

Ordinals = npt.NDArray[np.uint32]


def hidden_name(collection: engine.Collection) -> str:
    """The name of the copy of a collection: it holds the number of the original, which a finished copy has itself."""
    return f"{_PREFIX}{collection.number}"


class Reembeddings:
    """The work of a database, one for each collection at most. Safe for many threads; the lock guards the table.

    Args:
        native: the database in use.
        embedders: the models.
        switched: told the name of a collection that has changed its model.
    """

    def __init__(
        self, native: Callable[[], engine.Database], embedders: Embedders, switched: Callable[[str], None]
    ) -> None:
        self._native = native
        self._embedders = embedders
        self._switched = switched
        self._lock = threading.Lock()
        self._works: dict[str, _Work] = {}

    def start(self, name: str, model: str, field: str | None) -> Reembedding:
        """Begin, or go on with what was cut short; the same again while it goes on does nothing.

        Raises:
            NotFoundError: there is no such collection.
            InvalidRequestError: it embeds no text, or has no such field.
            ConflictError: it is being embedded anew with another model.
            ModelError: the model cannot be had.
        """
        native = self._native()
        source = native.collection(name)
        chosen = _field_of(source.schema, field)
        embedder = self._embedders.get(model)
        with self._lock:
            work = self._works.get(name)
            if work is not None and work.is_alive:
                if (work.state.model, work.state.field) != (model, chosen):
                    message = f"collection {name!r} is being embedded anew with {work.state.model}: cancel that first"
                    raise ConflictError(message, code="reembedding")
                return work.state
            work = _Work(native, source, chosen, model, embedder, self._switched)
            self._works[name] = work
            work.start()
            return work.state

    def state(self, name: str) -> Reembedding | None:
        """How far it is, or how it ended in this process; None where there was none."""
        native = self._native()
        work = self._works.get(name)
        if work is not None:
            return work.state
        collection = native.collection(name)
        hidden = hidden_name(collection)
        if hidden not in native.hidden_collections():
            return None
        embed = native.collection(hidden).schema.embed
        changed = [(key, each.model) for key, each in embed.items() if each != collection.schema.embed.get(key)]
        field, model = changed[0] if changed else ("", "")
        documents, total = native.collection(hidden).snapshot().count(), collection.snapshot().count()
        return Reembedding(name, field, model, "interrupted", documents, total)

    def wait(self, name: str, progress: Progress | None = None) -> Reembedding:
        """Until it has ended; raises what it failed with, or what `progress` raises."""
        work = self._works.get(name)
        if work is None:  # dropped meanwhile, or what was to be embedded anew was replaced
            raise engine.CollectionNotFoundError(name)
        while not work.ended.wait(0.1):
            if progress is not None:
                state = work.state
                progress("embedding anew", state.documents / max(state.total, 1))
        if work.error is not None:
            raise work.error
        return work.state

    def tell_to_stop(self, name: str) -> None:
        """Have it end at its next step, and do not wait for that; the copies stay."""
        work = self._works.get(name)
        if work is not None:
            work.tell_to_stop()

    def cancel(self, name: str) -> None:
        """End it, and drop the copies; doing it twice does no harm."""
        work = self._works.get(name)
        if work is not None:
            work.stop()
        native = self._native()
        hidden = hidden_name(native.collection(name))
        if hidden in native.hidden_collections():
            native.drop_collection(hidden)

    def forget(self, name: str) -> None:
        """A collection is about to be dropped: end its work and drop its copy, if it can be told which that is."""
        with suppress(engine.CollectionNotFoundError, engine.CorruptionError):
            self.cancel(name)
        self._works.pop(name, None)

    def before_purge(self) -> None:
        """No copy may hold what was deleted: those under way catch up, and those cut short are given up."""
        native = self._native()
        going_on = {hidden_name(work.source): work for work in self._works.values() if work.is_alive}
        for hidden in filter(lambda name: name.startswith(_PREFIX), native.hidden_collections()):
            work = going_on.get(hidden)
            if work is None or not work.has_caught_up():
                with suppress(engine.CollectionNotFoundError):  # whoever cancels it drops the copy as well
                    native.drop_collection(hidden)

    def sweep(self) -> None:
        """Drop what was replaced when an earlier process ended before it had dropped it, and copies of nothing."""
        native = self._native()
        hidden = [name for name in native.hidden_collections() if name.startswith(_PREFIX)]
        try:
            wanted = {hidden_name(native.collection(name)) for name in native.collections()} if hidden else set()
        except engine.CorruptionError:
            return  # of a collection that is damaged, the copy may be all there is
        for name in hidden:
            if name not in wanted:
                native.drop_collection(name)

    def close(self) -> None:
        """End all work; copies stay, to go on with."""
        for work in list(self._works.values()):
            work.stop()


class _Work:
    """One collection on its way to another model, in a thread of its own. The lock lets one catch up at a time."""

    def __init__(
        self,
        native: engine.Database,
        source: engine.Collection,
        field: str,
        model: str,
        embedder: Embedder,
        switched: Callable[[str], None],
    ) -> None:
        self.source = source
        self.ended = threading.Event()
        self.error: Exception | None = None
        self.state = Reembedding(source.name, field, model, "running", 0, source.snapshot().count())
        self._native, self._embedder, self._switched = native, embedder, switched
        self._hidden = hidden_name(source)
        self._stopping = threading.Event()
        self._lock = threading.RLock()
        self._target = self._copy_to_fill()
        self._thread = threading.Thread(target=self._run, name=f"reembed-{source.name}", daemon=True)

    @property
    def is_alive(self) -> bool:
        return not self.ended.is_set()

    def start(self) -> None:
        self._thread.start()

    def tell_to_stop(self) -> None:
        self._stopping.set()

    def stop(self) -> None:
        self.tell_to_stop()
        self.ended.wait()

    def catch_up(self) -> int:
        """Copy what is not yet, and delete what is no more; how many documents that were."""
        with self._lock:
            snapshot = self.source.snapshot()
            copied = self._delete_gone(snapshot)
            for ordinals in _chunks(snapshot.ordinals()):
                self._check_wanted()
                copied += self._copy(snapshot, ordinals)
            return copied

    def has_caught_up(self) -> bool:
        """Copy what is not yet; whether it goes on then. Else it has ended, and its copy may be dropped.

        Raises:
            Exception: what copying failed with, where nobody has told it to stop.
        """
        try:
            if self.is_alive:
                self.catch_up()
                return True
        except Exception:
            if not self._stopping.is_set() and self.is_alive:
                raise
        self.stop()
        return False

    def _run(self) -> None:
        try:
            self._copy_all()
            with self._lock:
                self._native.exchange_collections(self.source.name, self._hidden, self._finish)
                self.state = replace(self.state, state="done", documents=self.state.total)
            self._switched(self.source.name)
            log.info("reembedding.done", extra={"collection": self.source.name, "documents": self.state.total})
        except Exception as error:  # noqa: BLE001 - told to whoever asks
            self.error = _without_frames(translate(error) or error)
            ended = "cancelled" if self._stopping.is_set() else "failed"
            self.state = replace(self.state, state=ended, error=str(self.error))
            log.warning("reembedding.failed", extra={"collection": self.source.name, "error": type(error).__name__})
        finally:
            self.ended.set()
        if self.error is None:
            self._drop_replaced()

    def _copy_all(self) -> None:
        for _ in range(ROUNDS_MAX):
            if self.catch_up() <= FEW_DOCUMENTS:
                return

    def _finish(self) -> None:
        """Nobody can write to the source now."""
        self.state = replace(self.state, state="switching")
        self.catch_up()

    def _copy_to_fill(self) -> engine.Collection:
        """The copy: what an earlier process left of it, if that was for the same model, else a new one."""
        schema, name = self.source.schema, self._hidden
        embedding = replace(
            schema.embed[self.state.field], model=self.state.model, identity=identity_of(self._embedder)
        )
        vector = replace(schema.vectors[self.state.field], dim=self._embedder.dim)
        wanted = replace(
            schema,
            embed={**schema.embed, self.state.field: embedding},
            vectors={**schema.vectors, self.state.field: vector},
        )
        if name in self._native.hidden_collections():
            there = self._native.collection(name)
            if (there.schema.embed, there.schema.vectors) == (wanted.embed, wanted.vectors):
                return there
            self._native.drop_collection(name)
        return self._native.create_collection(name, wanted, hidden=True)

    def _copy(self, snapshot: engine.Snapshot, ordinals: Ordinals) -> int:
        ids = snapshot.ids(ordinals)
        pairs = zip(snapshot.versions(ids), self._target.snapshot().versions(ids), strict=True)
        stale = [place for place, (ours, theirs) in enumerate(pairs) if ours != theirs]
        if stale:
            others = [name for name in snapshot.schema.vectors if name != self.state.field]
            copied = self.source.copies(snapshot, ordinals[stale], others)
            self._target.take(copied, {**copied.vectors, self.state.field: self._vectors(copied)})
        done = min(self.state.documents + len(stale), self.state.total)
        self.state = replace(self.state, documents=done)
        return len(stale)

    def _vectors(self, copied: engine.Copied) -> engine.VectorRows:
        spec = self._target.schema.embed[self.state.field]
        fields = spec.fields if spec.fields is not None else self._target.text_fields(copied.documents)
        documents = copied.documents
        return embed_documents(documents, range(len(documents)), fields, self._embedder, splitter=spec.splitter)

    def _delete_gone(self, snapshot: engine.Snapshot) -> int:
        target = self._target.snapshot()
        gone: list[str] = []
        for ordinals in _chunks(target.ordinals()):
            ids = target.ids(ordinals)
            gone += [id_ for id_, version in zip(ids, snapshot.versions(ids), strict=True) if version is None]
        if gone:
            self._target.delete(ids=gone, durability=engine.Durability.NONE)
        self.state = replace(self.state, documents=target.count() - len(gone), total=snapshot.count())
        return len(gone)

    def _check_wanted(self) -> None:
        if self._stopping.is_set():
            raise OverloadedError(
                "embedding anew was cancelled: nothing has changed", code="cancelled", retryable=False
            )

    def _drop_replaced(self) -> None:
        """Drop what was replaced when those that began to read it have had their time."""
        try:
            if not self._stopping.wait(READERS_SECONDS):
                self._native.drop_collection(self._hidden)
        except engine.EngineError as error:  # closed meanwhile: the next opening drops it
            log.info("reembedding.not_dropped", extra={"reason": type(error).__name__})


def _without_frames(error: Exception) -> Exception:
    """An error that is kept: without what its frames hold, which are snapshots of what may have to vanish."""
    waiting: list[BaseException | None] = [error]
    while waiting:
        if (each := waiting.pop()) is not None and each.__traceback__ is not None:
            each.__traceback__ = None
            waiting += [each.__cause__, each.__context__]
    return error


def _field_of(schema: engine.Schema, field: str | None) -> str:
    names = list(schema.embed)
    if field is None and len(names) == 1:
        return names[0]
    if field in names:
        return str(field)
    have = f"expected one of {', '.join(names)}" if names else "the collection embeds no text"
    raise InvalidRequestError(f"no embedded vector field {field!r}: {have}", code="not_embedded")


def _chunks(ordinals: Ordinals) -> Iterator[Ordinals]:
    for start in range(0, len(ordinals), COPIED_AT_ONCE):
        yield ordinals[start : start + COPIED_AT_ONCE]
