"""Reads what the comparison needs from a live object: its record, the parts that we render, the state of its pods.

Objects come from outside: any part may be missing, or of a type that Kubernetes does not use there.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from algoplatform.domain.errors import clip
from algoplatform.manifests.names import GIVEN, INSTANCE, MAIN, MANAGED_BY, MANAGER
from algoplatform.manifests.parts import items, mapping, text

WORKLOADS: Final = frozenset({"Deployment", "StatefulSet"})
OTHERS: Final = ("Service", "PersistentVolumeClaim", "ConfigMap")
_PARTS: Final = ("kind", "spec", "status", "data", "immutable")
_KEPT: Final = ("name", "namespace", "labels", "annotations")
_DIGEST: Final = re.compile(r"@(sha256:[0-9a-f]{64})\Z")
_IMAGE_ID: Final = re.compile(r"[0-9a-f]{32}")
_VERSION: Final = re.compile(r"[1-9][0-9]{0,17}")
_MOST_REASONS: Final = 5
_LONG: Final = 200
# The longest name in Kubernetes, and the longest reference of an image, in characters. Both are ASCII: a single
# other character makes a text take up to four times as much memory.
_MAX_NAME: Final = 253
MAX_REFERENCE: Final = 384
# Levels of nesting: more than any rendered object has.
_DEEP: Final = 32


@dataclass(frozen=True, slots=True)
class Origin:
    """The record that a workload was rendered from, by its annotations; `version` is None if they do not name one."""

    image_id: str
    version: int | None
    reference: str
    renderer: str


@dataclass(slots=True)
class Pods:
    """The pods of an instance: why some are not ready, and which images they run."""

    _reasons: list[bytes] = field(default_factory=list)
    _digests: list[bytes] = field(default_factory=list)

    @property
    def reasons(self) -> list[str]:
        """Why pods are not ready, in the cluster's words."""
        return [each.decode() for each in self._reasons]

    @property
    def digests(self) -> list[str]:
        return [each.decode() for each in self._digests]

    def add(self, pod: dict[str, Any]) -> None:
        """Add a pod, unless it has ended or is being deleted."""
        status = mapping(pod, "status")
        if mapping(pod, "metadata").get("deletionTimestamp") or status.get("phase") in ("Succeeded", "Failed"):
            return
        reasons = list(_reasons(status)) or _unready(status)
        for found, known in ((reasons, self._reasons), (_digests(status), self._digests)):
            said = [each.encode() for each in dict.fromkeys(found)]
            known += [each for each in said if each not in known][: _MOST_REASONS - len(known)]


def place_of(item: dict[str, Any]) -> tuple[str, str]:
    """Return the namespace and the instance label of an object; the latter is empty if there is none."""
    namespace = _named(mapping(item, "metadata").get("namespace")) or "default"
    # The selector of a workload is immutable, its labels are not.
    selected = (
        _named(mapping(item, "spec", "selector", "matchLabels").get(INSTANCE)) if item["kind"] in WORKLOADS else ""
    )
    return namespace, selected or _named(mapping(item, "metadata", "labels").get(INSTANCE))


def is_ours(item: dict[str, Any]) -> bool:
    """Return whether an object is of a kind that we render, and has our label or, if a workload, our annotations."""
    kind = item["kind"]
    if (kind not in WORKLOADS and kind not in OTHERS) or not _named(item["metadata"]["name"]):
        return False
    is_labelled = bool(mapping(item, "metadata", "labels").get(MANAGED_BY) == MANAGER)
    # Helm overwrites this label with its own name.
    return is_labelled or (kind in WORKLOADS and origin_of(item) is not None)


def pruned(item: dict[str, Any]) -> dict[str, Any]:
    """Return the parts of an object that are compared, or that its state is derived from."""
    kept = {name: value for name, value in mapping(item, "metadata").items() if name in _KEPT}
    return {name: item[name] for name in _PARTS if name in item} | {"metadata": kept}


def plain(value: Any, depth: int = _DEEP) -> Any:
    """Convert a value to one that Kubernetes can store: no deeper nesting, no lone surrogates, integers of 64 bits."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {plain(name): plain(each, depth - 1) for name, each in value.items()} if depth else None
    if isinstance(value, list):
        return [plain(each, depth - 1) for each in value] if depth else None
    return str(value) if type(value) is int and abs(value) >= 2**63 else value


def origin_of(workload: dict[str, Any]) -> Origin | None:
    """Return the record that a workload's annotations name; None if they name no image."""
    said = mapping(workload, "metadata", "annotations")
    image_id, version, reference, renderer = (
        said.get(f"{MANAGER}/{name}") for name in ("image-id", "record-version", "reference", "renderer")
    )
    if not isinstance(image_id, str) or not _IMAGE_ID.fullmatch(image_id):
        return None
    known = _VERSION.fullmatch(text(version))
    return Origin(image_id, int(known[0]) if known else None, _named(reference, MAX_REFERENCE), _named(renderer))


def main_image(workload: dict[str, Any]) -> str:
    """Return the image of the container that we render."""
    containers = items(workload, "spec", "template", "spec", "containers")
    return next((text(each, "image") for each in containers if each.get("name") == MAIN), "")


def digest_in(image: str) -> str | None:
    found = _DIGEST.search(image)
    return found[1] if found else None


def config_map_of(workload: dict[str, Any]) -> str:
    """Return the name of the mounted ConfigMap that was rendered with its contents; empty if there is none."""
    volumes = items(workload, "spec", "template", "spec", "volumes")
    given = next((each for each in volumes if each.get("name") == GIVEN), {})
    return text(given, "configMap", "name")


def config_keys_of(workload: dict[str, Any]) -> list[str]:
    """Return the keys that a workload mounts from the ConfigMap of `config_map_of`."""
    containers = items(workload, "spec", "template", "spec", "containers")
    mounts = [mount for each in containers if each.get("name") == MAIN for mount in items(each, "volumeMounts")]
    return [text(each, "subPath") for each in mounts if each.get("name") == GIVEN]


def replicas_of(workload: dict[str, Any]) -> tuple[int, int]:
    """Return how many replicas a workload should have, and how many with the current pod template are ready."""
    status = mapping(workload, "status")
    wanted = _count(mapping(workload, "spec").get("replicas"), 1)
    ready = _count(status.get("readyReplicas"), 0)
    # Kubernetes omits a zero: a paused or stuck rollout has ready replicas, but none with the current template.
    return wanted, min(ready, _count(status.get("updatedReplicas"), 0))


def conditions_of(workload: dict[str, Any]) -> list[str]:
    """Return the reasons that its controller gives why a workload is not available."""
    conditions = list(items(workload, "status", "conditions"))
    failed = [_cause(each, "message") for each in conditions if _is(each, "ReplicaFailure", "True")]
    unavailable = [_cause(each, "reason") for each in conditions if _is(each, "Available", "False")]
    stuck = [
        _cause(each, "reason")
        for each in conditions
        if each.get("type") == "Progressing" and not _is(each, "Progressing", "True")
    ]
    return (failed or unavailable or stuck)[:_MOST_REASONS]


def _reasons(status: dict[str, Any]) -> Iterator[str]:
    for kind in ("initContainerStatuses", "containerStatuses"):
        for each in items(status, kind):
            waiting = mapping(each, "state", "waiting")
            if waiting and waiting.get("reason") not in ("PodInitializing", "ContainerCreating"):
                yield _cause(waiting, "reason")
    for each in items(status, "conditions"):
        if _is(each, "PodScheduled", "False"):
            yield _cause(each, "message")


def _unready(status: dict[str, Any]) -> Iterator[str]:
    """Yield the message of a pod whose containers run, but fail their readiness probe."""
    for each in items(status, "conditions"):
        if _is(each, "ContainersReady", "False"):
            yield _cause(each, "message")


def _digests(status: dict[str, Any]) -> Iterator[str]:
    for each in items(status, "containerStatuses"):
        # An image that was loaded onto the node from a file has no digest of a registry.
        digest = digest_in(text(each, "imageID"))
        if each.get("name") == MAIN and digest:
            yield digest


def _cause(found: dict[str, Any], name: str) -> str:
    return clip(text(found, name) or text(found, "reason") or "Unknown", _LONG)


def _is(condition: dict[str, Any], kind: str, status: str) -> bool:
    return condition.get("type") == kind and condition.get("status") == status


def _named(value: Any, most: int = _MAX_NAME) -> str:
    return value if isinstance(value, str) and len(value) <= most and value.isascii() else ""


def _count(value: Any, default: int) -> int:
    return value if type(value) is int and 0 <= value < 2**31 else default
