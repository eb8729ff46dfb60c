"""The asynchronous client is what its sources make it, and what makes it sees what waits."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lumaai.aio import generate


def test_the_asynchronous_client_is_up_to_date() -> None:
    """Each file is what `make twins` would write now."""
    stale = [path.name for path, text in generate.generated().items() if path.read_text() != text]
    assert stale == [], "run `make twins`"


SOURCE = '''
class Pool:
    """A pool."""

    def size(self) -> int:
        return 1

    def ask(self, stream: Stream) -> bytes:
        """Waits."""
        stream.write(b"x", None)  # a comment
        return stream.read(None)[1:]

    def both(self, stream: Stream) -> int:
        return len(self.ask(stream)) + self.size()
'''


def test_what_waits_is_awaited_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where it waits only through another method; comments stay."""
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    (tmp_path / "pool.py").write_text(SOURCE)
    source = generate.Source("pool.py")
    text = generate.Twin(source, *generate.find([source])).text()
    assert "    def size(self) -> int:\n        return 1" in text
    assert 'await stream.write(b"x", None)  # a comment\n        return (await stream.read(None))[1:]' in text
    assert "async def both(self, stream: AsyncStream) -> int:\n        return len(await self.ask(stream))" in text
