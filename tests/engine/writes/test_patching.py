"""engine.writes.patching: JSON Merge Patch of stored documents, and the vectors that go over."""

from __future__ import annotations

import copy
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import (
    Collection,
    Database,
    DocumentsNotFoundError,
    InvalidDocumentsError,
    InvalidInputError,
    LimitExceededError,
    Metric,
    Passage,
    Schema,
    VectorField,
    VectorRows,
)
from engine.writes.patching import merge_patch

# RFC 7396, appendix A
EXAMPLES: list[tuple[Any, Any, Any]] = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "b"}, ["c"], ["c"]),
    ({"a": "foo"}, None, None),
    ({"a": "foo"}, "bar", "bar"),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]


@pytest.mark.parametrize(("target", "patch", "result"), EXAMPLES)
def test_merging_follows_the_standard(target: Any, patch: Any, result: Any) -> None:
    """Every example of RFC 7396; the arguments stay as they are."""
    before = copy.deepcopy((target, patch))
    assert merge_patch(target, patch) == result
    assert (target, patch) == before


def test_a_patch_changes_some_keys(collection: Collection) -> None:
    """Key order stays, null removes, objects merge, and the schema grows; the statuses say what happened."""
    collection.add([{"id": "a", "n": 1, "j": {"x": 1, "y": 2}, "z": None}, {"id": "b"}, {"id": "c", "k": [1]}])
    patches: list[dict[str, Any]] = [
        {"j": {"x": None, "w": 3}, "id": "a"},
        {"id": "b"},
        {"id": "c", "k": None, "new": 1.5},
    ]
    result = collection.patch(patches)
    assert (result.replaced, result.skipped, result.added) == (2, 1, 0)
    assert result.statuses == ("replaced", "skipped", "replaced")
    assert result.ids == ("a", "b", "c")
    found = collection.snapshot().get(["a", "b", "c"])
    assert repr(found) == repr(
        [{"id": "a", "n": 1, "j": {"y": 2, "w": 3}, "z": None}, {"id": "b"}, {"id": "c", "new": 1.5}]
    )
    assert "new" in collection.schema.fields
    before = collection.snapshot().sequence
    assert collection.patch([{"id": "a", "n": 1, "j": {"y": 2}}]).sequence == before


def test_patches_of_one_document_apply_in_order(collection: Collection) -> None:
    """As if each had been sent alone, with the vectors that each gives or removes."""
    collection.add([{"id": "a", "n": 1, "vector": [1, 0]}, {"id": "b", "vector": [0, 1]}])
    result = collection.patch(
        [
            {"id": "a", "n": 2, "vector": [2, 0]},
            {"id": "b", "vector": None},
            {"id": "a", "n": None, "m": 3},
            {"id": "b", "n": 1},
            {"id": "a", "m": 4},
        ]
    )
    assert (result.replaced, result.statuses) == (5, ("replaced",) * 5)
    assert collection.snapshot().get(["a", "b"], vectors=True) == [
        {"id": "a", "m": 4, "vector": [2.0, 0.0]},
        {"id": "b", "n": 1},
    ]
    assert collection.patch([{"id": "a", "m": 5}, {"id": "a", "m": 4}]).skipped == 2


@pytest.mark.parametrize("sealed", [False, True])
def test_vectors_go_over_with_their_passages(database: Database, sealed: bool) -> None:
    """Those of fields that a patch does not speak of; in place of all that a document has in the others."""
    schema = Schema(vectors={name: VectorField(2, Metric.DOT) for name in ("v", "w")})
    collection = database.create_collection("c", schema)
    passages = [Passage("text", 0, 5), Passage("text", 5, 9), None]
    vectors = np.array([[1, 0], [0, 1], [1, 1]], np.float32)
    documents: list[Any] = [{"id": "a", "text": "some words", "w": [3, 3]}, {"id": "b", "text": "more"}]
    collection.add(documents, {"v": VectorRows(vectors, np.array([0, 0, 1]), passages)})
    if sealed:
        collection.optimize()

    def passages_of(query: list[float]) -> list[Any]:
        hits = collection.snapshot().search(np.array(query), 5, vector_field="v")
        return list(zip(hits.ids, hits.passages, strict=True))

    before = passages_of([1, 0]), passages_of([0, 1])
    assert collection.patch([{"id": "a", "n": 1}, {"id": "b", "n": 2}]).replaced == 2
    assert (passages_of([1, 0]), passages_of([0, 1])) == before
    found = collection.snapshot().get(["a", "b"], vectors=True)
    assert found == [
        {"id": "a", "text": "some words", "n": 1, "v": [[1.0, 0.0], [0.0, 1.0]], "w": [3.0, 3.0]},
        {"id": "b", "text": "more", "n": 2, "v": [1.0, 1.0]},
    ]
    rows = VectorRows(np.array([[5, 5]], np.float32), np.array([0]), [Passage("text", 0, 4)])
    collection.patch([{"id": "a", "text": "other", "w": None}], {"v": rows})
    assert collection.snapshot().get(["a"], vectors=True) == [{"id": "a", "text": "other", "n": 1, "v": [5.0, 5.0]}]
    assert collection.patch([{"id": "a", "v": None}]).replaced == 1  # though its body is the same
    assert collection.patch([{"id": "a", "v": None}]).skipped == 1
    assert collection.snapshot().get(["a"], vectors=True) == [{"id": "a", "text": "other", "n": 1}]


def test_rows_beside_patches_belong_to_the_last_that_gives_them(collection: Collection) -> None:
    """Of one document's patches; a later patch without vectors keeps them."""
    collection.add([{"id": "a", "vector": [9, 9]}, {"id": "b", "vector": [8, 8]}])
    rows = VectorRows(np.array([[1, 1], [2, 2], [3, 3], [4, 4]], np.float32), np.array([0, 1, 2, 2]))
    collection.patch([{"id": "a"}, {"id": "b"}, {"id": "a"}, {"id": "a", "n": 1}], {"vector": rows})
    found = collection.snapshot().get(["a", "b"], vectors=True)
    assert found == [{"id": "a", "n": 1, "vector": [[3.0, 3.0], [4.0, 4.0]]}, {"id": "b", "vector": [2.0, 2.0]}]


@pytest.mark.parametrize(
    ("patch", "code", "pointer"),
    [
        ([], "type_mismatch", "/1"),
        ({"n": 1}, "id_invalid", "/1/id"),
        ({"id": 5}, "id_invalid", "/1/id"),
        ({"id": "x" * 513}, "id_too_long", "/1/id"),
        ({"id": "a", "n": "word"}, "type_mismatch", "/1/n"),
        ({"id": "a", "n": float("nan")}, "number_not_finite", "/1/n"),
        ({"id": "a", "j": {1: 2}}, "key_invalid", "/1/j"),
        ({"id": "a", "vector": [1]}, "dimension_mismatch", "/1/vector"),
        ({"id": "a", "$x": 1}, "field_name_invalid", "/1/$x"),
        ({"id": "a", "a/b~": object()}, "type_unsupported", "/1/a~1b~0"),
    ],
)
def test_a_bad_patch_is_named_and_nothing_is_written(
    collection: Collection, patch: Any, code: str, pointer: str
) -> None:
    """At its place in the batch, also where another patch of the document comes behind it."""
    collection.add([{"id": "a", "n": 1, "vector": [1, 2]}])
    with pytest.raises(InvalidDocumentsError) as caught:
        collection.patch([{"id": "a", "n": 2}, patch, {"id": "a", "other": 1}])
    assert [(error.index, error.code, error.pointer) for error in caught.value.errors] == [(1, code, pointer)]
    assert collection.snapshot().get(["a"]) == [{"id": "a", "n": 1}]


def test_what_is_not_there_cannot_be_patched(collection: Collection) -> None:
    """Every such patch is named."""
    collection.add([{"id": "a"}])
    with pytest.raises(DocumentsNotFoundError) as caught:
        collection.patch([{"id": "x", "n": 1}, {"id": "a", "n": 1}, {"id": "x"}])
    assert [(error.index, error.id, error.code) for error in caught.value.errors] == [
        (0, "x", "document_not_found"),
        (2, "x", "document_not_found"),
    ]
    assert collection.snapshot().get(["a"]) == [{"id": "a"}]


def test_bad_batches_are_refused(collection: Collection) -> None:
    """None, no list, too many, rows that fit no patch, and nesting that no stack would hold."""
    collection.add([{"id": "a"}])
    no_patches: list[Any] = [[], "a", {"id": "a"}, 5]
    for patches in no_patches:
        with pytest.raises(InvalidInputError):
            collection.patch(patches)
    with pytest.raises(LimitExceededError) as caught:
        collection.patch([{"id": "a"}] * 100_001)
    assert (caught.value.limit, caught.value.got) == (100_000, 100_001)
    one = np.ones((1, 2), np.float32)
    for rows in (
        VectorRows(one, np.array([1])),
        VectorRows(one, np.array([-1])),
        VectorRows(one, np.array([0, 0])),
        VectorRows(one, np.array([0]), []),
        VectorRows(one, np.array([0.0])),
    ):
        with pytest.raises(InvalidInputError):
            collection.patch([{"id": "a"}], {"v": rows})
    deep: dict[str, Any] = {}
    for _ in range(100_000):
        deep = {"a": deep}
    with pytest.raises(InvalidDocumentsError, match="too deep"):
        collection.patch([{"id": "a", "j": deep}])
    assert collection.schema == Schema()


def test_a_patched_document_is_the_same_after_reopening(path: Path) -> None:
    """Body, vectors and passages, replayed from the log."""
    with Database.open(path, seal_rows=1_000_000) as database:
        collection = database.create_collection("c", Schema())
        rows = VectorRows(
            np.array([[1, 0], [0, 1]], np.float32), np.array([0, 0]), [Passage("t", 0, 1), Passage("t", 1, 2)]
        )
        collection.add([{"id": "a", "t": "ab"}], {"v": rows})
        collection.patch([{"id": "a", "n": 1}])
    with Database.open(path, seal_rows=1_000_000) as database:
        snapshot = database.collection("c").snapshot()
        assert snapshot.get(["a"], vectors=True) == [{"id": "a", "t": "ab", "n": 1, "v": [[1.0, 0.0], [0.0, 1.0]]}]
        assert list(snapshot.search(np.array([0.0, 1.0]), 1).passages) == [Passage("t", 1, 2)]


def test_concurrent_patches_of_different_keys_all_hold(collection: Collection) -> None:
    """A patch is one step: sixteen threads each set a key of their own, and the vector stays."""
    collection.add([{"id": "a", "vector": [1, 2]}])

    def set_key(number: int) -> None:
        for i in range(5):
            collection.patch([{"id": "a", f"k{number}": i}])

    threads = [threading.Thread(target=set_key, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (found,) = collection.snapshot().get(["a"], vectors=True)
    assert found == {"id": "a", "vector": [1.0, 2.0], **{f"k{number}": 4 for number in range(16)}}


VALUES = st.recursive(
    st.none() | st.integers(-3, 3) | st.sampled_from(["", "x"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("pqr"), inner, max_size=3),
    max_leaves=5,
)
OBJECTS = st.dictionaries(st.sampled_from("pqr"), VALUES, max_size=3)


def plainly_merged(target: Any, patch: Any) -> Any:
    """The pseudo-code of RFC 7396, section 2, on a copy."""
    if not isinstance(patch, dict):
        return patch
    target = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            if name in target:
                del target[name]
        else:
            target[name] = plainly_merged(target.get(name), value)
    return target


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with Database.open(tmp_path_factory.mktemp("patching") / "db") as database:
        yield database.create_collection("c", Schema.from_json({"fields": {"j": "json"}}))


@settings(max_examples=60, deadline=None)
@given(document=OBJECTS, patches=st.lists(OBJECTS, min_size=1, max_size=4))
def test_any_patches_do_what_the_standard_says(shared: Collection, document: Any, patches: list[Any]) -> None:
    """In one batch or one after another, and key order is kept."""
    shared.add([{"id": "one", "j": document}, {"id": "by one", "j": document}])
    expected: Any = {"id": "one", "j": document}
    for patch in patches:
        expected = plainly_merged(expected, {"j": patch})
        shared.patch([{"id": "by one", "j": patch}])
    shared.patch([{"id": "one", "j": patch} for patch in patches])
    one, by_one = shared.snapshot().get(["one", "by one"])
    assert repr(one) == repr(expected)
    assert repr(by_one) == repr({**expected, "id": "by one"})
