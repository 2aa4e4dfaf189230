"""Parse requests before a use case runs: bodies, conditional headers, content negotiation."""

import asyncio
import re
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from typing import Any, BinaryIO, Final, TypeAlias, cast

from starlette.requests import Request
from starlette.types import Scope

from algoplatform.api.http.accept import qualities
from algoplatform.api.http.envelope import JSON, PROBLEM
from algoplatform.api.http.forms import FileForm, PlainFile
from algoplatform.api.http.intake import Intake, Reception
from algoplatform.api.http.urlencoded import FORM, Pairs, fields_of, split
from algoplatform.catalogue.parsing import parse
from algoplatform.domain.errors import BadRequest, BodyTooLarge, MediaTypeRefused, clip

_Reader: TypeAlias = Callable[[Request, int, Reception], Awaitable[BinaryIO]]

# Entity tags of RFC 9110, 8.8.3, or "*"; a list may have empty elements. Possessive, so nothing backtracks.
_ENTITY_TAG: Final = re.compile(r'\*|(?:W/)?"[!#-~\x80-\xff]*+"')
_ENTITY_TAGS: Final = re.compile(rf"(?:[ \t]*+(?:{_ENTITY_TAG.pattern})?+[ \t]*+(?:,|$))*+")
_VERSION: Final = re.compile(r'(?:W/)?"([1-9][0-9]{0,17})"')
# Limit of query parameters: imageId may be repeated a thousand times.
_MOST_PARAMETERS: Final = 1024
_MAX_KEY: Final = 255
_KEY: Final = re.compile(rf"[\x21-\x7e]{{1,{_MAX_KEY}}}")
_QUOTED_KEY: Final = re.compile(r'"((?:[^"\\]|\\["\\])*)"')
# Bytes from which a piece of a body is a block of its own, and bytes up to which smaller pieces are joined.
_LARGE: Final = 4 * 1024
_BLOCK: Final = 64 * 1024
NO_HTTP: Final = "不是有效的HTTP请求"
# Key in a request's state: the rest of the body cannot be parsed.
MALFORMED: Final = "malformed"
# Key in a request's state: the server shuts down and no longer waits for the rest of the body.
ENDING: Final = "ending"
# Headers that name a body's coding, and the only coding that each may name.
_CODINGS: Final = {"content-encoding": "identity", "transfer-encoding": "chunked"}


def wants_problem(request: Request) -> bool:
    """Return whether the client prefers RFC 9457: named in Accept, at least at JSON's quality."""
    wishes = qualities(request)
    return wishes.get(PROBLEM, 0) > 0 and wishes[PROBLEM] >= wishes.get(JSON, 0)


def parse_query(query: bytes, repeatable: str = "") -> dict[str, Any]:
    """Parse a query string in which only `repeatable` may be repeated: its values become a list."""
    given = _pairs(query)
    parameters: dict[str, Any] = dict(given)
    if len(parameters) == len(given):
        return parameters
    several = [value for name, value in given if name == repeatable]
    if len(parameters) - 1 + len(several) != len(given):
        times = Counter(name for name, _ in given if name != repeatable)
        raise BadRequest(f"查询参数重复：{clip(next(name for name in times if times[name] > 1))}", malformed=False)
    return parameters | {repeatable: several}


def _pairs(query: bytes) -> Pairs:
    if query.count(b"&") >= _MOST_PARAMETERS:
        raise BadRequest(f"查询参数超过上限{_MOST_PARAMETERS}个", malformed=False)
    try:
        # Skips parameters that clients add to bypass caches: `_=1732500000`.
        return [(name, value) for name, value in split(query) if not name.startswith("_")]
    except UnicodeDecodeError:
        raise BadRequest("查询参数不是UTF-8编码") from None


async def read_json_text(request: Request, limit: int) -> bytes:
    """Return a JSON body as unparsed bytes; empty if the request has no body."""
    content = await read_body(request, limit, request.app.state.bodies)
    if content:
        _check_json(request)
    return content


async def read_form(request: Request, limit: int, intake: Intake, *, large: bool = False) -> Pairs:
    """Return the fields of a form without a file, in their order; raise BadRequest if it is malformed.

    A `large` one is decoded in a thread of its own, as that takes seconds.
    """
    content = await read_body(request, limit, intake)
    if content and not request.headers.get("content-type", "").lower().startswith(FORM):
        raise MediaTypeRefused(f"请求体须为表单：Content-Type须为{FORM}")
    found: Pairs = await (asyncio.to_thread(fields_of, content) if large else parse(content, fields_of))
    return found


async def read_large_json_text(request: Request, limit: int) -> deque[bytes]:
    """Return the blocks of a JSON body that may be as large as an upload; raise BadRequest if it is empty.

    Such bodies share a budget of their own.
    """
    blocks = await _blocks(request, limit, request.app.state.large_bodies)
    if not any(blocks):
        raise BadRequest("请求体不能为空，须为JSON对象")
    _check_json(request)
    return deque(blocks)


def path_of(scope: Scope) -> str:
    """Return a request's path without the prefix under which an ingress serves the service."""
    path: str = scope["path"]
    root = scope.get("root_path")
    return path.removeprefix(root) if root else path


def has_body(scope: Scope) -> bool:
    for name, value in scope["headers"]:  # noqa: SIM110 - a generator costs more than the whole loop
        if name == b"transfer-encoding" or (name == b"content-length" and value != b"0"):
            return True
    return False


async def read_body(request: Request, limit: int, intake: Intake) -> bytes:
    """Return a body of at most `limit` bytes, which counts against a budget if it arrives in pieces."""
    return b"".join(await _blocks(request, limit, intake))


async def _blocks(request: Request, limit: int, intake: Intake) -> list[bytes]:
    if not has_body(request.scope):
        return []
    _check_body(request, limit)
    piece, more = await _piece(request)
    if len(piece) > limit:
        raise BodyTooLarge(limit)
    if not more:
        return [piece]
    # Pieces may be one byte each, so small ones are joined; not into a single block, which would be slow to copy.
    blocks: list[bytes | bytearray] = [piece]
    with intake.reception() as reception:
        async with intake.receiving(reception):
            reception.take(len(piece))
            while more:
                piece, more = await _next_piece(request, reception, limit)
                last = blocks[-1]
                if len(piece) >= _LARGE:
                    blocks.append(piece)
                elif isinstance(last, bytearray) and len(last) < _BLOCK:
                    last += piece
                else:
                    blocks.append(bytearray(piece))
    return cast("list[bytes]", blocks)


async def read_file(
    request: Request, limit: int, reception: Reception, fields: dict[str, str] | None = None
) -> BinaryIO:
    """Return the file of a multipart form, which the caller closes; a large file is kept on disk.

    Short fields beside it are added to `fields`.
    """
    content_type = request.headers.get("content-type", "")
    if not _is_form(content_type):
        raise MediaTypeRefused("请求体须为表单：Content-Type须为multipart/form-data，文件字段名为file")
    _check_body(request, limit)
    return await _kept(request, limit, reception, FileForm(content_type), fields)


async def read_json_file(request: Request, limit: int, reception: Reception) -> BinaryIO:
    """Return a JSON body, or the file of a form, unparsed; the caller closes it. A large one is kept on disk."""
    content_type = request.headers.get("content-type", "")
    if _is_form(content_type):
        return await read_file(request, limit, reception)
    if has_body(request.scope):
        _check_json(request)
    _check_body(request, limit)
    return await _kept(request, limit, reception, PlainFile())


async def received(request: Request, limit: int, read: _Reader) -> tuple[BinaryIO, ExitStack]:
    """Return a received file, and the stack that closes it and returns its bytes to the budget."""
    with ExitStack() as stack:
        reception = stack.enter_context(request.app.state.files.reception())
        file = stack.enter_context(await read(request, limit, reception))
        return file, stack.pop_all()


async def _kept(
    request: Request, limit: int, reception: Reception, form: PlainFile, fields: dict[str, str] | None = None
) -> BinaryIO:
    try:
        async with request.app.state.files.receiving(reception):
            more = has_body(request.scope)
            while more:
                piece, more = await _next_piece(request, reception, limit)
                await asyncio.to_thread(form.write, piece)
        if fields is not None:
            fields.update(form.fields)
        return form.take()
    except BaseException:
        form.close()
        raise


def if_match(request: Request) -> list[int] | None:
    """Return the versions that If-Match allows, None for all; raise BadRequest if it is no list of entity tags.

    A weak tag counts as strong: proxies that compress responses weaken our tags, and a version is exact.
    """
    tags = _entity_tags(request, "if-match")
    if tags is None or "*" in tags:
        return None
    if not tags:
        raise BadRequest('If-Match须为*或带双引号的ETag列表，如"1"')
    return [int(found[1]) for found in map(_VERSION.fullmatch, set(tags)) if found]


def is_known(request: Request, tag: str) -> bool:
    """Return whether If-None-Match contains this tag, weak or strong, or "*"; an invalid list counts as empty."""
    tags = _entity_tags(request, "if-none-match") or ()
    return "*" in tags or tag in tags or f"W/{tag}" in tags


def _entity_tags(request: Request, name: str) -> list[str] | None:
    """Return the entity tags of all lines of a header: empty if invalid, None if it is absent."""
    lines = request.headers.getlist(name)
    if not lines:
        return None
    text = ",".join(lines)
    return _ENTITY_TAG.findall(text) if _ENTITY_TAGS.fullmatch(text) else []


def idempotency_key(request: Request, subject: str | None) -> str | None:
    """Return the Idempotency-Key, scoped to the caller's subject, so that no client can fetch another's response."""
    key = request.headers.get("idempotency-key")
    # Quoting at most doubles the length, and adds two quotation marks.
    if key is not None and len(key) <= 2 * _MAX_KEY + 2 and (quoted := _QUOTED_KEY.fullmatch(key)):
        # The IETF draft defines the key as a structured-field string.
        key = re.sub(r"\\(.)", r"\1", quoted[1])
    if key is not None and not _KEY.fullmatch(key):
        raise BadRequest("Idempotency-Key须为1至255个可见ASCII字符", malformed=False)
    return key if key is None or subject is None else f"{key} {subject}"


def _is_form(content_type: str) -> bool:
    return content_type.lower().startswith("multipart/form-data")


def _check_json(request: Request) -> None:
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != "application/json" and not (media.startswith("application/") and media.endswith("+json")):
        raise MediaTypeRefused("请求体须为JSON：Content-Type须为application/json")


def _check_body(request: Request, limit: int) -> None:
    """Reject a body whose headers name an unsupported coding or a length beyond the limit."""
    for header, plain in _CODINGS.items():
        given = ",".join(request.headers.getlist(header)).lower()
        if any(coding.strip() not in ("", plain) for coding in given.split(",")):
            raise MediaTypeRefused(f"不支持压缩的请求体：{header.title()}只能为空或{plain}")
    declared = request.headers.get("content-length", "0")
    if not declared.isdecimal() or int(declared) > limit:
        raise BodyTooLarge(limit)


async def _piece(request: Request) -> tuple[bytes, bool]:
    """Return the next piece of a body, and whether more follows."""
    message = await request.receive()
    if message["type"] != "http.request":
        raise BadRequest("请求体不完整")
    return message.get("body", b""), message.get("more_body", False)


async def _next_piece(request: Request, reception: Reception, limit: int) -> tuple[bytes, bool]:
    piece, more = await _piece(request)
    reception.take(len(piece))
    if reception.size > limit:
        raise BodyTooLarge(limit)
    return piece, more
