"""What a database and its collections share: the engine's database in use now, models, cursors."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

import engine
from lumaai.embedders import Embedders
from lumaai.errors import DatabaseClosedError, LumaError, OverloadedError
from lumaai.reembedding import Reembeddings
from lumaai.reranking import RERANKED, Rerankers, reranked
from lumaai.scroll import Cursors

log = logging.getLogger("lumaai")

RESTORING = "restoring"
RETRY_AFTER_SECONDS = 1.0
# Between two tries to open what a restore left closed; doubled from try to try.
REOPEN_SECONDS_MIN = 0.25
REOPEN_SECONDS_MAX = 30.0


class Opened:
    """The engine's database behind a `Database`, which a restore replaces by another.

    The lock lets one replacement, or one opening of what a failed one left closed, at a time go on; readers of `native`
    need none.

    Args:
        native: the database.
        reopen: opens its directory anew.

    Attributes:
        generation: how often it was replaced; who keeps a part of it looks for it anew when this has changed.
        durability: of writes that ask for none.
    """

    def __init__(
        self,
        native: engine.Database,
        embedders: Embedders,
        rerankers: Rerankers,
        durability: str,
        reopen: Callable[[], engine.Database],
    ) -> None:
        self._native = native
        self._reopen = reopen
        self.generation = 0
        self.embedders = embedders
        self.rerankers = rerankers
        self.reembeddings = Reembeddings(lambda: self.native, embedders, self._switched)
        self.cursors = Cursors()
        self.durability = durability
        self.is_closed = False
        self._replacing = threading.Lock()
        self._lost: str | None = None  # why there is no database in use
        self._wait = REOPEN_SECONDS_MIN
        self._next_try = 0.0

    @property
    def native(self) -> engine.Database:
        """The database in use; one that could not be opened after a restore is tried again, now and then.

        Raises:
            OverloadedError: it could still not be opened.
        """
        if self._lost is not None and not self.is_closed:
            self._recover()
        return self._native

    def replace(self, replacement: Callable[[engine.Database], engine.Database]) -> None:
        """Go on with what `replacement` makes of the database; scrolls under way end.

        Where it raises, the database in use stays, or, where it was closed already, is opened at its next use.
        """
        _ = self.native  # opens what an earlier one left closed
        self.reembeddings.close()
        with self._replacing:
            native = self._native  # what another restore made, where this one waited for it
            try:
                self._use(replacement(native))
            except BaseException as error:
                if not self.is_closed and not _is_open(native):
                    self._lose(error)
                raise

    def reranking(self, snapshot: engine.Snapshot, query: str, k: int) -> engine.Rerank:
        """How a plan's search of `k` hits orders them anew, by the default reranker.

        Raises:
            ModelError: it cannot be had.
        """
        return reranked(self.rerankers, snapshot, query, max(RERANKED, k))

    def renew(self) -> None:
        """Have everybody look anew for what they keep of the database."""
        self.generation += 1

    def explain(self, error: LumaError) -> LumaError:
        """The error; if the database was closed under a call by a restore, that the call is to be repeated."""
        return while_restoring(error, is_closed=self.is_closed)

    def close(self) -> None:
        """Close everything; doing it twice does no harm."""
        self.reembeddings.close()
        with self._replacing:
            self.is_closed = True
            self.cursors.clear()
            self.embedders.close()
            self.rerankers.close()
            self._native.close()

    def _switched(self, name: str) -> None:
        """A collection has changed its model: scrolls of what it was end."""
        self.cursors.forget(name)

    def _use(self, native: engine.Database) -> None:
        self._native, self._lost, self._wait = native, None, REOPEN_SECONDS_MIN
        self.generation += 1
        self.cursors.clear()

    def _lose(self, error: BaseException) -> None:
        log.error("restore.not_reopened", extra={"error": type(error).__name__, "seconds": self._wait})
        self._lost = str(error)
        self.generation += 1  # who keeps a part of what is closed comes here for another
        self._next_try = time.monotonic() + self._wait
        self._wait = min(2 * self._wait, REOPEN_SECONDS_MAX)

    def _recover(self) -> None:
        """Open the directory, if that is due and nobody else does."""
        if self._replacing.acquire(blocking=False):
            try:
                if self._lost is None or self.is_closed:
                    return
                if time.monotonic() >= self._next_try:
                    try:
                        self._use(self._reopen())
                    except Exception as error:  # noqa: BLE001 - said to every caller until it succeeds
                        self._lose(error)
                    else:
                        log.warning("restore.reopened")
                        return
            finally:
                self._replacing.release()
        message = f"the database could not be opened again after a restore: {self._lost}; this is tried again"
        raise OverloadedError(message, code=RESTORING, retry_after=RETRY_AFTER_SECONDS)


def while_restoring(error: LumaError, *, is_closed: bool) -> LumaError:
    """The error; if it says that a database is closed which is not, that a restore replaces it and to try again."""
    if isinstance(error, DatabaseClosedError) and not is_closed:
        message = "the database is being restored from a snapshot: nothing was done, try again"
        return OverloadedError(message, code=RESTORING, retry_after=RETRY_AFTER_SECONDS)
    return error


def _is_open(native: engine.Database) -> bool:
    try:
        native.collections()
    except engine.DatabaseClosedError:
        return False
    return True
