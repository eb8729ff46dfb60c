"""Credentials of all kinds, good and bad, for the tests of who may do what. Tokens are made by hand."""

from __future__ import annotations

import base64
import hashlib
import hmac
import importlib.util
import json
import time
from typing import Any

MASTER = "the master key of this test"
JWT_SECRET = "a secret of tokens, 32 bytes or more"
AUDIENCE = "lumaai-test"
ISSUER = "https://issuer.example"
HAS_JWT = importlib.util.find_spec("jwt") is not None
ROLES = {
    "films-only": {"verbs": ["read", "write", "ask", "admin"], "collections": ["films"]},
    "reader": {"verbs": ["read"], "collections": ["*"]},
}


def bearer(credential: str) -> dict[str, str]:
    return {"authorization": f"Bearer {credential}"}


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(
    *,
    secret: bytes = JWT_SECRET.encode(),
    header: dict[str, Any] | None = None,
    signature: bytes | None = None,
    **changes: Any,
) -> str:
    """A token of the role "films-only" that is valid but for `changes` of its claims; None leaves one out."""
    now = int(time.time())
    given = {"sub": "someone", "aud": AUDIENCE, "iss": ISSUER, "exp": now + 600, "nbf": now - 60, "iat": now - 60}
    claims = {**given, "roles": ["films-only"], **changes}
    claims = {name: value for name, value in claims.items() if value is not None}
    head = encoded(json.dumps({"alg": "HS256", "typ": "JWT", **(header or {})}).encode())
    signed = f"{head}.{encoded(json.dumps(claims).encode())}"
    made = hmac.digest(secret, signed.encode(), hashlib.sha256) if signature is None else signature
    return f"{signed}.{encoded(made)}"


def bad_tokens() -> dict[str, str]:
    """Tokens that must open nothing, by what is wrong with them."""
    now = int(time.time())
    good = token()
    head, body, signature = good.split(".")
    return {
        "expired token": token(exp=now - 3600),
        "token without an end": token(exp=None),
        "token that ends beyond all times": token(exp=10**400),
        "token that is not valid yet": token(nbf=now + 3600),
        "token for another audience": token(aud="somebody-else"),
        "token for nobody in particular": token(aud=None),
        "token from another issuer": token(iss="https://evil.example"),
        "token without an issuer": token(iss=None),
        "token of another secret": token(secret=b"another secret of 32 bytes or more"),
        "alg none, no signature": token(header={"alg": "none"}, signature=b""),
        "alg None": token(header={"alg": "None"}, signature=b""),
        "alg nOnE, signed": token(header={"alg": "nOnE"}),
        "alg HS512": token(header={"alg": "HS512"}),
        "alg RS256 over the secret": token(header={"alg": "RS256"}),
        "alg that is no string": token(header={"alg": ["HS256"]}),
        "critical extension": token(header={"crit": ["b64"], "b64": False}),
        "signature left out": f"{head}.{body}.",
        "claims changed": f"{head}.{encoded(json.dumps({'roles': ['reader'], 'aud': AUDIENCE}).encode())}.{signature}",
        "two dots": "..",
        "three dots": f"{good}.x",
    }
