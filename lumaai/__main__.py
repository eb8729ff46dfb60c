"""`python -m lumaai` is `lumaai`."""

from __future__ import annotations

from lumaai.cli import main

main()
