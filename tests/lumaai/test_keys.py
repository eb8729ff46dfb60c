from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import lumaai
from lumaai.errors import InvalidRequestError, NotFoundError, ReadOnlyError
from lumaai.key_info import KeyInfo, NewKey
from lumaai.keys import Keyring, KeySecret, KeyUse
from tests.lumaai.serving import problem_of, serving


@pytest.fixture
def database(tmp_path: Path) -> Iterator[lumaai.Database]:
    with lumaai.Database(tmp_path / "data", default_model="hashing") as database:
        yield database


def make(database: lumaai.Database, name: str = "web") -> NewKey:
    return database.create_key(name, verbs=["read"], collections=["films"])


def test_a_key_is_recognized_by_its_secret_alone(database: lumaai.Database) -> None:
    """The key that was made is; one of another secret or another id is not, however alike."""
    made, other = make(database), make(database, "other")
    known = database.keyring.recognize(made.key.encode())
    assert known is not None
    assert (known.id, known.record.name, known.until) == (made.info.id, "web", None)
    swapped = made.key.replace(made.info.id, other.info.id)
    assert database.keyring.recognize(swapped.encode()) is None
    assert database.keyring.recognize(made.key[:-1].encode()) is None
    assert database.keyring.recognize(b"\xff" * 84) is None


def test_only_a_scrypt_hash_is_kept(tmp_path: Path) -> None:
    """No file of the directory has the key or its secret, and the hash is scrypt's (RFC 7914) of the secret."""
    with lumaai.Database(tmp_path / "data", default_model="hashing") as database:
        made = make(database)
        record = database.keyring.record(made.info.id)
        assert record is not None
        kept, secret = record.secrets[0], made.key.split("_", 2)[2][:43]
        assert kept.hash == hashlib.scrypt(
            secret.encode(), salt=kept.salt, n=2**14, r=8, p=1, maxmem=1 << 26, dklen=32
        )  # fmt: skip
        assert make(database).key != made.key
    for file in (tmp_path / "data").rglob("*"):
        assert not file.is_file() or secret.encode() not in file.read_bytes()


def test_guesses_never_cost_scrypt(database: lumaai.Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what was not made here none is hashed: the seal tells."""
    made = make(database)
    counted: list[bytes] = []
    monkeypatch.setattr(KeySecret, "is_of", lambda self, secret: counted.append(secret))
    for i in range(200):
        secret = hashlib.sha256(b"%d" % i).hexdigest()[:43]
        database.keyring.recognize(f"lumaai_{made.info.id}_{secret}{secret[:8]}".encode())
    assert counted == []
    database.keyring.recognize(made.key.encode())
    assert len(counted) == 1


def test_keys_are_there_after_reopening(tmp_path: Path) -> None:
    """As they were, with what they allow and when they were last used."""
    with lumaai.Database(tmp_path / "data", default_model="hashing") as database:
        made = database.create_key(
            "web", verbs=["read", "ask"], collections=["films", "log-*"], expires_in_seconds=60, requests_per_day=5
        )
        database.keyring.write_uses({made.info.id: KeyUse(1_700_000_000.0), "gone": KeyUse(1.0)})
        assert database.keyring.uses().keys() == {made.info.id}
    with lumaai.Database(tmp_path / "data", default_model="hashing") as database:
        (info,) = database.api_keys()
        assert info.last_used == "2023-11-14T22:13:20Z"
        assert (info.verbs, info.collections) == (("ask", "read"), ("films", "log-*"))
        assert (info.name, info.requests_per_day, info.requests_per_minute) == ("web", 5, None)
        assert KeyInfo.from_json(json.loads(json.dumps(info.to_json()))) == info
        assert database.keyring.recognize(made.key.encode()) is not None
    with lumaai.Database(tmp_path / "data", default_model="hashing", read_only=True) as database:
        assert len(database.api_keys()) == 1
        with pytest.raises(ReadOnlyError):
            make(database)


def test_a_rotated_key_has_another_secret_and_may_keep_the_old_for_a_while(database: lumaai.Database) -> None:
    """Without grace the old one is refused at once; with it, until it ends; the one before that is gone."""
    now = [1_700_000_000.0]
    keyring = Keyring(database._opened, clock=lambda: now[0])
    first = make(database)
    second = keyring.rotate(first.info.id)
    assert keyring.recognize(first.key.encode()) is None
    third = keyring.rotate(first.info.id, 3600.0)
    known = keyring.recognize(second.key.encode())
    assert known is not None
    assert known.until == now[0] + 3600.0
    assert keyring.recognize(third.key.encode()) is not None
    now[0] += 3600.0
    assert keyring.recognize(second.key.encode()) is None
    fourth = keyring.rotate(first.info.id, 60.0)
    assert [keyring.recognize(key.key.encode()) is not None for key in (second, third, fourth)] == [False, True, True]
    assert fourth.info.name == "web"


def test_a_key_expires(database: lumaai.Database) -> None:
    """At the second that was said, not before."""
    now = [1_700_000_000.0]
    keyring = Keyring(database._opened, clock=lambda: now[0])
    made = database.create_key("web", verbs=["read"], collections=["*"], expires_in_seconds=1e9)
    now[0] = time.time() + 1e9 - 60
    assert keyring.recognize(made.key.encode()) is not None
    now[0] += 61
    assert keyring.recognize(made.key.encode()) is None
    assert [info.name for info in keyring.infos()] == ["web"]


@pytest.mark.parametrize(
    ("given", "pointer"),
    [
        ({"name": ""}, "/name"),
        ({"name": "a\nb"}, "/name"),
        ({"name": 7}, "/name"),
        ({"verbs": []}, "/verbs"),
        ({"verbs": "read"}, "/verbs"),
        ({"verbs": ["read", "drop"]}, "/verbs/1"),
        ({"collections": []}, "/collections"),
        ({"collections": ["a*b"]}, "/collections/0"),
        ({"collections": ["**"]}, "/collections/0"),
        ({"collections": [""]}, "/collections/0"),
        ({"collections": ["a/b"]}, "/collections/0"),
        ({"expires_in_seconds": 0}, "/expires_in_seconds"),
        ({"expires_in_seconds": float("nan")}, "/expires_in_seconds"),
        ({"requests_per_minute": 0}, "/requests_per_minute"),
        ({"requests_per_day": True}, "/requests_per_day"),
    ],
)
def test_malformed_keys_are_refused(database: lumaai.Database, given: dict[str, object], pointer: str) -> None:
    """Naming the place; nothing is made."""
    whole: dict[str, object] = {"name": "web", "verbs": ["read"], "collections": ["films"], **given}
    name = whole.pop("name")
    with pytest.raises(InvalidRequestError) as caught:
        database.create_key(name, **whole)  # type: ignore[arg-type]  # that is the point
    assert caught.value.errors[0].pointer == pointer
    assert database.api_keys() == []


def test_a_key_that_is_not_there_is_not_found(database: lumaai.Database) -> None:
    """Neither rotated nor revoked."""
    for act in (database.rotate_key, database.revoke_key):
        with pytest.raises(NotFoundError) as caught:
            act("0123456789ab")
        assert caught.value.code == "key_not_found"


def test_the_key_is_not_in_its_repr(database: lumaai.Database) -> None:
    """Tracebacks and notebooks show reprs."""
    made = make(database)
    assert made.key not in repr(made)
    assert made.key[20:] not in repr(database.keyring.record(made.info.id))


def test_going_back_to_a_snapshot_brings_no_revoked_key_back(tmp_path: Path) -> None:
    """Keys stay as they are now, over a restore in place and over one from outside; documents go back."""
    with lumaai.Database(tmp_path / "data", default_model="hashing") as database:
        revoked = make(database, "revoked")
        rotated = make(database, "rotated")
        database.create_collection("films", embed={}).add([{"id": "1", "n": 1}])
        database.create_snapshot("before")
        database.export_snapshot("before", tmp_path / "before.tar")
        database["films"].add([{"id": "2", "n": 2}])
        database.revoke_key(revoked.info.id)
        again = database.rotate_key(rotated.info.id)
        later = make(database, "later")
        expected = [False, False, True, True]

        def opened(database: lumaai.Database) -> list[bool]:
            keys = (revoked, rotated, again, later)
            return [database.keyring.recognize(each.key.encode()) is not None for each in keys]

        database.restore_snapshot("before")
        assert database["films"].count() == 1
        assert opened(database) == expected
    lumaai.restore(tmp_path / "before.tar", tmp_path / "data", replace=True)
    with lumaai.Database(tmp_path / "data", default_model="hashing") as database:
        assert opened(database) == expected
    lumaai.restore(tmp_path / "before.tar", tmp_path / "elsewhere")
    with lumaai.Database(tmp_path / "elsewhere", default_model="hashing") as database:
        assert opened(database) == [True, True, False, False]


def test_a_service_of_a_database_with_keys_asks_for_one(tmp_path: Path) -> None:
    """Without any setting; and after the last key was revoked it asks still."""
    with lumaai.Database(tmp_path / "data", default_model="hashing") as database:
        made = database.create_key("operator", verbs=["admin"], collections=["*"])
    with serving(tmp_path) as service:
        headers = {"authorization": f"Bearer {made.key}"}
        problem_of(service.get("/v1/collections"), 401, "unauthorized")
        assert service.get("/v1/collections", headers=headers).status_code == 200
        assert service.delete(f"/v1/keys/{made.info.id}", headers=headers).status_code == 204
        problem_of(service.get("/v1/collections", headers=headers), 401, "wrong_api_key")
        problem_of(service.get("/v1/collections"), 401, "unauthorized")
        assert "bearer" in service.get("/openapi.json").json()["components"]["securitySchemes"]


def test_an_open_service_makes_no_keys(tmp_path: Path) -> None:
    """Anybody could shut the others out: 403 that says how it is done."""
    with serving(tmp_path) as service:
        body = {"name": "mine", "verbs": ["admin"], "collections": ["*"]}
        problem_of(service.post("/v1/keys", body), 403, "keys_need_administrator")
        problem_of(service.delete("/v1/keys/0123456789ab"), 403, "keys_need_administrator")
        assert service.get("/v1/keys").json() == {"keys": []}


def scrypts(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The secrets that are hashed from here on."""
    hashed: list[bytes] = []
    before = KeySecret.is_of

    def is_of(self: KeySecret, secret: bytes) -> bool:
        hashed.append(secret)
        return before(self, secret)

    monkeypatch.setattr(KeySecret, "is_of", is_of)
    return hashed


def with_key(tmp_path: Path, **more: object) -> tuple[NewKey, dict[str, str]]:
    """A database with one key, and the headers that bring it."""
    with lumaai.Database(tmp_path / "data", default_model="hashing") as database:
        made = database.create_key("web", verbs=["admin"], collections=["*"], **more)  # type: ignore[arg-type]
    return made, {"x-api-key": made.key}


def test_scrypt_runs_once_a_key_not_once_a_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fifty requests, one hash; also when they come at once."""
    _, headers = with_key(tmp_path)
    hashed = scrypts(monkeypatch)
    with serving(tmp_path) as service:
        for _ in range(50):
            assert service.get("/v1/limits", headers=headers).status_code == 200
    assert len(hashed) == 1


def test_last_use_is_told(tmp_path: Path) -> None:
    """In the list at once, and after a restart."""
    made, headers = with_key(tmp_path)
    with serving(tmp_path) as service:
        (info,) = service.get("/v1/keys", headers=headers).json()["keys"]
        assert info["last_used"] is not None
        assert "key" not in info
    with lumaai.Database(tmp_path / "data", default_model="hashing") as database:
        assert database.keyring.uses()[made.info.id].last_used > 1.7e9


def test_a_key_has_its_own_rate(tmp_path: Path) -> None:
    """What is more is 429 with Retry-After; headers and /v1/limits say how many are left; others are not held up."""
    _, headers = with_key(tmp_path, requests_per_minute=3, requests_per_day=1000)
    with lumaai.Database(tmp_path / "data", default_model="hashing") as database:
        other = {"x-api-key": make(database).key}
    with serving(tmp_path) as service:
        first = service.get("/v1/limits", headers=headers)
        assert first.headers["ratelimit-policy"] == '"minute";q=3;w=60, "day";q=1000;w=86400'
        assert first.headers["ratelimit"].startswith('"minute";r=2;t=')
        assert first.json()["caller"] == {
            "requests_per_minute": 3,
            "requests_per_minute_remaining": 2,
            "requests_per_day": 1000,
            "requests_per_day_remaining": 999,
        }
        assert [service.get("/v1/limits", headers=headers).status_code for _ in range(3)] == [200, 200, 429]
        answer = service.get("/v1/limits", headers=headers)
        problem = problem_of(answer, 429, "rate_limited")
        assert problem["retryable"]
        assert 1 <= int(answer.headers["retry-after"]) <= 20
        assert answer.headers["ratelimit"].startswith('"minute";r=0;t=')
        unbounded = service.get("/v1/limits", headers=other)
        assert unbounded.status_code == 200
        assert "ratelimit" not in unbounded.headers
        assert unbounded.json()["caller"]["requests_per_minute"] is None


def test_a_quota_outlasts_a_restart(tmp_path: Path) -> None:
    """Two a day are two a day, whatever the service does between them."""
    _, headers = with_key(tmp_path, requests_per_day=2)
    for expected in (200, 200, 429):
        with serving(tmp_path) as service:
            answer = service.get("/v1/limits", headers=headers)
            assert answer.status_code == expected
    assert problem_of(answer, 429)["code"] == "quota_exceeded"


def test_the_settings_bound_those_without_bounds_of_their_own(tmp_path: Path) -> None:
    """LUMAAI_REQUESTS_PER_MINUTE counts for each key by itself."""
    _, headers = with_key(tmp_path)
    with serving(tmp_path, requests_per_minute=1) as service:
        assert [service.get("/v1/limits", headers=headers).status_code for _ in range(2)] == [200, 429]
