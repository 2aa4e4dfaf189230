"""The compose file: single host, hardened, with existing settings and a correct start order."""

import asyncio
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from algoplatform import __version__
from algoplatform.settings import PREFIX, SECRETS_DIR, Settings
from algoplatform.storage.schema import migrations
from tests.support.images import IMAGES, minimal
from tests.support.owners import ask, environment
from tests.support.postgres import Postgres, execute
from tests.support.programs import ROOT, wheel_programs
from tests.support.service import serving, settings_for
from tests.support.tour import tour

Document = dict[str, Any]
OURS = ("migrate", "algoplatform")
SETTINGS = {PREFIX + name.upper() for name in Settings.model_fields} | {SECRETS_DIR}


@cache
def _read() -> Document:
    content: Document = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())
    return content


def findings(compose: Document) -> list[str]:
    """Return all findings."""
    checks = (_hardening, _references, _roles, _order, _exposure)
    return [found for check in checks for found in check(compose)]


def _hardening(compose: Document) -> Iterator[str]:
    for name, service in compose["services"].items():
        if not service.get("read_only") or not any(path.startswith("/tmp") for path in service.get("tmpfs", [])):
            yield f"{name}: writable"
        if service["image"].rpartition(":")[2] in ("", "latest"):
            yield f"{name}: any version"
        if "no-new-privileges:true" not in service.get("security_opt", []):
            yield f"{name}: may gain privileges"
        if name in OURS and (service.get("user") != "10001:10001" or service.get("cap_drop") != ["ALL"]):
            yield f"{name}: has privileges"


def _references(compose: Document) -> Iterator[str]:
    for name, service in compose["services"].items():
        secrets = [item if isinstance(item, str) else item["source"] for item in service.get("secrets", [])]
        volumes = [volume.partition(":")[0] for volume in service.get("volumes", [])]
        ours = [volume for volume in volumes if volume.startswith("./")]
        yield from (f"{name}: there is no {file}" for file in ours if not (ROOT / "deploy" / file).is_file())
        volumes = [volume for volume in volumes if volume not in ours]
        for kind, used in (("secrets", secrets), ("networks", service.get("networks", [])), ("volumes", volumes)):
            yield from (f"{name}: {kind} has no {item}" for item in used if item not in compose[kind])
        targets = [item["target"] for item in service.get("secrets", []) if isinstance(item, dict)]
        for setting in (*service["environment"], *targets):
            if setting.startswith(PREFIX) and setting not in SETTINGS:
                yield f"{name}: {setting} is no setting"
    for secret, source in compose["secrets"].items():
        if set(source) != {"file"}:
            yield f"secrets: {secret} is no file"


def _roles(compose: Document) -> Iterator[str]:
    """Check that the superuser's role and password differ from those of the service."""
    server = compose["services"]["postgres"]
    given = server["environment"]
    if (
        given.get("POSTGRES_USER", "postgres") != "postgres"
        or given["POSTGRES_PASSWORD_FILE"] == "/run/secrets/password"
    ):
        yield "postgres: the service is its superuser"
    if not any(volume.endswith(":/docker-entrypoint-initdb.d/owner.sh:ro") for volume in server["volumes"]):
        yield "postgres: nobody makes the service's role"


def _order(compose: Document) -> Iterator[str]:
    services = compose["services"]
    for name, service in services.items():
        for needed, how in service.get("depends_on", {}).items():
            if how["condition"] == "service_healthy" and "healthcheck" not in services[needed]:
                yield f"{name}: waits for the health of {needed}, which nobody checks"
            if how["condition"] == "service_completed_successfully" and services[needed].get("restart") != "no":
                yield f"{name}: waits for the end of {needed}, which does not end"
        if not set(service["networks"]) & {"database"}:
            yield f"{name}: cannot reach the database"
    if int(services["algoplatform"].get("stop_grace_period", "10s").rstrip("s")) <= 30:
        yield "algoplatform: is killed before it has drained"


def _exposure(compose: Document) -> Iterator[str]:
    for name, service in compose["services"].items():
        for port in service.get("ports", []):
            if port != f"127.0.0.1:8000:{service['environment']['ALGOPLATFORM_PORT']}":
                yield f"{name}: published on {port}"
    if not (compose["networks"]["database"] or {}).get("internal"):
        yield "networks: the database can be reached from outside"


def test_sound() -> None:
    """The shipped file has no findings."""
    assert findings(_read()) == []


SPOILT: dict[str, Callable[[Document], Any]] = {
    "migrate: writable": lambda all_: all_["services"]["migrate"].pop("read_only"),
    "algoplatform: writable": lambda all_: all_["services"]["algoplatform"].pop("tmpfs"),
    "postgres: any version": lambda all_: all_["services"]["postgres"].update(image="postgres:latest"),
    "postgres: may gain privileges": lambda all_: all_["services"]["postgres"].pop("security_opt"),
    "algoplatform: has privileges": lambda all_: all_["services"]["algoplatform"].update(user="root"),
    "postgres: secrets has no password": lambda all_: all_["secrets"].pop("password"),
    "secrets: password is no file": lambda all_: all_["secrets"]["password"].update(environment="PASSWORD"),
    "postgres: volumes has no data": lambda all_: all_["volumes"].pop("data"),
    "algoplatform: networks has no front": lambda all_: all_["networks"].pop("front"),
    "ALGOPLATFORM_DB is no setting": lambda all_: all_["services"]["migrate"]["secrets"][0].update(
        target="ALGOPLATFORM_DB"
    ),
    "ALGOPLATFORM_PROT is no setting": lambda all_: all_["services"]["algoplatform"]["environment"].update(
        ALGOPLATFORM_PROT="1"
    ),
    "there is no ./postgres/own.sh": lambda all_: all_["services"]["postgres"]["volumes"].append(
        "./postgres/own.sh:/x"
    ),
    "is its superuser": lambda all_: all_["services"]["postgres"]["environment"].update(POSTGRES_USER="algoplatform"),
    "nobody makes the service's role": lambda all_: all_["services"]["postgres"]["volumes"].pop(),
    "which nobody checks": lambda all_: all_["services"]["postgres"].pop("healthcheck"),
    "which does not end": lambda all_: all_["services"]["migrate"].update(restart="always"),
    "cannot reach the database": lambda all_: all_["services"]["migrate"].update(networks=["front"]),
    "before it has drained": lambda all_: all_["services"]["algoplatform"].pop("stop_grace_period"),
    "published on 8000:8000": lambda all_: all_["services"]["algoplatform"].update(ports=["8000:8000"]),
    "reached from outside": lambda all_: all_["networks"].update(database={}),
}


@pytest.mark.parametrize("finding", SPOILT)
def test_found(finding: str) -> None:
    """Each defect is found."""
    compose = deepcopy(_read())
    SPOILT[finding](compose)
    assert any(finding in found for found in findings(compose)), findings(compose)


def test_settings_are_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The service accepts all values and may listen with them; the image version is the current one."""
    service = _read()["services"]["algoplatform"]
    for name, value in service["environment"].items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    settings.check_listening()
    [size] = [int(path.partition("size=")[2].rstrip("m")) for path in service["tmpfs"]]
    assert size * 1024**2 > settings.workers * settings.max_uploads * settings.max_upload_bytes
    assert service["image"] == f"algoplatform:{__version__}"


@pytest.mark.parametrize(("host", "http"), [("localhost", 200), ("127.0.0.1", 200), ("evil.example", 400)])
async def test_rebinding(database_url: str, monkeypatch: pytest.MonkeyPatch, host: str, http: int) -> None:
    """With the file's settings, DNS rebinding reaches the service neither for reads nor for writes."""
    for name, value in _read()["services"]["algoplatform"]["environment"].items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv(SECRETS_DIR)
    async with serving(settings_for(database_url)) as client:
        client.headers.update({"host": f"{host}:8000", "origin": f"http://{host}:8000"})
        assert (await client.post(f"{IMAGES}/_register", json=minimal())).status_code == http
        assert (await client.get(f"{IMAGES}/_search")).status_code == http
        assert (await client.get("/readyz")).status_code == 200


def test_secrets_stay_here() -> None:
    """The secrets that the file's first lines create are neither committed nor sent to the image build."""
    folders = {Path(source["file"]).parent for source in _read()["secrets"].values()}
    assert folders == {Path("secrets")}
    assert "deploy/secrets/" in (ROOT / ".gitignore").read_text().split()
    assert {"deploy", "deploy/secrets"} & set((ROOT / ".dockerignore").read_text().split())


def test_first_lines(tmp_path: Path) -> None:
    """The commands at the top create every secret, and a DSN with the password of the service's role."""
    head = (ROOT / "deploy/compose.yaml").read_text().partition("docker compose up")[0]
    commands = "\n".join(line.removeprefix("#   ") for line in head.splitlines() if line.startswith("#   "))
    commands = commands.replace("openssl rand -hex 24", "head -c 24 /dev/urandom | od -An -vtx1 | tr -d ' \\n'")
    subprocess.run(["sh", "-euc", commands.removesuffix("#").strip()], cwd=tmp_path, check=True, umask=0o022)
    made = {path.name: path.read_text().strip() for path in (tmp_path / "secrets").iterdir()}
    assert set(made) == {Path(source["file"]).name for source in _read()["secrets"].values()}
    assert made["database_url"] == f"postgresql://algoplatform:{made['password']}@postgres/algoplatform"
    assert made["password"] != made["superuser_password"]


@pytest.fixture
def owner(postgres: Postgres, tmp_path: Path) -> Iterator[str]:
    """Run the init script as the image does, with another name and path; yields the service's DSN."""
    name = "owner"
    text = (ROOT / "deploy/postgres/owner.sh").read_text()
    assert "/run/secrets/password" in text
    (tmp_path / "password").write_text("it's a secret\n")
    text = text.replace("/run/secrets/password", str(tmp_path / "password"))
    (tmp_path / "owner.sh").write_text(re.sub(r"\balgoplatform\b", name, text))
    with postgres.database(migrated=False) as dsn:
        user = {"POSTGRES_USER": "algoplatform", "PGHOST": parse_qs(urlsplit(dsn).query)["host"][0]}
        path = {"PATH": f"{wheel_programs()}:{os.environ['PATH']}"}
        subprocess.run(["sh", tmp_path / "owner.sh"], env=environment() | user | path, check=True)
        try:
            yield re.sub("//algoplatform@/[^?]+", f"//{name}@/{name}", dsn)
        finally:
            execute(dsn, f"DROP DATABASE {name} WITH (FORCE)", f"DROP ROLE {name}")


async def test_role(owner: str) -> None:
    """The role is no superuser, yet suffices for every operation; no other may enter its database."""
    await asyncio.to_thread(migrations.upgrade, owner)
    assert ask(owner, "SELECT rolsuper OR rolcreaterole OR rolcreatedb FROM pg_roles WHERE rolname = user") is False
    entering = "SELECT has_database_privilege('pg_monitor', current_database(), 'CONNECT')"
    assert ask(owner, entering) is False
    async with serving(settings_for(owner)) as client:
        await tour(client)
