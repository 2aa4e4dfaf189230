"""What is wrong with a set of Kubernetes manifests though each is valid by itself."""

import re
from collections.abc import Iterator
from typing import Any

from algoplatform.settings import PREFIX, SECRETS_DIR, Settings

Document = dict[str, Any]

_DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_PORT_NAME = re.compile(r"(?=.*[a-z])[a-z0-9]([a-z0-9-]{0,13}[a-z0-9])?")
_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?)(m|k|Ki|M|Mi|G|Gi|T|Ti)?")
_FACTOR = {
    "": 1,
    "m": 1e-3,
    "k": 1e3,
    "M": 1e6,
    "G": 1e9,
    "T": 1e12,
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
}
_SETTINGS = {PREFIX + name.upper() for name in Settings.model_fields} | {SECRETS_DIR}
# The service drains for 30 seconds after SIGTERM.
_DRAIN = 30


def findings(documents: list[Document]) -> list[str]:
    """List everything that is wrong."""
    checks = (
        _names,
        _containers,
        _volumes,
        _hardening,
        _selectors,
        _services,
        _targets,
        _settings,
        _images,
        _drain,
        _network,
        _callers,
    )
    return [finding for check in checks for finding in check(documents)]


def amount(quantity: Any) -> float:
    """Read a quantity; ValueError where it is none."""
    match = _QUANTITY.fullmatch(str(quantity))
    if match is None:
        raise ValueError(quantity)
    return float(match[1]) * _FACTOR[match[2] or ""]


def pods(documents: list[Document]) -> Iterator[tuple[str, Document]]:
    """Give each pod template with the name of its owner."""
    for document in documents:
        if document["kind"] in ("Deployment", "Job"):
            yield document["metadata"]["name"], document["spec"]["template"]


def _of(documents: list[Document], *kinds: str) -> list[Document]:
    return [document for document in documents if document["kind"] in kinds]


def _named(documents: list[Document], kind: str, name: str) -> Document | None:
    return next((document for document in _of(documents, kind) if document["metadata"]["name"] == name), None)


def _each(documents: list[Document]) -> Iterator[tuple[str, Document, Document]]:
    for owner, pod in pods(documents):
        for container in pod["spec"]["containers"]:
            yield f"{owner}/{container['name']}", container, pod["spec"]


def _names(documents: list[Document]) -> Iterator[str]:
    for document in documents:
        name = document["metadata"]["name"]
        if not _DNS_LABEL.fullmatch(name):
            yield f"{document['kind']} {name}: no DNS label"
    for where, container, pod in _each(documents):
        for name in (container["name"], *(volume["name"] for volume in pod["volumes"])):
            if not _DNS_LABEL.fullmatch(name):
                yield f"{where}: {name} is no DNS label"


def _containers(documents: list[Document]) -> Iterator[str]:
    for where, container, _ in _each(documents):
        ports = {port["name"]: port["containerPort"] for port in container.get("ports", [])}
        for name, number in ports.items():
            if not (_PORT_NAME.fullmatch(name) and 1 <= number <= 65535):
                yield f"{where}: port {name} {number}"
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            port = container.get(probe, {}).get("httpGet", {}).get("port")
            if port is not None and port not in ports:
                yield f"{where}: {probe} asks port {port}"
        resources = container["resources"]
        for resource in ("cpu", "memory"):
            try:
                if amount(resources["requests"][resource]) > amount(resources["limits"][resource]):
                    yield f"{where}: requests more {resource} than it may have"
            except (KeyError, ValueError) as error:
                yield f"{where}: {resource} {error}"


def _volumes(documents: list[Document]) -> Iterator[str]:
    for where, container, pod in _each(documents):
        defined = {volume["name"] for volume in pod["volumes"]}
        mounted = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        if mounted.keys() != defined:
            yield f"{where}: volumes {sorted(mounted.keys() ^ defined)} are not both defined and mounted"
        if "/tmp" not in mounted.values():
            yield f"{where}: no writable /tmp"
        secrets = {entry["name"]: entry.get("value") for entry in container.get("env", [])}.get(SECRETS_DIR)
        if secrets not in mounted.values():
            yield f"{where}: {secrets} is not mounted"


def _hardening(documents: list[Document]) -> Iterator[str]:
    for where, container, pod in _each(documents):
        ours, everyone = container.get("securityContext", {}), pod.get("securityContext", {})
        holds = {
            "runs as root": everyone.get("runAsNonRoot") is True and everyone.get("runAsUser") == 10001,
            "seccomp": everyone.get("seccompProfile") == {"type": "RuntimeDefault"},
            "writable root": ours.get("readOnlyRootFilesystem") is True,
            "escalation": ours.get("allowPrivilegeEscalation") is False,
            "capabilities": ours.get("capabilities") == {"drop": ["ALL"]},
            "token": pod.get("automountServiceAccountToken") is False,
        }
        yield from (f"{where}: {name}" for name, held in holds.items() if not held)


def _selectors(documents: list[Document]) -> Iterator[str]:
    labels = [pod["metadata"]["labels"] for _, pod in pods(documents)]
    for document in _of(documents, "Deployment", "Service", "PodDisruptionBudget", "NetworkPolicy"):
        spec = document["spec"]
        selector = spec.get("selector", spec.get("podSelector"))
        wanted = selector.get("matchLabels", selector)
        candidates = [spec["template"]["metadata"]["labels"]] if "template" in spec else labels
        if not any(wanted.items() <= found.items() for found in candidates):
            yield f"{document['kind']} {document['metadata']['name']}: selects no pod"


def _services(documents: list[Document]) -> Iterator[str]:
    known = {port["name"] for _, container, _ in _each(documents) for port in container.get("ports", [])}
    for service in _of(documents, "Service"):
        for port in service["spec"]["ports"]:
            if port["targetPort"] not in known or not 1 <= port["port"] <= 65535:
                yield f"Service {service['metadata']['name']}: port {port['port']} to {port['targetPort']}"
    for ingress in _of(documents, "Ingress"):
        for path in (path for rule in ingress["spec"]["rules"] for path in rule["http"]["paths"]):
            backend = path["backend"]["service"]
            found = _named(documents, "Service", backend["name"])
            if found is None or backend["port"]["name"] not in {port["name"] for port in found["spec"]["ports"]}:
                yield f"Ingress {path['path']}: no such backend"


def _targets(documents: list[Document]) -> Iterator[str]:
    for scaler in _of(documents, "HorizontalPodAutoscaler"):
        target = scaler["spec"]["scaleTargetRef"]
        found = _named(documents, target["kind"], target["name"])
        if found is None:
            yield f"HorizontalPodAutoscaler: no {target['kind']} {target['name']}"
        elif "replicas" in found["spec"]:
            yield "HorizontalPodAutoscaler: the Deployment says how many replicas there are, too"
    for pooler in _of(documents, "Pooler"):
        if _named(documents, "Cluster", pooler["spec"]["cluster"]["name"]) is None:
            yield f"Pooler: no Cluster {pooler['spec']['cluster']['name']}"


def _settings(documents: list[Document]) -> Iterator[str]:
    for document in _of(documents, "ConfigMap"):
        yield from (f"ConfigMap: {name} is no setting" for name in document["data"] if name not in _SETTINGS)
    for where, container, pod in _each(documents):
        for source in container.get("envFrom", []):
            if _named(documents, "ConfigMap", source["configMapRef"]["name"]) is None:
                yield f"{where}: no ConfigMap {source['configMapRef']['name']}"
        files = [item["path"] for volume in pod["volumes"] for item in volume.get("secret", {}).get("items", [])]
        for name in (*(entry["name"] for entry in container.get("env", [])), *files):
            if name.startswith(PREFIX) and name not in _SETTINGS:
                yield f"{where}: {name} is no setting"


def _images(documents: list[Document]) -> Iterator[str]:
    images = {container["image"] for _, container, _ in _each(documents)}
    if len(images) != 1 or not re.fullmatch(r"[^:]+(:[0-9]+)?/[^:]+:[^:]+", *images):
        yield f"images: {sorted(images)}"


def _drain(documents: list[Document]) -> Iterator[str]:
    for deployment in _of(documents, "Deployment"):
        pod = deployment["spec"]["template"]["spec"]
        for container in pod["containers"]:
            seconds = int(container["lifecycle"]["preStop"]["exec"]["command"][-1])
            if pod["terminationGracePeriodSeconds"] <= seconds + _DRAIN:
                yield f"{container['name']}: is killed before it has drained"


def _network(documents: list[Document]) -> Iterator[str]:
    for policy in _of(documents, "NetworkPolicy"):
        out, into = ([port for rule in policy["spec"][way] for port in rule["ports"]] for way in ("egress", "ingress"))
        allowed = {(port["protocol"], port["port"]) for port in out}
        for needed in (("UDP", 53), ("TCP", 53), ("TCP", 5432), ("TCP", 443)):
            if needed not in allowed:
                yield f"NetworkPolicy: {needed[0]} {needed[1]} cannot be reached"
        listening = {
            port["containerPort"] for _, container, _ in _each(documents) for port in container.get("ports", [])
        }
        if {port["port"] for port in into} != listening:
            yield "NetworkPolicy: lets in to a port where nobody listens, or not to one where somebody does"


def _callers(documents: list[Document]) -> Iterator[str]:
    """Whoever believes what a caller says of itself needs an ingress that establishes who calls."""
    settings = next(document["data"] for document in _of(documents, "ConfigMap"))
    for ingress in _of(documents, "Ingress"):
        asked = ingress["metadata"].get("annotations", {}).get("nginx.ingress.kubernetes.io/auth-url")
        if settings["ALGOPLATFORM_AUTH"] == "gateway" and not asked:
            yield "Ingress: lets everybody in, and the service believes everybody"
