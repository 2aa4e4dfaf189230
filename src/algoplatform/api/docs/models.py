"""The schemas in the OpenAPI document, made of the models that check the input."""

from typing import Any, Final

from pydantic import TypeAdapter

from algoplatform.api.docs import examples
from algoplatform.api.docs.schemas import Deletion, Failure, Problem, Restoration, record_schema
from algoplatform.domain.record.model import Image
from algoplatform.domain.search import Conditions
from algoplatform.domain.uploads import Change, CountsAndChanges

Schema = dict[str, Any]
_REF: Final = "#/components/schemas/{model}"


def _models(described: dict[str, tuple[Any, str]]) -> dict[str, Schema]:
    found: dict[str, Schema] = {}
    for name, (model, description) in described.items():
        own = _plain(TypeAdapter(model).json_schema(ref_template=_REF))
        found |= own.pop("$defs", {}) | {name: own | {"description": description}}
    return {name: {"title": name, "additionalProperties": False, **own} for name, own in found.items()}


def _plain(value: Any) -> Any:
    # Pydantic titles every property with its name and adds null defaults: noise on the pages.
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if not _is_noise(key, item)}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _is_noise(key: str, item: Any) -> bool:
    return (key == "title" and isinstance(item, str)) or (key == "default" and item is None)


def _inputs(image: Schema) -> dict[str, Schema]:
    """Describe the input of register and update: the same fields, except for the id."""
    properties = image["properties"] | {
        "imageports": image["properties"]["imagePorts"] | {"description": "imagePorts的别名"}
    }
    identifier = properties["imageId"] | {"anyOf": [{"type": "null"}, {"const": ""}], "examples": [None]}
    given = {"type": "string", "pattern": "^[0-9a-f]{32}$", "examples": [examples.IMAGE_ID], "description": "镜像编号"}
    new = {**properties, "imageId": identifier | {"description": "由服务端生成，注册时须为空"}}
    known = {**properties, "imageId": given}
    return {
        "Image": image | {"properties": new},
        "ImageUpdate": image
        | {
            "title": "ImageUpdate",
            "description": "对镜像的修改：没有出现的字段不变，null或空字符串表示清空",
            "properties": known,
            "required": ["imageId", *image["required"]],
        },
    }


# Typed clients send every field of a shared class: an unknown field is ignored if it is empty.
_UNKNOWN: Final = {
    "additionalProperties": {
        "anyOf": [{"type": "null"}, {"type": "string", "pattern": "^\\s*$"}],
        "description": "其他字段只能为空",
    }
}
_SCHEMAS: Final = _models(
    {
        "Image": (Image, "要登记的镜像"),
        "Conditions": (Conditions, "查询和下载的条件：都是可选的，须同时满足"),
        "Deletion": (Deletion, "要删除的镜像，以及删除者的权限和所属分组"),
        "Restoration": (Restoration, "恢复的目标"),
        "Counts": (CountsAndChanges, "上传的结果"),
        "Change": (Change, "一个镜像的变化"),
        "Failure": (Failure, "失败的应答"),
        "Problem": (Problem, "失败的应答，RFC 9457形式"),
    }
)
_SCHEMAS["Counts"]["required"].remove("changes")
for _input in ("Image", "Conditions", "Deletion", "Restoration", "UserResult"):
    _SCHEMAS[_input] |= _UNKNOWN
SCHEMAS: Final = _SCHEMAS | _inputs(_SCHEMAS["Image"]) | {"Record": record_schema(_SCHEMAS["Image"]["properties"])}
