"""What a database and its collections share: the engine's database in use now, models, cursors."""

from __future__ import annotations

import threading
from collections.abc import Callable

import engine
from lumaai.embedding import Embedders
from lumaai.scroll import Cursors


class Opened:
    """The engine's database behind a `Database`, which a restore replaces by another.

    The lock lets one replacement at a time go on; readers of `native` need none.

    Attributes:
        native: the database in use.
        generation: how often it was replaced; who keeps a part of it looks for it anew when this has changed.
        durability: of writes that ask for none.
    """

    def __init__(self, native: engine.Database, embedders: Embedders, durability: str) -> None:
        self.native = native
        self.generation = 0
        self.embedders = embedders
        self.cursors = Cursors()
        self.durability = durability
        self.is_closed = False
        self._replacing = threading.Lock()

    def replace(self, replacement: Callable[[engine.Database], engine.Database]) -> None:
        """Go on with what `replacement` makes of the database; scrolls under way end.

        Where it raises, the database in use stays; the caller reopens it if it was closed meanwhile.
        """
        with self._replacing:
            self.native = replacement(self.native)
            self.generation += 1
            self.cursors.clear()

    def renew(self) -> None:
        """Have everybody look anew for what they keep of the database."""
        self.generation += 1

    def close(self) -> None:
        """Close everything; doing it twice does no harm."""
        with self._replacing:
            self.is_closed = True
            self.cursors.clear()
            self.embedders.close()
            self.native.close()
