"""Rules on the targets of mounts: imageMount, config, subPath and hostPath all mount into one container."""

from collections.abc import Iterator
from typing import Final

from algoplatform.domain.errors import clip
from algoplatform.planning.lint.findings import Flaw
from algoplatform.planning.lint.record import pairs, paths

_SYSTEM: Final = frozenset({"/", "/etc", "/usr", "/lib", "/bin", "/proc", "/sys", "/dev"})
_ARCHITECTURE: Final = "x86_64-linux-gnu"

Target = tuple[str, str]


def flaws(image_mount: str | None, config: str | None, sub_path: str | None, host_path: str | None) -> list[Flaw]:
    fields = {"imageMount": image_mount, "config": config, "subPath": sub_path, "hostPath": host_path}
    targets = [
        *(("imageMount", path) for path in paths(image_mount)),
        *(("config", path) for path in paths(config)),
        *(("subPath", target) for _, target in pairs(sub_path)),
        *(("hostPath", target) for _, target in pairs(host_path)),
    ]
    return [*_collisions(targets), *_roots(targets), *_nested(targets), *_architecture(fields)]


def _collisions(targets: list[Target]) -> Iterator[Flaw]:
    first: dict[str, str] = {}
    for field, path in targets:
        other = first.setdefault(path, field)
        if other != field:
            yield Flaw("mount-collision", field, path, f"{field}与{other}挂载到同一路径“{clip(path)}”")


def _roots(targets: list[Target]) -> Iterator[Flaw]:
    for field, path in targets:
        if path in _SYSTEM:
            yield Flaw("mount-root", field, path, f"{field}挂载到系统目录“{path}”，会遮住镜像自己的文件")


def _nested(targets: list[Target]) -> Iterator[Flaw]:
    """Name the innermost mount around each; in sorted order, the mounts around a path are those on the stack."""
    around: list[tuple[str, Target]] = []
    for key, target in sorted((_components(path), (field, path)) for field, path in targets):
        while around and not key.startswith(around[-1][0]):
            around.pop()
        if around and around[-1][0] != key:
            (outer_field, outer), (field, path) = around[-1][1], target
            text = f"{field}“{clip(path)}”位于{outer_field}“{clip(outer)}”之内"
            yield Flaw("mount-nested", field, path, text)
        if not around or around[-1][0] != key:
            around.append((key, target))


def _components(path: str) -> str:
    # Paths contain no NUL, which sorts first, so a path's descendants follow it directly.
    return "\0" if path == "/" else path.replace("/", "\0") + "\0"


def _architecture(fields: dict[str, str | None]) -> Iterator[Flaw]:
    for field, text in fields.items():
        if text and _ARCHITECTURE in text:
            path = next(item for item in text.replace(":", ",").split(",") if _ARCHITECTURE in item)
            yield Flaw("arch-path", field, path, f"{field}中的“{clip(path)}”只适用于x86_64节点")
