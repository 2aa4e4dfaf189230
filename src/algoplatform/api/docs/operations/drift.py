"""The operation of drift in the OpenAPI document."""

from typing import Any, Final

from algoplatform.api.docs.components import refusals
from algoplatform.api.docs.examples_cluster import EXAMPLES
from algoplatform.api.docs.operations.manifests import option_parameters
from algoplatform.api.docs.parts import FILE, READ, form, operation, success
from algoplatform.api.http.envelope import JSON
from algoplatform.catalogue.cluster.drift import MOST_DIFFERENCES, MOST_OF_ONE
from algoplatform.manifests.drift.states import STATES


def _object(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _list(item: dict[str, Any], description: str) -> dict[str, Any]:
    return {"type": "array", "items": item, "description": description}


_TEXT: Final = {"type": "string"}
_TEXT_OR_NULL: Final = {"type": ["string", "null"]}
_COUNT: Final = {"type": "integer", "minimum": 0}
_COUNT_OR_NULL: Final = {"type": ["integer", "null"], "minimum": 0}
_CHANGES: Final = {"enum": ["outdated", "modified", "both"]}
_DIFFERENCE: Final = _object(
    path=_TEXT | {"description": "字段，列表中的项以其名称、端口或路径为键"},
    base={"description": "按当时的记录生成的值，没有则为null"},
    ours={"description": "按现在的记录生成的值"},
    theirs={"description": "集群中的值"},
    state=_CHANGES,
)
_COMPARED: Final = _object(
    kind=_TEXT,
    name=_TEXT,
    state={"enum": [*_CHANGES["enum"], "orphan"]},
    differences=_list(_DIFFERENCE, "各处差异"),
)
_NULL: Final = {"type": "null"}
_IMAGE: Final = _object(
    imageId=_TEXT_OR_NULL,
    reference=_TEXT_OR_NULL,
    state={"enum": list(STATES)},
    namespace=_TEXT,
    kind={"enum": ["Deployment", "StatefulSet", None]},
    name=_TEXT,
    recordVersion=_COUNT_OR_NULL | {"description": "部署时的记录版本"},
    currentVersion=_COUNT_OR_NULL | {"description": "现在的记录版本"},
    replicas={"oneOf": [_object(wanted=_COUNT, ready=_COUNT), _NULL]},
    reasons=_list(_TEXT, "没有就绪或不能生成的原因；没有就绪的原因是集群给出的原文"),
    digest={"oneOf": [_object(expected=_TEXT, running=_list(_TEXT, "各容器组所运行的摘要")), _NULL]},
    objects=_list(_COMPARED, "有差异或多余的对象"),
    unlisted=_COUNT,
)
_RESULT: Final = _object(
    images=_list(_IMAGE, "集群中的每个工作负载"),
    counts={"type": "object", "additionalProperties": _COUNT, "description": "每种状态的数量"},
    total=_COUNT,
    unlisted=_COUNT | {"description": "没有列出的差异的数量"},
    assumptions=_list(_TEXT, "对比时所作的假定"),
)
_LISTED: Final = {
    "type": "object",
    "properties": {"kind": _TEXT, "metadata": {"type": "object", "properties": {"name": _TEXT}, "required": ["name"]}},
    "required": ["kind", "metadata"],
}
_CLUSTER: Final = {
    "type": "object",
    "properties": {"items": _list(_LISTED, "集群中的对象；也可以只是一个对象")},
    "required": ["items"],
    "maxProperties": 32,
}

DRIFT: Final = operation(
    "drift",
    "集群与登记的差异 · Drift of a cluster",
    "集群中运行的还是登记的镜像吗？请求体为kubectl get deploy,sts,svc,pvc,cm,pods -A -o json的输出，可以与上传的文件一样大；"
    "选项须与生成清单时相同。每个对象三方对比：按它所记的记录版本生成的、按现在的记录生成的、集群中的；只比较生成的字段。"
    "状态：in-sync一致，outdated记录已更新，modified集群中被修改，both两者都有，orphan镜像已不存在，image-moved运行的不是这个镜像，"
    f"not-ready一致但没有就绪。每个工作负载至多列出{MOST_OF_ONE}处差异，一共至多{MOST_DIFFERENCES}处。只检查，不修改。",
    {"200": success(_RESULT, "对比完成", EXAMPLES["drift"]), **refusals(*READ, "Forbidden")},
    form("json"),
    *option_parameters(),
    body={
        "required": True,
        "content": {
            JSON: {"schema": _CLUSTER, "example": EXAMPLES["driftRequest"]},
            "multipart/form-data": FILE["content"]["multipart/form-data"],
        },
    },
)
