"""The files in `deploy/`: by the linters and schemas of those who read them, and against what the service has."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from lumaai.scrape import Scrape
from lumaai.settings import Settings
from tests.lumaai.serving import FILMS, listening, serving

ROOT = Path(__file__).parent.parent.parent
DEPLOY = ROOT / "deploy"
DASHBOARD = DEPLOY / "grafana" / "dashboards" / "lumaai.json"
KEY = "a key of this test"


def tool(name: str) -> str:
    """A program that came with the environment."""
    return str(Path(sys.executable).parent / name)


def checked(*command: str | Path) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def documents(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text()))


def test_the_dockerfile_is_clean() -> None:
    """Hadolint has nothing to say; what is copied is there and not ignored; it does not run as root, and is probed."""
    path = DEPLOY / "Dockerfile"
    checked(tool("hadolint"), "--failure-threshold", "style", path)
    text = path.read_text()
    copied = [
        source for line in re.findall(r"^COPY (?!--from)(.*)$", text, re.MULTILINE) for source in line.split()[:-1]
    ]
    kept = set(re.findall(r"^!(.*)$", (DEPLOY / "Dockerfile.dockerignore").read_text(), re.MULTILINE))
    assert set(copied) == kept
    assert [source for source in copied if not (ROOT / source).exists()] == []
    assert "USER 10001" in text
    assert "HEALTHCHECK" in text


def test_manifests_fit_kubernetes_schemas() -> None:
    """Strictly: no unknown keys. The probes' files and paths are the image's and the service's."""
    paths = [path for path in (DEPLOY / "kubernetes").glob("*.yaml") if path.name != "kustomization.yaml"]
    checked(tool("kubernetes-validate"), "--strict", *paths)
    (kustomization,) = documents(DEPLOY / "kubernetes" / "kustomization.yaml")
    assert sorted(kustomization["resources"]) == sorted(path.name for path in paths)
    (stateful,) = documents(DEPLOY / "kubernetes" / "statefulset.yaml")
    pod = stateful["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["startupProbe"]["httpGet"]["path"] == container["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert container["readinessProbe"]["exec"]["command"][1] in (DEPLOY / "Dockerfile").read_text()
    assert stateful["spec"]["replicas"] == 1
    assert pod["securityContext"]["runAsNonRoot"]
    names = [each["metadata"]["name"] for each in documents(DEPLOY / "kubernetes" / "service.yaml")]
    assert stateful["spec"]["serviceName"] in names


def test_kubernetes_gives_no_settings_of_its_own() -> None:
    """Kubernetes tells pods of services by variables, of one called lumaai by LUMAAI_PORT=tcp://…: not these pods."""
    services = documents(DEPLOY / "kubernetes" / "service.yaml")
    made = {f"{each['metadata']['name'].upper().replace('-', '_')}_PORT" for each in services}
    assert made & {f"LUMAAI_{name.upper()}" for name in Settings.model_fields}, "then there is nothing to prevent"
    (stateful,) = documents(DEPLOY / "kubernetes" / "statefulset.yaml")
    assert stateful["spec"]["template"]["spec"]["enableServiceLinks"] is False


def test_compose_fits_its_schema_and_its_files() -> None:
    """The Compose specification; what is mounted is there; Prometheus reads the secret that Compose gives it."""
    path = DEPLOY / "compose.yaml"
    checked(tool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", path)
    (compose,) = documents(path)
    mounts = [mount for service in compose["services"].values() for mount in service["volumes"]]
    sources = [mount.split(":")[0] for mount in mounts]
    assert [name for name in sources if name.startswith(".") and not (DEPLOY / name).exists()] == []
    assert {name for name in sources if not name.startswith(".")} == set(compose["volumes"])
    (prometheus,) = documents(DEPLOY / "prometheus.yml")
    (job,) = prometheus["scrape_configs"]
    (secret,) = compose["services"]["prometheus"]["secrets"]
    assert job["authorization"]["credentials_file"] == f"/run/secrets/{secret}"
    assert job["static_configs"] == [{"targets": ["lumaai:8000"]}]
    assert compose["secrets"][secret] == {"environment": "LUMAAI_API_KEY"}


def test_the_unit_is_one(tmp_path: Path) -> None:
    """Systemd finds nothing wrong with it, with a program that is there."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze")
    unit = (DEPLOY / "systemd" / "lumaai.service").read_text()
    assert "/opt/lumaai/bin/lumaai" in unit
    made = tmp_path / "lumaai.service"
    made.write_text(unit.replace("/opt/lumaai/bin/lumaai", sys.executable))
    said = checked("systemd-analyze", "verify", made)
    assert "lumaai.service" not in said, said


def test_settings_that_are_named_exist() -> None:
    """A variable with a slip in its name would be passed over in silence."""
    known = {f"LUMAAI_{name.upper()}" for name in Settings.model_fields} | {"LUMAAI_DATA"}
    files = [path for path in DEPLOY.rglob("*") if path.is_file()]
    named = {name for path in files for name in re.findall(r"\bLUMAAI_[A-Z_]+\b", path.read_text())}
    assert named
    assert named <= known


@pytest.fixture(scope="module")
def scrape(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scrape]:
    """The metrics of a service that has done a little of everything."""
    with serving(tmp_path_factory.mktemp("metrics")) as service:
        body = {"embed": {"vector": {"from": ["title", "plot"], "model": "hashing:16"}}}
        service.put("/v1/collections/films", body)
        service.post("/v1/collections/films/documents", {"documents": FILMS})
        service.post("/v1/collections/films/search", {"query": "hacker"})
        service.post("/v1/ask", {"question": "how many films are there?"})
        yield Scrape.of(service.get("/metrics").text)


def expressions() -> list[str]:
    dashboard = json.loads(DASHBOARD.read_text())
    return [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]


@pytest.mark.parametrize("expression", expressions())
def test_panels_ask_for_what_there_is(scrape: Scrape, expression: str) -> None:
    """PromQL by its grammar; metrics and labels that `/metrics` shows."""
    promql_parser.parse(expression.replace("$__rate_interval", "1m"))
    names = re.findall(r"\b(?:lumaai|process)_[a-z0-9_]+", expression)
    assert names
    grouped = re.findall(r"by \(([^)]*)\)", expression)
    labels = {label.strip() for group in grouped for label in group.split(",")}
    for name in names:
        found = scrape.named(name)
        assert found, name
        assert labels <= {label for pairs in found for label, _ in pairs}, name


def test_the_dashboard_is_provisioned_with_its_source() -> None:
    """Its panels' source is the one that is provisioned, and lies where Grafana looks; panels do not overlap."""
    (source,) = documents(DEPLOY / "grafana" / "provisioning" / "datasources" / "prometheus.yaml")
    (uid,) = [each["uid"] for each in source["datasources"]]
    dashboard = json.loads(DASHBOARD.read_text())
    panels = dashboard["panels"]
    assert {panel["datasource"]["uid"] for panel in panels} == {uid}
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (column, row)
        for place in (panel["gridPos"] for panel in panels)
        for column in range(place["x"], place["x"] + place["w"])
        for row in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    (provider,) = documents(DEPLOY / "grafana" / "provisioning" / "dashboards" / "lumaai.yaml")
    folder = provider["providers"][0]["options"]["path"]
    assert f"./grafana/dashboards:{folder}:ro" in (DEPLOY / "compose.yaml").read_text()


def test_probes_tell_how_the_service_is(tmp_path: Path) -> None:
    """0 where it is well; 1 and why with a wrong key, when it may not serve, and when nobody answers."""

    def probe(what: str, port: int, key: str = KEY) -> tuple[int, str]:
        environment = {"LUMAAI_PORT": str(port), "LUMAAI_API_KEY": key, "PATH": "", "LUMAAI_HOST": "0.0.0.0"}
        environment |= {"HTTP_PROXY": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}  # is not asked
        command = [sys.executable, str(DEPLOY / "health.py"), what]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        return done.returncode, done.stderr

    with listening(tmp_path, api_key=KEY) as address:
        port = int(address.rsplit(":", 1)[1])
        assert probe("healthz", port) == probe("readyz", port) == (0, "")
        code, said = probe("readyz", port, "wrong")
        assert (code, "wrong_api_key" in said) == (1, True)
        address.app.state.service.database.close()
        code, said = probe("readyz", port)
        assert (code, "closed" in said) == (1, True)
        assert probe("healthz", port) == (0, "")
    assert probe("healthz", port)[0] == 1
