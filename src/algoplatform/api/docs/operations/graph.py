"""The operations on the graph of dependencies in the OpenAPI document."""

from typing import Final

from algoplatform.api.docs.components import optional, parameter, refusal, refusals
from algoplatform.api.docs.examples_cluster import DEPTH, DIRECTION, EXAMPLES
from algoplatform.api.docs.parts import READ, body, form, operation, success, unchanged, with_raw
from algoplatform.api.docs.shapes import COUNT, IMAGE_ID, TEXT, answered, given, integer, rows
from algoplatform.domain.errors import Refused
from algoplatform.domain.graph_options import MAX_IMAGES
from algoplatform.domain.record.wording import identity_fault

_PAIR: Final = rows(TEXT, minItems=2, maxItems=2)
_ANY: Final = {"type": ["string", "integer", "null"]}
_GRAPH: Final = answered(
    {
        "nodes": rows(
            answered({"imageId": IMAGE_ID, "reference": TEXT, "level": COUNT}),
            "镜像及其层次：0层不依赖图中的其他镜像",
        ),
        "edges": rows(_PAIR, "依赖：[依赖者的imageId, 被依赖者的imageId]"),
        "cycles": rows(rows(IMAGE_ID), "循环依赖的镜像"),
        "truncated": {"type": "boolean", "description": "因depth或limit有所省略"},
        "total": {"type": ["integer", "null"], "description": f"全部镜像数；超过{MAX_IMAGES}个时不计数，为null"},
    }
)
_REPLICAS: Final = given({"from": {"type": "integer"}, "to": {"type": "integer"}}, "from", "to")
_CHANGE: Final = given(
    {"field": TEXT, "from": _ANY, "to": _ANY, "replicas": _REPLICAS, "message": TEXT}, "field", "from", "to", "message"
) | {"additionalProperties": False}
_CUT: Final = answered({"cycle": rows(TEXT), "cut": _PAIR})
_IMPACT: Final = answered(
    {
        "direct": rows(TEXT, "直接依赖它的镜像"),
        "transitive": rows(TEXT, "没有它就不能工作的全部镜像"),
        "order": rows({"anyOf": [TEXT, _CUT]}, "可以依次删除的顺序；循环依赖连同须先做的更新（cut）"),
        "changes": rows(_CHANGE, "会影响使用者的变化"),
    }
)
_REQUEST: Final = given(
    {
        "action": {"enum": ["delete", "replace", "update"], "description": "删除、替换或更新"},
        "by": {"type": "string", "minLength": 1, "description": "replace：用来替换的镜像，编号或“镜像名:标签名”"},
        "record": {"type": "object", "description": "update：要修改的字段"},
        "channels": integer("要分析的视频路数，用来计算副本数；默认为原来的tvChannel"),
    },
    "action",
)

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
    optional("direction", "方向", {"type": "string", "enum": ["down", "up", "both"], "default": "down"}),
    optional("depth", "最多经过几条依赖；不填则到最远", integer(first=0)),
    optional("limit", "最多几个镜像，保留最近的", integer(last=MAX_IMAGES) | {"default": MAX_IMAGES}),
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
