"""The compose file: one host, hardened, with settings that there are and an order of start that holds."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import cache
from typing import Any

import pytest
import yaml

from algoplatform import __version__
from algoplatform.settings import PREFIX, SECRETS_DIR, Settings
from tests.support.programs import ROOT

Document = dict[str, Any]
OURS = ("migrate", "algoplatform")
SETTINGS = {PREFIX + name.upper() for name in Settings.model_fields} | {SECRETS_DIR}


@cache
def _read() -> Document:
    content: Document = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())
    return content


def findings(compose: Document) -> list[str]:
    """List everything that is wrong."""
    checks = (_hardening, _references, _order, _exposure)
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
        for kind, used in (("secrets", secrets), ("networks", service.get("networks", [])), ("volumes", volumes)):
            yield from (f"{name}: {kind} has no {item}" for item in used if item not in compose[kind])
        targets = [item["target"] for item in service.get("secrets", []) if isinstance(item, dict)]
        for setting in (*service["environment"], *targets):
            if setting.startswith(PREFIX) and setting not in SETTINGS:
                yield f"{name}: {setting} is no setting"
    for secret, source in compose["secrets"].items():
        if set(source) != {"file"}:
            yield f"secrets: {secret} is no file"


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
    """Nothing is wrong with the file that is shipped."""
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
    "which nobody checks": lambda all_: all_["services"]["postgres"].pop("healthcheck"),
    "which does not end": lambda all_: all_["services"]["migrate"].update(restart="always"),
    "cannot reach the database": lambda all_: all_["services"]["migrate"].update(networks=["front"]),
    "before it has drained": lambda all_: all_["services"]["algoplatform"].pop("stop_grace_period"),
    "published on 8000:8000": lambda all_: all_["services"]["algoplatform"].update(ports=["8000:8000"]),
    "reached from outside": lambda all_: all_["networks"].update(database={}),
}


@pytest.mark.parametrize("finding", SPOILT)
def test_found(finding: str) -> None:
    """Each thing that may be wrong is found where it is."""
    compose = deepcopy(_read())
    SPOILT[finding](compose)
    assert any(finding in found for found in findings(compose)), findings(compose)


def test_settings_are_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The service itself takes every value, and may listen with them; its version is this one."""
    service = _read()["services"]["algoplatform"]
    for name, value in service["environment"].items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    settings.check_listening()
    [size] = [int(path.partition("size=")[2].rstrip("m")) for path in service["tmpfs"]]
    assert size * 1024**2 > settings.workers * settings.max_uploads * settings.max_upload_bytes
    assert service["image"] == f"algoplatform:{__version__}"
