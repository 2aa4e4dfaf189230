"""An image's record: its 29 fields, declared once; all lists of fields derive from the model."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final, Self, get_args

import orjson
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from algoplatform.domain.faults import Code
from algoplatform.domain.grammar.dependencies import Dependencies
from algoplatform.domain.grammar.reference import ImageReference
from algoplatform.domain.record import fields

SELF_DEVELOPED: Final = "0"


@dataclass(frozen=True, slots=True)
class Traits:
    """The properties of a field besides its type.

    `code` is the status of its faults. `empty` is the status if it is empty although the algorithm is
    self-developed; None if it may be empty. `before` is the field that follows it in a record, if that differs
    from the order of the input table.
    """

    code: Code = Code.FIELD
    empty: Code | None = None
    before: str | None = None


class Image(BaseModel):
    """The fields that a client may send, in the order of the document's input table."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, validate_by_name=False)

    image_id: fields.Id | None = Field(None, description="镜像编号", examples=["c675e74e1bc211ea9f600242ac110002"])
    image_name: Annotated[fields.Name, Traits(code=Code.IMAGE_NAME)] = Field(
        description="镜像名称", examples=["algo/posterize"]
    )
    image_tag: Annotated[fields.Tag, Traits(code=Code.IMAGE_TAG)] = Field(description="镜像版本", examples=["1.0"])
    factory: Annotated[fields.RequiredText, Traits(before="algo_desc")] = Field(
        description="厂商名称", examples=["易华录"]
    )
    algo_name: Annotated[fields.RequiredText, Traits(before="algo_desc")] = Field(
        description="算法名称", examples=["抽帧"]
    )
    algo_type: Annotated[fields.AlgoType, Traits(code=Code.ALGO_TYPE, before="event_type")] = Field(
        description="算法类别：0自研，1生态，2其他", examples=["0"]
    )
    image_ports: Annotated[fields.Ports | None, Traits(code=Code.IMAGE_PORTS)] = Field(
        None,
        description="端口列表：名称:容器端口[:节点端口]，逗号分隔；imageports是它的别名",
        examples=["service1:5016:30016,service2:5017:30017,service:8888"],
    )
    image_mount: Annotated[fields.Paths | None, Traits(code=Code.IMAGE_MOUNT)] = Field(
        None, description="挂载目录：绝对路径，逗号分隔", examples=["/vse/logs,/vse/coredump,/data/videos"]
    )
    pvc_size: fields.Integer | None = Field(None, description="pvc申请容量", examples=[10])
    algo_desc: fields.MultilineText | None = Field(None, description="算法描述", examples=["抽帧超压"])
    tv_channel: fields.Integer | None = Field(None, description="视频路数", examples=[1])
    pics: fields.Integer | None = Field(None, description="图片数量", examples=[10])
    cpu_requests: fields.Integer | None = Field(None, description="cpu核数", examples=[1000])
    gpu_requests: fields.Integer | None = Field(None, description="gpu显存", examples=[1000])
    mem_requests: fields.Integer | None = Field(None, description="内存大小", examples=[1000])
    config: Annotated[fields.Paths | None, Traits(code=Code.CONFIG)] = Field(
        None, description="配置文件：绝对路径，逗号分隔", examples=["/etc/fdfs/client.conf"]
    )
    event_type: fields.Integer | None = Field(None, description="算法编号（事件类型）", examples=[0])
    sub_path: Annotated[fields.Pairs | None, Traits(code=Code.SUB_PATH)] = Field(
        None, description="子目录：源:目标，逗号分隔", examples=["/usr/lib64/libnvcuvid.so:/usr/lib/libnvcuvid.so.1"]
    )
    host_path: Annotated[fields.Pairs | None, Traits(code=Code.HOST_PATH)] = Field(
        None, description="主机目录：源:目标，逗号分隔", examples=["/home:/home"]
    )
    working_dir: Annotated[fields.Path | None, Traits(code=Code.WORKING_DIR)] = Field(
        None, description="容器工作目录：一个绝对路径", examples=["/home"]
    )
    command: fields.Words | None = Field(None, description="启动命令", examples=["/home/realtimetest/restart.sh"])
    args: fields.Words | None = Field(None, description="启动参数", examples=["/home/realtimetest/start.sh"])
    dependency_service_id: Annotated[fields.DependencyList | None, Traits(code=Code.DEPENDENCY)] = Field(
        None, description="算法依赖：镜像名:标签名，逗号分隔", examples=["algo/posterize:1.0"]
    )
    frame_interval: Annotated[fields.Integer | None, Traits(empty=Code.FRAME_INTERVAL)] = Field(
        None, description="抽帧频率；算法类别为0时必填", examples=[1800000]
    )
    frame_number: Annotated[fields.Integer | None, Traits(empty=Code.FRAME_NUMBER)] = Field(
        None, description="抽帧数量；算法类别为0时必填", examples=[1]
    )
    incident_id: fields.Text | None = Field(None, description="算法分类", examples=["0"])
    useable_flag: fields.UseableFlag | None = Field(None, description="对外展示：0或1", examples=["0"])
    env: Annotated[fields.Env | None, Traits(code=Code.ENV, before="command")] = Field(
        None, description="环境变量：键:值，逗号分隔，值中的逗号写作\\,", examples=["ent:3er"]
    )
    delete_flag: Annotated[fields.DeleteFlag | None, Traits(before="tv_channel")] = Field(
        None, description="删除标志：只能为0；删除请用_delete", examples=["0"]
    )
    # A private attribute of Pydantic takes 3 µs more per record.
    __slots__ = ("_sent",)
    if TYPE_CHECKING:
        _sent: dict[str, Any]

    @classmethod
    def read(cls, data: dict[str, Any], rules: object) -> Self:
        """Validate non-empty fields by their wire names; raises Pydantic's ValidationError."""
        image = cls.model_validate(data, context=rules)
        object.__setattr__(image, "_sent", data)
        return image

    @property
    def reference(self) -> ImageReference:
        return ImageReference(self.image_name, self.image_tag)

    @property
    def dependencies(self) -> tuple[ImageReference, ...]:
        """The images that this one depends on, except itself."""
        listed: Dependencies | None = self.dependency_service_id
        own = self.reference
        return tuple(item for item in listed.items if item != own) if listed else ()

    def values(self) -> dict[str, str | int]:
        """Return the non-empty fields by their wire names: strings as they were sent, integers as int."""
        values = dict(self._sent)
        for name in INTEGER_FIELDS:
            if type(values.get(name)) is str:
                values[name] = fields.check_integer(values[name])
        return values


def _record_order() -> list[str]:
    """Return the fields in the order of a record: each in its place in the input table, or as `before` says."""
    order = [name for name in Image.model_fields if not _TRAITS[name].before]
    for name, traits in _TRAITS.items():
        if traits.before:
            order.insert(order.index(traits.before), name)
    return order


_TRAITS: Final = {
    name: next((item for item in field.metadata if isinstance(item, Traits)), Traits())
    for name, field in Image.model_fields.items()
}
# Field names on the wire: INPUT_FIELDS in the order of the input table and of faults, RECORD_FIELDS in a record's.
INPUT_FIELDS: Final = tuple(map(to_camel, Image.model_fields))
REQUIRED_FIELDS: Final = tuple(to_camel(name) for name, field in Image.model_fields.items() if field.is_required())
RECORD_FIELDS: Final = tuple(map(to_camel, _record_order()))
_EMPTY: Final[dict[str, str | int | None]] = dict.fromkeys(RECORD_FIELDS)
INTEGER_FIELDS: Final = tuple(
    to_camel(name) for name, field in Image.model_fields.items() if fields.Integer in get_args(field.annotation)
)
CODES: Final = {to_camel(name): traits.code for name, traits in _TRAITS.items()}
FRAME_CODES: Final = {to_camel(name): traits.empty for name, traits in _TRAITS.items() if traits.empty}
# Every name that a record may contain, including the alias.
INPUTS: Final = frozenset([*INPUT_FIELDS, "imageports"])


def render(image: Image, image_id: str) -> str:
    """Render the record as compact JSON, with its 29 fields in the document's order."""
    return render_json(_EMPTY | image.values() | {"imageId": image_id, "deleteFlag": "0"})


def render_json(values: Mapping[str, str | int | None]) -> str:
    return orjson.dumps(values).decode()


def reference_of(record: Mapping[str, Any]) -> str:
    """Return name and tag of a record by the wire's names."""
    return f"{record['imageName']}:{record['imageTag']}"
