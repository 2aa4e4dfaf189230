"""What the OpenAPI pages say of each operation: Chinese for readers, the document's own examples, both forms of failure."""

from typing import Any, Final

from pydantic import BaseModel

from algoplatform.api.schemas import Deletion, Failure, Problem, record_schema
from algoplatform.domain.image import Image
from algoplatform.domain.search import Conditions

_RECORD: Final = record_schema()
_ID: Final = "c675e74e1bc211ea9f600242ac110002"

REGISTER_EXAMPLE: Final = {
    "algoName": "test",
    "algoType": "0",
    "eventType": 0,
    "imageName": "test1.0",
    "imageTag": "test1.0",
    "factory": "易华录",
    "frameInterval": 1800000,
    "dependencyServiceId": "algo/posterize:1.0",
    "frameNumber": 1,
    "imageMount": "/vse/logs,/vse/coredump,/data/videos",
    "pvcSize": "",
    "imagePorts": "service1:5016:30016,service2:5017:30017,service:8888",
    "algoDesc": "抽帧超压",
    "tvChannel": 1,
    "pics": 10,
    "cpuRequests": 1000,
    "gpuRequests": 1000,
    "memRequests": 1000,
    "config": "/etc/fdfs/client.conf,/app/application-linedrawing.properties",
    "subPath": "/usr/lib64/libnvcuvid.so:/usr/lib/x86_64-linux-gnu/libnvcuvid.so.1,"
    "/usr/lib64/libnvidia-encode.so.1:/usr/lib/x86_64-linux-gnu/libnvidia-encode.so.1",
    "hostPath": "/home:/home",
    "workingDir": "/home",
    "env": "ent:3er",
    "command": "/home/realtimetest/project/restart.sh",
    "args": "/home/realtimetest/start.sh",
    "incidentId": "0",
    "useableFlag": "0",
}
UPDATE_EXAMPLE: Final = {"imageId": _ID, **REGISTER_EXAMPLE, "imageName": "algo/posterize", "imageTag": "1.0"}
DELETE_EXAMPLE: Final = {
    "imageId": "d933a740349911eb9b11b28e75924e00",
    "userResult": {"authority": 3, "namespace": "algo"},
}

_DESCRIPTIONS: Final = {
    400: "请求无法读取（状态码-1）：JSON、编码或表单格式错误",
    401: "没有令牌，或令牌无效（-401）",
    403: "没有权限，或来自其他网站的页面（240）",
    404: "镜像不存在（204）",
    405: "请求方式不允许（-405）",
    408: "请求体发送过慢（-1）",
    409: "与已有镜像冲突（203、219、220），或相同Idempotency-Key的请求正在处理（-409）",
    412: "If-Match与镜像当前版本不符（-412）",
    413: "请求体过大（-413）",
    415: "请求体类型不支持（-415）",
    422: "内容有误：状态码为第一处错误的状态码，msg列出全部错误",
    429: "同时进行的上传或下载过多（-429），稍后重试",
    500: "服务内部错误（-500）",
    503: "服务暂时不可用（-503），稍后重试",
}
_RETRY_AFTER: Final = {"Retry-After": {"description": "多少秒后重试", "schema": {"type": "string"}}}
_CHALLENGE: Final = {"WWW-Authenticate": {"description": "Bearer", "schema": {"type": "string"}}}
_REQUEST_ID: Final = {"X-Request-Id": {"description": "请求编号，日志中可查", "schema": {"type": "string"}}}


def _header(name: str, description: str, pattern: str) -> dict[str, Any]:
    schema = {"type": "string", "pattern": pattern}
    return {"name": name, "in": "header", "required": False, "description": description, "schema": schema}


_IDEMPOTENCY_KEY: Final = _header(
    "Idempotency-Key", "幂等键：24小时内用同一键重复同一请求，得到第一次的应答，只执行一次", "^[!-~]{1,255}$"
)
_IF_MATCH: Final = _header("If-Match", "只有镜像的ETag与此相同时才更新，否则-412", r'^(\*|"[0-9]{1,18}")$')
_IF_NONE_MATCH: Final = _header("If-None-Match", "镜像的ETag与此相同时应答304", r'^"[0-9]{1,18}"$')


def _schema(model: type[BaseModel]) -> dict[str, Any]:
    """Give a model's schema with its parts in place, as it stands alone in the document."""
    schema = model.model_json_schema()
    parts = schema.pop("$defs", {})
    for name, value in schema.get("properties", {}).items():
        if "$ref" in value:
            schema["properties"][name] = parts[value["$ref"].rpartition("/")[2]]
        if "$ref" in value.get("items", {}):
            value["items"] = parts[value["items"]["$ref"].rpartition("/")[2]]
    return schema


def _record_input(*, with_id: bool) -> dict[str, Any]:
    schema = _schema(Image)
    properties = schema["properties"]
    properties["imageports"] = {**properties["imagePorts"], "description": "imagePorts的别名"}
    if with_id:
        schema["required"] = ["imageId", *schema["required"]]
    else:
        properties["imageId"] = {"type": "null", "description": "由服务端生成，注册时须为空"}
    return schema


def _envelope(res: dict[str, Any], message: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"status": {"const": "0"}, "res": res, "msg": {"const": message}},
        "required": ["status", "res", "msg"],
        "additionalProperties": False,
    }


def _success(res: dict[str, Any], message: str, example: Any, headers: dict[str, str] | None = None) -> dict[str, Any]:
    named = {name: {"description": text, "schema": {"type": "string"}} for name, text in (headers or {}).items()}
    body = {"schema": _envelope(res, message), "example": {"status": "0", "res": example, "msg": message}}
    return {"description": "成功", "headers": named | _REQUEST_ID, "content": {"application/json": body}}


def failures(*codes: int) -> dict[int | str, dict[str, Any]]:
    """Describe the refusals of these HTTP statuses, in both forms, beside those that any request may meet."""
    forms = {
        "application/json": {
            "schema": _schema(Failure),
            "example": {"status": "202", "res": None, "msg": "factory不能为空"},
        },
        "application/problem+json": {"schema": _schema(Problem)},
    }
    return {
        code: {
            "description": _DESCRIPTIONS[code],
            "headers": _REQUEST_ID | (_RETRY_AFTER if code in (409, 429, 503) else _CHALLENGE if code == 401 else {}),
            "content": forms,
        }
        for code in (*codes, 500, 503)
    }


def _query(model: type[BaseModel]) -> list[dict[str, Any]]:
    found = []
    for name, schema in _schema(model)["properties"].items():
        kinds = [kind for kind in schema.get("anyOf", [schema]) if kind.get("type") != "null"]
        plain = {"anyOf": kinds} if len(kinds) > 1 else kinds[0]
        found.append(
            {"name": name, "in": "query", "required": False, "description": schema["description"], "schema": plain}
        )
    return found


def _body(schema: dict[str, Any], example: Any, *, required: bool = True) -> dict[str, Any]:
    return {"required": required, "content": {"application/json": {"schema": schema, "example": example}}}


def _operation(summary: str, description: str, responses: dict[int | str, Any], **extra: Any) -> dict[str, Any]:
    return {"summary": summary, "description": description, "responses": responses, "openapi_extra": extra}


_NULL: Final = {"type": "null"}
_FOUND: Final = {
    "type": "object",
    "properties": {"data": {"type": "array", "items": _RECORD}, "total": {"type": "integer"}},
    "required": ["data"],
    "additionalProperties": False,
}
_FOUND_EXAMPLE: Final = {
    "data": [
        {name: REGISTER_EXAMPLE.get(name) for name in _RECORD["properties"]}
        | {"imageId": _ID, "deleteFlag": "0", "pvcSize": None}
    ]
}
_COUNTS: Final = {
    "type": "object",
    "properties": {name: {"type": "integer"} for name in ("created", "updated", "unchanged", "skipped")},
    "required": ["created", "updated", "unchanged", "skipped"],
    "additionalProperties": False,
}
_CONDITIONS: Final = _schema(Conditions)

REGISTER: Final = _operation(
    "镜像注册 · Register an image",
    "登记一个镜像。所有错误一次全部返回；依赖的镜像必须已登记。",
    {
        200: _success(_NULL, "注册成功", None, {"Location": "新镜像的地址", "ETag": "镜像的版本"}),
        **failures(400, 403, 408, 409, 413, 415, 422),
    },
    requestBody=_body(_record_input(with_id=False), REGISTER_EXAMPLE),
    parameters=[_IDEMPOTENCY_KEY],
)
UPDATE: Final = _operation(
    "镜像更新 · Update an image",
    "按imageId更新镜像。没有出现的字段不变，null或空字符串表示清空；imageName和imageTag不能修改。",
    {
        200: _success(_NULL, "更新成功", None, {"ETag": "镜像的新版本"}),
        **failures(400, 403, 404, 408, 409, 412, 413, 415, 422),
    },
    requestBody=_body(_record_input(with_id=True), UPDATE_EXAMPLE),
    parameters=[_IDEMPOTENCY_KEY, _IF_MATCH],
)
DELETE: Final = _operation(
    "镜像删除 · Delete an image",
    "删除镜像（软删除）。被其他镜像依赖时不能删除。",
    {200: _success(_NULL, "删除成功", None), **failures(400, 403, 404, 408, 409, 413, 415, 422)},
    requestBody=_body(_schema(Deletion), DELETE_EXAMPLE),
    parameters=[_IDEMPOTENCY_KEY],
)
SEARCH: Final = _operation(
    "镜像查询 · Search images",
    "按条件查询，条件都是可选的，须同时满足。也可以把同样的条件放在JSON请求体中（优先于查询参数）；"
    "浏览器不能在GET请求中发送请求体，可改用POST。不填page时返回全部。",
    {200: _success(_FOUND, "查询成功", _FOUND_EXAMPLE), **failures(400, 408, 413, 415, 422, 429)},
    parameters=_query(Conditions),
    operationId="search",
)
SEARCH_BY_BODY: Final = SEARCH | {
    "summary": "镜像查询（请求体） · Search images by body",
    "responses": SEARCH["responses"] | failures(403),
    "openapi_extra": {
        "requestBody": _body(_CONDITIONS, {"namespace": "", "searchCondition": "structure_new"}, required=False),
        "parameters": _query(Conditions),
        "operationId": "searchByBody",
    },
}
LOAD: Final = _operation(
    "镜像配置信息下载 · Export images",
    "下载符合条件的镜像的配置信息，文件名image_list.json，可上传到另一个平台。",
    {
        200: _success(
            {"type": "object", "additionalProperties": _RECORD},
            "镜像下载成功",
            {_ID: _FOUND_EXAMPLE["data"][0]},
            {"Content-Disposition": "下载的文件名"},
        ),
        **failures(400, 403, 408, 413, 415, 422, 429),
    },
    requestBody=_body(_CONDITIONS, {"searchCondition": ""}, required=False),
    parameters=_query(Conditions),
)
UPLOAD: Final = _operation(
    "镜像配置信息上传 · Import images",
    "上传_load得到的文件（或其中的res，或镜像信息的数组）。全部成功或全部不写入；所有镜像的所有错误一次全部返回。",
    {
        200: _success(_COUNTS, "镜像上传成功", {"created": 2, "updated": 1, "unchanged": 0, "skipped": 0}),
        **failures(400, 403, 408, 409, 413, 415, 422, 429),
    },
    requestBody={
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "file": {"type": "string", "format": "binary", "description": "镜像配置信息相关json文件"}
                    },
                    "required": ["file"],
                }
            }
        },
    },
    parameters=[
        {
            "name": "onConflict",
            "in": "query",
            "description": "镜像已存在时：update更新，skip跳过，fail报错",
            "schema": {"type": "string", "enum": ["update", "skip", "fail"], "default": "update"},
        },
        {
            "name": "dryRun",
            "in": "query",
            "description": "true：只检查，不写入",
            "schema": {"type": "boolean", "default": False},
        },
        _IDEMPOTENCY_KEY,
    ],
)
GET: Final = _operation(
    "镜像详情 · Get an image",
    "按imageId查询一个镜像。",
    {
        200: _success(
            _RECORD, "查询成功", _FOUND_EXAMPLE["data"][0], {"ETag": "镜像的版本", "Last-Modified": "更新时间"}
        ),
        304: {"description": "镜像没有变化"},
        **failures(404),
        422: {"description": _DESCRIPTIONS[422]},
    },
    parameters=[_IF_NONE_MATCH],
)
