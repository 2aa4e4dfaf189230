"""Rules across records: one pass over all of them, then the findings.

Of each record the pass keeps the reference, the dependencies as numbers, the node ports and the paths on the
node: about 250 bytes for a typical record.
"""

from array import array
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from algoplatform.domain.errors import clip, clip_reference
from algoplatform.planning.lint.closures import MOST_IMAGES, MOST_LEVELS, Component, Dependents, components
from algoplatform.planning.lint.findings import Flaw, named
from algoplatform.planning.lint.record import Record, pairs, ports
from algoplatform.planning.lint.rules import RULES, Severity
from algoplatform.planning.lint.themes.images import namespace_of

_TICK: Final = 500


class Candidate(NamedTuple):
    """A flaw of one or more images, given by number, before the finding is checked for exemptions and filters."""

    flaw: Flaw
    severity: Severity
    numbers: list[int]


class Survey:
    """Collects what the rules across records need; images that are exempt from a rule take no part in it."""

    def __init__(self, node_ports: range, is_exempt: Callable[[str, str], bool] | None) -> None:
        self._node_ports = node_ports
        self._is_exempt = is_exempt
        self._numbers: dict[str, int] = {}
        self._needs: list[tuple[int, ...]] = []
        self._known = bytearray()
        self._ports: dict[str, array[int]] = {}
        # The number of an image, once for each node port that it needs.
        self._needed = array("i")
        # The users of each path: a plain number for one image, as for most paths, or an array.
        self._paths: dict[str, int | array[int]] = {}

    def add(self, record: Record, reference: str, *, given: bool) -> None:
        """Add a record; a finding is reported if at least one of its images was added with `given`."""
        number = self._number(reference)
        self._known[number] = 2 if given else 1
        if listed := record.get("dependencyServiceId"):
            self._needs[number] = tuple([self._number(item) for item in listed.split(",") if item != reference])
        if text := record.get("imagePorts"):
            self._add_ports(text, reference, number)
        if text := record.get("hostPath"):
            self._add_paths(text, reference, number)

    def _number(self, reference: str) -> int:
        last = len(self._needs)
        number = self._numbers.setdefault(reference, last)
        if number == last:
            self._needs.append(())
            self._known.append(0)
        return number

    def _add_ports(self, text: str, reference: str, number: int) -> None:
        counted = compared = True
        if self._is_exempt:
            counted = not self._is_exempt("node-ports-exhausted", reference)
            compared = not self._is_exempt("node-port-clash", reference)
        for _, _, node_port in ports(text):
            if not node_port:
                continue
            if counted:
                self._needed.append(number)
            if compared:
                users = self._ports.get(node_port)
                if users is None:
                    users = self._ports[node_port] = array("i")
                users.append(number)

    def _add_paths(self, text: str, reference: str, number: int) -> None:
        if self._is_exempt and self._is_exempt("hostpath-conflict", reference):
            return
        for source, _ in pairs(text):
            users = self._paths.setdefault(source, number)
            if type(users) is array:
                if users[-1] != number:
                    users.append(number)
            elif type(users) is int and users != number:
                self._paths[source] = array("i", [users, number])

    def missing(self) -> Iterator[str]:
        """Yield the references that records depend on but that were not added; add no record while iterating."""
        return (reference for reference, number in self._numbers.items() if not self._known[number])

    def is_known(self, reference: str) -> bool:
        """Return whether a record with this reference was added."""
        number = self._numbers.get(reference)
        return number is not None and self._known[number] > 0

    def is_given(self, number: int) -> bool:
        """Return whether the image was added with `given`."""
        return self._known[number] == 2

    def references(self) -> list[str]:
        """Return all references, by number."""
        return list(self._numbers)

    def candidates(self) -> Iterator[Candidate | None]:
        """Yield the flaws across records, and None now and then, so that the caller can let other tasks run."""
        references = self.references()
        yield from self._clashes(references)
        yield from self._exhausted()
        yield from self._conflicts(references)
        yield from self._gone(references)
        for component in components(self._needs):
            yield None
            if component:
                yield from self._deep(component, references)

    def _clashes(self, references: list[str]) -> Iterator[Candidate | None]:
        shared = {port: list(users) for port, users in self._ports.items() if len(users) > 1}
        dependents = Dependents(self._needs) if shared else None
        for port, users in sorted(shared.items(), key=lambda item: int(item[0])):
            yield None
            assert dependents
            severity: Severity = "info"
            where = "它们不在同一命名空间，也不在同一组依赖中"
            if (yield from dependents.share_closure(users)):
                severity, where = "error", "其中有镜像会一起部署，必然冲突"
            elif self._share_namespace(users, references):
                severity, where = "warning", "其中有镜像在同一命名空间"
            text = f"节点端口{port}由{named([references[user] for user in users])}共用，{where}"
            yield Candidate(Flaw("node-port-clash", "imagePorts", int(port), text), severity, users)

    def _share_namespace(self, users: list[int], references: list[str]) -> bool:
        seen: set[str] = set()
        for user in users:
            namespace = namespace_of(references[user])
            if namespace in seen:
                return True
            seen.add(namespace)
        return False

    def _exhausted(self) -> Iterator[Candidate]:
        needed = len(self._needed)
        if needed > len(self._node_ports):
            text = f"所有镜像共需要{needed}个节点端口，集群只有{len(self._node_ports)}个"
            yield _candidate(Flaw("node-ports-exhausted", "imagePorts", needed, text), sorted(set(self._needed)))

    def _conflicts(self, references: list[str]) -> Iterator[Candidate | None]:
        for path in sorted(path for path, users in self._paths.items() if type(users) is array):
            users = list(self._paths[path])  # type: ignore[arg-type]  # chosen above
            text = f"主机目录“{clip(path)}”由{named([references[user] for user in users])}使用"
            yield _candidate(Flaw("hostpath-conflict", "hostPath", path, text), users)

    def _gone(self, references: list[str]) -> Iterator[Candidate | None]:
        for number, needs in enumerate(self._needs):
            if number % _TICK == 0:
                yield None
            for need in needs:
                if not self._known[need]:
                    missing = references[need]
                    text = f"依赖的镜像“{clip_reference(missing)}”未注册"
                    yield _candidate(Flaw("dependency-gone", "dependencyServiceId", missing, text), [number])

    def _deep(self, component: Component, references: list[str]) -> Iterator[Candidate]:
        members = sorted(component.members, key=references.__getitem__)
        if len(members) > 1:
            text = f"{named([references[member] for member in members])}循环依赖"
            yield _candidate(Flaw("dependency-cycle", "dependencyServiceId", None, text), members)
        if component.many or component.level > MOST_LEVELS:
            reasons = [f"依赖超过{MOST_IMAGES}个镜像"] * component.many
            reasons += [f"依赖有{component.level}层"] * (component.level > MOST_LEVELS)
            flaw = Flaw("dependency-depth", "dependencyServiceId", component.level, "，".join(reasons))
            for member in members:
                yield _candidate(flaw, [member])


def _candidate(flaw: Flaw, numbers: list[int]) -> Candidate:
    return Candidate(flaw, RULES[flaw.rule].severity, numbers)
