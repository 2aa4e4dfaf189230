"""Compares a workload of a cluster, and the objects that belong to it, with what its record renders."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from algoplatform.catalogue.cluster.inventory import Instance, Inventory, Workload
from algoplatform.catalogue.cluster.rerendering import Rerendering
from algoplatform.domain.errors import Refused, clip
from algoplatform.manifests.drift.live import conditions_of, config_map_of, digest_in, main_image, replicas_of
from algoplatform.manifests.drift.states import WORKLOAD, Compared, Role, by_role, compare, state_of
from algoplatform.storage.images.revisions import Since

_Objects: TypeAlias = Mapping[Role, Any]

_LONG: Final = 1024


@dataclass(slots=True)
class Outcome:
    """The result for a workload; `differing` are its objects that differ, `orphans` those that no record renders."""

    state: str = "in-sync"
    differing: list[Compared] = field(default_factory=list)
    orphans: list[Role] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    replicas: dict[str, int] | None = None
    digest: dict[str, Any] | None = None
    current_version: int | None = None


class Comparing:
    """Compares the workloads of an inventory."""

    def __init__(self, inventory: Inventory, rerendering: Rerendering) -> None:
        self._inventory = inventory
        self._rerendering = rerendering

    def outcome(self, workload: Workload, live: dict[str, Any], record: Since | None, known: str | None) -> Outcome:
        """Compare a workload; `known` is the digest last seen of its image in the OCI registry, None if unknown."""
        found = self._inventory.instances.get((workload.namespace, workload.instance)) or Instance()
        if record is None or workload.origin is None:
            return Outcome("orphan", orphans=[(live["kind"], live["metadata"]["name"]), *_taken(found, {})])
        outcome = Outcome(current_version=record.version)
        base, ours = self._sides(workload.namespace, live, record, known, outcome.reasons)
        rendered = {**base, **ours}
        there = {role: self._inventory.find(workload.namespace, role) for role in rendered}
        theirs = {role: item for role, item in there.items() if item}
        outcome.differing = compare(base, ours, theirs | {WORKLOAD: live})
        outcome.orphans = _taken(found, rendered) if rendered else []
        changes = [each.change for one in outcome.differing for each in one.differences]
        # A current record that cannot be rendered is a change, too.
        outcome.state = state_of([*changes, *["outdated"] * bool(outcome.reasons)])
        _watch(outcome, live, found, known)
        return outcome

    def _sides(
        self, namespace: str, live: dict[str, Any], record: Since, known: str | None, reasons: list[str]
    ) -> tuple[_Objects, _Objects]:
        """Return the objects of the original and the current record; if one cannot be rendered, the other's twice."""
        config_map = self._inventory.find(namespace, ("ConfigMap", config_map_of(live)))
        pinned = digest_in(main_image(live))

        def rendered(text: str, digest: str | None, faults: list[str]) -> _Objects | None:
            try:
                objects = self._rerendering.objects(text, record.version, live, config_map, digest)
            except Refused as error:
                faults.append(clip(f"现行记录不能生成：{error.message}", _LONG))
                return None
            return by_role(objects, self._inventory.kinds)

        before = record.record if record.before is None else record.before
        ours = rendered(record.record, known or pinned, reasons)
        is_same = before == record.record and (pinned or known) == (known or pinned)
        base = ours if is_same else rendered(before, pinned or known, [])
        return base or ours or {}, ours or base or {}


def _taken(found: Instance, rendered: _Objects) -> list[Role]:
    # Each is listed only once, as thousands of workloads may have the same label.
    roles = [role for role in found.others if role not in rendered]
    found.others = []
    return roles


def _watch(outcome: Outcome, live: dict[str, Any], found: Instance, known: str | None) -> None:
    """Add which digests the pods run, and why some are not ready; both can change the state `in-sync`."""
    wanted, ready = replicas_of(live)
    outcome.replicas = {"wanted": wanted, "ready": ready}
    expected = known or digest_in(main_image(live))
    if expected and found.pods.digests:
        outcome.digest = {"expected": expected, "running": found.pods.digests}
        if outcome.state == "in-sync" and any(digest != expected for digest in found.pods.digests):
            outcome.state = "image-moved"
    if ready < wanted:
        outcome.reasons += found.pods.reasons or conditions_of(live)
        if outcome.state == "in-sync":
            outcome.state = "not-ready"
