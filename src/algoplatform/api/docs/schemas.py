"""The schemas of the OpenAPI document, made of the models that check the input."""

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from algoplatform.api.docs import examples
from algoplatform.api.docs.shapes import IMAGE_ID, NULL, Schema, answered
from algoplatform.domain.faults import Code
from algoplatform.domain.record import fields
from algoplatform.domain.record.model import RECORD_FIELDS, Image
from algoplatform.domain.search import Conditions
from algoplatform.domain.uploads import Change, CountsAndChanges

_REF: Final = "#/components/schemas/{model}"


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid")


class UserResult(_Closed):
    """用户权限和所属分组"""

    authority: Annotated[int, Field(ge=0, le=fields.MAX_INTEGER)] | Annotated[str, Field(pattern="^[0-9]{1,9}$")] = (
        Field(description="用户权限", examples=[3])
    )
    namespace: fields.Text | None = Field(None, description="所属分组（命名空间）", examples=["algo"])


class Deletion(_Closed):
    """The body of _delete."""

    imageId: str = Field(description="镜像Id", pattern="^[0-9a-f]{32}$", examples=["d933a740349911eb9b11b28e75924e00"])
    userResult: UserResult = Field(description="用户权限和所属分组")


class Restoration(_Closed):
    """The body of _restore."""

    version: (
        Annotated[int, Field(ge=0, le=fields.MAX_INTEGER)] | Annotated[str, Field(pattern="^([0-9]{1,9})?$")] | None
    ) = Field(None, description="恢复到哪个版本；不填则恢复已删除的镜像", examples=[1])


class Failure(_Closed):
    """The API document's envelope of an error."""

    status: Literal[tuple(code.value for code in Code if code is not Code.SUCCESS)] = Field(  # type: ignore[valid-type]  # the table's codes
        description="状态码，见状态码表"
    )
    res: None = Field(description="总是null")
    msg: str = Field(description="状态描述")


class ProblemError(_Closed):
    """一处错误"""

    image: str | None = Field(None, description="上传文件中的镜像：imageName与imageTag相连")
    field: str = Field(description="字段名")
    position: int | None = Field(None, description="列表字段的第几项，从1开始；不指某一项时没有", ge=1)
    code: str = Field(description="状态码")
    message: str = Field(description="错误描述")


class Problem(_Closed):
    """RFC 9457, for clients that accept application/problem+json."""

    type: str = Field(description="错误类型：urn:algoplatform:status:状态码")
    title: str = Field(description="错误类型的名称")
    status: int = Field(description="HTTP状态码")
    detail: str = Field(description="错误描述，字段错误至多三处；errors未列全时说明还有多少处")
    code: str = Field(description="状态码，见状态码表")
    errors: list[ProblemError] = Field(description="每处字段错误")


def record_schema(inputs: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Describe a record in a response, with all 29 keys, by the descriptions of the input fields."""
    properties = {name: _property(name, inputs[name]) for name in RECORD_FIELDS}
    return answered(properties, "镜像的记录：29个字段，总是全部出现，空为null") | {"title": "Record"}


def _property(name: str, described: dict[str, Any]) -> dict[str, Any]:
    kinds = {kind.get("type") for kind in described.get("anyOf", [])}
    kind = {"type": "integer" if "integer" in kinds else "string"}
    always = "null" not in kinds or name in ("imageId", "deleteFlag")
    return {**(kind if always else {"anyOf": [kind, NULL]}), "description": described["description"]}


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
    new = {"anyOf": [NULL, {"const": ""}], "examples": [None], "description": "由服务端生成，注册时须为空"}
    known = IMAGE_ID | {"examples": [examples.IMAGE_ID], "description": "镜像编号"}
    return {
        "Image": image | {"properties": properties | {"imageId": properties["imageId"] | new}},
        "ImageUpdate": image
        | {
            "title": "ImageUpdate",
            "description": "对镜像的修改：没有出现的字段不变，null或空字符串表示清空",
            "properties": properties | {"imageId": known},
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
