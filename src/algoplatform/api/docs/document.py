"""The OpenAPI document: FastAPI's, completed by what its routes declare, built once."""

from collections.abc import Iterable
from functools import cache
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from algoplatform.api.docs.components import COMPONENTS, header, refusal, refusals
from algoplatform.api.http.envelope import http_status
from algoplatform.domain.errors import Unauthenticated
from algoplatform.domain.faults import Code

_INTRODUCTION: Final = """算法平台的镜像登记处：登记、查询、更新、删除镜像，以一个JSON文件在平台之间迁移。

应答为`{status, res, msg}`，`status`为`"0"`表示成功，HTTP状态码与之一致（`ALGOPLATFORM_HTTP_STATUS=always-200`时总是200）。
请求头`Accept: application/problem+json`时，错误以RFC 9457的形式返回。
错误一次全部返回：`status`是第一处错误的状态码，`msg`以`；`连接全部错误。

"""
# Folded, so that operations come first. Markdown within HTML needs the blank lines.
_STATUS_TABLE: Final = """<details>
<summary>状态码表</summary>

| status | HTTP | 含义 |
|---|---|---|
{rows}

</details>
"""
_ORDER: Final = ("_register", "_search", "_update", "_delete", "_load", "_upload")

_CHALLENGE: Final = {
    "description": "须以Authorization: Bearer出示令牌",
    "schema": {"type": "string"},
    "example": 'Bearer realm="algoplatform"',
}
_UNAUTHENTICATED: Final = refusal(
    "没有令牌，或令牌无效（-401）", Unauthenticated("未认证：缺少请求头Authorization: Bearer", token_given=False)
)
_UNAUTHENTICATED["headers"]["WWW-Authenticate"] = header("Challenge")
# With ALGOPLATFORM_AUTH=token.
_TOKEN_COMPONENTS: Final = {
    **COMPONENTS,
    "headers": {**COMPONENTS["headers"], "Challenge": _CHALLENGE},
    "responses": {**COMPONENTS["responses"], "Unauthenticated": _UNAUTHENTICATED},
    "securitySchemes": {
        "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "JWT令牌"}
    },
}


def introduction() -> str:
    """Return the introduction, with the status table folded."""
    statuses = {code: http_status(code) for code in Code} | {Code.BAD_REQUEST: "400 / 422"}
    rows = [f"| {code} | {status} | {code.meaning} |" for code, status in statuses.items()]
    return _INTRODUCTION + _STATUS_TABLE.format(rows="\n".join(rows))


def publish(app: FastAPI, operations: Iterable[APIRoute], *, tokens: bool) -> None:
    """Give the application its document; with `tokens`, every operation requires one."""
    described = [route for route in operations if route.include_in_schema]

    @cache
    def openapi() -> dict[str, Any]:
        document = _document(app, described)
        return _with_token(document) if tokens else document

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend the document


def _document(app: FastAPI, operations: list[APIRoute]) -> dict[str, Any]:
    document = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        routes=app.routes,
        tags=app.openapi_tags,
    )
    paths = document["paths"]
    for route in operations:
        for method in route.methods or ():
            # FastAPI drops every null from the document, even in examples that need it.
            paths[route.path_format][method.lower()] |= route.openapi_extra or {}
    return document | {"paths": dict(sorted(paths.items(), key=_place)), "components": COMPONENTS}


def _place(path: tuple[str, Any]) -> int:
    """Order paths as the API document does; additional ones follow in route order."""
    operation = path[0].rpartition("/")[2]
    return _ORDER.index(operation) if operation in _ORDER else len(_ORDER)


def _with_token(document: dict[str, Any]) -> dict[str, Any]:
    """Declare for every operation that it requires a token, and its response without one."""
    refused = refusals("Forbidden") | {"401": {"$ref": "#/components/responses/Unauthenticated"}}
    for path in document["paths"].values():
        for operation in path.values():
            operation["security"] = [{"bearer": []}]
            # A copy, as it may be shared between applications.
            operation["responses"] = dict(sorted((refused | operation["responses"]).items()))
    return document | {"components": _TOKEN_COMPONENTS}
