"""Export of the list, and import with a preview and progress."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from typing import BinaryIO, Final

import orjson
from starlette.responses import Response, StreamingResponse

from algoplatform.api.http.envelope import object_around, status_of
from algoplatform.api.http.request import read_file
from algoplatform.api.http.streams import StreamedRecords, while_connected, within
from algoplatform.console.pages.images import CONDITIONS
from algoplatform.console.visit import Visit, page
from algoplatform.domain.errors import AlgoplatformError, BadRequest
from algoplatform.domain.requests import check_upload_options
from algoplatform.domain.search import check_conditions
from algoplatform.domain.uploads import Counts

_EVERY: Final = 0.2

Outcome = Counts | AlgoplatformError | None


@page("/export")
async def export(visit: Visit) -> Response:
    """Send the images that meet the conditions as a file that can be imported."""
    asked = visit.asked(*CONDITIONS, "selected")
    if asked.pop("selected", None) and "imageId" not in asked:
        raise BadRequest(visit.words("nothing_selected"), malformed=False)
    stream = partial(visit.runtime.searches.stream, check_conditions(asked), keyed=True)
    headers = {"content-disposition": 'attachment; filename="image_list.json"', "x-content-type-options": "nosniff"}
    return StreamedRecords(within(stream, visit.app.state.exports.taken()), object_around("镜像下载成功"), headers)


@page("/import", open_to="writers")
async def show_import(visit: Visit) -> Response:
    return _page(visit, {})


@page("/import", "POST", open_to="writers")
async def run_import(visit: Visit) -> Response:
    """Preview or write a file; for the script, as a stream that tells how much has been checked."""
    fields: dict[str, str] = {}
    with visit.app.state.files.reception() as reception:
        try:
            file = await read_file(visit, visit.settings.max_upload_bytes, reception, fields)
        except BadRequest as error:
            return _page(visit, fields, error)
        if visit.headers.get("x-part") == "progress":
            return _streamed(visit, file, fields)
        with file:
            async with while_connected(visit):
                outcome = await _outcome(visit, file, fields, [])
    return _page(visit, fields, outcome)


async def _outcome(visit: Visit, file: BinaryIO, fields: dict[str, str], read: list[int]) -> Outcome:
    """Run an import; `read` collects the numbers of bytes that were checked."""
    try:
        options = check_upload_options({name: fields[name] for name in ("onConflict", "dryRun") if fields.get(name)})
        # A preview names the changes; a write would not take the fast path if it did.
        options = replace(options, changes=options.dry_run)
        with visit.app.state.uploads.taken():
            return await visit.runtime.transfer.load(visit.writer, file, options, progress=read.append)
    except AlgoplatformError as error:
        return error


def _page(visit: Visit, fields: dict[str, str], outcome: Outcome = None) -> Response:
    status = status_of(outcome) if isinstance(outcome, AlgoplatformError) else 200
    # A faulty file is a form with faults.
    status = 422 if status == 400 else status
    return visit.render("import/form.html", status, fields=fields, outcome=outcome)


def _streamed(visit: Visit, file: BinaryIO, fields: dict[str, str]) -> Response:
    """Send a line of JSON for each step: bytes checked, at last the result as HTML."""

    async def lines() -> AsyncIterator[bytes]:
        read: list[int] = []
        size = file.seek(0, 2)
        file.seek(0)
        with file:
            running = asyncio.create_task(_outcome(visit, file, fields, read))
            try:
                while not running.done():
                    yield orjson.dumps({"checked": sum(read), "size": size}) + b"\n"
                    await asyncio.wait([running], timeout=_EVERY)
                outcome = running.result()
            finally:
                running.cancel()
                await asyncio.wait([running])
        result = visit.text("import/result.html", fields=fields, outcome=outcome)
        yield orjson.dumps({"html": result, "ok": isinstance(outcome, Counts)}) + b"\n"

    # Proxies must not collect the stream.
    headers = {"x-accel-buffering": "no", "cache-control": "no-store", "x-content-type-options": "nosniff"}
    return StreamingResponse(lines(), headers=headers, media_type="application/x-ndjson")
