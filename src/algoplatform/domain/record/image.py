"""An image's record: its 29 fields, and the one place where their rules are applied.

`check` reads what a client sent for register, update or upload and gives either a checked `Image` or every fault of it.
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
    """What a client may say of an image, in the order of the document's input table."""

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
        """The other images that this one depends on; itself does not count."""
        listed: Dependencies | None = self.dependency_service_id
        return tuple(item for item in listed.items if item != self.reference) if listed else ()

    @property
    def needs_frames(self) -> bool:
        """Tell whether frameInterval and frameNumber are required."""
        return self.algo_type == SELF_DEVELOPED

    def values(self) -> dict[str, str | int]:
        """Give the fields that are not empty by their names on the wire: strings as they were sent, numbers as numbers."""
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

# Every name that a record may bring.
INPUTS: Final = frozenset([*_ORDER, "imageports"])

_FRAMES: Final = ("frameInterval", "frameNumber")

# Control characters that Python, and not Unicode, takes for white space.
_SEPARATORS: Final = frozenset("\x1c\x1d\x1e\x1f")

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
    """What the operator decides of the rules."""

    node_ports: range = range(30000, 32768)


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check found: the image when nothing is wrong, else its faults in the document's field order.

    `present` names the fields the client sent: an update changes just these. `more` counts further faults,
    unknown fields all of them, and `cut` tells that a field has some that nobody counted.
    """

    image: Image | None
    faults: list[Fault]
    present: frozenset[str] = frozenset()
    more: int = 0
    cut: bool = False


def check(data: object, rules: Rules, *, partial: bool = False) -> Checked:
    """Apply every rule that needs no database to parsed JSON; `partial` leaves absent optional fields as they are stored."""
    if not isinstance(data, dict):
        return Checked(None, [Fault("", Code.BAD_REQUEST, "镜像信息须为JSON对象")])
    unknown: list[Fault] = []
    more, cut = 0, False
    if not INPUTS.issuperset(data):
        # Pydantic would make an error object of each unknown name, and read no field where one is no Unicode.
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
    """Check a new image: its id is the server's to give."""
    checked = check(data, rules)
    if isinstance(data, dict) and not is_blank(data.get("imageId")):
        own = Fault("imageId", Code.FIELD, "imageId由服务端生成，注册时须为空")
        others = [fault for fault in checked.faults if fault.field != "imageId"]
        return replace(checked, image=None, faults=[own, *others])
    return checked


def check_update(data: object, rules: Rules) -> Checked:
    """Check a change of an image, which its id names; the fields that are absent stay as they are."""
    checked = check(data, rules, partial=True)
    if isinstance(data, dict) and is_blank(data.get("imageId")):
        return replace(checked, image=None, faults=[Fault("imageId", Code.FIELD, "imageId不能为空"), *checked.faults])
    return checked


def render(image: Image, image_id: str) -> str:
    """Write the record as compact JSON, its 29 fields in the document's order."""
    values = image.values() | {"imageId": image_id, "deleteFlag": "0"}
    return render_json({name: values.get(name) for name in RECORD_FIELDS})


def render_json(values: Mapping[str, str | int | None]) -> str:
    """Write values as compact JSON."""
    return orjson.dumps(values).decode()


def missing_fault(position: int | None, dependency: ImageReference) -> Fault:
    """Word that a dependency, at this position of its field, is not registered."""
    message = f"{DEPENDENCY_ADVICE}（“{clip_reference(str(dependency))}”未注册）"
    return Fault("dependencyServiceId", Code.DEPENDENCY, message, position)


def missing_faults(image: Image, positions: Iterable[int]) -> list[Fault]:
    """Word the dependencies of an image, counted from 1 without the image itself, that are not registered."""
    listed: Dependencies | None = image.dependency_service_id
    others = listed.others(image.reference) if listed else []
    return [missing_fault(*others[position - 1]) for position in positions]


def exists_fault(image: str) -> Fault:
    """Word that a live image has this name and tag already."""
    return Fault("imageName", Code.IMAGE_EXISTS, f"镜像已注册：{clip_reference(image)}")


def label_of(position: int, name: object, tag: object) -> str:
    """Name a record of a file as its faults do: its name and tag run together, else its position."""
    parts = [clip(value) for value in (name, tag) if type(value) is str]
    return "".join(parts) or f"第{position}条记录"


def code_of(name: str) -> Code:
    """Tell the status of a fault in this field."""
    return _CODES.get(name, Code.FIELD)


def is_blank(value: object) -> bool:
    """Tell what counts as empty on the wire: null, and strings of nothing but white space."""
    return value is None or (type(value) is str and (not value or (value.isspace() and _SEPARATORS.isdisjoint(value))))


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
    """Sort faults as the document's input table lists their fields."""
    return sorted(faults, key=field_order)


def field_order(fault: Fault) -> int:
    """Tell where the fault's field stands in the document's input table; unknown ones stand last."""
    return _ORDER.get(fault.field, len(_ORDER))


def absent_frames(data: Mapping[str, Any]) -> list[str]:
    """Name the frame fields that a change to a self-developed algorithm leaves as they are stored: they must be there."""
    return [name for name in _FRAMES if data.get("algoType") == SELF_DEVELOPED and name not in data]


def unknown_faults(
    data: Mapping[str, Any], known: Collection[str], prefix: str = "", what: str = "不是已知字段"
) -> tuple[list[Fault], int]:
    """Word the names that are not known, unless nothing is behind them: the first, and how many more there are, or are at least."""
    names = (name for name, value in data.items() if name not in known and not is_blank(value))
    shown = [prefix + clip(name) for name in islice(names, MAX_RECORD_FAULTS)]
    return [Fault(name, Code.FIELD, name + what) for name in shown], sum(1 for _ in islice(names, MAX_COUNTED))


def _faults_of(name: str, error: Malformed) -> list[Fault]:
    lead, tail = (f"{DEPENDENCY_ADVICE}（", "）") if name == "dependencyServiceId" else (name, "")
    return [Fault(name, code_of(name), f"{lead}{flaw.message}{tail}", flaw.position) for flaw in error.flaws]


def identity_fault() -> Fault:
    """Word that an update names the image otherwise than it is registered."""
    return Fault("imageName", Code.IDENTITY_CHANGED, "更新不能修改imageName或imageTag")


def frame_fault(name: str) -> Fault:
    """Word an empty frameInterval or frameNumber of a self-developed algorithm."""
    code = Code.FRAME_INTERVAL if name == "frameInterval" else Code.FRAME_NUMBER
    return Fault(name, code, f"{name}不能为空")
