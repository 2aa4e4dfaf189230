"""The two response formats: the API document's envelope and, on request, RFC 9457 for errors."""

from collections.abc import Sequence
from typing import Any, Final

import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from algoplatform.domain.answer import Answer
from algoplatform.domain.errors import (
    AlgoplatformError,
    BadRequest,
    BodyTooSlow,
    FileRefused,
    Repeated,
    Unauthenticated,
    unlisted,
)
from algoplatform.domain.faults import Code, Fault

JSON: Final = "application/json"
PROBLEM: Final = "application/problem+json"

# A response is at most 256 KiB; the rest is room for what surrounds the faults.
_ROOM: Final = 240 * 1024
# Key in a request's state: the original status of a response that goes out as 200.
OWN_STATUS: Final = "own_status"
_RETRY_SECONDS: Final = "1"
_CHALLENGE: Final = 'Bearer realm="algoplatform"'

HTTP_STATUS: Final = {
    Code.SUCCESS: 200,
    Code.IMAGE_EXISTS: 409,
    Code.IMAGE_NOT_FOUND: 404,
    Code.IDENTITY_CHANGED: 409,
    Code.IMAGE_IN_USE: 409,
    Code.FORBIDDEN: 403,
    **{code: -int(code) for code in Code if int(code) < -1},
}

TITLES: Final = {
    Code.BAD_REQUEST: "请求或文件有误",
    Code.FIELD: "字段有误",
    Code.IMAGE_EXISTS: "镜像已注册",
    Code.IMAGE_NOT_FOUND: "镜像不存在",
    Code.IMAGE_PORTS: "端口列表有误",
    Code.CONFIG: "配置文件有误",
    Code.SUB_PATH: "子目录有误",
    Code.ALGO_TYPE: "算法类别有误",
    Code.WORKING_DIR: "容器工作目录有误",
    Code.IMAGE_MOUNT: "挂载目录有误",
    Code.ENV: "环境变量有误",
    Code.IDENTITY_CHANGED: "不能修改镜像名称或版本",
    Code.IMAGE_IN_USE: "镜像被依赖",
    Code.IMAGE_NAME: "镜像名称有误",
    Code.IMAGE_TAG: "镜像版本有误",
    Code.HOST_PATH: "主机目录有误",
    Code.FORBIDDEN: "权限不足",
    Code.DEPENDENCY: "算法依赖有误",
    Code.FRAME_INTERVAL: "抽帧频率为空",
    Code.FRAME_NUMBER: "抽帧数量为空",
    Code.UNAUTHENTICATED: "未认证",
    Code.NO_SUCH_PATH: "路径不存在",
    Code.METHOD_NOT_ALLOWED: "请求方式不允许",
    Code.STILL_RUNNING: "相同请求正在处理",
    Code.PRECONDITION_FAILED: "镜像已被修改",
    Code.BODY_TOO_LARGE: "请求体过大",
    Code.MEDIA_TYPE: "请求体类型不支持",
    Code.PRECONDITION_REQUIRED: "缺少前提条件",
    Code.TOO_MANY_REQUESTS: "请求过多",
    Code.INTERNAL: "服务内部错误",
    Code.UNAVAILABLE: "服务暂时不可用",
}


def http_status(code: Code) -> int:
    """Return the HTTP status for a code of the status table."""
    return HTTP_STATUS.get(code, 422)


def success(message: str, res: bytes = b"null", headers: dict[str, str] | None = None) -> Answer:
    """Return a success envelope; `res` is serialized JSON in UTF-8."""
    body = b'{"status":"0","res":%b,"msg":"%b"}' % (res, message.encode())
    return Answer(200, body, {"content-type": JSON, **(headers or {})})


def success_of_many(message: str, items: list[bytes], total: int | None = None) -> Answer:
    """Return a success envelope around a list of serialized JSON items, with `total` if it is a page.

    The list `items` is modified.
    """
    end = b']%b},"msg":"%b"}' % (b"" if total is None else b',"total":%d' % total, message.encode())
    # Adding head and tail to the first and last item lets one join copy everything once.
    items = items or [b""]
    items[0] = b'{"status":"0","res":{"data":[' + items[0]
    items[-1] += end
    return Answer(200, b",".join(items), {"content-type": JSON})


def failure(error: AlgoplatformError, *, problem: bool) -> Answer:
    """Return an error in the format that the client asked for; a repeat gets the stored response."""
    if isinstance(error, Repeated):
        return error.answer
    status = http_status(error.code)
    if isinstance(error, BodyTooSlow):
        status = 408
    elif isinstance(error, BadRequest) and error.malformed:
        status = 400
    headers = {"content-type": PROBLEM if problem else JSON}
    if error.code in (Code.UNAVAILABLE, Code.STILL_RUNNING, Code.TOO_MANY_REQUESTS):
        headers["retry-after"] = _RETRY_SECONDS
    if isinstance(error, Unauthenticated):
        headers["www-authenticate"] = _CHALLENGE + (', error="invalid_token"' if error.token_given else "")
    body = _problem(error, status) if problem else _envelope(error)
    return Answer(status, orjson.dumps(body), headers)


def to_response(answer: Answer, *, always_200: bool) -> Response:
    """Make a response of an answer; `always_200` sends status 200, for clients that read the body only."""
    if always_200 and answer.http_status != 200 and answer.headers.get("content-type") == JSON:
        return _SentAs200(answer, 200)
    return _Sent(answer, answer.http_status)


class _Sent(Response):
    """A response with its headers as given; Starlette's would look for headers that are always set."""

    def __init__(self, answer: Answer, status: int) -> None:
        self.status_code = status
        self.background = None
        self.body = answer.body
        self.raw_headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers.items()]
        self.raw_headers.append((b"content-length", b"%d" % len(answer.body)))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body})


class _SentAs200(_Sent):
    """A response sent as 200; its original status is kept for log and metrics."""

    def __init__(self, answer: Answer, status: int) -> None:
        super().__init__(answer, status)
        self._own_status = answer.http_status

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Store the original status, then send the response."""
        scope["state"][OWN_STATUS] = self._own_status
        await super().__call__(scope, receive, send)


def _envelope(error: AlgoplatformError) -> dict[str, Any]:
    if isinstance(error, FileRefused):
        shown = _fitting(error.record_faults, str)
        message = FileRefused(error.record_faults[:shown], error.total, at_least=error.at_least).message
    elif error.faults:
        shown = _fitting(error.faults, lambda fault: fault.message)
        message = "；".join(fault.message for fault in error.faults[:shown])
        message += unlisted(error.total - shown, at_least=error.at_least)
    else:
        message = error.message
    return {"status": error.code, "res": None, "msg": message}


def _problem(error: AlgoplatformError, status: int) -> dict[str, Any]:
    if isinstance(error, FileRefused):
        detail = f"文件中{'至少' if error.at_least else ''}有{error.total}处错误，未写入任何数据"
        errors = _listed([_entry(item.fault, item.image) for item in error.record_faults])
    else:
        errors = _listed([_entry(fault) for fault in error.faults])
        detail = "；".join(fault.message for fault in error.faults[:3]) or error.message
        detail += unlisted(error.total - len(errors), at_least=error.at_least)
    return {
        "type": f"urn:algoplatform:status:{error.code}",
        "title": TITLES[error.code],
        "status": status,
        "detail": detail,
        "code": error.code,
        "errors": errors,
    }


def _entry(fault: Fault, image: str | None = None) -> dict[str, Any]:
    named = {} if image is None else {"image": image}
    placed = {} if fault.position is None else {"position": fault.position}
    return {**named, "field": fault.field, **placed, "code": fault.code, "message": fault.message}


def _listed(errors: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return errors[: _fitting(errors, lambda entry: entry)]


def _fitting(items: Sequence[Any], shown: Any) -> int:
    """Return how many of the items fit into a response."""
    used = 0
    for number, item in enumerate(items):
        used += len(orjson.dumps(shown(item))) + 3
        if used > _ROOM:
            return number
    return len(items)
