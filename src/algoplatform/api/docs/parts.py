"""Building blocks of the descriptions of operations: bodies, responses, parameters, conflicts."""

from typing import Any, Final

from algoplatform.api.docs.components import header, optional, parameter, refusal, response
from algoplatform.api.docs.shapes import TEXT, Schema, answered, given
from algoplatform.api.http.envelope import JSON
from algoplatform.domain.errors import ImageInUse, Refused, RequestRunning

FILE: Final[dict[str, Any]] = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": given(
                {"file": {"type": "string", "format": "binary", "description": "镜像配置信息相关json文件"}}, "file"
            )
        }
    },
}
WRITE: Final = parameter("IdempotencyKey")
READ: Final = ("BadRequest", "BodyTooSlow", "BodyTooLarge", "UnsupportedMediaType", "Refused", "TooManyRequests")
_RUNNING: Final = "相同Idempotency-Key的请求正在处理（-409，按Retry-After重试）"


def success(res: Schema, message: str, *shown: Any, headers: dict[str, str] | None = None) -> Schema:
    """Describe a success response: the schema and an example of `res`, and `msg`."""
    envelope = answered({"status": {"const": "0"}, "res": res, "msg": {"const": message}})
    body = {"schema": envelope, "example": {"status": "0", "res": shown[0] if shown else None, "msg": message}}
    return response("成功（0）", headers or {}, content={JSON: body})


def body(described: Schema, example: Any, *, required: bool = True) -> Schema:
    return {"required": required, "content": {JSON: {"schema": described, "example": example}}}


def operation(
    operation_id: str,
    summary: str,
    description: str,
    responses: dict[str, Schema],
    *parameters: Schema,
    body: Schema | None = None,
) -> dict[str, Any]:
    """Describe an operation, as arguments of its route."""
    extra: Schema = {"responses": dict(sorted(responses.items())), "parameters": [*parameters, parameter("RequestId")]}
    if body:
        extra["requestBody"] = body
    return {"operation_id": operation_id, "summary": summary, "description": description, "openapi_extra": extra}


def conflict(description: str, *errors: Refused | ImageInUse) -> dict[str, Schema]:
    """Describe the conflicts of a write (409)."""
    described = f"{description}，或{_RUNNING}" if errors else _RUNNING
    return {"409": refusal(described, *errors, RequestRunning(), retry=True)}


def form(*names: str) -> Schema:
    """Describe the query parameter that chooses a representation."""
    return optional("format", "应答的形式，优先于请求头Accept", {"type": "string", "enum": [*names]})


def with_raw(
    answer: Schema, examples: dict[str, str | None], filename: str | None = None, *, schema: Schema | None = None
) -> Schema:
    """Add raw media types, with an example each, to a success response; raw files have a name."""
    raw = {
        media: {"schema": schema or TEXT} | ({} if shown is None else {"example": shown})
        for media, shown in examples.items()
    }
    named = {"Content-Disposition": header(filename)} if filename else {}
    return answer | {"content": answer["content"] | raw, "headers": named | answer["headers"]}


def unchanged(what: str = "", headers: dict[str, str] | None = None) -> Schema:
    """Describe the response (304) to a client that has this representation already."""
    return response(f"{what}没有变化，没有应答体", headers or {"ETag": "Tag"})
