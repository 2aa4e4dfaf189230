"""The use case of drift: does the cluster still run what the registry says?

Objects of the cluster are read one by one and kept on disk. Each workload names the version of the record that
it was rendered from. A thread renders this version and the current one again, and compares both with the live
objects, in slices of time.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO, Final, TypeAlias

import orjson

from algoplatform.catalogue.cluster.comparing import Comparing, Outcome
from algoplatform.catalogue.cluster.inventory import Inventory, Workload
from algoplatform.catalogue.cluster.rerendering import Rerendering
from algoplatform.catalogue.cluster.site import Site
from algoplatform.catalogue.members import Members
from algoplatform.catalogue.parsing import in_slices
from algoplatform.catalogue.search import Write
from algoplatform.domain.errors import clip
from algoplatform.manifests.drift.live import MAX_REFERENCE, OTHERS, Origin
from algoplatform.manifests.drift.reading import read_objects
from algoplatform.manifests.drift.states import STATES, brief, state_of
from algoplatform.manifests.drift.three_way import Difference
from algoplatform.manifests.names import RENDERER
from algoplatform.manifests.options import Options
from algoplatform.storage.images.revisions import Since, since
from algoplatform.storage.postgres.pool import Database

# Returns the digests of references, as far as they are known.
Digests: TypeAlias = Callable[[Sequence[str]], Awaitable[Mapping[str, str]]]
_Entry: TypeAlias = dict[str, Any]
_Records: TypeAlias = Mapping[tuple[str, int | None], Since | None]

_CHUNK: Final = 64 * 1024
# Workloads whose records one query reads.
_BATCH: Final = 50
# An answer, and each of its entries, lists at most this many differences; all are counted.
MOST_DIFFERENCES: Final = 10_000
MOST_OF_ONE: Final = 100


class Drift:
    """Compares a cluster with the registry."""

    def __init__(self, database: Database, site: Site, digests: Digests) -> None:
        self._database = database
        self._site = site
        self._digests = digests

    async def compare(self, file: BinaryIO, options: Options, write: Write) -> None:
        """Write the `res` of an answer; raises BadRequest for an invalid file, before anything is written."""
        objects = read_objects(iter(lambda: file.read(_CHUNK), b""))
        with Inventory() as inventory:
            async for _ in in_slices(objects, inventory.add):
                # Raises once the client has disconnected, which ends the work.
                await write(b"")
            run = _Run(inventory, Rerendering(self._site, options))
            entries = Members(write, b'{"images":[')
            for start in range(0, len(inventory.workloads), _BATCH):
                batch = inventory.workloads[start : start + _BATCH]
                known = await self._digests([each.origin.reference for each in batch if each.origin])
                await entries.add(run.entries(batch, await self._read(batch), known), orjson.dumps)
            await entries.add(run.leftovers(), orjson.dumps)
            await entries.end(b"]," + orjson.dumps(run.summary())[1:])

    async def _read(self, batch: Sequence[Workload]) -> _Records:
        asked = list({(each.origin.image_id, each.origin.version): None for each in batch if each.origin})
        async with self._database.connection() as connection:
            return dict(zip(asked, await since(connection, asked), strict=True))


class _Run:
    """One comparison: builds the entries of the answer, and counts them."""

    def __init__(self, inventory: Inventory, rerendering: Rerendering) -> None:
        self._inventory = inventory
        self._rerendering = rerendering
        self._comparing = Comparing(inventory, rerendering)
        self._counts: Counter[str] = Counter()
        self._room = MOST_DIFFERENCES
        self._unlisted = 0
        self._other_renderer = self._no_version = self._no_digest = 0

    def entries(self, batch: Sequence[Workload], records: _Records, digests: Mapping[str, str]) -> Iterator[_Entry]:
        for workload in batch:
            live = self._inventory.load(workload.kept)
            origin = workload.origin
            record = records[origin.image_id, origin.version] if origin else None
            known = digests.get(origin.reference) if origin else None
            if origin and record:
                self._other_renderer += origin.renderer != RENDERER
                self._no_version += record.before is None
                self._no_digest += self._rerendering.options.pin and known is None
            outcome = self._comparing.outcome(workload, live, record, known)
            yield self._entry(workload.namespace, live["kind"], live["metadata"]["name"], origin, outcome)

    def leftovers(self) -> Iterator[_Entry]:
        """Yield an entry for each instance that has objects of ours, but no workload."""
        for namespace, instance, left in self._inventory.leftovers():
            yield self._entry(namespace, None, instance, None, Outcome("orphan", orphans=left))

    def summary(self) -> dict[str, Any]:
        """Return the fields of the answer that follow the entries."""
        return {
            "counts": {state: self._counts[state] for state in STATES if self._counts[state]},
            "total": self._counts.total(),
            "unlisted": self._unlisted,
            "assumptions": list(self._assumptions()),
        }

    def _assumptions(self) -> Iterator[str]:
        yield from self._rerendering.assumptions()
        missing = [kind for kind in OTHERS if kind not in self._inventory.kinds]
        if missing:
            yield f"内容中没有{'、'.join(missing)}，没有比较"
        if self._other_renderer:
            yield f"{self._other_renderer}个工作负载由另一版本的规则生成，按现在的规则重新生成后比较"
        if self._no_version:
            yield f"{self._no_version}个工作负载所记的记录版本不存在，只与现行记录比较"
        if self._no_digest:
            yield f"{self._no_digest}个工作负载的镜像没有校验过，摘要以集群中的为准"

    def _entry(
        self, namespace: str, kind: str | None, name: str, origin: Origin | None, outcome: Outcome
    ) -> dict[str, Any]:
        self._counts[outcome.state] += 1
        room, listed = min(MOST_OF_ONE, self._room), 0
        objects = []
        for each in outcome.differing:
            shown = each.differences[: room - listed]
            listed += len(shown)
            state = state_of(difference.change for difference in each.differences)
            objects.append(_object(each.kind, each.name, state, shown))
        self._room -= listed
        unlisted = sum(len(each.differences) for each in outcome.differing) - listed
        unlisted += max(0, len(outcome.orphans) - MOST_OF_ONE)
        self._unlisted += unlisted
        objects += [_object(*role, "orphan", ()) for role in outcome.orphans[:MOST_OF_ONE]]
        return {
            "imageId": origin and origin.image_id,
            "reference": origin and clip(origin.reference, MAX_REFERENCE),
            "state": outcome.state,
            "namespace": clip(namespace),
            "kind": kind,
            "name": clip(name, MAX_REFERENCE),
            "recordVersion": origin and origin.version,
            "currentVersion": outcome.current_version,
            "replicas": outcome.replicas,
            "reasons": outcome.reasons,
            "digest": outcome.digest,
            "objects": objects,
            "unlisted": unlisted,
        }


def _object(kind: str, name: str, state: str, differences: Sequence[Difference]) -> dict[str, Any]:
    shown = [
        {
            "path": each.path,
            "base": brief(each.base),
            "ours": brief(each.ours),
            "theirs": brief(each.theirs),
            "state": each.change,
        }
        for each in differences
    ]
    return {"kind": kind, "name": clip(name, MAX_REFERENCE), "state": state, "differences": shown}
