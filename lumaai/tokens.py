"""JSON Web Tokens (RFC 7519): HS256 by a secret, RS256 by the keys of a JWKS, claims to roles to grants.

Which key checks a token is decided by its algorithm, and only the two are known: a token that says `none`, or HS256
over a public key, meets no key. `exp` and `aud` are required.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lumaai.access import ALL, Grant, Verb
from lumaai.errors import InvalidRequestError, OverloadedError, UnauthorizedError
from lumaai.ingestion.extras import library

if TYPE_CHECKING:
    from lumaai.settings import Settings

HS256, RS256 = "HS256", "RS256"
# RFC 8725: tokens are small; what is larger is not parsed.
TOKEN_BYTES_MAX = 8_192
LEEWAY_SECONDS = 10.0
JWKS_SECONDS_MAX = 600.0  # how long keys that were fetched are trusted without being fetched again
JWKS_SECONDS_MIN = 30.0  # between two fetches, whatever tokens claim
JWKS_BYTES_MAX = 1 << 20
JWKS_KEYS_MAX = 100
FETCH_SECONDS_MAX = 5.0
RSA_BITS_MIN = 2048
# Subjects that are longer go by a hash.
SUBJECT_CHARACTERS_MAX = 200

# What roles allow unless LUMAAI_JWT_ROLES says otherwise.
DEFAULT_ROLES: Mapping[str, Grant] = {
    "reader": Grant(frozenset({Verb.READ}), (ALL,)),
    "asker": Grant(frozenset({Verb.READ, Verb.ASK}), (ALL,)),
    "writer": Grant(frozenset({Verb.READ, Verb.WRITE}), (ALL,)),
    "admin": Grant(frozenset({Verb.ADMIN}), (ALL,)),
}


@dataclass(frozen=True, slots=True)
class Bearer:
    """Whom a token is of, what they may do, and until when (seconds since 1970) it says so."""

    subject: str
    grants: tuple[Grant, ...]
    until: float


class TokenReader:
    """Reads tokens. Safe for many threads; may fetch keys, which takes seconds at most.

    Args:
        secret: of HS256; None: such tokens are refused.
        keys: of RS256; None: such tokens are refused.
        audience: that tokens must be for.
        issuer: that they must be from; None: anybody who has the key.
        roles_claim: where a token names its roles: a list, or one string with spaces; dots lead into objects.
        roles: what each allows.
    """

    def __init__(
        self,
        *,
        secret: bytes | None,
        keys: JwksKeys | None,
        audience: str,
        issuer: str | None,
        roles_claim: str,
        roles: Mapping[str, Grant],
    ) -> None:
        self._jwt = _library()
        self._secret = secret
        self._keys = keys
        self._audience = audience
        self._issuer = issuer
        self._roles_claim = roles_claim
        self._roles = roles

    @classmethod
    def of(cls, settings: Settings) -> TokenReader | None:
        """The reader that the settings ask for, if they do.

        Raises:
            InvalidRequestError: the extra `jwt` is not installed, or the file of keys cannot be used.
        """
        if settings.jwt_secret is None and settings.jwt_jwks is None:
            return None
        secret = settings.jwt_secret
        roles = {name: Grant.of(role.verbs, role.collections) for name, role in (settings.jwt_roles or {}).items()}
        return cls(
            secret=None if secret is None else secret.get_secret_value().encode(),
            keys=None if settings.jwt_jwks is None else JwksKeys(settings.jwt_jwks),
            audience=settings.jwt_audience or "",
            issuer=settings.jwt_issuer,
            roles_claim=settings.jwt_roles_claim,
            roles=roles or DEFAULT_ROLES,
        )

    def read(self, token: bytes) -> Bearer:
        """Check a token.

        Raises:
            UnauthorizedError: it is not valid (codes "token_invalid", "token_expired").
            OverloadedError: the keys to check it cannot be had.
        """
        if len(token) > TOKEN_BYTES_MAX:
            raise _invalid(f"it is too long: maximum={TOKEN_BYTES_MAX} bytes")
        try:
            header = self._jwt.get_unverified_header(token)
        except self._jwt.InvalidTokenError:
            raise _invalid("it is malformed") from None
        algorithm, key = self._key_for(header)
        required = ["exp", "aud"] if self._issuer is None else ["exp", "aud", "iss"]
        try:
            claims = self._jwt.decode(
                token, key, algorithms=[algorithm], audience=self._audience, issuer=self._issuer,
                leeway=LEEWAY_SECONDS, options={"require": required, "strict_aud": False},
            )  # fmt: skip
        except self._jwt.ExpiredSignatureError:
            raise UnauthorizedError("the token has expired", code="token_expired") from None
        except (self._jwt.PyJWTError, ValueError, TypeError, OverflowError) as error:
            raise _invalid(_REASONS.get(type(error).__name__, "it does not pass its checks")) from None
        return self._bearer(claims)

    def _key_for(self, header: Mapping[str, Any]) -> tuple[str, Any]:
        algorithm = header.get("alg")
        if "crit" in header:
            raise _invalid("it has critical extensions, which are not known here")
        if algorithm == HS256 and self._secret is not None:
            return HS256, self._secret
        if algorithm == RS256 and self._keys is not None:
            kid = header.get("kid")
            key = self._keys.key(kid if isinstance(kid, str) else None)
            if key is None:
                raise _invalid("it names a key that is not known")
            return RS256, key
        raise _invalid("its algorithm is not accepted here")

    def _bearer(self, claims: Mapping[str, Any]) -> Bearer:
        subject = claims.get("sub")
        names = _role_names(claims, self._roles_claim)
        grants = tuple(self._roles[name] for name in names if name in self._roles)
        try:
            until = float(claims["exp"]) + LEEWAY_SECONDS
        except OverflowError:  # an integer beyond what a float holds passes the library's own comparison
            raise _invalid("its exp is no time") from None
        return Bearer(_name_of(subject), grants, until)


@dataclass
class JwksKeys:
    """The RSA keys of a JWKS (RFC 7517), from a file or an address.

    Those of an address are fetched when they are needed, again when they are old or a token names one that is not
    there, and never twice within `JWKS_SECONDS_MIN`. While it does not answer, those fetched before are used.
    The lock lets one thread fetch.

    Raises:
        InvalidRequestError: it is a file that cannot be used.
    """

    source: str
    clock: Callable[[], float] = time.monotonic
    _keys: dict[str | None, Any] = field(default_factory=dict)
    _fetched_at: float | None = None
    _tried_at: float | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        if not self.is_address:
            try:
                self._keys = _rsa_keys(Path(self.source).read_bytes())
            except (OSError, ValueError) as error:
                raise InvalidRequestError(f"JWKS cannot be used: {self.source}: {error}", code="jwks_invalid") from None

    @property
    def is_address(self) -> bool:
        """Whether it is fetched."""
        return self.source.startswith(("https://", "http://"))

    def key(self, kid: str | None) -> Any:
        """The key of that id; without an id, the only one there is. None where there is none.

        Raises:
            OverloadedError: there are none yet and the address does not answer.
        """
        if self.is_address:
            now = self.clock()
            old = self._fetched_at is None or now - self._fetched_at > JWKS_SECONDS_MAX
            if old or (kid is not None and kid not in self._keys):
                self._fetch_again(now)
        if kid is not None:
            return self._keys.get(kid)
        return next(iter(self._keys.values())) if len(self._keys) == 1 else None

    def _fetch_again(self, now: float) -> None:
        with self._lock:
            if self._tried_at is None or now - self._tried_at >= JWKS_SECONDS_MIN:
                self._tried_at = now
                with suppress(OSError, ValueError):  # said below, unless there are keys from before
                    self._keys, self._fetched_at = _rsa_keys(_fetched(self.source)), now
            if self._fetched_at is None:
                raise OverloadedError(
                    "the keys that tokens are checked with cannot be fetched", code="jwks_unavailable", retry_after=5.0
                )


def _fetched(address: str) -> bytes:
    """What an address answers.

    Raises:
        OSError: it does not, or is too long.
    """
    import httpx

    content = b""
    try:
        with httpx.stream("GET", address, timeout=FETCH_SECONDS_MAX, follow_redirects=False) as answer:
            answer.raise_for_status()
            for piece in answer.iter_bytes():
                content += piece
                if len(content) > JWKS_BYTES_MAX:
                    raise OSError("JWKS is too large")
    except httpx.HTTPError as error:
        raise OSError(f"JWKS could not be fetched: {type(error).__name__}") from error
    return content


def _rsa_keys(content: bytes) -> dict[str | None, Any]:
    """The RSA keys of a JWKS by their ids; keys of other kinds or for encryption are left out.

    Raises:
        ValueError: it is no JWKS, or has none.
    """
    jwt = _library()
    try:
        listed = json.loads(content)["keys"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise ValueError("it is no JSON Web Key Set") from None
    keys: dict[str | None, Any] = {}
    for each in listed[:JWKS_KEYS_MAX] if isinstance(listed, list) else ():
        if not isinstance(each, dict) or each.get("kty") != "RSA" or each.get("use", "sig") != "sig":
            continue
        if each.get("alg", RS256) != RS256:
            continue
        public = {name: each[name] for name in ("kty", "n", "e") if name in each}  # a private part is nothing to keep
        try:
            key = jwt.algorithms.RSAAlgorithm.from_jwk(public)
        except (jwt.PyJWTError, ValueError, TypeError, KeyError):
            continue
        if key.key_size >= RSA_BITS_MIN:
            keys[each.get("kid") if isinstance(each.get("kid"), str) else None] = key
    if not keys:
        raise ValueError(f"it has no RSA key for signatures of at least {RSA_BITS_MIN} bits")
    return keys


_REASONS = {
    "InvalidSignatureError": "its signature is wrong",
    "InvalidAudienceError": "it is for another audience",
    "InvalidIssuerError": "it is from another issuer",
    "ImmatureSignatureError": "it is not valid yet",
    "InvalidIssuedAtError": "it was issued in the future",
    "MissingRequiredClaimError": "it lacks a claim that is required: exp, aud, or iss where the service asks for it",
}


def _invalid(reason: str) -> UnauthorizedError:
    return UnauthorizedError(f"the token is not valid: {reason}", code="token_invalid")


def _name_of(subject: object) -> str:
    """A name for logs and for what belongs to a caller: another for each subject, whatever it is made of."""
    if not isinstance(subject, str):
        return "unnamed"
    if subject.isprintable() and len(subject) <= SUBJECT_CHARACTERS_MAX:
        return subject
    return f"blake2b:{hashlib.blake2b(subject.encode('utf-8', 'surrogatepass'), digest_size=16).hexdigest()}"


def _role_names(claims: Mapping[str, Any], path: str) -> list[str]:
    found: Any = claims
    for step in path.split("."):
        found = found.get(step) if isinstance(found, Mapping) else None
    if isinstance(found, str):
        return found.split()
    return [name for name in found if isinstance(name, str)] if isinstance(found, list) else []


def _library() -> Any:
    library("jwt.algorithms", "jwt", "a token (LUMAAI_JWT_…)")
    return library("jwt", "jwt", "a token (LUMAAI_JWT_…)")
