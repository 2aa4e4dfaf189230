"""The operation of planning in the OpenAPI document."""

from typing import Final

from algoplatform.api.docs.components import refusal, refusals
from algoplatform.api.docs.examples_cluster import EXAMPLES, NODE_COUNT, UNKNOWN_CHANNELS
from algoplatform.api.docs.parts import READ, body, operation, success
from algoplatform.api.docs.shapes import COUNT, IMAGE, TEXT, Schema, answered, given, integer, keyed, rows
from algoplatform.domain.errors import Refused
from algoplatform.domain.plan.model import (
    DEFAULT_PODS,
    MAX_CARDS,
    MAX_IMAGES,
    MAX_NODES,
    MAX_PODS,
    MAX_SIMULATIONS,
    Margin,
)

_CARD: Final = {"type": ["integer", "null"], "minimum": 0}


def _name(description: str) -> Schema:
    return {"type": "string", "minLength": 1, "maxLength": 253, "description": description}


_GROUP: Final = given(
    {
        "name": _name("名称，不能重复"),
        "channels": integer("视频路数；channels与pictures至少有一个"),
        "pictures": integer("图片数，按pics计算副本数", 0),
        "images": rows(IMAGE, "分析这组摄像头的镜像：镜像编号或“镜像名:标签名”；其依赖一并计算", minItems=1),
    },
    "name",
    "images",
) | {"anyOf": [{"required": ["channels"]}, {"required": ["pictures"]}]}
_CARDS: Final = given(
    {
        "count": integer("这种卡的张数，默认1", 1, MAX_CARDS),
        "memory": integer("每张卡的显存，单位MiB；以驱动报告的为准"),
        "shares": integer("每张卡至多由几个容器组共用；默认由GPU方案决定", 1, 1000),
    },
    "memory",
)
_NODE: Final = given(
    {
        "name": _name("名称，不能重复；count大于1时各节点为<名称>-1、<名称>-2……"),
        "count": integer("这种节点的个数，默认1", 1, MAX_NODES),
        "cpu": integer("可分配的CPU，单位m", 0),
        "memory": integer("可分配的内存，单位MiB", 0),
        "pods": integer(f"至多几个容器组，默认{DEFAULT_PODS}"),
        "labels": keyed(TEXT, "标签；填写后须符合nodeSelector的设定"),
        "cards": rows(_CARDS, "GPU卡"),
    },
    "name",
    "cpu",
    "memory",
)
_RUNNING: Final = given(
    {
        "node": _name("节点的名称"),
        "card": integer("卡的下标，从0开始；使用GPU时必填", 0, MAX_CARDS),
        "image": IMAGE | {"description": "镜像；或者填写cpu、memory、gpuMemory"},
        "cpu": integer("每个容器组的CPU，单位m", 0),
        "memory": integer("每个容器组的内存，单位MiB", 0),
        "gpuMemory": integer("每个容器组的显存，单位MiB", 0),
        "replicas": integer("容器组的个数，默认1", 1, MAX_PODS),
    },
    "node",
)
_REQUEST: Final = given(
    {
        "profile": _name("GPU共享方案，默认值由ALGOPLATFORM_RENDER_PROFILE设定"),
        "cameras": rows(_GROUP, f"摄像头分组，镜像合计至多{MAX_IMAGES}个", minItems=1, maxItems=MAX_IMAGES),
        "nodes": rows(_NODE, f"节点，合计至多{MAX_NODES}个、{MAX_CARDS}张卡；或者填写kubectl", maxItems=MAX_NODES),
        "running": rows(_RUNNING, f"节点上已经运行的容器组，合计至多{MAX_PODS}个", maxItems=MAX_PODS),
        "kubectl": given(
            {
                "nodes": {"type": "object", "description": "kubectl get nodes -o json的输出"},
                "pods": {"type": "object", "description": "kubectl get pods -A -o json的输出"},
            },
            "nodes",
            description="代替nodes和running",
        ),
        "reserve": given(
            {
                "gpuMemoryPercent": integer(f"每张卡预留的显存，默认{Margin().gpu_memory_percent}%", 0, 99),
                "nodes": integer("预留的节点数，默认0：显存最多的几个", 0, MAX_NODES),
            },
            description="预留",
        ),
        "overrides": keyed(
            given({"channelsPerReplica": integer("每个副本的路数")}, "channelsPerReplica"),
            "以镜像为键，代替记录中的tvChannel；不在规划之内的镜像不采用",
        ),
        "unknownChannels": {
            "enum": ["one", "refuse"],
            "description": "tvChannel或pics为空的镜像：按一个副本计算（one，默认），或拒绝（refuse）",
        },
        "simulate": integer("按几种随机顺序模拟调度器逐个放置，默认0", 0, MAX_SIMULATIONS),
    },
    "cameras",
) | {"anyOf": [{"required": ["nodes"]}, {"required": ["kubectl"]}]}
_EACH: Final = answered({"cpu": COUNT, "memory": COUNT, "gpuMemory": COUNT}, "每个副本：m、MiB、按方案取整后的MiB")
_DEMAND: Final = answered(
    {
        "image": TEXT,
        "channels": COUNT,
        "perReplica": {"type": ["integer", "null"], "description": "每个副本的路数，未知为null"},
        "replicas": COUNT,
        "because": rows(
            answered({"cameras": TEXT, "images": rows(TEXT, "其中需要它的镜像，它自己也在内")}),
            "需要它的摄像头分组",
        ),
        "each": _EACH,
    }
)
_TOTAL: Final = answered({"need": COUNT, "have": COUNT, "usable": COUNT})
_REASON: Final = answered(
    {
        "reason": TEXT,
        "nodes": COUNT,
        "need": {"type": ["integer", "null"]},
        "largestFree": {"type": ["integer", "null"]},
    }
)
_UNPLACED: Final = answered(
    {
        "image": TEXT,
        "replicas": COUNT,
        "reasons": rows(_REASON, "调度器给出的原因，以及各有几个节点"),
        "proof": {
            "enum": ["card-size", "sum", "pigeonhole", "none"],
            "description": "为何放不下：卡太小，总量不足，剩余的都太零碎；none为没有找到放法，但未证明放不下",
        },
    }
)
_RESULT: Final = answered(
    {
        "fits": {"type": "boolean", "description": "全部放得下"},
        "demand": rows(_DEMAND, "需要的镜像，依赖在前"),
        "totals": answered(
            dict.fromkeys(("gpuMemory", "cpu", "memory", "shares", "pods"), _TOTAL), "总量：需要、拥有、可用"
        ),
        "placements": rows(
            answered({"node": TEXT, "card": _CARD, "image": TEXT, "replicas": COUNT}),
            "放置方案；card为卡的下标，不用GPU时为null",
        ),
        "unplaced": rows(_UNPLACED, "放不下的"),
        "addNodes": rows(answered({"like": TEXT, "count": COUNT}), "再加这些节点就放得下；空为不缺，或加了也不行"),
        "scheduler": answered({"orders": COUNT, "pending": rows(COUNT, "每种顺序下排不上的副本数")}, "模拟调度器"),
        "assumptions": rows(TEXT, "规划时所作的假定"),
    }
)

PLAN: Final = operation(
    "plan",
    "容量规划 · Plan channels on cards",
    "给出摄像头分组和节点，算出每个镜像要几个副本、放在哪些卡上，以及放不下什么、为什么、还要加几个节点。"
    "各组摄像头的镜像及其所有依赖都计算在内；同一组摄像头共用的依赖只计一次。只计算，不部署，不需要集群的任何凭据。"
    "fits为true即确实放得下；proof为none时只说明没有找到放法。请求体与上传的文件可以一样大。",
    {
        "200": success(_RESULT, "规划完成", EXAMPLES["plan"]),
        **refusals(*READ, "NotFound"),
        "422": refusal(
            "请求有误（202），或镜像的记录使规划无法进行（-422）；全部原因一次列出",
            Refused([NODE_COUNT]),
            Refused([UNKNOWN_CHANNELS]),
        ),
    },
    body=body(_REQUEST, EXAMPLES["planRequest"]),
)
