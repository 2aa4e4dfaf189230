"""The objects of a cluster that a comparison needs: stored on disk, with an index in memory."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from tempfile import SpooledTemporaryFile
from typing import Any, Final, Self

import orjson

from algoplatform.domain.errors import BadRequest
from algoplatform.manifests.drift import live
from algoplatform.manifests.drift.live import Origin, Pods
from algoplatform.manifests.drift.states import Role

# Each takes up to about 1 KiB of the index.
MOST_OBJECTS: Final = 100_000
_IN_MEMORY: Final = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Kept:
    """Where an object is in the file, in bytes."""

    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Workload:
    """A workload of ours, and the record that it names."""

    kept: Kept
    origin: Origin | None
    namespace: str
    instance: str


@dataclass(slots=True)
class Instance:
    """The objects and pods with the same instance label in one namespace."""

    others: list[Role] = field(default_factory=list)
    pods: Pods = field(default_factory=Pods)


class Inventory:
    """Workloads, their pods, and the other objects of ours by namespace and instance."""

    def __init__(self) -> None:
        self._file = SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - closed by `__exit__`
        self._objects = 0
        self.kinds: set[str] = set()
        self.workloads: list[Workload] = []
        self.instances: dict[tuple[str, str], Instance] = defaultdict(Instance)
        self._named: dict[tuple[str, str, str], Kept] = {}
        self._found: set[tuple[str, str, str]] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def load(self, kept: Kept) -> dict[str, Any]:
        self._file.seek(kept.offset)
        found: dict[str, Any] = orjson.loads(self._file.read(kept.size))
        return found

    def find(self, namespace: str, role: Role) -> dict[str, Any] | None:
        """Return an object of ours by its name, whatever its instance label; None if there is none."""
        name = (namespace, *role)
        kept = self._named.get(name)
        if kept is None:
            return None
        self._found.add(name)
        return self.load(kept)

    def leftovers(self) -> Iterator[tuple[str, str, list[Role]]]:
        """Yield namespace, name and objects of each instance without a workload, except those that `find` returned."""
        used = {(each.namespace, each.instance) for each in self.workloads}
        for (namespace, instance), found in self.instances.items():
            left = [role for role in found.others if (namespace, *role) not in self._found]
            if left and (namespace, instance) not in used:
                yield namespace, instance, left

    def add(self, item: dict[str, Any]) -> None:
        """Add an object if the comparison needs it; raises BadRequest if there are too many."""
        kind, place = item["kind"], live.place_of(item)
        if kind in live.OTHERS:
            self.kinds.add(kind)
        if kind == "Pod" and all(place):
            self._count(is_new=place not in self.instances)
            self.instances[place].pods.add(item)
        elif live.is_ours(item):
            self._count(is_new=True)
            kept = self._keep(item)
            if kind in live.WORKLOADS:
                self.workloads.append(Workload(kept, live.origin_of(item), *place))
                return
            name = (place[0], kind, item["metadata"]["name"])
            if name not in self._named:
                self.instances[place].others.append(name[1:])
            self._named[name] = kept

    def _count(self, *, is_new: bool) -> None:
        self._objects += is_new
        if self._objects > MOST_OBJECTS:
            raise BadRequest(f"要比较的对象超过{MOST_OBJECTS}个", malformed=False)

    def _keep(self, item: dict[str, Any]) -> Kept:
        try:
            data = orjson.dumps(live.pruned(item))
        except TypeError:
            data = orjson.dumps(live.plain(live.pruned(item)))
        offset = self._file.seek(0, 2)
        self._file.write(data)
        return Kept(offset, len(data))
