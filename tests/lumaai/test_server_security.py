"""What a service refuses to start as, TLS, origins, and the audit log's file."""

from __future__ import annotations

import datetime as dt
import ipaddress
import json
import socket
import ssl
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr, ValidationError

import lumaai
from lumaai.audit import AuditLog
from lumaai.errors import InvalidRequestError
from lumaai.settings import Settings
from lumaai.telemetry import Telemetry
from tests.lumaai.serving import Service, problem_of, serving
from tests.lumaai.test_server import START_SECONDS_MAX, refused, running, start

ORIGIN = "https://app.example.org"


def test_an_address_that_others_reach_needs_a_key_of_any_kind(tmp_path: Path) -> None:
    """A key in the database is enough; a database without one is not served, nor made."""
    code, said = refused(tmp_path / "data", LUMAAI_HOST="0.0.0.0")
    assert (code, "lumaai keys create" in said) == (2, True)
    assert not (tmp_path / "data").exists()
    lumaai.Database(tmp_path / "data", default_model="hashing").close()
    assert refused(tmp_path / "data", LUMAAI_HOST="0.0.0.0")[0] == 2
    with lumaai.Database(tmp_path / "data", default_model="hashing") as database:
        key = database.create_key("web", verbs=["read"], collections=["*"]).key
    with running(tmp_path / "data", LUMAAI_HOST="0.0.0.0") as (_, url):
        assert httpx.get(f"{url}/v1/collections").status_code == 401
        assert httpx.get(f"{url}/v1/collections", headers={"x-api-key": key}).status_code == 200


def certificate(directory: Path) -> tuple[Path, Path]:
    """A certificate of 127.0.0.1 that it signed itself, and its key."""
    x509 = pytest.importorskip("cryptography.x509", reason="needs the extra jwt")
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "lumaai test")])
    now = dt.datetime.now(dt.UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    files = directory / "certificate.pem", directory / "key.pem"
    files[0].write_bytes(built.public_bytes(Encoding.PEM))
    files[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return files


def test_tls_by_files(tmp_path: Path) -> None:
    """The address says https; who checks the certificate gets an answer, plain HTTP and old TLS get none."""
    files = certificate(tmp_path)
    settings = {"LUMAAI_TLS_CERTIFICATE": str(files[0]), "LUMAAI_TLS_KEY": str(files[1])}
    child = start(tmp_path / "data", **settings)
    try:
        assert child.stdout is not None
        url = child.stdout.readline().split(" at ")[1].split()[0]
        assert url.startswith("https://127.0.0.1:")
        context = ssl.create_default_context(cafile=files[0])
        assert httpx.get(f"{url}/healthz", verify=context).json()["status"] == "ok"
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{url}/healthz")
        with pytest.raises(httpx.TransportError):
            httpx.get(f"{url.replace('https', 'http')}/healthz", timeout=5)
        old = ssl.create_default_context(cafile=files[0])
        old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2
        port = int(url.rpartition(":")[2])
        with (
            socket.create_connection(("127.0.0.1", port)) as plain,
            old.wrap_socket(plain, server_hostname="127.0.0.1") as secure,
        ):
            assert secure.version() == "TLSv1.2"
        probe = [sys.executable, str(Path(__file__).parents[2] / "deploy" / "health.py"), "readyz"]
        for host in ("0.0.0.0", "127.0.0.1"):
            environment = {"LUMAAI_HOST": host, "LUMAAI_PORT": str(port), **settings}
            assert subprocess.run(probe, env=environment, check=False).returncode == 0
        assert subprocess.run(probe, env={"LUMAAI_PORT": str(port)}, capture_output=True, check=False).returncode == 1
    finally:
        child.terminate()
        child.communicate(timeout=START_SECONDS_MAX)
    assert child.returncode == 0


def test_tls_files_that_cannot_be_used_are_told_in_a_line(tmp_path: Path) -> None:
    """Missing, or no certificate: it does not start, and serves nothing in the clear."""
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    for name in (tmp_path / "missing.pem", empty):
        code, said = refused(tmp_path / "data", LUMAAI_TLS_CERTIFICATE=str(name), LUMAAI_TLS_KEY=str(name))
        assert (code, "TLS files cannot be used" in said) == (2, True)
    with pytest.raises(ValidationError, match="go together"):
        Settings(tls_certificate=empty)


def preflight(service: Service, origin: str) -> httpx.Response:
    headers = {
        "origin": origin, "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type",
    }  # fmt: skip
    return service.request("OPTIONS", "/v1/sql", headers=headers)


def test_pages_of_named_origins_may_call(tmp_path: Path) -> None:
    """They alone: preflights, answers and problems say so to them, and to no other."""
    with serving(tmp_path, api_key=SecretStr("sesame"), cors_origins=(ORIGIN,)) as service:
        allowed = preflight(service, ORIGIN)
        assert allowed.status_code == 200
        assert allowed.headers["access-control-allow-origin"] == ORIGIN
        assert "access-control-allow-credentials" not in allowed.headers
        for origin in ("https://evil.example", f"{ORIGIN}.evil.example", "null", "http://app.example.org"):
            assert preflight(service, origin).status_code == 400
            answer = service.get("/v1/collections", headers={"origin": origin, "x-api-key": "sesame"})
            assert "access-control-allow-origin" not in answer.headers
        answer = service.get("/v1/collections", headers={"origin": ORIGIN, "x-api-key": "sesame"})
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        refusal = service.get("/v1/collections", headers={"origin": ORIGIN})
        assert problem_of(refusal, 401)
        assert refusal.headers["access-control-allow-origin"] == ORIGIN


@pytest.mark.parametrize("given", ["*", "https://*", "example.org", "https://a.example/path", "https://a.example,*"])
def test_origins_are_named_one_by_one(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No wildcard, no path, no name without a scheme."""
    with pytest.raises(ValidationError, match="origins"):
        Settings(cors_origins=given)  # as the environment gives it
    monkeypatch.setenv("LUMAAI_CORS_ORIGINS", "https://a.example, http://localhost:3000")
    assert Settings().cors_origins == ("https://a.example", "http://localhost:3000")


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1.evil.example", "http://[::1"])
def test_pages_elsewhere_cannot_act_on_a_service_without_keys(tmp_path: Path, origin: str) -> None:
    """A page may POST without a body and without asking first; what is done on this machine is not for it to say."""
    with serving(tmp_path) as service:
        for path in ("/v1/purge", "/v1/snapshots", "/v1/check"):
            problem_of(service.post(path, content=b"", headers={"origin": origin}), 403, "origin_not_allowed")
        assert service.get("/v1/snapshots").json() == {"snapshots": []}
        for own in ("http://localhost:8000", "http://127.0.0.1:8000", "http://[::1]:8000"):
            assert service.post("/v1/snapshots", content=b"", headers={"origin": own}).status_code == 201


def test_acts_are_noted_in_a_file_of_its_owner(tmp_path: Path) -> None:
    """A line each, done or refused, also of statements; reading is no act."""
    file = tmp_path / "audit.jsonl"
    headers = {"x-api-key": "sesame"}
    with serving(tmp_path, api_key=SecretStr("sesame"), audit_log=file) as service:
        service.put("/v1/collections/films", {"embed": {}}, headers=headers)
        service.post("/v1/collections/films/documents", {"documents": [{"title": "private"}]}, headers=headers)
        service.post("/v1/query", {"language": "lql", "query": "DROP COLLECTION films"}, headers=headers)
        service.get("/v1/snapshots", headers=headers)
        service.delete("/v1/collections/gone", headers=headers)
        service.delete("/v1/collections/gone")
    lines: list[dict[str, Any]] = [json.loads(line) for line in file.read_text().splitlines()]
    assert [(line["act"], line["c"], line["status"], line.get("code")) for line in lines] == [
        ("create_collection", "films", 201, None),
        ("drop_collection", "films", 200, None),
        ("drop_collection", "gone", 404, "collection_not_found"),
    ]
    assert all(line["caller"] == "environment" and line["timestamp"].endswith("Z") for line in lines)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "private" not in file.read_text()
    assert "sesame" not in file.read_text()


def test_an_audit_log_that_cannot_be_written_is_told_before_serving(tmp_path: Path) -> None:
    """Acts that nobody notes are not done."""
    with pytest.raises(InvalidRequestError) as caught:
        AuditLog(Telemetry(), tmp_path / "missing" / "audit.jsonl")
    assert caught.value.code == "audit_log_unusable"
    code, said = refused(tmp_path / "data", LUMAAI_AUDIT_LOG=str(tmp_path / "missing" / "audit.jsonl"))
    assert (code, "audit log cannot be written" in said) == (2, True)
