"""Export of the list, and import with a preview and progress."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, BinaryIO, Final

import orjson
from starlette.responses import Response, StreamingResponse

from algoplatform.api.docs.schemas import check_upload_options
from algoplatform.api.http.envelope import object_around, status_of
from algoplatform.api.http.intake import Intake
from algoplatform.api.http.request import read_file
from algoplatform.api.http.streams import StreamedRecords, while_connected
from algoplatform.catalogue.search import Write
from algoplatform.console.images import asked_of
from algoplatform.console.site import Visit
from algoplatform.domain.errors import AlgoplatformError, BadRequest, FileRefused, Refused
from algoplatform.domain.search import check_conditions
from algoplatform.domain.uploads import Counts, UploadOptions

_EVERY: Final = 0.2
_STREAMED: Final = "progress"


async def export(visit: Visit) -> Response:
    """Send the images that meet the conditions as a file that can be imported."""
    asked = asked_of(visit, "selected")
    if asked.pop("selected", None) and not asked.get("imageId"):
        raise BadRequest(visit.words("nothing_selected"), malformed=False)
    conditions = check_conditions(asked)

    async def copy(write: Write) -> int | None:
        with visit.request.app.state.exports.taken():
            return await visit.runtime.searches.stream(conditions, write, keyed=True)

    headers = {"content-disposition": 'attachment; filename="image_list.json"', "x-content-type-options": "nosniff"}
    return StreamedRecords(copy, object_around("镜像下载成功"), headers)


async def show_import(visit: Visit) -> Response:
    """Show the form of an import."""
    visit.require_writer()
    return _page(visit, {})


def _page(visit: Visit, fields: dict[str, str], status: int = 200, **result: Any) -> Response:
    return visit.render("import.html", status, fields=fields, **(_NOTHING | result))


_NOTHING: Final[dict[str, Any]] = {"error": None, "counts": None, "is_preview": False}


async def run_import(visit: Visit) -> Response:
    """Preview or write a file; for the script, as a stream that tells how much has been checked."""
    visit.require_writer()
    fields: dict[str, str] = {}
    intake: Intake = visit.request.app.state.files
    with intake.reception() as reception:
        try:
            file = await read_file(visit.request, visit.settings.max_upload_bytes, intake, reception, fields)
        except BadRequest as error:
            return _outcome_page(visit, fields, error)
        try:
            options = _options(fields)
        except Refused as error:
            file.close()
            return _outcome_page(visit, fields, error)
        if visit.request.headers.get("x-part") == _STREAMED:
            return _streamed(visit, file, fields, options)
        with file:
            async with while_connected(visit.request):
                outcome = await _outcome(visit, file, options, [])
    return _outcome_page(visit, fields, outcome)


def _options(fields: dict[str, str]) -> UploadOptions:
    given = {name: fields[name] for name in ("onConflict", "dryRun") if fields.get(name)}
    options = check_upload_options(given)
    # A preview names the changes; a write would not take the fast path if it did.
    return UploadOptions(options.on_conflict, options.dry_run, changes=options.dry_run)


async def _outcome(visit: Visit, file: BinaryIO, options: UploadOptions, read: list[int]) -> Counts | AlgoplatformError:
    """Run an import; `read` collects the numbers of bytes that were checked."""
    try:
        with visit.request.app.state.uploads.taken():
            return await visit.runtime.transfer.load(visit.writer, file, options, progress=read.append)
    except AlgoplatformError as error:
        return error


def _outcome_page(visit: Visit, fields: dict[str, str], outcome: Counts | AlgoplatformError) -> Response:
    is_error = isinstance(outcome, AlgoplatformError)
    status = 200
    if isinstance(outcome, AlgoplatformError):
        is_fault = isinstance(outcome, BadRequest | FileRefused) and status_of(outcome) == 400
        status = 422 if is_fault else status_of(outcome)
    given = {"error": outcome} if is_error else {"counts": outcome}
    return _page(visit, fields, status, is_preview=fields.get("dryRun") == "true", **given)


def _streamed(visit: Visit, file: BinaryIO, fields: dict[str, str], options: UploadOptions) -> Response:
    """Send a line of JSON for each step: bytes checked, at last the result as HTML."""

    async def lines() -> AsyncIterator[bytes]:
        read: list[int] = []
        size = file.seek(0, 2)
        file.seek(0)
        with file:
            running = asyncio.create_task(_outcome(visit, file, options, read))
            try:
                while not running.done():
                    yield orjson.dumps({"checked": sum(read), "size": size}) + b"\n"
                    await asyncio.wait([running], timeout=_EVERY)
                outcome = running.result()
            finally:
                running.cancel()
                with suppress(asyncio.CancelledError):
                    await running
        is_error = isinstance(outcome, AlgoplatformError)
        given = {"error": outcome} if is_error else {"counts": outcome}
        result = visit.text("result.html", **(_NOTHING | given | {"is_preview": options.dry_run}))
        yield orjson.dumps({"html": result, "ok": not is_error}) + b"\n"

    # Proxies must not collect the stream.
    headers = {"x-accel-buffering": "no", "cache-control": "no-store", "x-content-type-options": "nosniff"}
    return StreamingResponse(lines(), headers=headers, media_type="application/x-ndjson")
