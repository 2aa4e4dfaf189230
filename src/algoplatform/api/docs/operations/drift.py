"""The operation of drift in the OpenAPI document."""

from typing import Final

from algoplatform.api.docs.components import refusals
from algoplatform.api.docs.examples_cluster import EXAMPLES
from algoplatform.api.docs.operations.manifests import option_parameters
from algoplatform.api.docs.parts import FILE, READ, form, operation, success
from algoplatform.api.docs.shapes import COUNT, NULL, TEXT, TEXT_OR_NULL, answered, given, keyed, rows
from algoplatform.api.http.envelope import JSON
from algoplatform.catalogue.cluster.drift import MOST_DIFFERENCES, MOST_OF_ONE
from algoplatform.manifests.drift.states import STATES

_COUNT_OR_NULL: Final = {"type": ["integer", "null"], "minimum": 0}
_CHANGES: Final = ["outdated", "modified", "both"]
_DIFFERENCE: Final = answered(
    {
        "path": TEXT | {"description": "字段，列表中的项以其名称、端口或路径为键"},
        "base": {"description": "按当时的记录生成的值，没有则为null"},
        "ours": {"description": "按现在的记录生成的值"},
        "theirs": {"description": "集群中的值"},
        "state": {"enum": _CHANGES},
    }
)
_COMPARED: Final = answered(
    {
        "kind": TEXT,
        "name": TEXT,
        "state": {"enum": [*_CHANGES, "orphan"]},
        "differences": rows(_DIFFERENCE, "各处差异"),
    }
)
_DIGEST: Final = answered({"expected": TEXT, "running": rows(TEXT, "各容器组所运行的摘要")})
_IMAGE: Final = answered(
    {
        "imageId": TEXT_OR_NULL,
        "reference": TEXT_OR_NULL,
        "state": {"enum": list(STATES)},
        "namespace": TEXT,
        "kind": {"enum": ["Deployment", "StatefulSet", None]},
        "name": TEXT,
        "recordVersion": _COUNT_OR_NULL | {"description": "部署时的记录版本"},
        "currentVersion": _COUNT_OR_NULL | {"description": "现在的记录版本"},
        "replicas": {"oneOf": [answered({"wanted": COUNT, "ready": COUNT}), NULL]},
        "reasons": rows(TEXT, "没有就绪或不能生成的原因；没有就绪的原因是集群给出的原文"),
        "digest": {"oneOf": [_DIGEST, NULL]},
        "objects": rows(_COMPARED, "有差异或多余的对象"),
        "unlisted": COUNT,
    }
)
_RESULT: Final = answered(
    {
        "images": rows(_IMAGE, "集群中的每个工作负载"),
        "counts": keyed(COUNT, "每种状态的数量"),
        "total": COUNT,
        "unlisted": COUNT | {"description": "没有列出的差异的数量"},
        "assumptions": rows(TEXT, "对比时所作的假定"),
    }
)
_LISTED: Final = given({"kind": TEXT, "metadata": given({"name": TEXT}, "name")}, "kind", "metadata")
_CLUSTER: Final = given({"items": rows(_LISTED, "集群中的对象；也可以只是一个对象")}, "items") | {"maxProperties": 32}

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
        "content": {JSON: {"schema": _CLUSTER, "example": EXAMPLES["driftRequest"]}, **FILE["content"]},
    },
)
