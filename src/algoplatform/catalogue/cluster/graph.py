"""The use cases of the graph: dependencies of an image, the impact of a change, and closures for rendering."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from algoplatform.domain.errors import ImageNotFound, Refused
from algoplatform.domain.faults import Code, Fault
from algoplatform.domain.graph_options import GraphOptions, ImpactRequest, check_graph_options, check_impact_request
from algoplatform.domain.record.check import Rules, check
from algoplatform.domain.record.model import REQUIRED_FIELDS, Image
from algoplatform.domain.record.partial import id_of, image_named
from algoplatform.domain.record.wording import identity_fault, in_field_order, missing_faults
from algoplatform.planning.graph.changes import Change, harmful_changes
from algoplatform.planning.graph.model import Graph
from algoplatform.planning.graph.removal import removal_order
from algoplatform.planning.graph.svg import MOST_NODES, svg
from algoplatform.storage.images import graph as stored
from algoplatform.storage.images import single
from algoplatform.storage.images.graph import Reached
from algoplatform.storage.postgres.places import Turns
from algoplatform.storage.postgres.pool import Connection, Database

MAX_CLOSURE: Final = 10_000
# The text of all records of a closure in bytes; rendered, hostile records take 60 times as much memory.
MAX_CLOSURE_BYTES: Final = 4 * 1024 * 1024
# Up to this many records are read without checking their size before: one has at most about 300 KiB.
_FEW: Final = 50
# Up to this many records are parsed in the event loop, which takes up to about 2 ms.
_UNNOTICED: Final = 8
# Larger graphs are processed in a thread, as they take more than about 20 ms.
_SMALL: Final = 2_000
# Stored records were valid when they were written; the cluster's node ports may have changed since.
_STORED: Final = Rules(node_ports=range(1, 65536))


@dataclass(frozen=True, slots=True)
class Member:
    """An image of a closure, with the version of its record and its level: 0 if it depends on no other member."""

    image: Image
    version: int
    level: int


@dataclass(frozen=True, slots=True)
class Closure:
    """Images with all their dependencies, each once, dependencies first; `named` holds the references asked for."""

    members: list[Member]
    named: frozenset[str]
    cycles: list[list[str]]

    @property
    def order(self) -> list[list[str]]:
        levels: list[list[str]] = [[] for _ in range(1 + max((each.level for each in self.members), default=-1))]
        for each in self.members:
            levels[each.level].append(str(each.image.reference))
        return levels

    @property
    def by_name(self) -> dict[str, Image]:
        """The images by both names that a request may give them: reference and id."""
        images = [each.image for each in self.members]
        return {str(image.reference): image for image in images} | {image.image_id or "": image for image in images}


class Graphs:
    """Answers questions about dependencies; an image is named by its id or its reference."""

    def __init__(self, rules: Rules, database: Database, size: int = 10, patience: float = 5) -> None:
        self._rules = rules
        self._database = database
        # Large graphs take PostgreSQL a while: together they use at most half of the connection pool.
        self._turns = Turns(max(1, size // 2), patience)

    async def dependencies(self, image: str, query: Mapping[str, Any] | GraphOptions) -> Graph:
        """Return the graph around an image; `query` holds direction, depth and limit, raw or checked.

        Raises ImageNotFound, and Refused for wrong options.
        """
        options = query if isinstance(query, GraphOptions) else check_graph_options(query)
        async with self._turns, self._database.connection() as connection:
            [root] = await _identified(connection, [image])
            if options.depth is None or options.depth >= options.limit:
                found = await stored.reach(connection, [root], options.direction, options.limit)
            else:
                found = await stored.reach_within(connection, root, options.direction, options.depth, options.limit)
        return _graph(found, root, image)

    async def impact(self, image: str, body: object) -> dict[str, Any]:
        """Return what a change does to the dependents of an image, as the API answers it.

        Raises ImageNotFound for the image or its replacement, and Refused for a wrong request or record.
        """
        request = check_impact_request(body)
        async with self._turns, self._database.connection() as connection:
            [root] = await _identified(connection, [image])
            changes = await self._changes(connection, root, request)
            found = await stored.reach(connection, [root], "up", None)
        if len(found.image_ids) > _SMALL:
            return await asyncio.to_thread(_impact, found, root, image, changes)
        return _impact(found, root, image, changes)

    async def closure(self, images: Sequence[str], *, limit: int = MAX_CLOSURE, dependencies: bool = True) -> Closure:
        """Return these images with their records, and with all their dependencies unless `dependencies` is False.

        Raises ImageNotFound with all unknown ones, and Refused if there are more than `limit` images, or if their
        records are larger than MAX_CLOSURE_BYTES.
        """
        async with self._turns, self._database.connection() as connection:
            roots = list(dict.fromkeys(identified := await _identified(connection, images)))
            found = await stored.reach_records(connection, roots, min(limit, _FEW), dependencies=dependencies)
            if found.cut:
                await _check_size(connection, roots, limit, dependencies=dependencies)
                found = await stored.reach_records(connection, roots, limit, dependencies=dependencies)
        if found.cut:
            raise _too_many(limit)
        known = set(found.image_ids)
        if not known.issuperset(roots):
            raise ImageNotFound(*(given for given, root in zip(images, identified, strict=True) if root not in known))
        if len(found.image_ids) > _UNNOTICED:
            return await asyncio.to_thread(_closure, found, roots)
        return _closure(found, roots)

    async def require(self, images: Sequence[str]) -> list[str]:
        """Return the ids of images, named by id or reference; raises ImageNotFound with all that are unknown."""
        if not images:
            return []
        async with self._turns, self._database.connection() as connection:
            return await _required(connection, images)

    async def _changes(self, connection: Connection, root: str, request: ImpactRequest) -> list[Change]:
        if request.action == "delete":
            return []
        old = await _record(connection, root)
        if request.by is not None:
            [other] = await _identified(connection, [request.by])
            new = image_of(await _record(connection, other))
        else:
            new = await self._updated(connection, old, request.record or {})
        return harmful_changes(image_of(old), new, request.channels)

    async def _updated(self, connection: Connection, old: dict[str, Any], given: dict[str, Any]) -> Image:
        """Return the image as an update would leave it; raises Refused with the faults of that update."""
        required = {name: old[name] for name in REQUIRED_FIELDS}
        checked = check(required | {"imageId": old["imageId"]} | given, self._rules, partial=True)
        faults = list(checked.faults)
        at_fault = {fault.field for fault in faults}
        own = ("imageId", "imageName", "imageTag")
        if any(name in given and name not in at_fault and given[name] != old[name] for name in own):
            faults.append(identity_fault())
        if checked.image is not None:
            needs = checked.image.dependencies
            there = await single.find_references(connection, needs)
            faults += missing_faults(checked.image, [at for at, need in enumerate(needs, 1) if need not in there])
        if faults:
            raise Refused(in_field_order(faults), more=checked.more, at_least=checked.cut)
        kept = {name: value for name, value in old.items() if name != "imagePorts" or "imageports" not in given}
        return image_of(kept | given)


def check_drawable(graph: Graph) -> None:
    """Raise Refused if the graph has more images than a readable drawing holds."""
    count = len(graph.references)
    if count > MOST_NODES:
        message = f"图中有{count}个镜像，最多能画{MOST_NODES}个：请减小depth，或改用json、mermaid或dot"
        raise Refused([Fault("depth", Code.IMPOSSIBLE, message)])


def drawing(graph: Graph, link: Callable[[str], str] | None = None) -> bytes:
    """Return the graph as SVG; raises Refused if it is too large."""
    check_drawable(graph)
    return svg(graph, link)


async def _identified(connection: Connection, images: Sequence[str]) -> list[str]:
    """Return the ids of images by id or reference; raises ImageNotFound with all unknown ones."""
    # A single id needs no look-up: the graph of an unknown image is empty.
    if len(set(images)) == 1 and id_of(images[0]):
        return list(images)
    return await _required(connection, images)


async def _required(connection: Connection, images: Sequence[str]) -> list[str]:
    """Return the ids of images as `_identified` does, but look every image up."""
    given = dict.fromkeys(images)
    ids = [image for image in given if id_of(image)]
    references = [parsed for image in given if not id_of(image) and (parsed := image_named(image))]
    found = await stored.identify(connection, ids, references)
    if unknown := [image for image in given if image not in found]:
        raise ImageNotFound(*unknown)
    return [found[image] for image in images]


def _too_many(limit: int) -> Refused:
    return Refused([Fault("images", Code.IMPOSSIBLE, f"镜像及其依赖超过{limit}个")])


async def _check_size(connection: Connection, roots: Sequence[str], limit: int, *, dependencies: bool) -> None:
    ids = roots
    if dependencies:
        reached = await stored.reach(connection, roots, "down", limit)
        if reached.cut:
            raise _too_many(limit)
        ids = reached.image_ids
    if await stored.size_of(connection, ids) > MAX_CLOSURE_BYTES:
        most = MAX_CLOSURE_BYTES // 1024**2
        raise Refused([Fault("images", Code.IMPOSSIBLE, f"这些镜像的记录超过{most}MiB，请分几次")])


async def _record(connection: Connection, image_id: str) -> dict[str, Any]:
    found = await single.get(connection, image_id)
    if found is None:
        raise ImageNotFound(image_id)
    record: dict[str, Any] = json.loads(found.record)
    return record


def image_of(record: Mapping[str, Any]) -> Image:
    """Parse a stored record, whatever node ports are allowed now; raises Refused."""
    checked = check(dict(record), _STORED)
    if checked.image is None:
        raise Refused(checked.faults, more=checked.more, at_least=checked.cut)
    return checked.image


def _graph(found: Reached, root: str, asked: str) -> Graph:
    if root not in found.image_ids:
        raise ImageNotFound(asked)
    at = found.image_ids.index(root)
    return Graph(at, found.image_ids, found.references, found.edges, found.cut, found.total)


def _impact(found: Reached, root: str, asked: str, changes: Sequence[Change]) -> dict[str, Any]:
    graph = _graph(found, root, asked)
    direct = {source for source, target in graph.edges if target == graph.root != source}
    return {
        "direct": sorted(graph.references[at] for at in direct),
        "transitive": sorted(name for at, name in enumerate(graph.references) if at != graph.root),
        "order": removal_order(graph),
        "changes": [change.document() for change in changes],
    }


def _closure(found: Reached, roots: Sequence[str]) -> Closure:
    graph = Graph(0, found.image_ids, found.references, found.edges, total=found.total)
    members = [
        Member(image_of(json.loads(found.records[at])), found.versions[at], graph.levels[at]) for at in graph.order
    ]
    reference = dict(zip(found.image_ids, found.references, strict=True))
    named = frozenset(reference[root] for root in roots)
    return Closure(members, named, [[graph.references[at] for at in ring] for ring in graph.cycles])
