"""Other vector databases beside ours, in an environment of their own: same vectors, same machine, both in turn."""

from benchmarks.peers.comparison import run

__all__ = ["run"]
