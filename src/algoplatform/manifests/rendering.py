"""Renders each image of a set, then compares node ports, object names and host paths across all of them."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from types import MappingProxyType
from typing import Any, Final

from algoplatform.domain.errors import MAX_RECORD_FAULTS, Refused, clip, clip_reference, first_of
from algoplatform.domain.faults import Code, Fault
from algoplatform.domain.grammar.paths import canonical
from algoplatform.domain.record.model import Image
from algoplatform.manifests.gpu.amounts import core_fault
from algoplatform.manifests.gpu.profiles import SHIPPED, Profile
from algoplatform.manifests.image import Finding, Part, Target, render_image
from algoplatform.manifests.options import Options

_SHOWN: Final = 10
_NONE: Final[Mapping[str, Any]] = MappingProxyType({})


@dataclass(slots=True)
class Rendered:
    """The answer's parts, as the API returns them; `order` lists the references of each level."""

    objects: list[dict[str, Any]] = field(default_factory=list)
    order: list[list[str]] = field(default_factory=list)
    addresses: dict[str, dict[str, str]] = field(default_factory=dict)
    needs: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[Finding] = field(default_factory=list)
    assumptions: list[str] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """Return the parts by their names in the answer."""
        return {
            "manifests": self.objects,
            "order": self.order,
            "addresses": self.addresses,
            "needs": self.needs,
            "warnings": self.warnings,
            "assumptions": self.assumptions,
        }


def render(
    targets: Sequence[Target],
    options: Options,
    *,
    profiles: Mapping[str, Profile] = SHIPPED,
    config_files: Mapping[str, Mapping[str, str]] = _NONE,
    digests: Mapping[str, str] = _NONE,
    levels: Mapping[str, int] = _NONE,
) -> Rendered:
    """Render images, dependencies first.

    `config_files` holds texts by reference and path, `digests` the digest of each reference for the option
    `pin`, `levels` the level of each reference; without a level it is 0. Raises Refused with every reason: 202
    for wrong options and files, else -422.
    """
    profile = profiles[options.profile]
    files, faults = _files(targets, config_files)
    wrong = core_fault(profile, options.cores)
    faults += [Fault("cores", Code.FIELD, f"cores{wrong}")] if wrong else []
    if faults:
        raise Refused(faults)
    once = list({target.reference: target for target in targets}.values())
    ordered = sorted(once, key=lambda target: levels.get(target.reference, 0))
    parts: list[Part] = []
    for target in ordered:
        reference = target.reference
        level = levels.get(reference, 0)
        own = files.get(reference, _NONE)
        parts.append(render_image(target, options, profile, own, digests.get(reference), level))
    faults = [fault for part in parts for fault in part.faults]
    faults += _name_clashes(parts)
    faults += _port_clashes(ordered)
    if faults:
        raise Refused(faults)
    found = _joined(parts)
    found.warnings += _shared_paths(ordered)
    found.order = _order(ordered, levels)
    return found


def _files(
    targets: Sequence[Target], given: Mapping[str, Mapping[str, str]]
) -> tuple[dict[str, dict[str, str]], list[Fault]]:
    """Return the given texts by reference and normalised path, and the first faults of the given files."""
    known = {target.reference: target.image for target in targets} if given else {}
    faults = list(islice(_file_faults(known, given), MAX_RECORD_FAULTS))
    return {name: {canonical(path): text for path, text in files.items()} for name, files in given.items()}, faults


def _file_faults(known: Mapping[str, Image], given: Mapping[str, Mapping[str, str]]) -> Iterator[Fault]:
    for reference, files in given.items():
        image = known.get(reference)
        if image is None:
            message = f"configFiles中的“{clip_reference(reference)}”不在要生成的镜像中"
            yield Fault("configFiles", Code.FIELD, message)
            continue
        paths = set(map(canonical, image.config.items)) if image.config else set()
        first: dict[str, str] = {}
        for path, text in files.items():
            other = first.setdefault(canonical(path), path)
            fault = _file_fault(path, text, paths)
            if not fault and other != path:
                fault = f"“{clip(path)}”与“{clip(other)}”是同一个文件"
            if fault:
                yield Fault("configFiles", Code.FIELD, f"configFiles中{clip_reference(reference)}的{fault}")


def _file_fault(path: str, text: str, paths: set[str]) -> str:
    if canonical(path) not in paths:
        return f"“{clip(path)}”不在其config中"
    try:
        text.encode()
    except UnicodeEncodeError:
        return f"“{clip(path)}”的内容含有不合法的Unicode字符"
    return ""


def _name_clashes(parts: Sequence[Part]) -> Iterator[Fault]:
    first: dict[tuple[str, str, str], str] = {}
    for part in parts:
        clashes: dict[str, str] = {}
        for item in part.objects:
            kept = item["metadata"]
            key = (item["kind"], kept["namespace"], kept["name"])
            other = first.setdefault(key, part.reference)
            if other != part.reference:
                clashes.setdefault(other, f"{key[0]} {key[1]}/{key[2]}")
        for other, named in clashes.items():
            both = f"{clip_reference(other)}与{clip_reference(part.reference)}"
            yield Fault("imageName", Code.IMPOSSIBLE, f"{both}生成同名的对象：{named}")


def _port_clashes(targets: Sequence[Target]) -> Iterator[Fault]:
    first: dict[int, str] = {}
    for target in targets:
        for port in target.image.image_ports.items if target.image.image_ports else ():
            if port.node_port is None:
                continue
            other = first.setdefault(port.node_port, target.reference)
            if other != target.reference:
                both = f"{clip_reference(other)}与{clip_reference(target.reference)}"
                yield Fault("imagePorts", Code.IMPOSSIBLE, f"{both}都使用节点端口{port.node_port}")


def _shared_paths(targets: Sequence[Target]) -> Iterator[Finding]:
    users: dict[str, list[str]] = defaultdict(list)
    for target in targets:
        pairs = target.image.host_path.items if target.image.host_path else ()
        for source in dict.fromkeys(canonical(pair.source) for pair in pairs):
            users[source].append(target.reference)
    for source, references in users.items():
        if len(references) > 1:
            named = first_of(references, _SHOWN, "个镜像")
            message = f"{named}都挂载主机目录“{clip(source)}”"
            yield Finding("hostpath-conflict", "warning", references[0], message)


def _joined(parts: Sequence[Part]) -> Rendered:
    found = Rendered()
    for part in parts:
        found.objects += part.objects
        found.addresses[part.reference] = part.addresses
        found.needs += part.needs
        found.warnings += part.warnings
        found.assumptions += part.assumptions
    return found


def _order(targets: Sequence[Target], levels: Mapping[str, int]) -> list[list[str]]:
    order: dict[int, list[str]] = defaultdict(list)
    for target in targets:
        order[levels.get(target.reference, 0)].append(target.reference)
    return [order[level] for level in range(max(order, default=-1) + 1)]
