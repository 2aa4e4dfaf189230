"""What is read off a request before a use case sees it: bodies, headers, the form of answer that is wanted."""

import asyncio
import re
from typing import Any, BinaryIO, Final
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.types import Scope

from algoplatform.api.http.envelope import JSON, PROBLEM
from algoplatform.api.http.forms import FileForm
from algoplatform.api.http.intake import Intake, Reception
from algoplatform.domain.errors import BadRequest, BodyTooLarge, MediaTypeRefused

# RFC 9110, 8.8.3, and "*" among them; a list may have empty elements. Nothing is tried twice, however long it is.
_ENTITY_TAG: Final = re.compile(r'\*|(?:W/)?"[!#-~\x80-\xff]*+"')
_ENTITY_TAGS: Final = re.compile(rf"(?:[ \t]*+(?:{_ENTITY_TAG.pattern})?+[ \t]*+(?:,|$))*+")
_VERSION: Final = re.compile(r'(?:W/)?"([1-9][0-9]{0,17})"')
_WISH: Final = re.compile(
    r"(?:^|,)\s*(application/(?:problem\+)?json)\s*(?:;([^,]*))?(?=,|$)", re.ASCII | re.IGNORECASE
)
_QUALITY: Final = re.compile(r"(?:^|;)\s*[qQ]=([01](?:\.[0-9]{0,3})?)\s*(?:$|;)", re.ASCII)
_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")
_QUOTED_KEY: Final = re.compile(r'"((?:[^"\\]|\\["\\])*)"')
NO_HTTP: Final = "不是有效的HTTP请求"
# In a request's state: its body cannot be read on.
MALFORMED: Final = "malformed"
# The server ends, and can wait for the rest of a body no longer.
ENDING: Final = "ending"
# Headers that say how a body is coded, and the coding that each may name.
_CODINGS: Final = {"content-encoding": "identity", "transfer-encoding": "chunked"}


def wants_problem(request: Request) -> bool:
    """Tell whether the client asks for RFC 9457: by its name, and no less than for plain JSON."""
    accept = ",".join(request.headers.getlist("accept"))
    if "problem+json" not in accept.lower():
        return False
    wishes: dict[str, float] = {}
    for media, parameters in _WISH.findall(accept):
        quality = _QUALITY.search(parameters)
        wishes[media.lower()] = float(quality[1]) if quality else 1
    return wishes.get(PROBLEM, 0) > 0 and wishes[PROBLEM] >= wishes.get(JSON, 0)


def parse_query(query: bytes) -> dict[str, str]:
    """Read a query string; a parameter that comes twice is refused."""
    given = _pairs(query)
    parameters = dict(given)
    if len(parameters) != len(given):
        raise BadRequest("查询参数重复", malformed=False)
    return parameters


def parse_query_with(query: bytes, repeatable: str) -> dict[str, Any]:
    """Read a query string in which one parameter may come several times: those are a list."""
    given = _pairs(query)
    several = [value for name, value in given if name == repeatable]
    parameters: dict[str, Any] = {name: value for name, value in given if name != repeatable}
    if len(parameters) + len(several) != len(given):
        raise BadRequest("查询参数重复", malformed=False)
    if several:
        parameters[repeatable] = several[0] if len(several) == 1 else several
    return parameters


def _pairs(query: bytes) -> list[tuple[str, str]]:
    try:
        given = parse_qsl(query.decode(), keep_blank_values=True, errors="strict")
    except UnicodeDecodeError:
        raise BadRequest("查询参数不是UTF-8编码") from None
    # Programs add such parameters lest an answer come from a cache: `_=1732500000`.
    return [(name, value) for name, value in given if not name.startswith("_")]


async def read_json_text(request: Request, limit: int) -> bytes:
    """Read a body that must be JSON, unparsed; empty where there is no body at all."""
    content = await read_body(request, limit)
    if not content:
        return content
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != "application/json" and not (media.startswith("application/") and media.endswith("+json")):
        raise MediaTypeRefused("请求体须为JSON：Content-Type须为application/json")
    return content


def path_of(scope: Scope) -> str:
    """Give a request's path below the path that an ingress serves the service under."""
    path: str = scope["path"]
    root = scope.get("root_path")
    return path.removeprefix(root) if root else path


def has_body(scope: Scope) -> bool:
    """Tell whether a body comes with the request."""
    for name, value in scope["headers"]:  # noqa: SIM110 - a generator costs more than all the rest of it
        if name == b"transfer-encoding" or (name == b"content-length" and value != b"0"):
            return True
    return False


async def read_body(request: Request, limit: int) -> bytes:
    """Read a body of at most `limit` bytes."""
    if not has_body(request.scope):
        return b""
    _check_body(request, limit)
    piece, more = await _piece(request)
    if len(piece) > limit:
        raise BodyTooLarge(limit)
    if not more:
        return piece
    intake: Intake = request.app.state.bodies
    # Not a list: pieces may be of one byte each.
    content = bytearray(piece)
    with intake.reception() as reception:
        async with intake.receiving(reception):
            reception.take(len(piece))
            while more:
                piece, more = await _next_piece(request, reception, limit)
                content += piece
    return bytes(content)


async def read_file(request: Request, limit: int, intake: Intake, reception: Reception) -> BinaryIO:
    """Read the file of a multipart form: it is kept on disk where it is large; the caller closes it."""
    content_type = request.headers.get("content-type", "")
    if not content_type.lower().startswith("multipart/form-data"):
        raise MediaTypeRefused("请求体须为表单：Content-Type须为multipart/form-data，文件字段名为file")
    _check_body(request, limit)
    form = FileForm(content_type)
    try:
        async with intake.receiving(reception):
            more = has_body(request.scope)
            while more:
                piece, more = await _next_piece(request, reception, limit)
                await asyncio.to_thread(form.write, piece)
        return form.take()
    except BaseException:
        form.close()
        raise


def if_match(request: Request) -> list[int] | None:
    """Read the versions that If-Match allows, None where any will do; BadRequest where it is no list of entity tags.

    A weak tag is taken for the strong one: proxies that compress answers weaken what is ours, and a version is exact.
    """
    tags = _entity_tags(request, "if-match")
    if tags is None or "*" in tags:
        return None
    if not tags:
        raise BadRequest('If-Match须为*或带双引号的ETag列表，如"1"')
    return [int(found[1]) for found in map(_VERSION.fullmatch, set(tags)) if found]


def is_known(request: Request, tag: str) -> bool:
    """Tell whether If-None-Match names this tag, weakly or not, or any; what is no list of tags names none."""
    tags = _entity_tags(request, "if-none-match") or ()
    return "*" in tags or tag in tags or f"W/{tag}" in tags


def _entity_tags(request: Request, name: str) -> list[str] | None:
    """Read the list of a condition, which may come on several lines; empty where it is no list, None where there is none."""
    lines = request.headers.getlist(name)
    if not lines:
        return None
    text = ",".join(lines)
    return _ENTITY_TAG.findall(text) if _ENTITY_TAGS.fullmatch(text) else []


def idempotency_key(request: Request, subject: str | None) -> str | None:
    """Read the Idempotency-Key header; a key is its subject's own, or one could fetch another's answer with it."""
    key = request.headers.get("idempotency-key")
    if key is not None and (quoted := _QUOTED_KEY.fullmatch(key)):
        # As the draft of the IETF has it: a string of structured fields.
        key = re.sub(r"\\(.)", r"\1", quoted[1])
    if key is not None and not _KEY.fullmatch(key):
        raise BadRequest("Idempotency-Key须为1至255个可见ASCII字符", malformed=False)
    return key if key is None or subject is None else f"{key} {subject}"


def _check_body(request: Request, limit: int) -> None:
    """Refuse a body by what its headers say of it."""
    for header, plain in _CODINGS.items():
        given = ",".join(request.headers.getlist(header)).lower()
        if any(coding.strip() not in ("", plain) for coding in given.split(",")):
            raise MediaTypeRefused(f"不支持压缩的请求体：{header.title()}只能为空或{plain}")
    declared = request.headers.get("content-length", "0")
    if not declared.isdecimal() or int(declared) > limit:
        raise BodyTooLarge(limit)


async def _piece(request: Request) -> tuple[bytes, bool]:
    """Receive the next piece of a body, and whether there is more."""
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
