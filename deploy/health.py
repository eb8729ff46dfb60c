"""Ask the service of this container how it is: `health.py healthz` (alive?) or `health.py readyz` (may it serve?).

Exits with 0 or 1. Standard library only, so that a probe costs little; the key, where one is needed, is the service's.
"""

from __future__ import annotations

import os
import sys
import urllib.error
import urllib.request

TIMEOUT_SECONDS = 4


def main(what: str) -> int:
    """The exit code for one of the two."""
    request = urllib.request.Request(f"http://127.0.0.1:{os.environ.get('LUMAAI_PORT', '8000')}/{what}")
    if key := os.environ.get("LUMAAI_API_KEY"):
        request.add_header("X-Api-Key", key)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310 - http, as written above
            return 0 if answer.status == 200 else 1
    except urllib.error.HTTPError as error:
        sys.stderr.write(error.read(1000).decode(errors="replace") + "\n")
    except OSError as error:
        sys.stderr.write(f"{error}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "healthz"))
