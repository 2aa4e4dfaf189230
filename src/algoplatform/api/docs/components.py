"""Components shared in the OpenAPI document: headers, parameters, errors in both formats."""

from functools import partial
from typing import Any, Final

import orjson

from algoplatform.api.docs import examples
from algoplatform.api.docs.schemas import SCHEMAS
from algoplatform.api.docs.shapes import IMAGE_ID, TEXT, Schema
from algoplatform.api.http.envelope import JSON, PROBLEM, failure
from algoplatform.api.http.errors import INTERNAL
from algoplatform.domain import errors
from algoplatform.domain.record.check import Rules, check


def _reference(kind: str, name: str) -> Schema:
    return {"$ref": f"#/components/{kind}/{name}"}


schema: Final = partial(_reference, "schemas")
header: Final = partial(_reference, "headers")
parameter: Final = partial(_reference, "parameters")


def response(description: str, headers: dict[str, str], **more: Any) -> Schema:
    """Describe a response, with its headers as components; every response has X-Request-Id."""
    named = {name: header(component) for name, component in {**headers, "X-Request-Id": "RequestId"}.items()}
    return {"description": description, "headers": named, **more}


def refusals(*names: str) -> dict[str, Schema]:
    """Return references to shared error responses, by HTTP status."""
    every = (*names, "HeadTooLarge", "InternalError", "Unavailable")
    return {_REFUSALS[name][0]: _reference("responses", name) for name in every}


def refusal(description: str, *shown: errors.AlgoplatformError, retry: bool = False, problem: bool = True) -> Schema:
    """Describe an error response, with what the service returns for these errors as examples."""
    forms = {JSON: {"schema": schema("Failure"), "examples": _shown(shown, problem=False)}}
    if problem:
        forms[PROBLEM] = {"schema": schema("Problem"), "examples": _shown(shown, problem=True)}
    return response(description, {"Retry-After": "RetryAfter"} if retry else {}, content=forms)


def _shown(shown: tuple[errors.AlgoplatformError, ...], *, problem: bool) -> Schema:
    return {
        f"status{error.code}": {
            "summary": f"{error.code} {error.code.meaning}",
            "value": orjson.loads(failure(error, problem=problem).body),
        }
        for error in shown
    }


def _header(description: str, example: str) -> Schema:
    return {"description": description, "schema": TEXT, "example": example}


def optional(name: str, description: str, described: Schema, place: str = "query", **more: Any) -> Schema:
    """Describe an optional parameter; keys in `more` override these."""
    return {"name": name, "in": place, "required": False, "description": description, "schema": described, **more}


def _request_header(name: str, description: str, described: Schema = TEXT) -> Schema:
    return optional(name, description, described, "header")


def _query(conditions: Schema) -> dict[str, Schema]:
    """Describe the conditions as query parameters; these are untyped, so a number is a string of digits."""
    found = {}
    for name, property_ in conditions["properties"].items():
        kinds = [kind for kind in property_.get("anyOf", [property_]) if kind.get("type") != "null"]
        found[name] = optional(name, property_["description"], kinds[0])
    return found


CONDITIONS: Final = tuple(SCHEMAS["Conditions"]["properties"])
_REFUSALS: Final = {
    "BadRequest": (
        "400",
        "请求无法读取（-1）：JSON、编码或表单格式错误",
        errors.BadRequest("JSON格式错误：第1行第2列"),
    ),
    "Forbidden": ("403", "没有权限，或来自其他网站的页面（240）", errors.Forbidden("当前用户权限不足，不能执行此操作")),
    "NotFound": ("404", "镜像不存在（204）", errors.ImageNotFound(examples.IMAGE_ID)),
    "BodyTooSlow": ("408", "请求体发送过慢（-1）", errors.BodyTooSlow()),
    "PreconditionFailed": ("412", "If-Match与镜像当前版本不符（-412），未写入", errors.VersionConflict()),
    "BodyTooLarge": ("413", "请求体过大（-413）", errors.BodyTooLarge(1024 * 1024)),
    "UnsupportedMediaType": (
        "415",
        "请求体类型不支持（-415）",
        errors.MediaTypeRefused("请求体须为JSON：Content-Type须为application/json"),
    ),
    "Refused": (
        "422",
        "内容有误：status为第一处错误的状态码，msg列出全部错误",
        errors.Refused(check({**examples.REGISTER, "factory": "", "imagePorts": "web:70000"}, Rules()).faults),
    ),
    "TooManyRequests": (
        "429",
        "同时进行的上传、下载、检查或生成过多，或未发完的请求体过多（-429），按Retry-After重试",
        errors.TooManyRequests(),
    ),
    "Unavailable": ("503", "服务暂时不可用（-503），按Retry-After重试", errors.Unavailable()),
    "HeadTooLarge": (
        "431",
        "请求头（含网址）过大（-1），总是信封的形式，连接随后关闭",
        errors.BadRequest("请求头超过上限32768字节"),
    ),
    "InternalError": ("500", "服务内部错误（-500），凭X-Request-Id联系管理员", INTERNAL),
}

COMPONENTS: Final[dict[str, Any]] = {
    "schemas": SCHEMAS,
    "headers": {
        "RequestId": _header(
            "请求编号：请求头X-Request-Id原样返回，没有则由服务端生成；日志中可查", "b1946ac92492d2347c6235b4d2611184"
        ),
        "RetryAfter": _header("多少秒后重试", "1"),
        "ETag": _header("镜像的版本，用于If-Match和If-None-Match", '"7"'),
        "Tag": _header("这一形式的应答的标识，用于If-None-Match", '"5d41402abc4b2a76b9719d911017c592"'),
        "DownloadedFile": _header("YAML的文件名", 'attachment; filename="algo-posterize-1-0.yaml"'),
        "Location": _header("新镜像的地址", f"/algoPlatform/images/{examples.IMAGE_ID}"),
        "LastModified": _header("镜像最后一次修改的时间", "Tue, 03 Nov 2026 08:30:00 GMT"),
        "ContentDisposition": _header("下载的文件名", 'attachment; filename="image_list.json"'),
    },
    "parameters": _query(SCHEMAS["Conditions"])
    | {
        "IdempotencyKey": _request_header(
            "Idempotency-Key",
            "幂等键：24小时内用同一键重复同一请求，得到第一次的应答，只执行一次；同一键用于不同的请求则-1（422）",
            {"type": "string", "pattern": "^[!-~]{1,255}$"},
        ),
        "ImageId": optional(
            "imageId", "镜像编号：32位小写十六进制", IMAGE_ID, "path", required=True, example=examples.IMAGE_ID
        ),
        "IfMatch": _request_header("If-Match", "镜像的ETag，可以有多个；与当前版本不符则-412，不写入"),
        "IfNoneMatch": _request_header("If-None-Match", "镜像的ETag，可以有多个；镜像没有变化则应答304，没有应答体"),
        "RequestId": _request_header("X-Request-Id", "请求编号，1至64个字母、数字、点、下划线或连字符；应答原样返回"),
    },
    "responses": {
        name: refusal(description, error, retry=status in ("429", "503"), problem=name != "HeadTooLarge")
        for name, (status, description, error) in _REFUSALS.items()
    },
}
