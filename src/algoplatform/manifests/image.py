"""One image: the objects that a cluster needs to run it, or every reason why it cannot run there."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from algoplatform.domain.errors import clip_reference
from algoplatform.domain.faults import Code, Fault
from algoplatform.domain.grammar.ports import NODE_PORTS
from algoplatform.domain.record.model import Image
from algoplatform.manifests.check.objects import check
from algoplatform.manifests.gpu.amounts import NOTHING, DoesNotFit, GpuAmounts, amounts
from algoplatform.manifests.gpu.profiles import Profile
from algoplatform.manifests.names import annotations, labels, namespace_of, object_name
from algoplatform.manifests.options import Options
from algoplatform.manifests.services import addresses, ports_of, services
from algoplatform.manifests.volumes import Storage, mount_faults, storage_of
from algoplatform.manifests.workload import claim_name, container, image_reference, pod, workload

_API: Final = {"Deployment": "apps/v1", "StatefulSet": "apps/v1"}
_WAVE: Final = "argocd.argoproj.io/sync-wave"


@dataclass(frozen=True, slots=True)
class Target:
    """An image to render, with its id and the version of its record.

    `named` is False for an image that is rendered only as a dependency: replicas and channels do not apply to it.
    """

    image: Image
    image_id: str
    version: int
    named: bool = True

    @property
    def reference(self) -> str:
        return str(self.image.reference)


@dataclass(frozen=True, slots=True)
class Finding:
    """A warning about one image, by the id of its rule."""

    rule: str
    severity: str
    image: str
    message: str


@dataclass(slots=True)
class Part:
    """What one image contributes; `faults` are the reasons why it cannot be rendered."""

    reference: str
    name: str
    namespace: str
    objects: list[dict[str, Any]] = field(default_factory=list)
    addresses: dict[str, str] = field(default_factory=dict)
    needs: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[Finding] = field(default_factory=list)
    assumptions: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    def refuse(self, name: str, message: str) -> None:
        """Add a reason, with the field or option that it concerns."""
        self.faults.append(Fault(name, Code.IMPOSSIBLE, f"{clip_reference(self.reference)}：{message}"))

    def warn(self, rule: str, message: str) -> None:
        self.warnings.append(Finding(rule, "warning", self.reference, message))

    def assume(self, message: str) -> None:
        self.assumptions.append(f"{self.reference}：{message}")


def render_image(
    target: Target,
    options: Options,
    profile: Profile,
    files: Mapping[str, str],
    digest: str | None,
    level: int,
) -> Part:
    """Render one image; `files` holds contents of its configuration files by normalised path."""
    image = target.image
    name = object_name(image.reference, options.naming)
    part = Part(target.reference, name, namespace_of(image, options.namespace))
    gpu = _gpu(part, image, options, profile)
    storage = storage_of(image, name, part.namespace, options, files)
    for field_name, message in mount_faults(storage.targets):
        part.refuse(field_name, message)
    if options.pin and digest is None:
        part.refuse("pin", "没有摘要，请先校验镜像")
    replicas = _replicas(part, target, options)
    pulled = image_reference(image, options, digest if options.pin else None)
    main = container(image, pulled, options, gpu, storage)
    spec = pod(main, options, profile if gpu.limits else None, storage)
    kind, body = workload(name, spec, replicas, options, storage, gpu=bool(gpu.limits))
    _notes(part, image, storage, kind, options)
    marks = annotations(image, target.image_id, target.version)
    wave = {_WAVE: str(level)} if options.closure else {}
    for made, kept, content in _objects(part, image, storage, kind, body):
        own = wave | marks if made == kind else wave
        part.objects.append(_object(made, kept, part.namespace, labels(image.reference, name), own, content))
    part.addresses = addresses(image, name, part.namespace)
    _check(part)
    return part


def _check(part: Part) -> None:
    # Objects of an image with faults would be refused twice. The contents of files (ConfigMaps) are checked only here.
    for found in check([item for item in part.objects if not part.faults or item["kind"] == "ConfigMap"]):
        if found.refused and found.path.startswith("ConfigMap/"):
            part.refuse("configFiles", f"configFiles的{found.message}")
        elif found.refused:
            part.refuse(found.path, found.message)


def _gpu(part: Part, image: Image, options: Options, profile: Profile) -> GpuAmounts:
    mib = image.gpu_requests
    try:
        found = amounts(mib, profile, options.cards, options.cores)
    except DoesNotFit as error:
        part.refuse("gpuRequests", f"gpuRequests{error}")
        return NOTHING
    if mib and profile.is_none:
        part.warn("gpu-none", f"gpuRequests为{mib}，但方案{profile.name}不分配GPU")
    if found.reserved is not None and mib and found.reserved > mib:
        part.assume(
            f"gpuRequests为{mib}MiB，按方案{profile.name}占用{found.reserved}MiB，闲置{found.reserved - mib}MiB"
        )
    elif found.limits and profile.shares_per_card == 1 and not options.cards:
        part.assume(f"gpuRequests为{mib}MiB，按方案{profile.name}占用整张卡")
    if found.limits and options.cores and not profile.core:
        part.assume(f"方案{profile.name}不支持cores，已忽略")
    return found


def _replicas(part: Part, target: Target, options: Options) -> int:
    if not target.named or (options.replicas is None and options.channels is None):
        return 1
    if options.replicas is not None:
        return options.replicas
    assert options.channels is not None
    if not target.image.tv_channel:
        part.assume("tvChannel为空，channels不能换算，副本数取1")
        return 1
    return -(-options.channels // target.image.tv_channel)


def _notes(part: Part, image: Image, storage: Storage, kind: str, options: Options) -> None:
    for message in storage.assumptions:
        part.assume(message)
    if image.pvc_size is not None and not storage.claims:
        why = "没有imageMount" if image.pvc_size else "pvcSize为0"
        part.warn("pvc-unused", f"{why}，没有申请存储卷")
    outside = [str(port.node_port) for port in ports_of(image) if port.node_port and port.node_port not in NODE_PORTS]
    if outside:
        default = f"{NODE_PORTS.start}-{NODE_PORTS[-1]}"
        part.warn("node-port-range", f"节点端口{'、'.join(outside)}不在Kubernetes默认的{default}内，集群须另行放开")
    if kind == "StatefulSet":
        part.warn("pvc-rwo", f"{options.access_mode}的存储卷不能由多个副本共用，每个副本各申请一份，数据不共享")
    if storage.config:
        config_map, keys = storage.config
        named = {"name": config_map, "namespace": part.namespace}
        part.needs.append({"kind": "ConfigMap", **named, "image": part.reference, "keys": keys})


def _objects(part: Part, image: Image, storage: Storage, kind: str, body: Any) -> Iterator[tuple[str, str, Any]]:
    for config_map, data in storage.config_maps:
        yield "ConfigMap", config_map, {"immutable": True, "data": data}
    if kind == "Deployment":
        for volume, claim in storage.claims.items():
            yield "PersistentVolumeClaim", claim_name(part.name, volume), {"spec": claim}
    for service, spec in services(image, part.name):
        yield "Service", service, {"spec": spec}
    yield kind, part.name, {"spec": body}


def _object(
    kind: str, name: str, namespace: str, marks: dict[str, str], notes: dict[str, str], content: dict[str, Any]
) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name, "namespace": namespace, "labels": marks}
    if notes:
        metadata["annotations"] = notes
    return {"apiVersion": _API.get(kind, "v1"), "kind": kind, "metadata": metadata, **content}
