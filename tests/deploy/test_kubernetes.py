"""The Kubernetes manifests: valid, consistent, hardened, and with existing settings."""

import shutil
import subprocess
from collections.abc import Callable
from copy import deepcopy
from functools import cache
from typing import Any

import kubernetes_validate
import pytest
import yaml

from algoplatform import __version__
from algoplatform.settings import Settings
from tests.support.kustomize import Document, build
from tests.support.manifest_parts import amount, pods
from tests.support.manifests import findings
from tests.support.programs import ROOT

KUBERNETES = ROOT / "deploy" / "kubernetes"
OVERLAYS = ("small", "ha")
CUSTOM = ("Cluster", "Pooler")


@cache
def _built(overlay: str) -> list[Document]:
    return build(KUBERNETES / "overlays" / overlay)


def built(overlay: str) -> list[Document]:
    """Build an overlay; the documents are fresh copies."""
    return deepcopy(_built(overlay))


def one(documents: list[Document], kind: str) -> Any:
    """Return the only document of a kind."""
    [found] = [document for document in documents if document["kind"] == kind]
    return found


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_valid(overlay: str) -> None:
    """Each manifest matches the cluster API's schema, field by field."""
    for document in built(overlay):
        if document["kind"] not in CUSTOM:
            kubernetes_validate.validate(document, "1.30", strict=True)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_consistent(overlay: str) -> None:
    """The manifests are consistent with each other, the service and its settings."""
    assert findings(built(overlay)) == []


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_built_as_kustomize_does(overlay: str) -> None:
    """The documents under test equal those that kustomize builds."""
    made = subprocess.run(["kubectl", "kustomize", KUBERNETES / "overlays" / overlay], capture_output=True, check=True)

    def key(document: Document) -> tuple[str, str]:
        return document["kind"], document["metadata"]["name"]

    assert sorted(yaml.safe_load_all(made.stdout), key=key) == sorted(built(overlay), key=key)


def _container(documents: list[Document]) -> Any:
    return one(documents, "Deployment")["spec"]["template"]["spec"]["containers"][0]


def _pod(documents: list[Document]) -> Any:
    return one(documents, "Deployment")["spec"]["template"]["spec"]


def _database_url(documents: list[Document], ours: str, theirs: str) -> None:
    entry = _container(documents)["env"][2]
    assert ours in entry["value"]
    entry["value"] = entry["value"].replace(ours, theirs)


SPOILT: dict[str, Callable[[list[Document]], Any]] = {
    "no DNS label": lambda all_: one(all_, "Service")["metadata"].update(name="Algo_platform"),
    "is no DNS label": lambda all_: _container(all_).update(name="a.b"),
    "port http 99999": lambda all_: _container(all_)["ports"][0].update(containerPort=99999),
    "readinessProbe asks port web": lambda all_: _container(all_)["readinessProbe"]["httpGet"].update(port="web"),
    "requests more cpu": lambda all_: _container(all_)["resources"]["requests"].update(cpu="2001m"),
    "memory 1 GB": lambda all_: _container(all_)["resources"]["limits"].update(memory="1 GB"),
    "not both defined and mounted": lambda all_: _container(all_)["volumeMounts"][0].update(name="secret"),
    "no writable /tmp": lambda all_: _container(all_)["volumeMounts"][1].update(mountPath="/temp"),
    "is not mounted": lambda all_: _container(all_)["volumeMounts"][0].update(mountPath="/secrets"),
    "runs as root": lambda all_: _pod(all_)["securityContext"].update(runAsUser=0),
    "seccomp": lambda all_: _pod(all_)["securityContext"].pop("seccompProfile"),
    "writable root": lambda all_: _container(all_)["securityContext"].update(readOnlyRootFilesystem=False),
    "escalation": lambda all_: _container(all_)["securityContext"].pop("allowPrivilegeEscalation"),
    "capabilities": lambda all_: _container(all_)["securityContext"]["capabilities"].update(add=["NET_ADMIN"]),
    ": token": lambda all_: _pod(all_).update(automountServiceAccountToken=True),
    "Deployment algoplatform: selects no pod": lambda all_: one(all_, "Deployment")["spec"]["selector"][
        "matchLabels"
    ].update(x="y"),
    "Service algoplatform: selects no pod": lambda all_: one(all_, "Service")["spec"]["selector"].update(x="y"),
    "PodDisruptionBudget algoplatform: selects no pod": lambda all_: one(all_, "PodDisruptionBudget")["spec"][
        "selector"
    ]["matchLabels"].update(x="y"),
    "Service algoplatform: port 80 to web": lambda all_: one(all_, "Service")["spec"]["ports"][0].update(
        targetPort="web"
    ),
    "no such backend": lambda all_: one(all_, "Service")["spec"]["ports"][0].update(name="web"),
    "no Deployment other": lambda all_: one(all_, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"].update(
        name="other"
    ),
    "replicas there are": lambda all_: one(all_, "Deployment")["spec"].update(replicas=3),
    "no Cluster other": lambda all_: one(all_, "Pooler")["spec"]["cluster"].update(name="other"),
    "ConfigMap: ALGOPLATFORM_PROT is no setting": lambda all_: one(all_, "ConfigMap")["data"].update(
        ALGOPLATFORM_PROT="1"
    ),
    "no ConfigMap other": lambda all_: _container(all_)["envFrom"][0]["configMapRef"].update(name="other"),
    "ALGOPLATFORM_DB is no setting": lambda all_: _pod(all_)["volumes"][0]["secret"]["items"][0].update(
        path="ALGOPLATFORM_DB"
    ),
    "images: ": lambda all_: _container(all_).update(image="registry.example.com/algoplatform:other"),
    "killed before it has drained": lambda all_: _pod(all_).update(terminationGracePeriodSeconds=40),
    "UDP 53 cannot be reached": lambda all_: one(all_, "NetworkPolicy")["spec"]["egress"].pop(0),
    "TCP 5432 cannot be reached": lambda all_: one(all_, "NetworkPolicy")["spec"]["egress"][1]["ports"].pop(0),
    "believes everybody": lambda all_: one(all_, "ConfigMap")["data"].update(ALGOPLATFORM_AUTH="gateway"),
    "readinessProbe asks for /healthz": lambda all_: _container(all_)["readinessProbe"]["httpGet"].update(
        path="/healthz"
    ),
    "startupProbe asks port None": lambda all_: _container(all_).pop("startupProbe"),
    ": links": lambda all_: _pod(all_).update(enableServiceLinks=True),
    "Secret algoplatform-database with uri": lambda all_: _pod(all_)["volumes"][0]["secret"].update(
        secretName="algoplatform-database"
    ),
    "migrate: nobody makes the Secret other with uri": lambda all_: one(all_, "Job")["spec"]["template"]["spec"][
        "volumes"
    ][0]["secret"].update(secretName="other"),
    "Secret algoplatform-postgres-app with name": lambda all_: _container(all_)["env"][0]["valueFrom"][
        "secretKeyRef"
    ].update(key="name"),
    "no Pooler listens on pooler:5432": lambda all_: _database_url(all_, "algoplatform-pooler", "pooler"),
    "no Pooler listens on algoplatform-pooler:6432": lambda all_: _database_url(all_, "5432", "6432"),
    "there is no database images": lambda all_: _database_url(all_, "/algoplatform", "/images"),
    "Pooler algoplatform-pooler: poolMode session": lambda all_: one(all_, "Pooler")["spec"]["pgbouncer"].update(
        poolMode="session"
    ),
    "Pooler: spec.pgbouncer.pool_mode is no key": lambda all_: one(all_, "Pooler")["spec"]["pgbouncer"].update(
        pool_mode="transaction"
    ),
    "Cluster: spec.postgresql.synchronous.dataDurabilty is no key": lambda all_: one(all_, "Cluster")["spec"][
        "postgresql"
    ]["synchronous"].update(dataDurabilty="required"),
    "has $(DATABASE_USER), which does not stand before it": lambda all_: _container(all_)["env"].reverse(),
    "NetworkPolicy: lets everybody in": lambda all_: one(all_, "NetworkPolicy")["spec"]["ingress"][0].pop("from"),
    "algoplatform-migrate: no NetworkPolicy": lambda all_: one(all_, "Job")["spec"]["template"]["metadata"].update(
        labels={"app.kubernetes.io/name": "migration"}
    ),
    "Deployment: spec.template.spec.volumes.1.emptyDir.sizeLimit is 2 GB": lambda all_: _pod(all_)["volumes"][1][
        "emptyDir"
    ].update(sizeLimit="2 GB"),
    "Cluster: spec.storage.size is 20GB": lambda all_: one(all_, "Cluster")["spec"]["storage"].update(size="20GB"),
    "Cluster: spec.resources.limits.memory is 2 Gi": lambda all_: one(all_, "Cluster")["spec"]["resources"][
        "limits"
    ].update(memory="2 Gi"),
    "requests more ephemeral-storage": lambda all_: _container(all_)["resources"]["requests"].update(
        {"ephemeral-storage": "2Gi"}
    ),
    "lets in every pod of a namespace": lambda all_: one(all_, "NetworkPolicy")["spec"]["ingress"][1]["from"][0].pop(
        "podSelector"
    ),
    "lets in monitoring, and the service believes everybody": lambda all_: one(all_, "ConfigMap")["data"].update(
        ALGOPLATFORM_AUTH="gateway"
    ),
    "lets in to a port": lambda all_: one(all_, "NetworkPolicy")["spec"]["ingress"][0]["ports"][0].update(port=80),
}


@pytest.mark.parametrize("finding", SPOILT)
def test_found(finding: str) -> None:
    """Each defect is found."""
    documents = built("ha")
    SPOILT[finding](documents)
    assert any(finding in found for found in findings(documents)), findings(documents)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_gateway(overlay: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the gateway mode that the ConfigMap describes, the ingress authenticates; nothing bypasses it."""
    documents = built(overlay)
    given = {"ALGOPLATFORM_AUTH": "gateway", "ALGOPLATFORM_TRUST_GATEWAY": "true"}
    annotation = "nginx.ingress.kubernetes.io/auth-url"
    said = (KUBERNETES / "base/configmap.yaml").read_text().partition("apiVersion")[0]
    assert all(f"{name}={value}" in said for name, value in given.items())
    assert annotation in said
    one(documents, "ConfigMap")["data"].update(given)
    one(documents, "Ingress")["metadata"]["annotations"][annotation] = "https://identity.example.com/verify"
    rules = one(documents, "NetworkPolicy")["spec"]["ingress"]
    [prometheus] = [rule for rule in rules if "prometheus" in str(rule)]
    rules.remove(prometheus)
    assert findings(documents) == []
    for name, value in one(documents, "ConfigMap")["data"].items():
        monkeypatch.setenv(name, value)
    Settings().check_listening()


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_settings_are_accepted(overlay: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The service accepts every value of the ConfigMap, and may listen with them."""
    for name, value in one(built(overlay), "ConfigMap")["data"].items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    settings.check_listening()
    settings.check_token()
    container = _container(built(overlay))
    assert settings.port == container["ports"][0]["containerPort"]
    assert settings.prepared_statements is (overlay == "small")


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_room_for_uploads(overlay: str) -> None:
    """The ingress passes uploads of the maximum size, and has space to buffer them."""
    documents = built(overlay)
    annotations = one(documents, "Ingress")["metadata"]["annotations"]
    passed = amount(annotations["nginx.ingress.kubernetes.io/proxy-body-size"].upper() + "i")
    assert passed > Settings().max_upload_bytes
    [tmp] = [volume for volume in _pod(documents)["volumes"] if volume["name"] == "tmp"]
    uploads = int(one(documents, "ConfigMap")["data"]["ALGOPLATFORM_WORKERS"]) * Settings().max_uploads
    assert amount(tmp["emptyDir"]["sizeLimit"]) > uploads * Settings().max_upload_bytes


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_pages_pass(overlay: str) -> None:
    """The ingress passes paths for users, but not those for the cluster."""
    rules = one(built(overlay), "Ingress")["spec"]["rules"]
    paths = [(path["path"], path["pathType"]) for rule in rules for path in rule["http"]["paths"]]

    def passes(asked: str) -> bool:
        return any(asked == path or (kind == "Prefix" and asked.startswith(f"{path}/")) for path, kind in paths)

    for asked in (
        "/",
        "/console",
        "/console/images",
        "/docs",
        "/docs/assets/x.js",
        "/redoc",
        "/openapi.json",
        "/algoPlatform/images/_search",
    ):
        assert passes(asked), asked
    assert not any(map(passes, ("/healthz", "/readyz", "/metrics")))


def test_poolers_of_others_pass() -> None:
    """An external PostgreSQL may run behind PgBouncer on its usual port."""
    ports = one(built("small"), "NetworkPolicy")["spec"]["egress"][1]["ports"]
    assert [port["port"] for port in ports] == [5432, 443, 6432]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_one_worker_a_pod(overlay: str) -> None:
    """A pod's pool metrics are complete: with one worker there is no other to ask."""
    assert one(built(overlay), "ConfigMap")["data"]["ALGOPLATFORM_WORKERS"] == "1"


def test_connections_fit() -> None:
    """All poolers together stay below the server's connections, and accept as many as all replicas open."""
    documents = built("ha")
    pooler, cluster = one(documents, "Pooler")["spec"], one(documents, "Cluster")["spec"]
    parameters, data = pooler["pgbouncer"]["parameters"], one(documents, "ConfigMap")["data"]
    opened = pooler["instances"] * int(parameters["default_pool_size"])
    assert opened < int(cluster["postgresql"]["parameters"]["max_connections"])
    replicas = one(documents, "HorizontalPodAutoscaler")["spec"]["maxReplicas"]
    clients = replicas * int(data["ALGOPLATFORM_WORKERS"]) * int(data["ALGOPLATFORM_POOL_SIZE"])
    assert clients <= int(parameters["max_client_conn"]) * pooler["instances"]


def test_synchronous() -> None:
    """Two of three instances hold a write before it is acknowledged."""
    cluster = one(built("ha"), "Cluster")["spec"]
    assert cluster["instances"] == 3
    assert cluster["postgresql"]["synchronous"] == {"method": "any", "number": 1, "dataDurability": "required"}


def test_no_secret_inside() -> None:
    """Secrets are referenced, never included; the deployed version is the current one."""
    for overlay in OVERLAYS:
        assert all(document["kind"] != "Secret" for document in built(overlay))
        for _, pod in pods(built(overlay)):
            assert pod["spec"]["containers"][0]["image"].endswith(f":{__version__}")
