"""A registry accessed by its database, with the use cases of the service."""

import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

from algoplatform.cli.registry.base import LIMIT, Advance, writer
from algoplatform.domain.access import OPERATOR
from algoplatform.domain.search import Conditions, check_conditions
from algoplatform.domain.uploads import UploadOptions
from algoplatform.runtime import Runtime
from algoplatform.storage.images.edges import Drift


class Local:
    """A registry accessed through its database."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def search(self, text: str) -> list[dict[str, Any]]:
        found = BytesIO()
        conditions = check_conditions({"searchCondition": text, "pageSize": LIMIT})
        await self._runtime.searches.stream(conditions, writer(found))
        images: list[dict[str, Any]] = json.loads(b"[%b]" % found.getvalue())
        return images

    async def export(self, file: BinaryIO) -> None:
        file.write(b'{"status":"0","res":{')
        await self._runtime.searches.stream(Conditions(), writer(file), keyed=True)
        file.write('},"msg":"镜像下载成功"}'.encode())

    async def drift(self, tell: Callable[[Drift], None]) -> None:
        """Call `tell` with every edge that differs from the records; only the database can show those."""
        await self._runtime.images.drift(tell)

    async def load(self, path: Path, *, dry_run: bool, advance: Advance) -> dict[str, int]:
        with path.open("rb") as file:
            options = UploadOptions(dry_run=dry_run)
            counts = await self._runtime.transfer.load(OPERATOR, file, options, progress=advance)
        return {name: getattr(counts, name) for name in counts.__slots__}
