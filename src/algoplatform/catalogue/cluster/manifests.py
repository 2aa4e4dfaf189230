"""The use case of rendering: manifests of registered images, with lint's findings about them.

`prepare` checks the request and reads the images. `Prepared.tag_parts` identifies the result for an entity tag;
`Prepared.rendered` renders it in a thread.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType
from typing import Any, Final

from algoplatform import __version__
from algoplatform.catalogue.cluster.graph import Closure, Graphs
from algoplatform.catalogue.cluster.lint import OF_CLOSURES, judged, today
from algoplatform.catalogue.cluster.site import Site
from algoplatform.catalogue.parsing import off_loop
from algoplatform.domain.render_request import MAX_IMAGES
from algoplatform.manifests.image import Finding, Target
from algoplatform.manifests.names import RENDERER, object_name
from algoplatform.manifests.options import Options
from algoplatform.manifests.rendering import Rendered, render
from algoplatform.manifests.yaml import dump_yaml
from algoplatform.planning.lint.findings import Flaw
from algoplatform.planning.lint.record import ARTIFACT
from algoplatform.storage.images import artifacts
from algoplatform.storage.postgres.pool import Database

# Images of one request, including all dependencies.
MAX_RENDERED: Final = 2 * MAX_IMAGES
# Rendering takes about 1 ms an image, and the parsing thread takes jobs of up to about 50 ms.
_FEW: Final = 16
# Writing one object as YAML takes about 0.2 ms.
_FEW_OBJECTS: Final = 10 * _FEW
_SHOWN: Final = frozenset({"error", "warning"})
# Rendering and lint both find this; lint's finding is kept, as lint knows the exemptions.
_BOTH_FIND: Final = "hostpath-conflict"
_NO_FILES: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Prepared:
    """Images with their records, read and ready to be rendered."""

    closure: Closure
    options: Options
    config_files: Mapping[str, Mapping[str, str]]
    site: Site
    # What registries said of the images, by id.
    facts: Mapping[str, Mapping[str, Any]]

    @property
    def name(self) -> str:
        """The name of the first image's objects, for a file."""
        first = next(each for each in self.closure.members if str(each.image.reference) in self.closure.named)
        return object_name(first.image.reference, self.options.naming)

    @property
    def size(self) -> int:
        """The number of images."""
        return len(self.closure.members)

    def tag_parts(self, *, warnings: bool) -> list[Any]:
        """Return everything that the objects and, if wanted, the warnings depend on, as values for JSON."""
        images = [(each.image.image_id, each.version, each.level) for each in self.closure.members]
        profile = self.site.profiles[self.options.profile].model_dump()
        parts = [RENDERER, images, sorted(self.closure.named), asdict(self.options), profile]
        policy = self.site.policy
        judging = [__version__, dict(policy.severities), repr(policy.exemptions), str(today())]
        if self.options.pin:
            parts.append(sorted(self._digests().items()))
        return [*parts, *judging, sorted(self.facts.items())] if warnings else parts

    async def rendered(self) -> Rendered:
        """Render; raises Refused with every reason: 202 for files, else -422."""
        if self.size <= _FEW and not self.config_files:
            return await off_loop(self._rendered)
        return await asyncio.to_thread(self._rendered)

    def _rendered(self) -> Rendered:
        members, named = self.closure.members, self.closure.named
        targets = [
            Target(each.image, each.image.image_id or "", each.version, str(each.image.reference) in named)
            for each in members
        ]
        found = render(
            targets,
            self.options,
            profiles=self.site.profiles,
            config_files=self.config_files,
            digests=self._digests(),
            levels={target.reference: each.level for target, each in zip(targets, members, strict=True)},
        )
        found.warnings = [*self._judged(found.warnings), *self._linted()]
        return found

    def _digests(self) -> dict[str, str]:
        return {
            str(each.image.reference): facts["digest"]
            for each in self.closure.members
            if (facts := self.facts.get(each.image.image_id or "")) and facts["digest"]
        }

    def _judged(self, warnings: Sequence[Finding]) -> Iterator[Finding]:
        """Apply the site's severities and exemptions to the warnings of rendering itself."""
        policy = self.site.policy
        exempt = policy.active(today())
        for found in warnings:
            severity = policy.severities.get(found.rule, found.severity)
            is_exempt = any(pattern.fullmatch(found.image) for pattern in exempt.get(found.rule, ()))
            if found.rule != _BOTH_FIND and severity in _SHOWN and not is_exempt:
                yield replace(found, severity=severity)

    def _linted(self) -> Iterator[Finding]:
        # Configuration files that are not mounted cannot collide.
        omitted = {"config": None} if self.options.config == "omit" else {}
        records = [
            {**each.image.values(), **omitted, ARTIFACT: self.facts.get(each.image.image_id or "")}
            for each in self.closure.members
        ]
        for flaw, severity, images in judged(self.site.policy_for(self.options), records, _SHOWN):
            if (self.options.closure or flaw.rule not in OF_CLOSURES) and not _met(flaw, self.options):
                yield Finding(flaw.rule, severity, images[0], flaw.message)


def _met(flaw: Flaw, options: Options) -> bool:
    """Return whether an option supplies what the record lacks, so that the manifests do not have this flaw."""
    if flaw.rule == "no-registry":
        return options.registry is not None
    defaults = {"cpuRequests": options.default_cpu, "memRequests": options.default_memory}
    return flaw.rule == "no-requests" and bool(defaults.get(flaw.field))


class Manifests:
    """Renders images, named by id or reference, with the site's options unless the request sets its own."""

    def __init__(self, graphs: Graphs, site: Site, database: Database) -> None:
        self._graphs = graphs
        self._site = site
        self._database = database

    async def prepare(
        self,
        images: Sequence[str],
        options: Mapping[str, object] | Options,
        config_files: Mapping[str, Mapping[str, str]] = _NO_FILES,
    ) -> Prepared:
        """Read the options by their names on the wire, and the images, with all dependencies if `closure` is set.

        Raises Refused (202) for wrong options, ImageNotFound with all unknown images, and Refused (-422) for too
        many or too large ones.
        """
        parsed = options if isinstance(options, Options) else self._site.options(options)
        closure = await self._graphs.closure(images, limit=MAX_RENDERED, dependencies=parsed.closure)
        async with self._database.connection() as connection:
            facts = await artifacts.facts(connection, [each.image.image_id or "" for each in closure.members])
        return Prepared(closure, parsed, config_files, self._site, facts)

    async def render(
        self,
        images: Sequence[str],
        options: Mapping[str, object] | Options,
        config_files: Mapping[str, Mapping[str, str]] = _NO_FILES,
    ) -> Rendered:
        return await (await self.prepare(images, options, config_files)).rendered()


async def yaml_of(rendered: Rendered) -> bytes:
    """Return the YAML of all objects, written in a thread."""

    def written() -> bytes:
        return b"".join(dump_yaml(rendered.objects))

    return await (off_loop(written) if len(rendered.objects) <= _FEW_OBJECTS else asyncio.to_thread(written))
