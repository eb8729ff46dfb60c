"""engine.segments.garbage: what may be deleted from the store."""

from __future__ import annotations

from pyroaring import BitMap

from engine.segments.garbage import RANGE_LENGTH, Garbage, runs
from engine.segments.manifest import EMPTY, NOTHING, Manifest, decode_manifest, encode_manifest


def test_garbage_adds_up() -> None:
    """Ordinals and rows by field; what is taken away leaves no empty field behind."""
    one = Garbage(BitMap([1, 2]), {"v": BitMap([5])})
    two = Garbage(BitMap([2, 3]), {"v": BitMap([6]), "w": BitMap([7])})
    both = one | two
    assert (set(both.ordinals), set(both.rows["v"]), set(both.rows["w"])) == ({1, 2, 3}, {5, 6}, {7})
    assert len(both) == 6
    left = both - two
    assert (set(left.ordinals), {name: set(rows) for name, rows in left.rows.items()}) == ({1}, {"v": {5}})
    assert not Garbage()
    assert not both - both


def test_long_runs_are_ranges_and_short_ones_single() -> None:
    """Every number exactly once."""
    long = range(1000, 1000 + RANGE_LENGTH)
    short = range(5000, 5000 + RANGE_LENGTH - 1)
    found = list(runs(BitMap([3, *long, *short, 2**32 - 1])))
    assert found[:2] == [(3, 4), (long.start, long.stop)]
    assert found[2:-1] == [(number, number + 1) for number in short]
    assert found[-1] == (2**32 - 1, 2**32)
    assert list(runs(BitMap())) == []
    assert list(runs(BitMap(range(RANGE_LENGTH)))) == [(0, RANGE_LENGTH)]


def test_manifests_keep_it() -> None:
    """Also an old manifest, which has none, can be read: it says that it does not know."""
    garbage = Garbage(BitMap([1, 2]), {"v": BitMap([5])})
    manifest = Manifest(1, 2, [], NOTHING, garbage.ordinals.serialize(), garbage.serialize_rows(), 7, tracked=True)
    read = decode_manifest(encode_manifest(manifest))
    assert read == manifest
    assert not Garbage.of(read) - garbage
    assert len(Garbage.of(read)) == 3
    old = bytes.fromhex("84a873657175656e636501ac6e6578745f7365676d656e7402a87365676d656e747390a764656c65746564c408")
    old += NOTHING
    assert decode_manifest(old) == Manifest(1, 2, [], NOTHING, tracked=False)
    assert EMPTY.tracked
