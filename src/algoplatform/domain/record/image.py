"""An image's record: its 29 fields, and the only place that applies their rules.

`check` validates the data of a register, update or upload, and returns either an `Image` or all faults.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final, Self

import orjson
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_camel

from algoplatform.domain.errors import MAX_COUNTED, MAX_RECORD_FAULTS, Malformed, clip, clip_reference
from algoplatform.domain.faults import Code, Fault
from algoplatform.domain.grammar.dependencies import Dependencies
from algoplatform.domain.grammar.reference import ImageReference
from algoplatform.domain.record import fields

DEPENDENCY_ADVICE: Final = "请检查依赖算法是否正确：镜像名:标签名,镜像名:标签名"
SELF_DEVELOPED: Final = "0"


class Image(BaseModel):
    """The fields that a client may send, in the order of the document's input table."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, validate_by_name=False)

    image_id: fields.Id | None = Field(None, description="镜像编号", examples=["c675e74e1bc211ea9f600242ac110002"])
    image_name: fields.Name = Field(description="镜像名称", examples=["algo/posterize"])
    image_tag: fields.Tag = Field(description="镜像版本", examples=["1.0"])
    factory: fields.RequiredText = Field(description="厂商名称", examples=["易华录"])
    algo_name: fields.RequiredText = Field(description="算法名称", examples=["抽帧"])
    algo_type: fields.AlgoType = Field(description="算法类别：0自研，1生态，2其他", examples=["0"])
    image_ports: fields.Ports | None = Field(
        None,
        description="端口列表：名称:容器端口[:节点端口]，逗号分隔；imageports是它的别名",
        examples=["service1:5016:30016,service2:5017:30017,service:8888"],
    )
    image_mount: fields.Paths | None = Field(
        None, description="挂载目录：绝对路径，逗号分隔", examples=["/vse/logs,/vse/coredump,/data/videos"]
    )
    pvc_size: fields.Integer | None = Field(None, description="pvc申请容量", examples=[10])
    algo_desc: fields.MultilineText | None = Field(None, description="算法描述", examples=["抽帧超压"])
    tv_channel: fields.Integer | None = Field(None, description="视频路数", examples=[1])
    pics: fields.Integer | None = Field(None, description="图片数量", examples=[10])
    cpu_requests: fields.Integer | None = Field(None, description="cpu核数", examples=[1000])
    gpu_requests: fields.Integer | None = Field(None, description="gpu显存", examples=[1000])
    mem_requests: fields.Integer | None = Field(None, description="内存大小", examples=[1000])
    config: fields.Paths | None = Field(
        None, description="配置文件：绝对路径，逗号分隔", examples=["/etc/fdfs/client.conf"]
    )
    event_type: fields.Integer | None = Field(None, description="算法编号（事件类型）", examples=[0])
    sub_path: fields.Pairs | None = Field(
        None, description="子目录：源:目标，逗号分隔", examples=["/usr/lib64/libnvcuvid.so:/usr/lib/libnvcuvid.so.1"]
    )
    host_path: fields.Pairs | None = Field(None, description="主机目录：源:目标，逗号分隔", examples=["/home:/home"])
    working_dir: fields.Path | None = Field(None, description="容器工作目录：一个绝对路径", examples=["/home"])
    command: fields.Words | None = Field(None, description="启动命令", examples=["/home/realtimetest/restart.sh"])
    args: fields.Words | None = Field(None, description="启动参数", examples=["/home/realtimetest/start.sh"])
    dependency_service_id: fields.DependencyList | None = Field(
        None, description="算法依赖：镜像名:标签名，逗号分隔", examples=["algo/posterize:1.0"]
    )
    frame_interval: fields.Integer | None = Field(None, description="抽帧频率；算法类别为0时必填", examples=[1800000])
    frame_number: fields.Integer | None = Field(None, description="抽帧数量；算法类别为0时必填", examples=[1])
    incident_id: fields.Text | None = Field(None, description="算法分类", examples=["0"])
    useable_flag: fields.UseableFlag | None = Field(None, description="对外展示：0或1", examples=["0"])
    env: fields.Env | None = Field(
        None, description="环境变量：键:值，逗号分隔，值中的逗号写作\\,", examples=["ent:3er"]
    )
    delete_flag: fields.DeleteFlag | None = Field(
        None, description="删除标志：只能为0；删除请用_delete", examples=["0"]
    )
    _sent: dict[str, Any] = PrivateAttr()

    @model_validator(mode="wrap")
    @classmethod
    def _keep_what_was_sent(cls, data: dict[str, Any], read: ModelWrapValidatorHandler[Self]) -> Self:
        image = read(data)
        image._sent = data
        return image

    @property
    def reference(self) -> ImageReference:
        """The image's name and tag."""
        return ImageReference(self.image_name, self.image_tag)

    @property
    def dependencies(self) -> tuple[ImageReference, ...]:
        """The images that this one depends on, except itself."""
        listed: Dependencies | None = self.dependency_service_id
        return tuple(item for item in listed.items if item != self.reference) if listed else ()

    @property
    def needs_frames(self) -> bool:
        """Whether frameInterval and frameNumber are required."""
        return self.algo_type == SELF_DEVELOPED

    def values(self) -> dict[str, str | int]:
        """Return the non-empty fields by their wire names: strings as they were sent, integers as int."""
        values = dict(self._sent)
        for name in INTEGER_FIELDS:
            if type(values.get(name)) is str:
                values[name] = fields.check_integer(values[name])
        return values


_ORDER: Final = {to_camel(attribute): position for position, attribute in enumerate(Image.model_fields)}
INTEGER_FIELDS: Final = (
    *("pvcSize", "tvChannel", "pics", "cpuRequests", "gpuRequests", "memRequests", "eventType"),
    *("frameInterval", "frameNumber"),
)

RECORD_FIELDS: Final[tuple[str, ...]] = (
    *("imageId", "imageName", "imageTag", "imagePorts", "imageMount", "pvcSize", "factory", "algoName", "algoDesc"),
    *("deleteFlag", "tvChannel", "pics", "cpuRequests", "gpuRequests", "memRequests", "config", "algoType"),
    *("eventType", "subPath", "hostPath", "workingDir", "env", "command", "args", "dependencyServiceId"),
    *("frameInterval", "frameNumber", "incidentId", "useableFlag"),
)

# Every name that a record may contain, including the alias.
INPUTS: Final = frozenset([*_ORDER, "imageports"])

_FRAMES: Final = ("frameInterval", "frameNumber")

# Control characters that str.isspace() counts as white space, unlike Unicode.
_SEPARATORS: Final = "\x1c\x1d\x1e\x1f"

_CODES: Final = {
    "imageName": Code.IMAGE_NAME,
    "imageTag": Code.IMAGE_TAG,
    "algoType": Code.ALGO_TYPE,
    "imagePorts": Code.IMAGE_PORTS,
    "imageMount": Code.IMAGE_MOUNT,
    "config": Code.CONFIG,
    "subPath": Code.SUB_PATH,
    "hostPath": Code.HOST_PATH,
    "workingDir": Code.WORKING_DIR,
    "env": Code.ENV,
    "dependencyServiceId": Code.DEPENDENCY,
}


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules that an operator configures."""

    node_ports: range = range(30000, 32768)


@dataclass(frozen=True, slots=True)
class Checked:
    """The result of a check: the image if it is valid, else its faults in the document's field order.

    `present` names the fields that the client sent: an update changes only these. `more` counts unlisted
    faults, all of them unknown fields; `cut` is set if a field has faults that were not counted.
    """

    image: Image | None
    faults: list[Fault]
    present: frozenset[str] = frozenset()
    more: int = 0
    cut: bool = False


def check(data: object, rules: Rules, *, partial: bool = False) -> Checked:
    """Apply all rules that need no database; with `partial`, absent optional fields keep stored values."""
    if not isinstance(data, dict):
        return Checked(None, [Fault("", Code.BAD_REQUEST, "镜像信息须为JSON对象")])
    unknown: list[Fault] = []
    more, cut = 0, False
    if not INPUTS.issuperset(data):
        # Pydantic would build an error object for each unknown name, and validates nothing if a name
        # contains a lone surrogate.
        unknown, more = unknown_faults(data, INPUTS)
        data = {name: data[name] for name in INPUTS if name in data}
    clean, faults = _normalise(data)
    faults += unknown
    present = frozenset(data) if "imageports" not in data else frozenset(data) | {"imagePorts"}
    image: Image | None = None
    try:
        image = Image.model_validate(clean, context=rules)
    except ValidationError as error:
        for found in error.errors(include_url=False, include_input=False):
            name = str(found["loc"][0])
            if found["type"] == "missing":
                faults.append(Fault(name, code_of(name), f"{name}不能为空"))
            else:
                faults += _faults_of(name, found["ctx"]["error"])
                cut |= found["ctx"]["error"].cut
    empty = [name for name in _FRAMES if name not in clean and (name in present or not partial)]
    if clean.get("algoType") == SELF_DEVELOPED:
        faults += map(frame_fault, empty)
    return Checked(None if faults else image, in_field_order(faults), present, more, cut)


def check_registration(data: object, rules: Rules) -> Checked:
    """Check a new image, which must have no id yet: the server assigns it."""
    checked = check(data, rules)
    if isinstance(data, dict) and not is_blank(data.get("imageId")):
        own = Fault("imageId", Code.FIELD, "imageId由服务端生成，注册时须为空")
        others = [fault for fault in checked.faults if fault.field != "imageId"]
        return replace(checked, image=None, faults=[own, *others])
    return checked


def check_update(data: object, rules: Rules) -> Checked:
    """Check an update, which must have an id; absent fields keep their stored values."""
    checked = check(data, rules, partial=True)
    if isinstance(data, dict) and is_blank(data.get("imageId")):
        return replace(checked, image=None, faults=[Fault("imageId", Code.FIELD, "imageId不能为空"), *checked.faults])
    return checked


def render(image: Image, image_id: str) -> str:
    """Render the record as compact JSON, with its 29 fields in the document's order."""
    values = image.values() | {"imageId": image_id, "deleteFlag": "0"}
    return render_json({name: values.get(name) for name in RECORD_FIELDS})


def render_json(values: Mapping[str, str | int | None]) -> str:
    """Render values as compact JSON."""
    return orjson.dumps(values).decode()


def missing_fault(position: int | None, dependency: ImageReference) -> Fault:
    """Build the fault of a dependency that is not registered; `position` is that within its field, from 1."""
    message = f"{DEPENDENCY_ADVICE}（“{clip_reference(str(dependency))}”未注册）"
    return Fault("dependencyServiceId", Code.DEPENDENCY, message, position)


def missing_faults(image: Image, positions: Iterable[int]) -> list[Fault]:
    """Build the faults of unregistered dependencies; `positions` count from 1, without the image itself."""
    listed: Dependencies | None = image.dependency_service_id
    others = listed.others(image.reference) if listed else []
    return [missing_fault(*others[position - 1]) for position in positions]


def exists_fault(image: str) -> Fault:
    """Build the fault of a name and tag that a live image already has."""
    return Fault("imageName", Code.IMAGE_EXISTS, f"镜像已注册：{clip_reference(image)}")


def label_of(position: int, name: object, tag: object) -> str:
    """Return the label of a record in upload faults: name and tag concatenated, or else its position."""
    parts = [clip(value) for value in (name, tag) if type(value) is str]
    return "".join(parts) or f"第{position}条记录"


def code_of(name: str) -> Code:
    """Return the status code of faults in this field."""
    return _CODES.get(name, Code.FIELD)


def is_blank(value: object) -> bool:
    """Return whether a value counts as empty on the wire: null, or a string of white space only."""
    return value is None or (
        type(value) is str and (not value or (value.isspace() and not any(map(value.__contains__, _SEPARATORS))))
    )


def _normalise(data: dict[str, Any]) -> tuple[dict[str, Any], list[Fault]]:
    clean, faults = {}, []
    for name, value in data.items():
        if value is None or (type(value) is str and (not value or value.isspace()) and is_blank(value)):
            continue
        clean[name] = value
    alias = clean.pop("imageports", None)
    if not is_blank(alias) and not _is_same(clean.setdefault("imagePorts", alias), alias):
        faults.append(Fault("imagePorts", Code.IMAGE_PORTS, "imagePorts与imageports不一致"))
    return clean, faults


def _is_same(value: object, alias: object) -> bool:
    """Compare texts; other values may be nested more deeply than Python compares, and are refused anyway."""
    return value is alias or (type(value) is str and value == alias)


def in_field_order(faults: list[Fault]) -> list[Fault]:
    """Sort faults in the field order of the document's input table."""
    return sorted(faults, key=field_order)


def field_order(fault: Fault) -> int:
    """Return the index of the fault's field in the document's input table; unknown fields sort last."""
    return _ORDER.get(fault.field, len(_ORDER))


def absent_frames(data: Mapping[str, Any]) -> list[str]:
    """Return the frame fields that an update to algoType 0 omits, so that they must be stored already."""
    return [name for name in _FRAMES if data.get("algoType") == SELF_DEVELOPED and name not in data]


def unknown_faults(
    data: Mapping[str, Any], known: Collection[str], prefix: str = "", what: str = "不是已知字段"
) -> tuple[list[Fault], int]:
    """Return the faults of the first MAX_RECORD_FAULTS unknown names, and how many more there are.

    Ignores names with blank values, and counts at most MAX_COUNTED more.
    """
    names = (name for name, value in data.items() if name not in known and not is_blank(value))
    shown = [prefix + clip(name) for name in islice(names, MAX_RECORD_FAULTS)]
    return [Fault(name, Code.FIELD, name + what) for name in shown], sum(1 for _ in islice(names, MAX_COUNTED))


def _faults_of(name: str, error: Malformed) -> list[Fault]:
    lead, tail = (f"{DEPENDENCY_ADVICE}（", "）") if name == "dependencyServiceId" else (name, "")
    return [Fault(name, code_of(name), f"{lead}{flaw.message}{tail}", flaw.position) for flaw in error.flaws]


def identity_fault() -> Fault:
    """Build the fault of an update whose name or tag differs from the stored one."""
    return Fault("imageName", Code.IDENTITY_CHANGED, "更新不能修改imageName或imageTag")


def frame_fault(name: str) -> Fault:
    """Build the fault of an empty frameInterval or frameNumber of a self-developed algorithm."""
    code = Code.FRAME_INTERVAL if name == "frameInterval" else Code.FRAME_NUMBER
    return Fault(name, code, f"{name}不能为空")
