"""The history operations in the OpenAPI document."""

from typing import Final

from algoplatform.api.docs import examples
from algoplatform.api.docs.components import optional, parameter, refusals, schema
from algoplatform.api.docs.parts import READ, WRITE, body, conflict, operation, success
from algoplatform.api.docs.shapes import NULL, TEXT, answered, integer, rows
from algoplatform.domain.errors import Refused
from algoplatform.domain.record.wording import exists_fault
from algoplatform.domain.requests import MAX_REVISIONS
from algoplatform.domain.search import DEFAULT_PAGE_SIZE

_KNOWN_OR_NULL: Final = {"anyOf": [TEXT, NULL]}
_REVISION: Final = answered(
    {
        "version": {"type": "integer", "minimum": 1, "description": "版本，即镜像当时的ETag"},
        "operation": {"enum": ["register", "update", "delete", "upload", "restore"], "description": "操作"},
        "time": {"type": "string", "format": "date-time", "description": "时间（UTC）"},
        "actor": {**_KNOWN_OR_NULL, "description": "操作者；不知道则为null"},
        "requestId": {**_KNOWN_OR_NULL, "description": "请求编号；不经HTTP则为null"},
        "before": {"anyOf": [schema("Record"), NULL], "description": "操作前的记录；登记时为null"},
        "after": schema("Record"),
    }
)
_HISTORY: Final = answered(
    {"data": rows(_REVISION), "total": {"type": "integer", "minimum": 1, "description": "版本总数"}}
)
_BY: Final = {"actor": "alice", "requestId": "b1946ac92492d2347c6235b4d2611184"}
_EXAMPLE: Final = {
    "data": [
        {
            "version": 2,
            "operation": "update",
            "time": "2026-11-03T08:30:00.000Z",
            **_BY,
            "before": examples.LOADED,
            "after": {**examples.LOADED, "cpuRequests": 2000},
        },
        {
            "version": 1,
            "operation": "register",
            "time": "2026-11-02T01:00:00.000Z",
            **_BY,
            "before": None,
            "after": examples.LOADED,
        },
    ],
    "total": 2,
}

HISTORY: Final = operation(
    "history",
    "镜像历史 · History of an image",
    "一个镜像的每次登记、更新、上传、删除和恢复，从最近的开始：谁、何时、哪个请求，之前和之后的记录。已删除的镜像也有历史。",
    {"200": success(_HISTORY, "查询成功", _EXAMPLE), **refusals("BadRequest", "NotFound", "Refused")},
    parameter("ImageId"),
    optional("page", "页码，从1开始", integer() | {"default": 1}),
    optional(
        "pageSize",
        f"每页条数，1至{MAX_REVISIONS}",
        integer(last=MAX_REVISIONS) | {"default": DEFAULT_PAGE_SIZE},
    ),
)
RESTORE: Final = operation(
    "restore",
    "镜像恢复 · Restore an image",
    "恢复已删除的镜像（不填version），或把镜像恢复到某个版本；与其他写入受同样的检查。恢复本身也是一个新版本，历史不会改变。",
    {
        "200": success(NULL, "恢复成功", headers={"ETag": "ETag"}),
        **refusals(*READ, "Forbidden", "NotFound", "PreconditionFailed"),
        **conflict("同名同版本的另一个镜像已登记（203）", Refused([exists_fault("algo/posterize:1.0")])),
    },
    parameter("ImageId"),
    WRITE,
    parameter("IfMatch"),
    body=body(schema("Restoration"), {"version": 1}, required=False),
)
