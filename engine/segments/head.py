"""The head: the documents since the last seal, searchable the moment they are committed.

The head grows by `append`, one writer at a time, and is read through `HeadView`s, which see the documents that were
there when they were taken and stay as they are. Vectors are searched exactly, but for those that a head has more of
than are compared with quickly, because it grows faster than it can be sealed: these get codes (`engine.vector.coded`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from pyroaring import BitMap

from engine.arrays import GrowingArray, Mask, Ordinals, Rows, Scores, Vectors
from engine.document import Passage, decode
from engine.fields.columns import ID_FIELD, arrow_type, build_column
from engine.schema import ID, JSON, Field, VectorField
from engine.segments.nulls import NullPlaces, nulls_of_bodies
from engine.segments.rows import RowOrigins
from engine.store.codec import NEVER
from engine.vector.allowed import Allowed
from engine.vector.coded import CodedVectors, MemoryVectors, best_of, wants_codes
from engine.vector.index import prepare_vectors
from engine.vector.ivf import InvertedLists
from engine.vector.parameters import SearchParameters
from engine.writes.expiry import Expiries, Microseconds

_CHUNKS_MAX = 32
TAKEN_MAX = 256  # values read from their documents, at 1 µs each
REFUSED_GROWTH = 2  # times the rows whose codes found too little: then others are tried


class HeadVectors:
    """Growing rows of one vector field."""

    def __init__(self, spec: VectorField) -> None:
        self.spec = spec
        self.vectors = GrowingArray(np.float32, spec.dim)
        self.numbers = GrowingArray(np.uint32)
        self.documents = GrowingArray(np.int64)
        self.starts = GrowingArray(np.uint32)
        self.ends = GrowingArray(np.uint32)
        self.fields = GrowingArray(np.int16)
        self.names: tuple[str, ...] = ()
        self.codes: CodedVectors | None = None
        self._refused = 0  # so many rows had no codes that find enough

    def append(
        self, numbers: Any, vectors: Vectors, documents: Rows, passages: Sequence[Passage | None] | None
    ) -> None:
        """Add rows; `numbers` are theirs in the store, `documents` places in the head."""
        count = len(vectors)
        self.vectors.extend(prepare_vectors(vectors, self.spec.metric))
        self.numbers.extend(numbers)
        self.documents.extend(documents)
        spans = passages or [None] * count
        for passage in spans:
            if passage is not None and passage.field not in self.names:
                self.names = (*self.names, passage.field)
        self.starts.extend(np.array([p.start if p else 0 for p in spans], dtype=np.uint32))
        self.ends.extend(np.array([p.end if p else 0 for p in spans], dtype=np.uint32))
        self.fields.extend(np.array([self.names.index(p.field) if p else -1 for p in spans], dtype=np.int16))

    def copy_after(self, documents: int, into: dict[str, HeadVectors], name: str) -> None:
        """Copy the rows of all documents but the first `documents` into `into[name]`."""
        view = self.view()
        begin = int(np.searchsorted(view.origins.documents, documents))
        if begin < len(view.origins):
            rest = into[name] = HeadVectors(self.spec)
            rest.vectors.extend(view.vectors[begin:])
            rest.numbers.extend(view.origins.numbers[begin:])
            rest.documents.extend(view.origins.documents[begin:] - documents)
            rest.starts.extend(view.origins.starts[begin:])
            rest.ends.extend(view.origins.ends[begin:])
            rest.fields.extend(view.origins.fields[begin:])
            rest.names = self.names

    def view(self) -> HeadVectorView:
        """The rows as they are now."""
        size = len(self.numbers)
        if self.codes is not None:
            self.codes = self.codes.over(self.vectors.view(len(self.codes)))
        origins = RowOrigins(
            self.numbers.view(size),
            self.documents.view(size),
            self.starts.view(size),
            self.ends.view(size),
            self.fields.view(size),
            self.names,
        )
        return HeadVectorView(self.vectors.view(size), origins, self.spec, self.codes)

    def wants_codes(self, *, model: bool) -> bool:
        """Whether its rows, or more of them, should get codes; `model`: there are centroids to take over."""
        rows, coded = len(self.numbers), 0 if self.codes is None else len(self.codes)
        return rows >= REFUSED_GROWTH * self._refused and wants_codes(rows, coded, self.spec.dim, model=model)

    def take_codes(self, codes: CodedVectors | None, rows: int) -> None:
        """Search the first rows by `codes`; None where those of `rows` would find too little."""
        self.codes = codes
        self._refused = rows if codes is None else 0


class HeadVectorView:
    """The first rows of a `HeadVectors`, searched by their codes, where they have some, else by comparing with each."""

    def __init__(
        self, vectors: Vectors, origins: RowOrigins, spec: VectorField, codes: CodedVectors | None = None
    ) -> None:
        self.vectors = vectors
        self.origins = origins
        self.one_row_a_document = bool((np.diff(origins.documents) > 0).all())
        self.codes = codes
        self._spec = spec
        self._exact = MemoryVectors(vectors, spec.metric)

    def coded(self, model: InvertedLists | None, stop: Callable[[], bool], first: int = 0) -> CodedVectors | None:
        """Codes of all rows from `first` on; see `CodedVectors.begin`.

        Raises:
            BuildStoppedError: `stop` said so.
        """
        if self.codes is not None and not first:
            return self.codes.extended(self.vectors, stop)
        return CodedVectors.begin(self.vectors[first:], self._spec, model, stop)

    @property
    def reason(self) -> str:
        """See `VectorPart.reason`."""
        return "not sealed yet" if self.codes is None else f"not sealed yet: {self.codes.info.reason}"

    def allowed(self, mask: Mask) -> Allowed:
        """See `VectorPart.allowed`."""
        return Allowed(mask[self.origins.documents])

    def search(
        self,
        queries: Vectors,
        k: int,
        *,
        allowed: Allowed | None,
        parameters: SearchParameters,
        threads: int,
    ) -> tuple[Scores, Rows, str]:
        """See `VectorPart.search`."""
        coded = 0 if self.codes is None or parameters.exact else len(self.codes)
        if not coded:
            found = min(k, len(self.vectors) if allowed is None else allowed.count)
            return *self._exact.search(queries, found, allowed=allowed, threads=threads), "head, exact"
        return self._search_codes(coded, queries, k, allowed, parameters, threads)

    def _search_codes(
        self,
        coded: int,
        queries: Vectors,
        k: int,
        allowed: Allowed | None,
        parameters: SearchParameters,
        threads: int,
    ) -> tuple[Scores, Rows, str]:
        """The nearest of the first `coded` rows by codes, and of the others by comparing, joined."""
        assert self.codes is not None
        first = None if allowed is None else Allowed(allowed.mask[:coded])
        rest = None if allowed is None else Allowed(allowed.mask[coded:])
        counts = coded if first is None else first.count, len(self.vectors) - coded if rest is None else rest.count
        scores, rows, how = [], [], "head"
        if counts[0]:
            usual = None if counts[0] == coded else first
            answer = self.codes.search(
                queries, min(k, counts[0]), allowed=usual, parameters=parameters, threads=threads
            )
            scores, rows, how = [answer.scores], [answer.rows], f"head, {answer.how}"
        if counts[1]:
            tail = MemoryVectors(self.vectors[coded:], self._spec.metric)
            score, row = tail.search(queries, min(k, counts[1]), allowed=rest, threads=threads)
            scores, rows, how = [*scores, score], [*rows, row + coded], f"{how}; {counts[1]} rows exact"
        if len(scores) == 1:
            return scores[0], rows[0], how
        far, row = best_of(-np.concatenate(scores, axis=1), np.concatenate(rows, axis=1), k)
        return -far, row, how


class Head:
    """The growing part of a collection.

    One writer at a time (the collection's apply lock); `_columns_lock` guards the columns that readers build lazily.
    """

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.vectors: dict[str, HeadVectors] = {}
        self._ordinals = GrowingArray(np.uint32)
        self._expires: GrowingArray | None = None
        self._columns: dict[tuple[str, Field], list[Any]] = {}
        self._columns_lock = threading.Lock()
        self._nulls: dict[str, GrowingArray] = {}
        self._nulls_known = 0
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._ordinals)

    def rows(self) -> int:
        """Rows of all vector fields."""
        return sum(len(vectors.numbers) for vectors in self.vectors.values())

    def is_coded(self) -> bool:
        """Whether all its vectors are searched by codes, but for the latest."""
        fields = tuple(self.vectors.values())
        return bool(fields) and all(vectors.codes is not None for vectors in fields)

    def memory_bytes(self) -> int:
        """Bytes of documents and vectors."""
        each = self.vectors.values()
        codes = sum(vectors.codes.memory_bytes() for vectors in each if vectors.codes is not None)
        return self.bytes + codes + sum(vectors.vectors.view(len(vectors.numbers)).nbytes for vectors in each)

    def append(self, first_ordinal: int, bodies: Sequence[bytes], expires: Microseconds | None = None) -> None:
        """Add documents under consecutive ordinals; `expires`: (n,), None where none does."""
        self._append_expires(len(bodies), expires)
        self.bodies.extend(bodies)
        self.bytes += sum(map(len, bodies))
        self._ordinals.extend(np.arange(first_ordinal, first_ordinal + len(bodies), dtype=np.uint32))

    def _append_expires(self, count: int, expires: Microseconds | None) -> None:
        if expires is None and self._expires is None:
            return
        if self._expires is None:
            self._expires = GrowingArray(np.int64)
            self._expires.extend(np.full(len(self), NEVER, dtype=np.int64))
        self._expires.extend(np.full(count, NEVER, dtype=np.int64) if expires is None else expires)

    def append_vectors(self, name: str, spec: VectorField) -> HeadVectors:
        """The growing rows of a vector field."""
        return self.vectors.setdefault(name, HeadVectors(spec))

    def view(self) -> HeadView:
        """The head as it is now."""
        return HeadView(self, len(self), {name: vectors.view() for name, vectors in self.vectors.items()})

    def without_first(self, size: int, codes: Mapping[str, CodedVectors] | None = None) -> Head:
        """A head of the documents after the first `size`; this one stays as it is, for its views.

        Args:
            size: documents.
            codes: vector field → codes of the first rows of what is left.
        """
        if not size:
            return self
        rest = Head()
        if size < len(self):
            expiring = self.expires(len(self))
            expires = None if expiring is None else expiring[size:]
            rest.append(int(self._ordinals.view(size + 1)[size]), self.bodies[size:], expires)
            for name, vectors in self.vectors.items():
                vectors.copy_after(size, rest.vectors, name)
            for name, each in (codes or {}).items():
                rest.vectors[name].take_codes(each, len(each))
        return rest

    def ordinals(self, size: int) -> Ordinals:
        """The first `size` ordinals."""
        return self._ordinals.view(size)

    def expires(self, size: int) -> Microseconds | None:
        """When the first `size` documents expire; None where none of the head does."""
        return None if self._expires is None else self._expires.view(size)

    def nulls(self, size: int) -> NullPlaces:
        """Where among the first `size` documents fields are null; read as far as anyone has asked."""
        with self._columns_lock:
            known = self._nulls_known
            if known < size:
                for name, places in nulls_of_bodies(self.bodies[known:size]).items():
                    self._nulls.setdefault(name, GrowingArray(np.int64)).extend(known + places)
                self._nulls_known = size
            views = {name: places.view(len(places)) for name, places in self._nulls.items()}
        return {name: places[: np.searchsorted(places, size)] for name, places in views.items()}

    def column(self, name: str, field: Field, size: int) -> Any:
        """The first `size` values of a field, built as far as anyone has asked, in chunks."""
        with self._columns_lock:
            chunks = self._columns.setdefault((name, field), [])
            built = sum(map(len, chunks))
            if built < size:
                values = [decode(body).get(name) for body in self.bodies[built:size]]
                chunks.append(build_column(field, values))
            if len(chunks) > _CHUNKS_MAX:
                chunks[:] = [pa.concat_arrays(chunks)]
            column = pa.chunked_array(chunks, type=arrow_type(field))
        return column.slice(0, size)


class HeadView:
    """The first documents of a head. Immutable."""

    def __init__(self, head: Head, size: int, vectors: dict[str, HeadVectorView]) -> None:
        self._head = head
        self._size = size
        self._vectors = vectors
        self.ordinals = head.ordinals(size)
        expires = head.expires(size)
        self.expiries = None if expires is None else Expiries(self.ordinals, expires)

    @property
    def bitmap(self) -> BitMap:
        """See `Part.bitmap`."""
        return BitMap(self.ordinals)

    def column(self, name: str, field: Field) -> Any:
        """See `Part.column`."""
        return self._head.column(name, ID_FIELD if name == ID else field, self._size)

    lasts = False

    def nulls(self) -> NullPlaces:
        """See `Part.nulls`."""
        return self._head.nulls(self._size)

    def values(self, name: str, places: Any) -> list[JSON]:
        """See `Part.values`."""
        bodies = self._head.bodies
        return [decode(bodies[at]).get(name) for at in places.tolist()]

    def taken(self, name: str, field: Field, places: Any) -> Any:
        """See `Part.taken`. Read from the documents where they are few, so that no column need be built for them."""
        if len(places) > TAKEN_MAX:
            return self.column(name, field).take(pa.array(places))
        bodies = self._head.bodies
        return build_column(ID_FIELD if name == ID else field, [decode(bodies[at]).get(name) for at in places.tolist()])

    def numbers(self, name: str, field: Field) -> None:  # noqa: ARG002  (it is still growing)
        """See `Part.numbers`."""
        return

    def ids(self, places: Any) -> list[str]:
        """See `Part.ids`."""
        ids: list[str] = self.taken(ID, ID_FIELD, places).to_pylist()
        return ids

    def vector_part(self, name: str) -> HeadVectorView | None:
        """See `Part.vector_part`."""
        return self._vectors.get(name)

    def vector_parts(self) -> dict[str, HeadVectorView]:
        """The rows of every vector field."""
        return self._vectors
