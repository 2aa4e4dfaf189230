"""Faults of a record: one per broken rule, each with the name of its field."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Self


class Code(StrEnum):
    """The interface's status codes and what they mean, without HTTP (see docs/status-codes.md)."""

    meaning: str

    def __new__(cls, value: str, meaning: str = "") -> Self:
        code = str.__new__(cls, value)
        code._value_, code.meaning = value, meaning
        return code

    SUCCESS = "0", "成功"
    BAD_REQUEST = "-1", "请求或文件有误"
    FIELD = "202", "字段有误"
    IMAGE_EXISTS = "203", "镜像已注册"
    IMAGE_NOT_FOUND = "204", "镜像不存在"
    IMAGE_PORTS = "208", "端口列表有误"
    CONFIG = "209", "配置文件有误"
    SUB_PATH = "210", "子目录有误"
    ALGO_TYPE = "211", "算法类别有误"
    WORKING_DIR = "214", "容器工作目录有误"
    IMAGE_MOUNT = "215", "挂载目录有误"
    ENV = "217", "环境变量有误"
    IDENTITY_CHANGED = "219", "不能修改镜像名称或版本"
    IMAGE_IN_USE = "220", "镜像被依赖"
    IMAGE_NAME = "221", "镜像名称有误"
    IMAGE_TAG = "222", "镜像版本有误"
    HOST_PATH = "223", "主机目录有误"
    FORBIDDEN = "240", "权限不足"
    DEPENDENCY = "308", "算法依赖有误"
    FRAME_INTERVAL = "502", "抽帧频率为空"
    FRAME_NUMBER = "503", "抽帧数量为空"
    UNAUTHENTICATED = "-401", "未认证"
    NO_SUCH_PATH = "-404", "路径不存在"
    METHOD_NOT_ALLOWED = "-405", "请求方式不允许"
    STILL_RUNNING = "-409", "相同请求正在处理"
    PRECONDITION_FAILED = "-412", "镜像已被修改"
    BODY_TOO_LARGE = "-413", "请求体过大"
    MEDIA_TYPE = "-415", "请求体类型不支持"
    IMPOSSIBLE = "-422", "无法完成"
    PRECONDITION_REQUIRED = "-428", "缺少前提条件"
    TOO_MANY_REQUESTS = "-429", "请求过多"
    INTERNAL = "-500", "服务内部错误"
    UNAVAILABLE = "-503", "服务暂时不可用"


@dataclass(frozen=True, slots=True)
class Flaw:
    """A fault of a value before its field is known; `position` counts the items of a list from 1."""

    message: str
    position: int | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of one field, with a Chinese message.

    `position` counts the items of a list from 1; None if no single item is at fault.
    """

    field: str
    code: Code
    message: str
    position: int | None = None


@dataclass(frozen=True, slots=True)
class RecordFault:
    """A fault of one record of a file; `image` is name and tag concatenated, as the document shows it."""

    position: int
    image: str
    fault: Fault

    def __str__(self) -> str:
        return f"{self.image}:{self.fault.message}"
