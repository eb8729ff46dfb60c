"""Ask the service of this container how it is: `health.py healthz` (alive?) or `health.py readyz` (may it serve?).

Exits with 0 or 1. Standard library only, so that a probe costs little; the key, where one is needed, is the service's,
and so are the address and whether it speaks TLS.
"""

from __future__ import annotations

import os
import ssl
import sys
import urllib.error
import urllib.request

TIMEOUT_SECONDS = 4
# Addresses that stand for all of a machine's: it is asked at loopback then.
ALL_ADDRESSES = ("0.0.0.0", "::", "")  # noqa: S104 - compared, not bound


def main(what: str) -> int:
    """The exit code for one of the two."""
    host = os.environ.get("LUMAAI_HOST", "").strip("[]")
    host = "127.0.0.1" if host in ALL_ADDRESSES else f"[{host}]" if ":" in host else host
    scheme = "https" if os.environ.get("LUMAAI_TLS_CERTIFICATE") else "http"
    address = f"{scheme}://{host}:{os.environ.get('LUMAAI_PORT', '8000')}/{what}"
    request = urllib.request.Request(address)  # noqa: S310 - http or https, as written above
    if key := os.environ.get("LUMAAI_API_KEY"):
        request.add_header("X-Api-Key", key)
    # By no proxy, whatever the environment says of others: it would be asked for its own loopback, with the key.
    handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
    if scheme == "https":  # the certificate is for the names that others call it by
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        handlers.append(urllib.request.HTTPSHandler(context=context))
    opener = urllib.request.build_opener(*handlers)
    try:
        with opener.open(request, timeout=TIMEOUT_SECONDS) as answer:
            return 0 if answer.status == 200 else 1
    except urllib.error.HTTPError as error:
        sys.stderr.write(error.read(1000).decode(errors="replace") + "\n")
    except OSError as error:
        sys.stderr.write(f"{error}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "healthz"))
