"""Checks of Kubernetes manifests for faults between documents that are valid each by itself."""

import re
from collections.abc import Iterator
from typing import Any

from algoplatform.settings import PREFIX, SECRETS_DIR, Settings
from tests.support import manifests_database
from tests.support.manifest_parts import Document, amount, each, named, of, pods

_DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_PORT_NAME = re.compile(r"(?=.*[a-z])[a-z0-9]([a-z0-9-]{0,13}[a-z0-9])?")
_SETTINGS = {PREFIX + name.upper() for name in Settings.model_fields} | {SECRETS_DIR}
# Seconds for which the service drains after SIGTERM.
_DRAIN = 30
_PROBES = {"startupProbe": "/healthz", "readinessProbe": "/readyz", "livenessProbe": "/healthz"}
_GATEWAY = "ingress-nginx"
_RESOURCES = ("cpu", "memory", "ephemeral-storage")


def findings(documents: list[Document]) -> list[str]:
    """Return all findings."""
    checks = (
        _names,
        _quantities,
        _containers,
        _probes,
        _environment,
        manifests_database.keys,
        manifests_database.secrets,
        manifests_database.database,
        _volumes,
        _hardening,
        _selectors,
        _services,
        _targets,
        _settings,
        _images,
        _drain,
        _network,
        _policed,
        _callers,
    )
    return [finding for check in checks for finding in check(documents)]


def _names(documents: list[Document]) -> Iterator[str]:
    for document in documents:
        name = document["metadata"]["name"]
        if not _DNS_LABEL.fullmatch(name):
            yield f"{document['kind']} {name}: no DNS label"
    for where, container, pod in each(documents):
        for name in (container["name"], *(volume["name"] for volume in pod["volumes"])):
            if not _DNS_LABEL.fullmatch(name):
                yield f"{where}: {name} is no DNS label"


def _containers(documents: list[Document]) -> Iterator[str]:
    for where, container, _ in each(documents):
        ports = {port["name"]: port["containerPort"] for port in container.get("ports", [])}
        for name, number in ports.items():
            if not (_PORT_NAME.fullmatch(name) and 1 <= number <= 65535):
                yield f"{where}: port {name} {number}"
        resources = container["resources"]
        for resource in _RESOURCES:
            try:
                if amount(resources["requests"][resource]) > amount(resources["limits"][resource]):
                    yield f"{where}: requests more {resource} than it may have"
            except (KeyError, ValueError) as error:
                yield f"{where}: {resource} {error}"


def _probes(documents: list[Document]) -> Iterator[str]:
    for where, container, _ in each(documents):
        ports = {port["name"] for port in container.get("ports", [])}
        for probe, path in _PROBES.items() if ports else ():
            asked = container.get(probe, {}).get("httpGet", {})
            if asked.get("port") not in ports:
                yield f"{where}: {probe} asks port {asked.get('port')}"
            if asked.get("path") != path:
                yield f"{where}: {probe} asks for {asked.get('path')}"


def _quantities(documents: list[Document]) -> Iterator[str]:
    for document in documents:
        for path, quantity in _sizes(document):
            try:
                amount(quantity)
            except ValueError:
                yield f"{document['kind']}: {path} is {quantity}, which is no quantity"


def _sizes(value: Any, at: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, list):
        value = dict(enumerate(value))
    for key, item in value.items() if isinstance(value, dict) else ():
        if key in ("requests", "limits"):
            yield from ((f"{at}{key}.{name}", quantity) for name, quantity in item.items())
        elif key in ("size", "sizeLimit"):
            yield f"{at}{key}", item
        else:
            yield from _sizes(item, f"{at}{key}.")


def _environment(documents: list[Document]) -> Iterator[str]:
    """Report variables that refer to a later one: Kubernetes leaves such references as they are."""
    for where, container, _ in each(documents):
        before: set[str] = set()
        for entry in container.get("env", []):
            for name in re.findall(r"\$\(([^)]*)\)", entry.get("value", "")):
                if name not in before:
                    yield f"{where}: {entry['name']} has $({name}), which does not stand before it"
            before.add(entry["name"])


def _volumes(documents: list[Document]) -> Iterator[str]:
    for where, container, pod in each(documents):
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
    for where, container, pod in each(documents):
        ours, everyone = container.get("securityContext", {}), pod.get("securityContext", {})
        holds = {
            "runs as root": everyone.get("runAsNonRoot") is True and everyone.get("runAsUser") == 10001,
            "seccomp": everyone.get("seccompProfile") == {"type": "RuntimeDefault"},
            "writable root": ours.get("readOnlyRootFilesystem") is True,
            "escalation": ours.get("allowPrivilegeEscalation") is False,
            "capabilities": ours.get("capabilities") == {"drop": ["ALL"]},
            "token": pod.get("automountServiceAccountToken") is False,
            "links": pod.get("enableServiceLinks") is False,
        }
        yield from (f"{where}: {name}" for name, held in holds.items() if not held)


def _selectors(documents: list[Document]) -> Iterator[str]:
    labels = [pod["metadata"]["labels"] for _, pod in pods(documents)]
    for document in of(documents, "Deployment", "Service", "PodDisruptionBudget", "NetworkPolicy"):
        spec = document["spec"]
        selector = spec.get("selector", spec.get("podSelector"))
        wanted = selector.get("matchLabels", selector)
        candidates = [spec["template"]["metadata"]["labels"]] if "template" in spec else labels
        if not any(wanted.items() <= found.items() for found in candidates):
            yield f"{document['kind']} {document['metadata']['name']}: selects no pod"


def _services(documents: list[Document]) -> Iterator[str]:
    known = {port["name"] for _, container, _ in each(documents) for port in container.get("ports", [])}
    for service in of(documents, "Service"):
        for port in service["spec"]["ports"]:
            if port["targetPort"] not in known or not 1 <= port["port"] <= 65535:
                yield f"Service {service['metadata']['name']}: port {port['port']} to {port['targetPort']}"
    for ingress in of(documents, "Ingress"):
        for path in (path for rule in ingress["spec"]["rules"] for path in rule["http"]["paths"]):
            backend = path["backend"]["service"]
            found = named(documents, "Service", backend["name"])
            if found is None or backend["port"]["name"] not in {port["name"] for port in found["spec"]["ports"]}:
                yield f"Ingress {path['path']}: no such backend"


def _targets(documents: list[Document]) -> Iterator[str]:
    for scaler in of(documents, "HorizontalPodAutoscaler"):
        target = scaler["spec"]["scaleTargetRef"]
        found = named(documents, target["kind"], target["name"])
        if found is None:
            yield f"HorizontalPodAutoscaler: no {target['kind']} {target['name']}"
        elif "replicas" in found["spec"]:
            yield "HorizontalPodAutoscaler: the Deployment says how many replicas there are, too"
    for pooler in of(documents, "Pooler"):
        if named(documents, "Cluster", pooler["spec"]["cluster"]["name"]) is None:
            yield f"Pooler: no Cluster {pooler['spec']['cluster']['name']}"


def _settings(documents: list[Document]) -> Iterator[str]:
    for document in of(documents, "ConfigMap"):
        yield from (f"ConfigMap: {name} is no setting" for name in document["data"] if name not in _SETTINGS)
    for where, container, pod in each(documents):
        for source in container.get("envFrom", []):
            if named(documents, "ConfigMap", source["configMapRef"]["name"]) is None:
                yield f"{where}: no ConfigMap {source['configMapRef']['name']}"
        files = [item["path"] for volume in pod["volumes"] for item in volume.get("secret", {}).get("items", [])]
        for name in (*(entry["name"] for entry in container.get("env", [])), *files):
            if name.startswith(PREFIX) and name not in _SETTINGS:
                yield f"{where}: {name} is no setting"


def _images(documents: list[Document]) -> Iterator[str]:
    images = {container["image"] for _, container, _ in each(documents)}
    if len(images) != 1 or not re.fullmatch(r"[^:]+(:[0-9]+)?/[^:]+:[^:]+", *images):
        yield f"images: {sorted(images)}"


def _drain(documents: list[Document]) -> Iterator[str]:
    for deployment in of(documents, "Deployment"):
        pod = deployment["spec"]["template"]["spec"]
        for container in pod["containers"]:
            seconds = int(container["lifecycle"]["preStop"]["exec"]["command"][-1])
            if pod["terminationGracePeriodSeconds"] <= seconds + _DRAIN:
                yield f"{container['name']}: is killed before it has drained"


def _network(documents: list[Document]) -> Iterator[str]:
    for policy in of(documents, "NetworkPolicy"):
        out, into = ([port for rule in policy["spec"][way] for port in rule["ports"]] for way in ("egress", "ingress"))
        allowed = {(port["protocol"], port["port"]) for port in out}
        for needed in (("UDP", 53), ("TCP", 53), ("TCP", 5432), ("TCP", 443)):
            if needed not in allowed:
                yield f"NetworkPolicy: {needed[0]} {needed[1]} cannot be reached"
        listening = {
            port["containerPort"] for _, container, _ in each(documents) for port in container.get("ports", [])
        }
        if {port["port"] for port in into} != listening:
            yield "NetworkPolicy: lets in to a port where nobody listens, or not to one where somebody does"


def _policed(documents: list[Document]) -> Iterator[str]:
    """Report pods without a policy, and policies that admit everything or a whole namespace."""
    policies = of(documents, "NetworkPolicy")
    for owner, pod in pods(documents):
        labels = pod["metadata"]["labels"].items()
        if not any(policy["spec"]["podSelector"]["matchLabels"].items() <= labels for policy in policies):
            yield f"{owner}: no NetworkPolicy"
    for policy in policies:
        if not all(rule.get("from") for rule in policy["spec"]["ingress"]):
            yield "NetworkPolicy: lets everybody in"
        if not all(peer.get("podSelector") for rule in policy["spec"]["ingress"] for peer in rule.get("from", [])):
            yield "NetworkPolicy: lets in every pod of a namespace"


def _callers(documents: list[Document]) -> Iterator[str]:
    """Report a service that trusts its callers without an authenticating ingress as the only access."""
    settings = next(document["data"] for document in of(documents, "ConfigMap"))
    if settings["ALGOPLATFORM_AUTH"] != "gateway":
        return
    for ingress in of(documents, "Ingress"):
        if not ingress["metadata"].get("annotations", {}).get("nginx.ingress.kubernetes.io/auth-url"):
            yield "Ingress: lets everybody in, and the service believes everybody"
    for policy in of(documents, "NetworkPolicy"):
        peers = [peer for rule in policy["spec"]["ingress"] for peer in rule.get("from", [])]
        names = {peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"] for peer in peers}
        for name in sorted(names - {_GATEWAY}):
            yield f"NetworkPolicy: lets in {name}, and the service believes everybody"
