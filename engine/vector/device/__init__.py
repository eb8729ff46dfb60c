"""Searching on an accelerator: vectors that lie there, one thread that owns it, and the processor where it fails."""
