"""Volumes and mounts of a pod: claims, stores, configuration files, and paths of the node."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from algoplatform.domain.errors import clip
from algoplatform.domain.grammar.paths import canonical
from algoplatform.domain.record.model import Image
from algoplatform.manifests.names import GIVEN, config_keys, short_hash
from algoplatform.manifests.options import Options
from algoplatform.manifests.quantities import file_type, host_type

_LOCALTIME: Final = "/etc/localtime"
_DATA: Final = "data"


@dataclass(slots=True)
class Storage:
    """What a pod mounts, and the objects that this needs.

    `claims` are specs by volume name. `targets` lists the record field and the target of each mount. `config` is
    the name of a ConfigMap that has to be created by hand, with the path of each key.
    """

    mounts: list[dict[str, Any]] = field(default_factory=list)
    volumes: list[dict[str, Any]] = field(default_factory=list)
    claims: dict[str, dict[str, Any]] = field(default_factory=dict)
    config_maps: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    config: tuple[str, dict[str, str]] | None = None
    targets: list[tuple[str, str]] = field(default_factory=list)
    assumptions: list[str] = field(default_factory=list)

    def mount(self, name: str, field_name: str, target: str, **more: Any) -> None:
        """Mount a volume at a normalised target."""
        self.mounts.append({"name": name, "mountPath": target, **more})
        self.targets.append((field_name, target))


def storage_of(image: Image, name: str, namespace: str, options: Options, files: Mapping[str, str]) -> Storage:
    """Return what a pod mounts; `files` holds the known contents of configuration files by normalised path."""
    found = Storage()
    _mounts(found, image, f"/{namespace}/{name}", options)
    if options.config == "mount" and image.config:
        _config(found, [canonical(path) for path in image.config.items], name, files)
    for position, pair in enumerate(image.sub_path.items if image.sub_path else (), 1):
        _host(found, f"lib-{position}", "subPath", pair.source, pair.target, file_type(pair.source))
    writable = options.host_path_writable
    for position, pair in enumerate(image.host_path.items if image.host_path else (), 1):
        kind = host_type(pair.source, pair.target)
        _host(found, f"host-{position}", "hostPath", pair.source, pair.target, kind, writable)
    if options.localtime == "host" and _LOCALTIME not in [target for _, target in found.targets]:
        _host(found, "localtime", "localtime", _LOCALTIME, _LOCALTIME, "File")
    return found


def _mounts(found: Storage, image: Image, place: str, options: Options) -> None:
    targets = [canonical(path) for path in image.image_mount.items] if image.image_mount else []
    if not targets:
        return
    if image.pvc_size:
        _claims(found, targets, _claim(image.pvc_size, options), options)
    elif options.mount_store.kind == "emptyDir":
        found.volumes.append({"name": _DATA, "emptyDir": {}})
        _share(found, targets)
        found.assumptions.append("pvcSize为空，挂载目录用emptyDir，容器组删除后数据丢失")
    else:
        _stored(found, targets, place, options)


def _claim(size: int, options: Options) -> dict[str, Any]:
    storage_class = {"storageClassName": options.storage_class} if options.storage_class else {}
    asked = {"requests": {"storage": f"{size}Gi"}}
    return {"accessModes": [options.access_mode], **storage_class, "resources": asked}


def _claims(found: Storage, targets: list[str], claim: dict[str, Any], options: Options) -> None:
    if options.claims == "one":
        found.claims[_DATA] = claim
        _share(found, targets)
        return
    for target in targets:
        # The volume is named by its path, not its position, so that it survives a change of the list.
        volume = f"{_DATA}-{short_hash(target)}"
        found.claims[volume] = claim
        found.mount(volume, "imageMount", target)


def _share(found: Storage, targets: list[str]) -> None:
    for target in targets:
        # The root "/" leaves no text for a subPath; such a mount is refused elsewhere.
        found.mount(_DATA, "imageMount", target, **({"subPath": target.lstrip("/")} if target != "/" else {}))


def _stored(found: Storage, targets: list[str], place: str, options: Options) -> None:
    store = options.mount_store
    for position, target in enumerate(targets, 1):
        volume, path = f"mount-{position}", f"{store.base}{place}{target}"
        if store.kind == "nfs":
            found.volumes.append({"name": volume, "nfs": {"server": store.server, "path": path}})
        else:
            found.volumes.append({"name": volume, "hostPath": {"path": path, "type": "DirectoryOrCreate"}})
        found.mount(volume, "imageMount", target)
    if store.kind == "nfs":
        found.assumptions.append(f"NFS服务器{store.server}上已有目录{store.base}{place}及其下的各挂载目录")


def _host(
    found: Storage, volume: str, field_name: str, source: str, target: str, kind: str | None, writable: bool = False
) -> None:
    found.volumes.append({"name": volume, "hostPath": {"path": canonical(source), **({"type": kind} if kind else {})}})
    found.mount(volume, field_name, canonical(target), **({} if writable else {"readOnly": True}))


def _config(found: Storage, paths: list[str], name: str, files: Mapping[str, str]) -> None:
    keys = config_keys(paths)
    data = {key: files[path] for path, key in keys.items() if path in files}
    missing = {key: path for path, key in keys.items() if path not in files}
    if data:
        content = json.dumps(data, sort_keys=True, ensure_ascii=False)
        config_map = f"{name}-config-{short_hash(content, 8)}"
        found.config_maps.append((config_map, data))
        found.volumes.append({"name": GIVEN, "configMap": {"name": config_map}})
    if missing:
        found.config = (f"{name}-config", missing)
        found.volumes.append({"name": "config", "configMap": {"name": f"{name}-config"}})
    for path, key in keys.items():
        volume = "config" if key in missing else GIVEN
        found.mount(volume, "config", path, subPath=key, readOnly=True)


def mount_faults(targets: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Yield the field and the fault of each mount at the root, or at the target of another field's mount."""
    first: dict[str, str] = {}
    for field_name, target in targets:
        other = first.setdefault(target, field_name)
        if target == "/":
            yield field_name, f"{field_name}不能挂载到“/”"
        elif other is not field_name:
            yield field_name, f"{field_name}与{other}都挂载到“{clip(target)}”"
