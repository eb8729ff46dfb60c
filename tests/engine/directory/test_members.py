"""engine.directory.members: tars of strangers are read as far as they are like ours, and refused at once beyond."""

from __future__ import annotations

import io
import os
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from engine import ArchiveError
from engine.directory.members import members

DATA = b"content of a file"


def tar_of(path: Path, *names: str, kind: int = tarfile.PAX_FORMAT, **pax: str) -> Path:
    with tarfile.open(path, "w", format=kind) as tar:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size, member.pax_headers = len(DATA), pax
            tar.addfile(member, io.BytesIO(DATA))
    return path


def read(path: Path) -> dict[str, bytes]:
    with members(path) as files:
        return {name: file.read(1 << 20) for name, file in files}


@pytest.mark.parametrize("kind", [tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT])
def test_tars_of_the_usual_kinds_are_read(tmp_path: Path, kind: int) -> None:
    names = ["archive.json", "store/CURRENT", "indexes/00000001/00000001/" + "x" * 60]
    assert read(tar_of(tmp_path / "a.tar", *names, kind=kind)) == dict.fromkeys(names, DATA)


def test_a_pax_header_gives_a_long_name_and_what_else_it_says_is_passed_over(tmp_path: Path) -> None:
    name = "indexes/" + "x" * 200 + "ü"
    assert read(tar_of(tmp_path / "a.tar", name, mtime="1.5", comment="a=b\nc")) == {name: DATA}


def test_a_prefix_in_the_header_counts(tmp_path: Path) -> None:
    name = "d" * 90 + "/" + "x" * 90
    assert read(tar_of(tmp_path / "a.tar", name, kind=tarfile.USTAR_FORMAT)) == {name: DATA}


def test_a_file_that_is_not_read_is_passed_over(tmp_path: Path) -> None:
    with members(tar_of(tmp_path / "a.tar", "a", "b")) as files:
        assert [name for name, _ in files] == ["a", "b"]


def header(kind: bytes = b"0", size: bytes = b"00000000000\0", name: str = "x") -> bytes:
    info = tarfile.TarInfo(name)
    info.type = kind
    block = bytearray(info.tobuf(tarfile.USTAR_FORMAT)[:512])
    block[124:136] = size
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def octal(size: int) -> bytes:
    return b"%011o\0" % size


def binary(size: int) -> bytes:
    return b"\x80" + size.to_bytes(11, "big")


def pax(data: bytes) -> bytes:
    return header(b"x", octal(len(data))) + data.ljust(-(-len(data) // 512) * 512, b"\0")


def record(key: bytes, value: bytes) -> bytes:
    size = next(n for n in range(1, 999) if len(b"%d %s=%s\n" % (n, key, value)) == n)
    return b"%d %s=%s\n" % (size, key, value)


NEGATIVE = b"\xff" + (2**88 - 1024).to_bytes(11, "big")
SIZES = {"2^70": binary(2**70), "1 TB": binary(2**40), "negative": NEGATIVE, "letters": b"12x45678901\0"}
HOSTILE = {
    **{f"{kind!r} of {name}": header(kind, size) for kind in (b"0", b"x", b"g", b"L") for name, size in SIZES.items()},
    "5,000 pax headers": header(b"x") * 5000,
    "5,000 long names": header(b"L") * 5000,
    "pax of 4 GB": header(b"x", binary(4 << 30)),
    "pax at the end": pax(record(b"mtime", b"1")),
    "GNU sparse": header(b"S"),
    "contiguous": header(b"7"),
    "unknown": header(b"Z"),
    "sparse map": pax(record(b"GNU.sparse.map", b"a,b")) + header(),
    "sparse size": pax(record(b"GNU.sparse.size", b"x")) + header(),
    "sparse version": pax(record(b"GNU.sparse.major", b"1")) + header(),
    "size of letters": pax(record(b"size", b"x")) + header(),
    "size of 60 digits": pax(record(b"size", b"9" * 60)) + header(),
    "negative size": pax(record(b"size", b"-1")) + header(),
    "path that is no text": pax(record(b"path", b"\xff\xfe")) + header(),
    "record of length 0": pax(b"0 a=b\n") + header(),
    "record of 26 digits": pax(b"9" * 26 + b" a=b\n") + header(),
    "record too long": pax(b"900 a=b\n") + header(),
    "record too short": pax(b"4 a=b\n") + header(),
    "no checksum": bytes(header()[:148]) + b"0" * 8 + header()[156:],
    "half a header": header()[:300],
    "text": b"text " * 1000,
}


@pytest.mark.parametrize("what", HOSTILE)
@pytest.mark.parametrize("first", [True, False])
def test_hostile_headers_are_refused_at_once(tmp_path: Path, what: str, first: bool) -> None:
    """At the beginning, and behind files that are sound; in a file that has the room that a size speaks of."""
    good = b"" if first else tar_of(tmp_path / "a.tar", "a").read_bytes()[:1024]
    hostile = tmp_path / "hostile.tar"
    hostile.write_bytes(good + HOSTILE[what])
    if "4 GB" in what:
        os.truncate(hostile, 8 << 30)
    started = time.perf_counter()
    with pytest.raises(ArchiveError):
        read(hostile)
    assert time.perf_counter() - started < 1


MADE: dict[str, Callable[[Path], None]] = {
    "pipe": os.mkfifo,
    "nothing": lambda path: None,
}


@pytest.mark.parametrize("what", MADE)
def test_what_is_neither_a_file_nor_a_directory_is_refused(tmp_path: Path, what: str) -> None:
    """Without waiting at a pipe."""
    MADE[what](tmp_path / "a.tar")
    with pytest.raises(ArchiveError, match="neither"):
        read(tmp_path / "a.tar")
