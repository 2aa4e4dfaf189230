"""The operations of lint in the OpenAPI document."""

from typing import Final

from algoplatform.api.docs.components import CONDITIONS, optional, parameter, refusals
from algoplatform.api.docs.examples_cluster import EXAMPLES
from algoplatform.api.docs.operations.manifests import option_parameters
from algoplatform.api.docs.parts import FILE, READ, form, operation, success, with_raw
from algoplatform.api.docs.shapes import COUNT, TEXT, answered, integer, keyed, rows
from algoplatform.planning.lint.rules import RULES, SEVERITIES

# `page` and `pageSize` select findings here; `after` and `before`, the keys of a search, are unknown.
_OTHERS: Final = ("page", "pageSize", "after", "before")
_FINDING: Final = answered(
    {
        "rule": {"enum": list(RULES)},
        "severity": {"enum": list(SEVERITIES)},
        "image": TEXT,
        "images": rows(TEXT, minItems=1),
        "field": TEXT,
        "value": {"type": ["string", "integer", "null"]},
        "message": TEXT,
    }
)
_FINDINGS: Final = answered(
    {
        "findings": rows(_FINDING, "发现的问题"),
        "counts": keyed({"type": "integer", "minimum": 1}, "每条规则的数量，不受分页影响"),
        "total": COUNT | {"description": "总数，不受分页影响"},
    }
)
_ASKED: Final = (
    form("json", "sarif"),
    optional("severity", f"只要这些级别，逗号分隔：{'、'.join(SEVERITIES)}", TEXT),
    optional("rule", "只要这些规则，逗号分隔", TEXT),
    optional("page", "问题的页码，从1开始；不填page和pageSize则返回全部", integer()),
    optional("pageSize", "每页条数，1至1000；有page时默认50", integer(last=1000)),
    *option_parameters("profile", "cards"),
)
_FOUND: Final = with_raw(
    success(_FINDINGS, "检查完成", EXAMPLES["lint"]), {"application/sarif+json": None}, schema={"type": "object"}
)

LINT: Final = operation(
    "lint",
    "镜像检查 · Lint the registry",
    "检查已登记的镜像在集群中会有什么冲突或问题：端口、挂载、资源、依赖、环境变量等。条件与查询相同，限定给出哪些镜像的问题；"
    "涉及多个镜像的规则总是查看全部镜像。只检查，不修改。SARIF供流水线使用。",
    {"200": _FOUND, **refusals("BadRequest", "Refused", "TooManyRequests")},
    *_ASKED,
    *(parameter(name) for name in CONDITIONS if name not in _OTHERS),
)
LINT_FILE: Final = operation(
    "lintFile",
    "镜像文件检查 · Lint a file",
    "上传之前检查文件（与_upload的文件相同）：其中的镜像，以及它们依赖的已登记镜像。依赖的镜像不存在是一个问题，"
    "其他错误与上传时一样拒绝整个文件（-1）。不写入任何数据。",
    {"200": _FOUND, **refusals(*READ, "Forbidden")},
    *_ASKED,
    body=FILE,
)
