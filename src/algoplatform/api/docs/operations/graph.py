"""The operations on the graph of dependencies in the OpenAPI document."""

from typing import Any, Final

from algoplatform.api.docs.components import parameter, refusal, refusals
from algoplatform.api.docs.examples_cluster import DEPTH, DIRECTION, EXAMPLES
from algoplatform.api.docs.parts import READ, body, choice, form, operation, success, unchanged, with_raw
from algoplatform.domain.errors import Refused
from algoplatform.domain.graph_options import MAX_IMAGES
from algoplatform.domain.record.wording import identity_fault

_ID: Final = {"type": "string", "pattern": "^[0-9a-f]{32}$"}
_TEXT: Final = {"type": "string"}
_TEXTS: Final = {"type": "array", "items": _TEXT}
_PAIR: Final = {"type": "array", "items": _TEXT, "minItems": 2, "maxItems": 2}
_MANY: Final = {"type": "integer", "minimum": 1, "maximum": 2**31 - 1}
_ANY: Final[dict[str, Any]] = {"type": ["string", "integer", "null"]}
_GRAPH: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "nodes": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"imageId": _ID, "reference": _TEXT, "level": {"type": "integer", "minimum": 0}},
                "required": ["imageId", "reference", "level"],
                "additionalProperties": False,
            },
            "description": "镜像及其层次：0层不依赖图中的其他镜像",
        },
        "edges": {"type": "array", "items": _PAIR, "description": "依赖：[依赖者的imageId, 被依赖者的imageId]"},
        "cycles": {"type": "array", "items": {"type": "array", "items": _ID}, "description": "循环依赖的镜像"},
        "truncated": {"type": "boolean", "description": "因depth或limit有所省略"},
        "total": {"type": ["integer", "null"], "description": f"全部镜像数；超过{MAX_IMAGES}个时不计数，为null"},
    },
    "required": ["nodes", "edges", "cycles", "truncated", "total"],
    "additionalProperties": False,
}
_CHANGE: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "field": _TEXT,
        "from": _ANY,
        "to": _ANY,
        "replicas": {
            "type": "object",
            "properties": {"from": {"type": "integer"}, "to": {"type": "integer"}},
            "required": ["from", "to"],
        },
        "message": _TEXT,
    },
    "required": ["field", "from", "to", "message"],
    "additionalProperties": False,
}
_CUT: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {"cycle": _TEXTS, "cut": _PAIR},
    "required": ["cycle", "cut"],
    "additionalProperties": False,
}
_IMPACT: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "direct": _TEXTS | {"description": "直接依赖它的镜像"},
        "transitive": _TEXTS | {"description": "没有它就不能工作的全部镜像"},
        "order": {
            "type": "array",
            "items": {"anyOf": [_TEXT, _CUT]},
            "description": "可以依次删除的顺序；循环依赖连同须先做的更新（cut）",
        },
        "changes": {"type": "array", "items": _CHANGE, "description": "会影响使用者的变化"},
    },
    "required": ["direct", "transitive", "order", "changes"],
    "additionalProperties": False,
}
_REQUEST: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "action": {"enum": ["delete", "replace", "update"], "description": "删除、替换或更新"},
        "by": {"type": "string", "minLength": 1, "description": "replace：用来替换的镜像，编号或“镜像名:标签名”"},
        "record": {"type": "object", "description": "update：要修改的字段"},
        "channels": _MANY | {"description": "要分析的视频路数，用来计算副本数；默认为原来的tvChannel"},
    },
    "required": ["action"],
}

DEPENDENCIES: Final = operation(
    "dependencies",
    "镜像依赖 · Dependencies of an image",
    "镜像依赖哪些镜像（direction=down）、被哪些镜像依赖（up），或两者（both），直到最远；"
    "format为svg、mermaid、dot时是图。图最多画150个镜像，更多则-422，可减小depth。",
    {
        "200": with_raw(
            success(_GRAPH, "查询成功", EXAMPLES["dependencies"], headers={"ETag": "Tag"}),
            {"image/svg+xml": None, "text/vnd.mermaid": EXAMPLES["mermaid"], "text/vnd.graphviz": EXAMPLES["dot"]},
        ),
        "304": unchanged(),
        **refusals("BadRequest", "NotFound", "TooManyRequests"),
        "422": refusal("选项有误（202），或镜像过多，画不下（-422）", Refused([DIRECTION]), Refused([DEPTH])),
    },
    parameter("ImageId"),
    form("json", "svg", "mermaid", "dot"),
    choice("direction", "方向", {"type": "string", "enum": ["down", "up", "both"], "default": "down"}),
    choice("depth", "最多经过几条依赖；不填则到最远", {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}),
    choice(
        "limit",
        "最多几个镜像，保留最近的",
        {"type": "integer", "minimum": 1, "maximum": MAX_IMAGES, "default": MAX_IMAGES},
    ),
    parameter("IfNoneMatch"),
)
IMPACT: Final = operation(
    "impact",
    "变更影响 · Impact of a change",
    "删除、替换或更新镜像之前，查看哪些镜像会受影响、可以依次删除的顺序，以及哪些变化会影响使用者。只查看，不修改。",
    {
        "200": success(_IMPACT, "分析成功", EXAMPLES["impact"]),
        **refusals(*READ, "Forbidden", "NotFound"),
        "409": refusal("record改变镜像的名称或版本（219）", Refused([identity_fault()])),
    },
    parameter("ImageId"),
    body=body(_REQUEST, EXAMPLES["impactRequest"]),
)
