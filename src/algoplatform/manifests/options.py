"""The options of rendering: the one place that names them for the API, the command line, settings and pages.

`OPTIONS` lists each with its names, allowed values and description. `parse_options` reads them from a query, a
JSON object or settings, and reports every fault at once.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Final

from pydantic.alias_generators import to_snake

from algoplatform.domain.errors import Malformed, Refused, clip
from algoplatform.domain.faults import Code, Fault
from algoplatform.domain.record.fields import MAX_INTEGER, choice
from algoplatform.domain.record.wording import unknown_faults
from algoplatform.manifests import option_values as values
from algoplatform.manifests.gpu.amounts import core_fault
from algoplatform.manifests.gpu.profiles import Profile

_MAX_TEXT: Final = 4096
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Options:
    """How to render; the defaults are those without settings."""

    profile: str = "hami"
    cards: tuple[int, ...] = ()
    cores: int | None = None
    naming: str = "tag"
    registry: str | None = None
    pin: bool = False
    args_style: str = "shell"
    default_cpu: int = 0
    default_memory: int = 0
    limits: str = "none"
    storage_class: str | None = None
    access_mode: str = "ReadWriteOnce"
    claims: str = "one"
    mount_store: values.MountStore = values.EMPTY_DIR
    config: str = "mount"
    host_path_writable: bool = False
    pull_secrets: tuple[str, ...] = ()
    service_account: str | None = None
    runtime_class: str | None = None
    scheduler_name: str | None = None
    node_selector: tuple[tuple[str, str], ...] = ()
    tolerations: tuple[values.Toleration, ...] = ()
    readiness: str = "none"
    localtime: str = "none"
    replicas: int | None = None
    channels: int | None = None
    closure: bool = False
    namespace: str | None = None


@dataclass(frozen=True, slots=True)
class Option:
    """One option: its name on the wire, and how its text is read.

    `allowed` lists the values of a choice; `form` shows the syntax of any other. `read` raises Malformed.
    """

    name: str
    description: str
    read: Callable[[str], Any]
    form: str = ""
    allowed: tuple[str, ...] = ()

    @property
    def attribute(self) -> str:
        """The field of `Options`: `default_cpu`."""
        return to_snake(self.name)

    @property
    def kebab(self) -> str:
        """The name on the command line, without its two dashes: `default-cpu`."""
        return self.attribute.replace("_", "-")

    @property
    def setting(self) -> str:
        """The environment variable that holds the default."""
        return "ALGOPLATFORM_GPU_CARDS" if self.name == "cards" else f"ALGOPLATFORM_RENDER_{self.attribute.upper()}"

    @property
    def default(self) -> Any:
        """The default without settings, as `Options` holds it."""
        return getattr(Options(), self.attribute)


def parse_options(
    given: Mapping[str, object], profiles: Mapping[str, Profile | None], base: Options | None = None
) -> Options:
    """Read options by their names on the wire; those that are absent or blank keep the values of `base`.

    `profiles` maps a name to None if nothing else is known of that profile. Raises Refused (202) with the faults
    of all options.
    """
    base = base or Options()
    read: dict[str, Any] = {}
    faults, more = unknown_faults(given, BY_NAME, what="不是已知的选项")
    for option in OPTIONS:
        try:
            text = _text(given.get(option.name))
            if text:
                read[option.attribute] = option.read(text)
        except Malformed as error:
            faults += [Fault(option.name, Code.FIELD, f"{option.name}{sentence}") for sentence in error.faults]
    faults += _across(read, profiles, base)
    if faults:
        raise Refused(faults, more=more)
    # `replicas` of a request also replaces `channels` of the settings, and the other way round.
    if "replicas" in read:
        read["channels"] = None
    elif "channels" in read:
        read["replicas"] = None
    return replace(base, **read)


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str | int):
        raise Malformed("须为字符串、整数或布尔值")
    text = str(value) if isinstance(value, str) or abs(value) <= MAX_INTEGER else "99999999999"
    if len(text) > _MAX_TEXT:
        raise Malformed(f"长度不能超过{_MAX_TEXT}个字符")
    if _CONTROL.search(text):
        raise Malformed("含有控制字符或不合法的字符")
    return text.strip()


def _across(read: Mapping[str, Any], profiles: Mapping[str, Profile | None], base: Options) -> Iterator[Fault]:
    if "profile" in read and read["profile"] not in profiles:
        message = f"没有“{clip(read['profile'])}”这个GPU方案，可用的有：{'、'.join(profiles)}"
        yield Fault("profile", Code.FIELD, message)
    profile = profiles.get(read.get("profile", base.profile))
    # The settings' `cores` are not checked here but where they are used: lint takes a profile, and needs no cores.
    if profile and (wrong := core_fault(profile, read.get("cores"))):
        yield Fault("cores", Code.FIELD, f"cores{wrong}")
    if "replicas" in read and "channels" in read:
        yield Fault("replicas", Code.FIELD, "replicas与channels不能同时给出")


def _chosen(name: str, description: str, *allowed: str) -> Option:
    return Option(name, description, choice(*allowed), "|".join(allowed), allowed)


def _flag(name: str, description: str) -> Option:
    return Option(name, description, values.read_boolean, "true|false", ("true", "false"))


OPTIONS: Final = (
    Option("profile", "GPU共享方案的名称", values.read_name, "名称"),
    Option("cards", "集群中各种GPU卡的显存，单位MiB，逗号分隔；以驱动报告的为准", values.read_cards, "15109,24576"),
    Option("cores", "每个副本的GPU算力：百分比，tencent还可为整百", values.integer(1), "整数"),
    _chosen("naming", "对象名称含镜像版本（tag），或只用镜像名（image）", "tag", "image"),
    Option("registry", "镜像名不带仓库地址时使用的仓库", values.read_registry, "harbor.local:5000"),
    _flag("pin", "用摘要代替标签引用镜像；须先校验过镜像"),
    _chosen("argsStyle", "args按shell规则拆分，或按逗号拆分（command不拆）", "shell", "comma"),
    Option("defaultCpu", "cpuRequests为空或0时的CPU请求，单位m；0为不写", values.integer(0), "整数"),
    Option("defaultMemory", "memRequests为空或0时的内存请求，单位Mi；0为不写", values.integer(0), "整数"),
    _chosen("limits", "是否把内存请求同时写作上限", "none", "memory"),
    Option("storageClass", "存储卷申请的存储类", values.read_object, "名称"),
    _chosen("accessMode", "存储卷的访问模式", "ReadWriteOnce", "ReadWriteMany", "ReadWriteOncePod"),
    _chosen("claims", "所有挂载目录共用一个存储卷，或每个目录一个", "one", "per-mount"),
    Option(
        "mountStore",
        "pvcSize为空时挂载目录的存放处",
        values.read_mount_store,
        "emptyDir|hostPath:/路径|nfs:服务器:/路径",
    ),
    _chosen("config", "挂载config列出的配置文件，或不挂载", "mount", "omit"),
    _flag("hostPathWritable", "hostPath以可写方式挂载"),
    Option("pullSecrets", "拉取镜像用的Secret，逗号分隔", values.read_objects, "名称,…"),
    Option("serviceAccount", "容器组的服务账号", values.read_object, "名称"),
    Option("runtimeClass", "容器组的运行时类；优先于GPU方案的", values.read_object, "名称"),
    Option("schedulerName", "容器组的调度器；优先于GPU方案的", values.read_object, "名称"),
    Option("nodeSelector", "节点标签，逗号分隔", values.read_selector, "键=值,…"),
    Option("tolerations", "容忍的污点，逗号分隔", values.read_tolerations, "键=值:效果,…"),
    _chosen("readiness", "是否用第一个端口做TCP就绪检查", "none", "tcp"),
    _chosen("localtime", "是否挂载节点的/etc/localtime", "none", "host"),
    Option("replicas", "副本数；不能与channels同时给出", values.integer(0), "整数"),
    Option("channels", "要分析的视频路数，副本数为路数除以tvChannel向上取整", values.integer(1), "整数"),
    _flag("closure", "同时生成它依赖的所有镜像，依赖在前"),
    Option("namespace", "所有对象的命名空间；默认为镜像自己的", values.read_name, "名称"),
)
BY_NAME: Final = {option.name: option for option in OPTIONS}
assert [option.attribute for option in OPTIONS] == [field.name for field in fields(Options)]
