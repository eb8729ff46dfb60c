"""The writing half of a collection: what its calls take, the same for a directory and for a service."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import ArrayLike

from lumaai.batch import Batch, batch_of
from lumaai.errors import InvalidRequestError
from lumaai.options import WriteOptions
from lumaai.results import DeleteResult, WriteResult
from lumaai.search import check_strings

Filter = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Write:
    """Documents on their way in.

    Attributes:
        mode: "add", "insert" or "patch".
    """

    mode: str
    batch: Batch
    options: WriteOptions


@dataclass(frozen=True, slots=True)
class Removal:
    """What is to be deleted: exactly one of `ids` and `filter` is given."""

    ids: list[str] | None
    filter: Filter | None
    dry_run: bool
    options: WriteOptions


class WritableCollection(ABC):
    """Writes of documents, and what all of them take.

    `if_version` maps ids to the version that each document must have now (0: it must not be there), `if_absent` says
    that none of the documents may be there, `if_matches` that the stored documents satisfy a filter. Where a condition
    does not hold nothing is written (PreconditionFailedError), or with `atomic=False` not the documents that it is of.

    `durability` says when a call returns: "sync" when the write is on disk (fsynced), "interval" and "none" before
    that: after a power cut the last writes may be missing. None is the database's own default, "sync" if not set.

    `idempotency_key`, 1 to 255 visible ASCII characters, makes repeating harmless: the same call with the same key does
    nothing for 24 hours and answers what the first one did. With another content it is refused. What is remembered for
    that is a write of its own: under a key, also a call that changes no document moves the database's sequence.
    """

    @abstractmethod
    def _write(self, write: Write) -> WriteResult:
        """Do it."""

    @abstractmethod
    def _remove(self, removal: Removal) -> DeleteResult:
        """Do it."""

    def add(
        self,
        documents: Iterable[Mapping[str, Any]] | None = None,
        *,
        ids: Iterable[str] | None = None,
        vectors: ArrayLike | Mapping[str, ArrayLike] | None = None,
        fields: Mapping[str, Iterable[Any]] | None = None,
        atomic: bool = True,
        if_version: Mapping[str, int] | None = None,
        if_absent: bool = False,
        if_matches: Filter | None = None,
        durability: str | None = None,
        idempotency_key: str | None = None,
    ) -> WriteResult:
        """Add documents, or replace those that have their ids.

        What is stored already, exactly the same, is left as it is. All else is embedded, also where only fields that
        are not embedded have changed: `patch` keeps the vectors then.

        Args:
            documents: dicts, or a pyarrow.Table. A document may carry its vector under the vector field's name.
                Without an `id` it gets one. Of several with one id the last counts.
            ids: instead of documents, a column of ids,
            vectors: (n, dim) numbers, or such an array for each of several vector fields,
            fields: and columns of values by field name.
            atomic: all or nothing. Otherwise documents that are refused are left out and listed in the result's
                `errors`, and its `results` say what became of each.
            if_version: versions that documents must have, by id.
            if_absent: none of the documents may be there.
            if_matches: a filter that the stored documents must satisfy.
            durability: "sync", "interval" or "none".
            idempotency_key: makes repeating this call harmless.

        Raises:
            InvalidRequestError: the batch is empty, or (atomic) holds documents that are refused; its `errors`
                name each. Or the key was used for something else.
            TooLargeError: an id, a document or the batch is over its limit.
            PreconditionFailedError: a condition does not hold (atomic).
            ModelMismatchError: the collection was embedded with another model than is installed.
        """
        options = WriteOptions(atomic, if_version, if_absent, if_matches, durability, idempotency_key)
        return self._checked("add", batch_of(documents, ids=ids, vectors=vectors, fields=fields), options)

    def insert(
        self,
        documents: Iterable[Mapping[str, Any]] | None = None,
        *,
        ids: Iterable[str] | None = None,
        vectors: ArrayLike | Mapping[str, ArrayLike] | None = None,
        fields: Mapping[str, Iterable[Any]] | None = None,
        atomic: bool = True,
        if_version: Mapping[str, int] | None = None,
        if_absent: bool = False,
        if_matches: Filter | None = None,
        durability: str | None = None,
        idempotency_key: str | None = None,
    ) -> WriteResult:
        """Add documents, none of which may be there already; takes what `add` takes.

        Raises:
            ConflictError: a document is there (code "document_exists"; atomic); `errors` name each.
            Others: as for `add`.
        """
        options = WriteOptions(atomic, if_version, if_absent, if_matches, durability, idempotency_key)
        return self._checked("insert", batch_of(documents, ids=ids, vectors=vectors, fields=fields), options)

    def patch(
        self,
        patches: Iterable[Mapping[str, Any]],
        *,
        atomic: bool = True,
        if_version: Mapping[str, int] | None = None,
        if_absent: bool = False,
        if_matches: Filter | None = None,
        durability: str | None = None,
        idempotency_key: str | None = None,
    ) -> WriteResult:
        """Change parts of documents: a JSON Merge Patch (RFC 7396) for each.

        A document is embedded again only where the text that is embedded has changed; vectors stay otherwise.

        Args:
            patches: each with the `id` of its document and the keys that change. Objects are merged, null removes a
                key, anything else replaces what was there.
            atomic: all or nothing; as for `add`.
            if_version: versions that documents must have, by id.
            if_absent: no patch can satisfy it: its documents must be there.
            if_matches: a filter that the stored documents must satisfy.
            durability: "sync", "interval" or "none".
            idempotency_key: makes repeating this call harmless.

        Raises:
            NotFoundError: a document is not there (code "document_not_found"; atomic); `errors` name each.
            Others: as for `add`.
        """
        options = WriteOptions(atomic, if_version, if_absent, if_matches, durability, idempotency_key)
        return self._checked("patch", batch_of(patches), options)

    def delete(
        self,
        *,
        ids: Sequence[str] | None = None,
        filter: Filter | None = None,  # noqa: A002 - the API's word
        dry_run: bool = False,
        if_version: Mapping[str, int] | None = None,
        if_matches: Filter | None = None,
        durability: str | None = None,
        idempotency_key: str | None = None,
    ) -> DeleteResult:
        """Delete documents by id, or all that match a filter.

        Args:
            ids: ids that are not there are passed over.
            filter: `{}` matches every document.
            dry_run: only count what would be deleted.
            if_version: versions that documents must have, by id.
            if_matches: a filter that all of the documents must satisfy, or none is deleted.
            durability: "sync", "interval" or "none".
            idempotency_key: makes repeating this call harmless.

        Raises:
            InvalidRequestError: not exactly one of ids and filter, or a bad filter.
            PreconditionFailedError: a condition does not hold.
        """
        if (ids is None) == (filter is None):
            raise InvalidRequestError("give either ids or filter")
        options = WriteOptions(True, if_version, False, if_matches, durability, idempotency_key)
        options.check()
        names = None if ids is None else check_strings("ids", ids)
        return self._remove(Removal(names, filter, dry_run, options))

    def _checked(self, mode: str, batch: Batch, options: WriteOptions) -> WriteResult:
        options.check()
        return self._write(Write(mode, batch, options))
