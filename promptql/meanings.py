"""How alike words are in meaning, by an embedding model that is loaded when it is first asked."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from models import Embedder
from promptql.vectors import unit

WORDS_KEPT_MAX = 20_000  # vectors of words and names, of some 1.5 KB each


class Meanings:
    """Cosines of words with names. Safe for many threads: the lock guards the vectors that are kept.

    Args:
        embedder: gives the model.
    """

    def __init__(self, embedder: Callable[[], Embedder]) -> None:
        self._embedder = embedder
        self._lock = threading.Lock()
        self._vectors: OrderedDict[str, npt.NDArray[np.float32]] = OrderedDict()

    def likeness(self, words: Sequence[str], names: Sequence[str]) -> npt.NDArray[np.float32]:
        """The cosine of each word with each name, (words, names).

        Raises:
            ModelError: the model cannot be had.
        """
        wanted = list(dict.fromkeys([*words, *names]))
        with self._lock:
            known = {text: self._vectors[text] for text in wanted if text in self._vectors}
        missing = [text for text in wanted if text not in known]
        if missing:
            made = unit(self._embedder().embed_documents(missing))
            known.update(zip(missing, made, strict=True))
            with self._lock:
                self._vectors.update(zip(missing, made, strict=True))
                while len(self._vectors) > WORDS_KEPT_MAX:
                    self._vectors.popitem(last=False)
        left, right = (np.stack([known[text] for text in texts]) for texts in (words, names))
        found: npt.NDArray[np.float32] = left @ right.T
        return found
