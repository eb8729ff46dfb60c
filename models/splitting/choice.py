"""Which splitter a text takes."""

from __future__ import annotations

from models.splitting.code import code, splitter_of
from models.splitting.markdown import markdown
from models.splitting.sentences import prose
from models.splitting.structure import Splitter, Structure


def structure_of(text: str, splitter: Splitter, path: str = "") -> Structure:
    """Where a text may be cut; `auto` goes by the path's suffix."""
    match splitter_of(path) if splitter is Splitter.AUTO else splitter:
        case Splitter.MARKDOWN:
            return markdown(text)
        case Splitter.CODE:
            return code(text, path)
        case _:
            return prose(text)
