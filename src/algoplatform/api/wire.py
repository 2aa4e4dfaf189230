"""What is read off a request before a use case sees it: bodies, headers, the form of answer that is wanted."""

import re
from collections.abc import AsyncGenerator
from typing import BinaryIO, Final
from urllib.parse import parse_qsl

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request
from starlette.types import Scope

from algoplatform.api.envelope import JSON, PROBLEM
from algoplatform.domain.errors import BadRequest, BodyTooLarge, MediaTypeRefused

_ENTITY_TAG: Final = re.compile(r'(?:^|,)\s*(\*|(?:W/)?"[^"]*")\s*(?=,|$)')
_VERSION: Final = re.compile(r'"([1-9][0-9]{0,17})"')
_QUALITY: Final = re.compile(r"(?:^|;)\s*[qQ]=([01](?:\.[0-9]{0,3})?)\s*(?:$|;)", re.ASCII)
_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")
_QUOTED_KEY: Final = re.compile(r'"((?:[^"\\]|\\["\\])*)"')
NO_HTTP: Final = "不是有效的HTTP请求"
# In a request's state: its body cannot be read on.
MALFORMED: Final = "malformed"
# Headers that say how a body is coded, and the coding that each may name.
_CODINGS: Final = {"content-encoding": "identity", "transfer-encoding": "chunked"}


def wants_problem(request: Request) -> bool:
    """Tell whether the client asks for RFC 9457: by its name, and no less than for plain JSON."""
    wishes: dict[str, float] = {}
    for item in ",".join(request.headers.getlist("accept")).split(","):
        media, _, parameters = item.partition(";")
        quality = _QUALITY.search(parameters)
        wishes[media.strip().lower()] = float(quality[1]) if quality else 1
    return wishes.get(PROBLEM, 0) > 0 and wishes[PROBLEM] >= wishes.get(JSON, 0)


def parse_query(query: bytes) -> dict[str, str]:
    """Read a query string; a parameter that comes twice is refused."""
    given = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    parameters = dict(given)
    if len(parameters) != len(given):
        raise BadRequest("查询参数重复", malformed=False)
    return parameters


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
    return path.removeprefix(scope["root_path"]) if scope["root_path"] else path


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
    return b"".join([chunk async for chunk in _limited(request, limit)])


async def read_file(request: Request, limit: int) -> BinaryIO:
    """Read the file of a multipart form: it is kept on disk where it is large; the caller closes it."""
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise MediaTypeRefused("请求体须为表单：Content-Type须为multipart/form-data，文件字段名为file")
    parser = MultiPartParser(request.headers, _limited(request, limit), max_files=1, max_fields=16)
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError, ValueError):
        raise BadRequest("表单格式错误，须为含一个文件字段file的multipart/form-data") from None
    file = form.get("file")
    if not isinstance(file, UploadFile):
        await form.close()
        raise BadRequest("缺少文件：表单字段file不能为空")
    return file.file


def if_match(request: Request) -> list[int] | None:
    """Read the versions that If-Match allows; None where any will do."""
    tags = _entity_tags(request, "if-match")
    if tags is None or "*" in tags:
        return None
    # What is weak says too little to write by, and is no version.
    return [int(found[1]) for found in map(_VERSION.fullmatch, tags) if found]


def is_known(request: Request, tag: str) -> bool:
    """Tell whether If-None-Match names this tag, weakly or not, or any."""
    tags = _entity_tags(request, "if-none-match") or ()
    return "*" in tags or tag in tags or f"W/{tag}" in tags


def _entity_tags(request: Request, name: str) -> list[str] | None:
    """Read the list of a condition, which may come on several lines, without what is no entity tag; None where there is none."""
    lines = request.headers.getlist(name)
    return _ENTITY_TAG.findall(",".join(lines)) if lines else None


def idempotency_key(request: Request, subject: str | None) -> str | None:
    """Read the Idempotency-Key header; a key is its subject's own, or one could fetch another's answer with it."""
    key = request.headers.get("idempotency-key")
    if key is not None and (quoted := _QUOTED_KEY.fullmatch(key)):
        # As the draft of the IETF has it: a string of structured fields.
        key = re.sub(r"\\(.)", r"\1", quoted[1])
    if key is not None and not _KEY.fullmatch(key):
        raise BadRequest("Idempotency-Key须为1至255个可见ASCII字符", malformed=False)
    return key if key is None or subject is None else f"{key} {subject}"


async def _limited(request: Request, limit: int) -> AsyncGenerator[bytes, None]:
    for header, plain in _CODINGS.items():
        given = ",".join(request.headers.getlist(header)).lower()
        if any(coding.strip() not in ("", plain) for coding in given.split(",")):
            raise MediaTypeRefused(f"不支持压缩的请求体：{header.title()}只能为空或{plain}")
    declared = request.headers.get("content-length", "0")
    if not declared.isdecimal() or int(declared) > limit:
        raise BodyTooLarge(limit)
    received = 0
    try:
        async for chunk in request.stream():
            received += len(chunk)
            if received > limit:
                raise BodyTooLarge(limit)
            yield chunk
    except ClientDisconnect:
        raise BadRequest("请求体不完整") from None
