"""The workload of an image: its container, its pod, and the Deployment or StatefulSet around them."""

from typing import Any, Final

from algoplatform.domain.grammar.shell_words import ShellWords
from algoplatform.domain.record.model import Image
from algoplatform.manifests.gpu.amounts import GpuAmounts
from algoplatform.manifests.gpu.profiles import Profile
from algoplatform.manifests.names import INSTANCE, MAIN
from algoplatform.manifests.option_values import Toleration
from algoplatform.manifests.options import Options
from algoplatform.manifests.quantities import literal, resources
from algoplatform.manifests.services import container_ports
from algoplatform.manifests.volumes import Storage

# A claim with one of these modes is used by one node, or one pod, at a time.
EXCLUSIVE: Final = frozenset(["ReadWriteOnce", "ReadWriteOncePod"])


def image_reference(image: Image, options: Options, digest: str | None) -> str:
    """Return the reference by which a node pulls the image; a digest replaces the tag."""
    name = image.image_name.text
    if options.registry and image.image_name.host is None:
        name = f"{options.registry}/{name}"
    return f"{name}@{digest}" if digest else f"{name}:{image.image_tag}"


def container(image: Image, pulled: str, options: Options, gpu: GpuAmounts, storage: Storage) -> dict[str, Any]:
    ports = container_ports(image)
    env = image.env.items if image.env else ()
    found: dict[str, Any] = {
        "name": MAIN,
        "image": pulled,
        "imagePullPolicy": "IfNotPresent",
        "command": _words(image.command, comma=False, whole=options.args_style == "comma"),
        "args": _words(image.args, comma=options.args_style == "comma", whole=False),
        "workingDir": image.working_dir.text if image.working_dir else None,
        "env": [{"name": item.key, "value": literal(item.value)} for item in env],
        "ports": ports,
        "resources": resources(image, options, gpu.limits),
        "readinessProbe": _probe(ports) if options.readiness == "tcp" else None,
        "volumeMounts": storage.mounts,
    }
    return {key: value for key, value in found.items() if value}


def _words(words: ShellWords | None, *, comma: bool, whole: bool) -> list[str]:
    if words is None:
        return []
    # The older platform did not know quotes: it split args at commas, and command not at all.
    split = words.text.split(",") if comma else [words.text] if whole else words.words
    return [literal(word) for word in split]


def _probe(ports: list[dict[str, Any]]) -> dict[str, Any] | None:
    return {"tcpSocket": {"port": ports[0]["containerPort"]}} if ports else None


def pod(main: dict[str, Any], options: Options, profile: Profile | None, storage: Storage) -> dict[str, Any]:
    """Return the pod's spec; `profile` is the GPU profile, None for a pod without a GPU."""
    found: dict[str, Any] = {
        "serviceAccountName": options.service_account,
        "imagePullSecrets": [{"name": name} for name in options.pull_secrets],
        "runtimeClassName": options.runtime_class or (profile.runtime_class if profile else None),
        "schedulerName": options.scheduler_name or (profile.scheduler_name if profile else None),
        "nodeSelector": dict(options.node_selector),
        "tolerations": list(map(_toleration, options.tolerations)),
        "containers": [main],
        "volumes": storage.volumes,
    }
    filled = {key: value for key, value in found.items() if value}
    return {"automountServiceAccountToken": False, "enableServiceLinks": False, **filled}


def _toleration(item: Toleration) -> dict[str, str]:
    found = {"key": item.key, "operator": "Exists" if item.value is None else "Equal"}
    if item.value is not None:
        found["value"] = item.value
    return found | ({"effect": item.effect} if item.effect else {})


def workload(name: str, spec: dict[str, Any], replicas: int, options: Options, storage: Storage, *, gpu: bool) -> Any:
    """Return kind and spec of the workload.

    With an exclusive claim, one replica is a Deployment that stops the old pod first, and several are a
    StatefulSet with a claim per replica. Otherwise it is a Deployment with rolling updates.
    """
    exclusive = bool(storage.claims) and options.access_mode in EXCLUSIVE
    instance = {INSTANCE: name}
    found: dict[str, Any] = {"replicas": replicas, "selector": {"matchLabels": instance}}
    if exclusive and replicas > 1:
        templates = [_template(volume, claim) for volume, claim in storage.claims.items()]
        rest: dict[str, Any] = {"serviceName": name, "volumeClaimTemplates": templates}
    else:
        spec = spec | _claimed(name, spec, storage)
        rest = {"strategy": {"type": "Recreate"} if exclusive else _rolling(gpu=gpu)}
    template = {"metadata": {"labels": instance}, "spec": spec}
    return ("StatefulSet" if "serviceName" in rest else "Deployment"), {**found, **rest, "template": template}


def _rolling(*, gpu: bool) -> dict[str, Any]:
    # If all GPUs are in use, a surge pod would wait forever for the pod that it should replace.
    return {"type": "RollingUpdate", **({"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}} if gpu else {})}


def _template(volume: str, claim: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": volume}, "spec": claim}


def _claimed(name: str, spec: dict[str, Any], storage: Storage) -> dict[str, Any]:
    claimed = [
        {"name": volume, "persistentVolumeClaim": {"claimName": claim_name(name, volume)}} for volume in storage.claims
    ]
    return {"volumes": [*claimed, *storage.volumes]} if claimed else {}


def claim_name(name: str, volume: str) -> str:
    """Return the name of a volume's claim: `<name>`, followed by the hash of the path if each mount has a claim."""
    return name + volume.removeprefix("data")
