"""A registry accessed by its database, with the use cases of the service."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

from algoplatform.catalogue.cluster.artifacts import document_of
from algoplatform.cli.registry.base import LIMIT, LINT_OPTIONS, Advance, writer
from algoplatform.domain.access import OPERATOR
from algoplatform.domain.render_request import check_render_request
from algoplatform.domain.search import Conditions, check_conditions
from algoplatform.domain.uploads import UploadOptions
from algoplatform.planning.lint.asked import check_asked
from algoplatform.runtime import Runtime
from algoplatform.storage.images.edges import Drift


class Local:
    """A registry accessed through its database: what the commands need of one."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def search(self, text: str) -> list[dict[str, Any]]:
        """Return the images that contain the text, at most LIMIT."""
        found = BytesIO()
        conditions = check_conditions({"searchCondition": text, "pageSize": LIMIT})
        await self._runtime.searches.stream(conditions, writer(found))
        images: list[dict[str, Any]] = json.loads(b"[%b]" % found.getvalue())
        return images

    async def export(self, file: BinaryIO) -> None:
        """Write all images to a file, in the format of a `_load` response."""
        file.write(b'{"status":"0","res":{')
        await self._runtime.searches.stream(Conditions(), writer(file), keyed=True)
        file.write('},"msg":"镜像下载成功"}'.encode())

    async def drift(self, tell: Callable[[Drift], None]) -> None:
        """Call `tell` with every edge that differs from the records; only the database can show those."""
        await self._runtime.images.drift(tell)

    async def compare(self, query: Mapping[str, str], file: BinaryIO) -> dict[str, Any]:
        """Return how a cluster, as kubectl prints it, differs from the registry."""
        found = BytesIO()
        await self._runtime.drift.compare(file, self._runtime.site.options(query), writer(found))
        answer: dict[str, Any] = json.loads(found.getvalue())
        return answer

    async def load(self, path: Path, *, dry_run: bool, advance: Advance) -> dict[str, int]:
        """Import a file, all or nothing; `advance` takes the number of bytes read."""
        with path.open("rb") as file:
            options = UploadOptions(dry_run=dry_run)
            counts = await self._runtime.transfer.load(OPERATOR, file, options, progress=advance)
        return {name: getattr(counts, name) for name in counts.__slots__}

    async def render(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return the manifests of images, with their order, needs, warnings and assumptions."""
        asked = check_render_request(body)
        found = await self._runtime.manifests.render(asked.images, body["options"], asked.config_files)
        return found.document() | {"warnings": [asdict(warning) for warning in found.warnings]}

    async def graph(self, image: str, query: Mapping[str, str]) -> dict[str, Any]:
        """Return the graph of dependencies around an image."""
        return (await self._runtime.graphs.dependencies(image, query)).document()

    async def impact(self, image: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a change does to the dependents of an image."""
        return await self._runtime.graphs.impact(image, body)

    async def plan(self, body: object) -> dict[str, Any]:
        """Return how many replicas cameras need, on which cards, and what does not fit."""
        return await self._runtime.plans.plan(body)

    async def verify(self, image: str) -> dict[str, Any]:
        """Look an image up in its OCI registry, store the result and return it."""
        [image_id] = await self._runtime.graphs.require([image])
        return document_of(await self._runtime.artifacts.verify(OPERATOR, image_id))

    async def verify_set(self, conditions: Mapping[str, str], begin: Advance, advance: Advance) -> dict[str, Any]:
        """Look images up, and return how many there are in each state.

        `begin` takes the total, `advance` the number of images done since the last call.
        """
        asked = check_conditions(dict(conditions))
        begin(await self._runtime.artifacts.count(asked))
        return (await self._runtime.artifacts.verify_set(OPERATOR, asked, advance=advance)).document()

    async def lint(self, query: Mapping[str, str], path: Path | None, target: BinaryIO, *, sarif: bool) -> None:
        """Write the findings about the registry or a file: the `res` of an answer, or SARIF."""
        runtime, write = self._runtime, writer(target)
        asked = check_asked({name: query[name] for name in query if name not in LINT_OPTIONS}, conditions=path is None)
        options = runtime.site.options({name: query[name] for name in query if name in LINT_OPTIONS})
        policy, lint = runtime.site.policy_for(options), runtime.lint
        if path is None:
            await lint.registry(asked, write, policy, as_sarif=sarif)
            return
        with path.open("rb") as file:
            await lint.file(asked, file, write, policy, as_sarif=sarif)
