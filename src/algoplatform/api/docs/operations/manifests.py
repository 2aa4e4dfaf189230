"""The operations of rendering in the OpenAPI document; their options are those that `manifests` names."""

from typing import Any, Final

from algoplatform.api.docs.components import optional, parameter, refusal, refusals
from algoplatform.api.docs.examples_cluster import CARD, EXAMPLES, NAMING
from algoplatform.api.docs.parts import READ, body, form, operation, success, unchanged, with_raw
from algoplatform.api.docs.shapes import IMAGE, TEXT, Schema, answered, given, integer, keyed, rows
from algoplatform.domain.errors import Refused
from algoplatform.domain.render_request import MAX_IMAGES
from algoplatform.manifests.options import OPTIONS, Option
from algoplatform.planning.lint.rules import SEVERITIES


def _schema(option: Option) -> dict[str, Any]:
    if option.allowed == ("true", "false"):
        return {"type": "boolean"}
    if option.allowed:
        return {"type": "string", "enum": list(option.allowed)}
    if option.form == "整数":
        return integer(first=0)
    return {"type": "string", "maxLength": 4096}


def option_parameters(*names: str) -> list[dict[str, Any]]:
    """Describe the named options as query parameters, or all options if none is named."""
    chosen = [option for option in OPTIONS if not names or option.name in names]
    return [optional(option.name, _described(option), _schema(option)) for option in chosen]


def _described(option: Option) -> str:
    shown = "" if option.allowed else f"：{option.form}"
    return f"{option.description}{shown}。默认值由{option.setting}设定"


_NEED: Final = answered({"kind": TEXT, "name": TEXT, "namespace": TEXT, "image": TEXT, "keys": keyed(TEXT)})
_WARNING: Final = answered({"rule": TEXT, "severity": {"enum": list(SEVERITIES[:2])}, "image": TEXT, "message": TEXT})
_RESULT: Final = answered(
    {
        "manifests": rows({"type": "object"}, "Kubernetes对象，依赖在前"),
        "order": rows(rows(TEXT), "各层的镜像，依赖在前，下标即层次"),
        "addresses": keyed(keyed(TEXT), "镜像的服务地址，以端口名为键"),
        "needs": rows(_NEED, "集群中须先有的对象，及其各键对应的路径"),
        "warnings": rows(_WARNING, "不妨碍生成、但可能有误的地方"),
        "assumptions": rows(TEXT, "生成时所作的假定"),
    }
)
_REQUEST: Final = given(
    {
        "images": rows(IMAGE, "镜像编号或“镜像名:标签名”", minItems=1, maxItems=MAX_IMAGES),
        "options": given(
            {option.name: _schema(option) | {"description": _described(option)} for option in OPTIONS},
            description="选项，与GET的查询参数相同",
        ),
        "configFiles": keyed(keyed(TEXT), "配置文件的内容：以镜像名:标签名、路径为键"),
    },
    "images",
)


def _answers(**headers: str) -> dict[str, Schema]:
    """Describe the response with manifests, in both formats, and the one with the reasons why there are none."""
    refused = (Refused([NAMING]), Refused([CARD]))
    return {
        "200": with_raw(
            success(_RESULT, "生成成功", EXAMPLES["manifests"], headers=headers),
            {"application/yaml": EXAMPLES["yaml"]},
            "DownloadedFile",
        ),
        "422": refusal("选项有误（202），或镜像不能这样部署（-422）；全部原因一次列出", *refused),
    }


MANIFESTS: Final = operation(
    "manifests",
    "镜像部署文件 · Manifests of an image",
    "把镜像的记录转换为Kubernetes对象：JSON，或YAML文件（format=yaml，或Accept为application/yaml）。"
    "不需要集群的任何凭据。closure=true时一并生成所依赖的镜像。",
    {"304": unchanged(), **refusals("BadRequest", "NotFound", "TooManyRequests"), **_answers(ETag="Tag")},
    parameter("ImageId"),
    form("json", "yaml"),
    *option_parameters(),
    parameter("IfNoneMatch"),
)
RENDER: Final = operation(
    "render",
    "一组镜像的部署文件 · Manifests of images",
    f"与GET镜像部署文件相同，用于至多{MAX_IMAGES}个镜像；节点端口、对象名称和主机目录在整组中检查。"
    "configFiles给出配置文件的内容，没有给出的列在needs中。",
    refusals(*READ, "Forbidden", "NotFound") | _answers(),
    form("json", "yaml"),
    body=body(_REQUEST, EXAMPLES["renderRequest"]),
)
