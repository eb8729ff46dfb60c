"""The head: the documents since the last seal, searchable the moment they are committed.

The head grows by `append`, one writer at a time, and is read through `HeadView`s, which see the documents that were
there when they were taken and stay as they are. Vectors are searched exactly.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from engine.arrays import GrowingArray, Mask, Ordinals, Rows, Scores, Vectors
from engine.document import Passage, decode
from engine.fields.columns import ID_FIELD, arrow_type, build_column
from engine.schema import ID, Field, VectorField
from engine.segments.rows import RowOrigins
from engine.store.codec import NEVER
from engine.vector.allowed import Allowed
from engine.vector.index import prepare_vectors, search_exact
from engine.vector.parameters import SearchParameters
from engine.writes.expiry import Expiries, Microseconds

_CHUNKS_MAX = 32


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
        origins = RowOrigins(
            self.numbers.view(size),
            self.documents.view(size),
            self.starts.view(size),
            self.ends.view(size),
            self.fields.view(size),
            self.names,
        )
        return HeadVectorView(self.vectors.view(size), origins, self.spec)


class HeadVectorView:
    """The first rows of a `HeadVectors`, searched by comparing with each."""

    def __init__(self, vectors: Vectors, origins: RowOrigins, spec: VectorField) -> None:
        self.vectors = vectors
        self.origins = origins
        self.one_row_a_document = bool((np.diff(origins.documents) > 0).all())
        self._metric = spec.metric

    def allowed(self, mask: Mask) -> Allowed:
        """See `VectorPart.allowed`."""
        return Allowed(mask[self.origins.documents])

    def search(
        self,
        queries: Vectors,
        k: int,
        *,
        allowed: Allowed | None,
        parameters: SearchParameters,  # noqa: ARG002  (it is always exact)
        threads: int,
    ) -> tuple[Scores, Rows, str]:
        """See `VectorPart.search`."""
        rows: Rows | None = None
        vectors = self.vectors
        if allowed is not None:
            rows = allowed.rows
            vectors = vectors[rows]
        found = min(k, len(vectors))
        scores, places = search_exact(queries, vectors, found, self._metric, threads=threads)
        if rows is not None:
            places = rows[places]
        return scores, places, "head, exact"


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
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._ordinals)

    def rows(self) -> int:
        """Rows of all vector fields."""
        return sum(len(vectors.numbers) for vectors in self.vectors.values())

    def memory_bytes(self) -> int:
        """Bytes of documents and vectors."""
        return self.bytes + sum(vectors.vectors.view(len(vectors.numbers)).nbytes for vectors in self.vectors.values())

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

    def without_first(self, size: int) -> Head:
        """A head of the documents after the first `size`; this one stays as it is, for its views."""
        if not size:
            return self
        rest = Head()
        if size < len(self):
            expiring = self.expires(len(self))
            expires = None if expiring is None else expiring[size:]
            rest.append(int(self._ordinals.view(size + 1)[size]), self.bodies[size:], expires)
            for name, vectors in self.vectors.items():
                vectors.copy_after(size, rest.vectors, name)
        return rest

    def ordinals(self, size: int) -> Ordinals:
        """The first `size` ordinals."""
        return self._ordinals.view(size)

    def expires(self, size: int) -> Microseconds | None:
        """When the first `size` documents expire; None where none of the head does."""
        return None if self._expires is None else self._expires.view(size)

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

    def column(self, name: str, field: Field) -> Any:
        """See `Part.column`."""
        return self._head.column(name, ID_FIELD if name == ID else field, self._size)

    def numbers(self, name: str, field: Field) -> None:  # noqa: ARG002  (it is still growing)
        """See `Part.numbers`."""
        return

    def ids(self, places: Any) -> list[str]:
        """See `Part.ids`."""
        ids: list[str] = self.column(ID, ID_FIELD).take(pa.array(places)).to_pylist()
        return ids

    def vector_part(self, name: str) -> HeadVectorView | None:
        """See `Part.vector_part`."""
        return self._vectors.get(name)

    def vector_parts(self) -> dict[str, HeadVectorView]:
        """The rows of every vector field."""
        return self._vectors
