"""The operations on artifacts in the OpenAPI document."""

from typing import Final

from algoplatform.api.docs.components import CONDITIONS, parameter, refusal, refusals
from algoplatform.api.docs.examples_cluster import EXAMPLES
from algoplatform.api.docs.parts import READ, body, operation, success
from algoplatform.api.docs.schemas import SCHEMAS
from algoplatform.api.docs.shapes import COUNT, IMAGE, TEXT, TEXT_OR_NULL, answered, given, keyed, rows
from algoplatform.api.http.envelope import JSON
from algoplatform.domain.errors import NeverVerified, Refused
from algoplatform.domain.faults import Code, Fault
from algoplatform.domain.record.model import RECORD_FIELDS
from algoplatform.registries.facts import STATES

_WORDS: Final = {"type": ["array", "null"], "items": TEXT}
_STATE: Final = {
    "enum": list(STATES),
    "description": "present：存在；missing：仓库明确答复没有；denied：无权读取；unreachable：仓库没有答复；"
    "not-configured：仓库不在配置中，没有连接；unsupported：不是可识别的镜像，或与摘要不符",
}
_PLATFORM: Final = answered(
    {
        "os": TEXT,
        "architecture": TEXT,
        "size": COUNT | {"description": "各层压缩后的大小之和，单位为字节"},
        "entrypoint": _WORDS,
        "cmd": _WORDS,
        "exposedPorts": rows(TEXT),
        "user": TEXT,
        "created": TEXT_OR_NULL,
    }
)
_ARTIFACT: Final = answered(
    {
        "state": _STATE,
        "digest": TEXT_OR_NULL | {"description": "最近一次见到的摘要；多平台镜像为索引的摘要"},
        "mediaType": TEXT_OR_NULL,
        "checkedAt": {"type": "string", "format": "date-time"},
        "message": TEXT_OR_NULL | {"description": "state不为present的原因"},
        "platforms": rows(_PLATFORM),
    }
)
_SUMMARY: Final = answered(
    {
        "total": COUNT,
        "states": keyed({"type": "integer", "minimum": 1}) | {"propertyNames": {"enum": list(STATES)}},
    }
)
_USER: Final = given(
    {"authority": {"type": "integer"}, "namespace": TEXT},
    "authority",
    description="可选：用户的权限，含义与_delete相同",
)
_CONDITIONS: Final = SCHEMAS["Conditions"]
_ASKED: Final = _CONDITIONS | {"properties": _CONDITIONS["properties"] | {"userResult": _USER}}
# A record whose required fields may be null.
_RECORD: Final = answered(
    {name: {"type": ["string", "integer", "null"]} for name in RECORD_FIELDS}, "记录的29个字段，镜像没有说明的为null"
)

VERIFY: Final = operation(
    "verify",
    "镜像校验 · Verify an image",
    "到仓库查询这个镜像是否存在、摘要和各平台的配置，并保存结果（不改变记录）。只连接ALGOPLATFORM_REGISTRIES中的仓库；"
    "镜像名没有仓库地址时，查询生成清单所用的默认仓库。需要有镜像所在命名空间的权限。",
    {
        "200": success(_ARTIFACT, "校验完成", EXAMPLES["verify"]),
        **refusals(*READ, "Forbidden", "NotFound"),
    },
    parameter("ImageId"),
    body=body(given({"userResult": _USER}), {"userResult": {"authority": 1}}, required=False),
)
VERIFY_SET: Final = operation(
    "verifySet",
    "一组镜像的校验 · Verify a set of images",
    "校验符合条件的全部镜像，条件与查询相同，都是可选的。需要有其中所有镜像的命名空间的权限，否则一个也不校验。",
    {
        "200": success(_SUMMARY, "校验完成", EXAMPLES["verifySet"]),
        **refusals(*READ, "Forbidden"),
    },
    *(parameter(name) for name in CONDITIONS),
    body=body(_ASKED, {"namespace": "algo", "userResult": {"authority": 1}}, required=False),
)
ARTIFACT: Final = operation(
    "artifact",
    "镜像的校验结果 · What is known of an image",
    "最近一次校验的结果，不查询仓库。从未校验过则204。",
    {
        "200": success(_ARTIFACT, "查询成功", EXAMPLES["verify"]),
        **refusals("BadRequest"),
        "404": refusal("镜像不存在，或从未校验过（204）", NeverVerified()),
    },
    parameter("ImageId"),
)
_DRAFT: Final = success(_RECORD, "起草成功", EXAMPLES["draft"])
# The message may continue with a list of what was left out.
_DRAFT["content"][JSON]["schema"]["properties"]["msg"] = {"type": "string", "pattern": "^起草成功"}

DRAFT: Final = operation(
    "draft",
    "镜像记录的草稿 · Draft a record",
    "读取仓库中镜像的配置，给出一份记录的草稿：端口、环境变量、工作目录、启动命令（Entrypoint）、启动参数（Cmd）、"
    "挂载目录。不登记任何镜像。记录的规则不接受的内容不采用，并在msg中列出。镜像不存在或无法读取则-422，msg以校验的状态开头。",
    {
        "200": _DRAFT,
        **refusals(*READ, "Forbidden"),
        "422": refusal(
            "镜像名有误（202），或镜像不存在、无法读取（-422）",
            Refused([Fault("image", Code.FIELD, "image不能为空")]),
            Refused([Fault("image", Code.IMPOSSIBLE, "missing：仓库中没有这个镜像（MANIFEST_UNKNOWN）")]),
        ),
    },
    body=body(
        given({"image": IMAGE | {"description": "镜像名:标签名"}}, "image"),
        {"image": "harbor.local/algo/posterize:1.0"},
    ),
)
