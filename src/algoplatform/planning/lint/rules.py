"""The rules as data: id, default severity, what is found, and what to do about it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

Severity: TypeAlias = Literal["error", "warning", "info"]
SEVERITIES: Final[tuple[Severity, ...]] = get_args(Severity)


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule; `summary` and `advice` are shown to users."""

    id: str
    severity: Severity
    summary: str
    advice: str


_RULES: Final = (
    # Ports. A clash of node ports within one closure is an error, within one namespace a warning, otherwise an info.
    Rule("node-port-clash", "error", "多个镜像使用同一节点端口", "为其中的镜像改用别的节点端口"),
    Rule(
        "node-port-dynamic", "info", "节点端口在Kubernetes自动分配的区段内", "改用保留区段（默认30000-30085）内的端口"
    ),
    Rule("node-ports-exhausted", "warning", "需要的节点端口多于集群所有", "扩大节点端口范围，或改用Ingress等方式暴露"),
    Rule("port-duplicate", "warning", "同一容器端口声明了多次", "每个容器端口只声明一次"),
    Rule("port-name-long", "info", "端口名称超过15个字符", "改用不超过15个字符的名称，否则容器端口没有名称"),
    Rule("port-name-digits", "info", "端口名称中没有字母", "改用含有字母的名称，否则容器端口没有名称"),
    # Mounts, and paths of the node.
    Rule("mount-collision", "error", "多项挂载的目标路径相同", "同一目标路径只保留一项挂载"),
    Rule("mount-nested", "info", "一项挂载位于另一项之内", "确认外层挂载不会遮住内层所需的文件"),
    Rule("mount-root", "error", "挂载覆盖系统目录", "挂载到应用自己的目录，不要挂载到系统目录本身"),
    Rule("hostpath-dangerous", "error", "挂载了节点的敏感路径", "不要把节点的系统目录或容器运行时套接字交给容器"),
    Rule("hostpath-conflict", "warning", "多个镜像使用同一主机目录", "为每个镜像使用各自的主机目录"),
    Rule(
        "hostpath-hides-command",
        "warning",
        "主机目录遮住镜像内的启动文件或工作目录",
        "改变挂载的目标路径，或确认节点上有这些文件",
    ),
    Rule(
        "hostpath-psa", "info", "主机目录只能用于privileged级别的命名空间", "为命名空间设置privileged级别，或改用存储卷"
    ),
    Rule("driver-lib-mount", "warning", "从节点挂载显卡驱动库", "由容器运行时注入驱动库，不要自行挂载"),
    Rule("arch-path", "info", "路径只适用于x86_64节点", "在其他架构的节点上须改用相应路径"),
    # Names, tags and dependencies.
    Rule("tag-latest", "warning", "标签为latest", "使用固定的版本标签"),
    Rule("no-registry", "warning", "镜像名称中没有仓库地址", "写明仓库地址，否则将从Docker Hub拉取"),
    Rule("dependency-gone", "error", "依赖的镜像未注册", "先注册所依赖的镜像，或去掉这项依赖"),
    Rule("dependency-cycle", "warning", "镜像循环依赖", "去掉其中一项依赖"),
    Rule("dependency-latest", "warning", "依赖的标签为latest", "依赖固定的版本标签"),
    Rule("dependency-depth", "info", "依赖过多或层次过深（超过50个镜像或8层）", "减少依赖，或合并其中的镜像"),
    # Amounts.
    Rule("no-requests", "warning", "没有填写CPU或内存", "填写cpuRequests（毫核）和memRequests（MiB）"),
    Rule("unit-suspect", "warning", "数值过小，单位可能有误", "CPU单位为毫核，内存和显存单位为MiB"),
    Rule("gpu-exceeds-card", "error", "显存超过最大的显卡", "减少显存，或增加更大的显卡"),
    Rule("gpu-rounding", "info", "显存取整后浪费超过25%", "把显存调整为分配单位的整数倍"),
    Rule("gpu-whole-card", "warning", "使用显卡但没有填写显存", "填写gpuRequests（MiB）"),
    Rule("channels-unknown", "warning", "没有填写视频路数", "填写tvChannel，否则无法计算副本数"),
    Rule("pvc-missing", "info", "挂载目录没有存储卷", "填写pvcSize，否则数据随容器删除"),
    Rule("pvc-rwo", "warning", "多个副本共用只能挂载到一个节点的存储卷", "使用ReadWriteMany，或每个副本各用一个存储卷"),
    # Commands and environment variables.
    Rule("shell-syntax", "warning", "命令中有Shell语法，但没有通过Shell执行", "改用sh -c '…'执行"),
    Rule("env-dollar", "info", "环境变量的值含有“$”", "值按原样传入容器，不会展开变量"),
    Rule("env-secret", "warning", "环境变量中有密码或密钥", "改用Kubernetes的Secret"),
    Rule("env-reserved", "warning", "环境变量会影响容器运行时或动态链接", "去掉这个环境变量，由平台设置"),
    Rule("env-split", "warning", "环境变量的值可能被逗号截断，或含有全角标点", "值中的逗号写作“\\,”，标点用半角"),
    # What registries say.
    Rule("artifact-missing", "error", "仓库中没有这个镜像", "推送镜像，或更正名称和标签，再校验一次"),
    Rule("artifact-platform", "error", "镜像没有节点所用的平台", "构建并推送这一平台的镜像"),
    Rule("artifact-moved", "warning", "仓库中的标签已指向另一个镜像", "确认新的镜像后更新记录，或使用不再改动的标签"),
    Rule("artifact-stale", "info", "超过30天没有校验", "再校验一次，或设置ALGOPLATFORM_VERIFY_INTERVAL定期校验"),
    Rule("artifact-ports", "info", "端口列表与镜像声明的端口不一致", "核对imagePorts与镜像的EXPOSE"),
    Rule("artifact-root", "info", "镜像以root用户运行", "在镜像中用USER指定普通用户"),
)
RULES: Final[Mapping[str, Rule]] = {rule.id: rule for rule in _RULES}
