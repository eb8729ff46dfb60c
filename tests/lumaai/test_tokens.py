from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from lumaai.access import Verb
from lumaai.errors import InvalidRequestError, OverloadedError, UnauthorizedError
from lumaai.settings import Settings
from lumaai.tokens import JwksKeys, TokenReader
from tests.lumaai.credentials import AUDIENCE, ISSUER, JWT_SECRET, ROLES, bad_tokens, bearer, encoded, token
from tests.lumaai.serving import problem_of, serving

pytest.importorskip("jwt", reason="needs the extra jwt")
rsa = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.rsa", reason="needs the extra jwt")


class RsaKey:
    """A key of ours, and what a JWKS says of it."""

    def __init__(self, kid: str, bits: int = 2048) -> None:
        self.kid = kid
        self.private = rsa.generate_private_key(public_exponent=65_537, key_size=bits)
        numbers = self.private.public_key().public_numbers()
        self.jwk = {"kty": "RSA", "kid": kid, "alg": "RS256", "use": "sig"}
        for name, number in (("n", numbers.n), ("e", numbers.e)):
            self.jwk[name] = encoded(number.to_bytes((number.bit_length() + 7) // 8, "big"))

    @property
    def pem(self) -> bytes:
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        pem: bytes = self.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return pem

    def token(self, *, header: dict[str, Any] | None = None, **changes: Any) -> bytes:
        """A token signed by it with RS256."""
        from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
        from cryptography.hazmat.primitives.hashes import SHA256

        unsigned = token(header={"alg": "RS256", "kid": self.kid, **(header or {})}, **changes).rpartition(".")[0]
        signature = self.private.sign(unsigned.encode(), PKCS1v15(), SHA256())
        return f"{unsigned}.{encoded(signature)}".encode()


@pytest.fixture(scope="module")
def key() -> RsaKey:
    return RsaKey("one")


def jwks(*keys: RsaKey) -> str:
    return json.dumps({"keys": [key.jwk for key in keys]})


def reader(**given: Any) -> TokenReader:
    """What settings make, given what is not the rule."""
    roles: Any = ROLES
    settings: dict[str, Any] = {"jwt_audience": AUDIENCE, "jwt_issuer": ISSUER, "jwt_roles": roles, **given}
    made = TokenReader.of(Settings(**settings))
    assert made is not None
    return made


def by_secret(**given: Any) -> TokenReader:
    return reader(jwt_secret=SecretStr(JWT_SECRET), **given)


def test_a_good_token_has_the_grants_of_its_roles() -> None:
    """And the name of its subject; roles that nobody described give nothing."""
    bearer = by_secret().read(token(roles=["films-only", "unheard-of"]).encode())
    assert bearer.subject == "someone"
    (grant,) = bearer.grants
    assert grant.collections == ("films",)
    assert grant.verbs == set(Verb)
    assert bearer.until == pytest.approx(time.time() + 610, abs=5)
    assert by_secret().read(token(roles=None).encode()).grants == ()


def test_no_two_subjects_share_a_name() -> None:
    """What belongs to a caller goes by it; long ones and those that no log line takes are told apart as well."""
    subjects = ["a" * 200 + "b", "a" * 200 + "c", "a\nb", "a\nc", "a"]
    names = [by_secret().read(token(sub=subject).encode()).subject for subject in subjects]
    assert len(set(names)) == len(subjects)
    assert all(name.isprintable() and len(name) <= 200 for name in names)


@pytest.mark.parametrize("what", bad_tokens())
def test_a_bad_token_opens_nothing(what: str) -> None:
    """Expired, not yet valid, for others, from others, unsigned, signed otherwise, changed, malformed."""
    for made in (by_secret(),):
        with pytest.raises(UnauthorizedError) as caught:
            made.read(bad_tokens()[what].encode())
        assert caught.value.code == ("token_expired" if what == "expired token" else "token_invalid")


def test_rs256_is_checked_by_the_keys_of_a_jwks(tmp_path: Path, key: RsaKey) -> None:
    """By the one that the token names; by another, or none, it is refused."""
    other = RsaKey("two")
    file = tmp_path / "jwks.json"
    file.write_text(jwks(key, other))
    made = reader(jwt_jwks=str(file))
    assert made.read(key.token()).subject == "someone"
    assert made.read(other.token()).subject == "someone"
    for bad in (
        key.token(header={"kid": "two"}),
        key.token(header={"kid": "three"}),
        key.token(header={"kid": None}),
        RsaKey("one").token(),
        key.token(exp=1),
        key.token(aud="another"),
    ):
        with pytest.raises(UnauthorizedError):
            made.read(bad)


def test_a_public_key_is_no_secret(tmp_path: Path, key: RsaKey) -> None:
    """HS256 over the public key (PEM, JWK or modulus), which everybody has, is refused, with or without a secret."""
    file = tmp_path / "jwks.json"
    file.write_text(jwks(key))
    modulus = base64.urlsafe_b64decode(key.jwk["n"] + "==")
    secrets = (key.pem, key.pem.strip(), json.dumps(key.jwk).encode(), key.jwk["n"].encode(), modulus)
    for made in (reader(jwt_jwks=str(file)), by_secret(jwt_jwks=str(file))):
        for secret in secrets:
            with pytest.raises(UnauthorizedError):
                made.read(token(secret=secret, header={"kid": "one"}).encode())
        assert made.read(key.token()).subject == "someone"


def test_each_algorithm_is_accepted_only_where_it_was_set_up(tmp_path: Path, key: RsaKey) -> None:
    """A service with a secret takes no RS256, one with keys no HS256."""
    file = tmp_path / "jwks.json"
    file.write_text(jwks(key))
    with pytest.raises(UnauthorizedError):
        by_secret().read(key.token())
    with pytest.raises(UnauthorizedError):
        reader(jwt_jwks=str(file)).read(token().encode())


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"keys": {}}', '{"keys": []}', '{"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}', "[" * 100_000],
)
def test_files_without_a_key_are_refused_at_once(tmp_path: Path, content: str) -> None:
    """Before the first request; a missing one as well."""
    file = tmp_path / "jwks.json"
    file.write_text(content)
    for name in (file, tmp_path / "missing"):
        with pytest.raises(InvalidRequestError) as caught:
            JwksKeys(str(name))
        assert caught.value.code == "jwks_invalid"


def test_short_keys_and_keys_for_other_ends_are_left_out(tmp_path: Path, key: RsaKey) -> None:
    """Fewer than 2,048 bits, for encryption, of another algorithm."""
    short, sealing, other = RsaKey("short", 1024), RsaKey("sealing"), RsaKey("other")
    sealing.jwk["use"], other.jwk["alg"] = "enc", "RS512"
    file = tmp_path / "jwks.json"
    file.write_text(jwks(short, sealing, other, key))
    keys = JwksKeys(str(file))
    assert [keys.key(kid) is not None for kid in ("short", "sealing", "other", "one")] == [False, False, False, True]
    assert keys.key(None) is not None  # the only one


class Issuer:
    """A server that gives out keys, on loopback."""

    def __init__(self) -> None:
        self.content: bytes | None = None
        self.asked = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked += 1
                self.send_response(200 if outer.content is not None else 503)
                self.end_headers()
                self.wfile.write(outer.content or b"")

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/jwks"


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    issuer = Issuer()
    thread = threading.Thread(target=issuer.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield issuer
    issuer.server.shutdown()
    thread.join()
    issuer.server.server_close()


def test_keys_are_fetched_when_needed_and_not_again_for_every_guess(issuer: Issuer, key: RsaKey) -> None:
    """Unknown ids fetch once in thirty seconds; old keys are fetched anew, and outlive an issuer that is away."""
    now = [0.0]
    keys = JwksKeys(issuer.url, clock=lambda: now[0])
    with pytest.raises(OverloadedError) as caught:
        keys.key("one")
    assert (caught.value.status, caught.value.code) == (503, "jwks_unavailable")
    issuer.content = jwks(key).encode()
    with pytest.raises(OverloadedError):
        keys.key("one")
    now[0] = 30.0
    assert keys.key("one") is not None
    assert issuer.asked == 2
    for i in range(50):
        assert keys.key(f"guess {i}") is None
    assert issuer.asked == 2
    other = RsaKey("two")
    issuer.content = jwks(key, other).encode()
    now[0] = 60.0
    assert keys.key("two") is not None
    issuer.content = jwks(other).encode()
    now[0] = 700.0
    assert keys.key("one") is None
    issuer.content = None
    now[0] = 1400.0
    assert keys.key("two") is not None
    assert issuer.asked == 5


def test_a_jwks_that_is_too_large_is_not_taken(issuer: Issuer) -> None:
    """A megabyte of keys is no set of keys."""
    issuer.content = b'{"keys": [' + b" " * (2 << 20) + b"]}"
    with pytest.raises(OverloadedError):
        JwksKeys(issuer.url).key("one")


def test_a_service_takes_tokens(tmp_path: Path) -> None:
    """By their roles; each is checked once, and no longer known when it has ended."""
    roles: Any = ROLES
    settings = {"jwt_secret": SecretStr(JWT_SECRET), "jwt_audience": AUDIENCE, "jwt_issuer": ISSUER, "jwt_roles": roles}
    with serving(tmp_path, **settings) as service:
        films, reading = bearer(token()), bearer(token(roles="reader"))
        problem_of(service.get("/v1/collections"), 401, "unauthorized")
        assert service.put("/v1/collections/films", headers=films).status_code == 201
        problem_of(service.put("/v1/collections/others", headers=films), 403, "collection_not_allowed")
        problem_of(service.put("/v1/collections/films", headers=reading), 403, "verb_not_allowed")
        assert service.get("/v1/collections/films", headers=reading).status_code == 200
        gatekeeper = service.app.state.service.gatekeeper
        short = bearer(token(exp=int(time.time()) + 30))
        assert service.get("/v1/collections", headers=short).status_code == 200
        now = time.time()
        gatekeeper._clock = lambda: now + 41
        gatekeeper._tokens.read = _refuse
        assert service.get("/v1/collections", headers=films).status_code == 200  # known, and good for longer
        problem_of(service.get("/v1/collections", headers=short), 401, "token_expired")
        assert "caller" in json.dumps(service.log())


def _refuse(_: bytes) -> Any:
    raise UnauthorizedError("the token has expired", code="token_expired")


@pytest.mark.parametrize(
    "given",
    [
        {"jwt_secret": SecretStr("short"), "jwt_audience": "a"},
        {"jwt_secret": SecretStr("x" * 32)},
        {"jwt_jwks": "http://keys.example/jwks", "jwt_audience": "a"},
        {"jwt_roles": {"r": {"verbs": ["fly"]}}},
        {"jwt_roles": {"r": {"verbs": ["read"], "collection": ["typo"]}}},
    ],
)
def test_settings_that_are_not_safe_are_refused(given: dict[str, Any]) -> None:
    """Short secrets, no audience, keys in the clear, roles that mean nothing."""
    with pytest.raises(ValueError, match="validation error"):
        Settings(**given)
