"""The use cases of artifacts: verifies that registered images are in their OCI registries, and reads the results.

No database connection is held while a registry is asked.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import orjson

from algoplatform.domain.access import AccessPolicy, Caller, Scope, require_covered
from algoplatform.domain.errors import ImageNotFound, Malformed, NeverVerified
from algoplatform.domain.grammar.reference import ImageName
from algoplatform.domain.record.partial import image_named
from algoplatform.domain.search import Conditions
from algoplatform.registries.client import Registries
from algoplatform.registries.facts import Facts, NotPresent
from algoplatform.storage.images import artifacts as stored
from algoplatform.storage.images import graph
from algoplatform.storage.images.artifacts import Artifact, Outcome, Target
from algoplatform.storage.postgres.pool import Database

# Images of a set that are looked up concurrently. Each registry gets 16 at a time: with more than twice as many, the
# images of a slow registry would wait too long for their turn.
_AT_ONCE: Final = 32
# In these states, earlier facts about an image may still hold.
_UNTOLD: Final = frozenset({"denied", "unreachable", "not-configured"})
_NOTHING: Final = "[]"

# Takes the number of images that were looked up.
Advance = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Summary:
    """How many images of a set are in which state."""

    total: int
    states: dict[str, int]

    def document(self) -> dict[str, Any]:
        return {"total": self.total, "states": self.states}


class Artifacts:
    """Looks images up; `registry` is the one for names without a host, as in rendering."""

    def __init__(self, database: Database, access: AccessPolicy, registries: Registries, registry: str | None) -> None:
        self._database = database
        self._access = access
        self._registries = registries
        self._registry = registry

    async def verify(self, caller: Caller, image_id: str, claim: Caller | None = None) -> Artifact:
        """Look one image up, store the result and return it; raises ImageNotFound and Forbidden."""
        async with self._database.connection() as connection:
            target = await stored.target(connection, image_id)
        if target is None:
            raise ImageNotFound(image_id)
        require_covered(self._scope(caller, claim), ImageName(target.name).namespace)
        [outcome] = await self._looked_up([target])
        async with self._database.connection(write=True) as connection:
            written = await stored.write(connection, [outcome])
        if not written:
            raise ImageNotFound(image_id)
        return written[0]

    async def verify_set(
        self,
        caller: Caller,
        conditions: Conditions,
        claim: Caller | None = None,
        advance: Advance | None = None,
    ) -> Summary:
        """Look up the images that meet the conditions; raises Forbidden if the caller may not write one of them."""
        scope = self._scope(caller, claim)
        is_page = bool(conditions.page or conditions.page_size)
        async with self._database.connection() as connection:
            found = await stored.page(connection, conditions, None)
            require_covered(scope, *(ImageName(each.name).namespace for each in found))
            # A caller without limits may write to every namespace, so the namespaces need not be read.
            if not is_page and scope is not None:
                require_covered(scope, *await stored.namespaces(connection, conditions))

        following = None if is_page else partial(stored.page, conditions=conditions)
        states: Counter[str] = Counter()
        async for written in self._pages(found, following):
            states.update(each.state for each in written)
            if advance:
                advance(len(written))
        return Summary(states.total(), dict(sorted(states.items())))

    async def count(self, conditions: Conditions) -> int:
        async with self._database.connection() as connection:
            return await stored.count(connection, conditions)

    async def artifact(self, image_id: str) -> Artifact:
        """Return the stored result for an image; raises ImageNotFound, and NeverVerified if there is none."""
        async with self._database.connection() as connection:
            is_there, found = await stored.get(connection, image_id)
        if not is_there:
            raise ImageNotFound(image_id)
        if found is None:
            raise NeverVerified
        return found

    async def states(self, image_ids: Sequence[str]) -> dict[str, str]:
        """Return the states of images by id, `moved` included; images that were never verified are absent."""
        async with self._database.connection() as connection:
            return await stored.states(connection, image_ids)

    async def digests(self, references: Sequence[str]) -> dict[str, str]:
        """Return the digests last seen, by reference; images whose digest is unknown are absent."""
        wanted = [parsed for reference in dict.fromkeys(references) if (parsed := image_named(reference))]
        async with self._database.connection() as connection:
            found = await graph.identify(connection, [], wanted)
            known = await stored.digests(connection, list(found.values()))
        return {reference: known[image_id] for reference, image_id in found.items() if image_id in known}

    async def verify_due(self, seconds: float) -> int:
        """Look up images not checked for `seconds`; return their number, 0 if another process is doing it."""
        count = 0
        async with self._database.aside() as session, stored.sole(session) as is_sole:
            if not is_sole:
                return 0
            following = partial(stored.due, seconds=seconds)
            async with self._database.connection() as connection:
                found = await following(connection, after=None)
            async for written in self._pages(found, following):
                count += len(written)
        return count

    def _scope(self, caller: Caller, claim: Caller | None) -> Scope:
        return self._access.scope(caller) if claim is None else self._access.claimed_scope(caller, claim)

    async def _pages(
        self, targets: list[Target], following: Callable[..., Awaitable[list[Target]]] | None
    ) -> AsyncIterator[list[Artifact]]:
        """Look up page after page, and yield the stored results of each; `following` reads the page after an image."""
        while targets:
            outcomes = await self._looked_up(targets)
            async with self._database.connection(write=True) as connection:
                written = await stored.write(connection, outcomes)
            yield written
            if following is None:
                return
            async with self._database.connection() as connection:
                targets = await following(connection, after=targets[-1])

    async def _looked_up(self, targets: Sequence[Target]) -> list[Outcome]:
        places = asyncio.Semaphore(_AT_ONCE)

        async def one(target: Target) -> Outcome:
            async with places:
                return await self._outcome(target)

        return await asyncio.gather(*map(one, targets))

    async def _outcome(self, target: Target) -> Outcome:
        try:
            name = pulled_name(ImageName(target.name), self._registry)
            return _present(target.image_id, await self._registries.look(name, target.tag, target.known))
        except NotPresent as reason:
            platforms = None if reason.state in _UNTOLD else _NOTHING
            return Outcome(target.image_id, reason.state, message=reason.message, platforms=platforms)


def pulled_name(name: ImageName, registry: str | None) -> ImageName:
    """Return the name that a node pulls: with the site's registry in front if it has no host; raises NotPresent."""
    if name.host is not None or registry is None:
        return name
    try:
        return ImageName.parse(f"{registry}/{name}")
    except Malformed:
        raise NotPresent("unsupported", "加上默认的仓库之后，镜像名称不合法") from None


def document_of(artifact: Artifact) -> dict[str, Any]:
    """Return the result as the API answers it."""
    return {
        "state": artifact.state,
        "digest": artifact.digest,
        "mediaType": artifact.media_type,
        "checkedAt": artifact.checked_at.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "message": artifact.message,
        "platforms": orjson.loads(artifact.platforms or _NOTHING),
    }


def _present(image_id: str, facts: Facts) -> Outcome:
    if facts.platforms is None:
        return Outcome(image_id, "present", facts.digest)
    platforms = orjson.dumps([platform.document() for platform in facts.platforms]).decode()
    return Outcome(image_id, "present", facts.digest, facts.media_type, None, platforms)
