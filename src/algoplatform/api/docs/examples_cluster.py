"""Examples of the operations for clusters: the responses of the service for two images; a test compares them."""

from importlib.resources import files
from typing import Any, Final

import orjson

from algoplatform.domain.faults import Code, Fault

EXAMPLES: Final[dict[str, Any]] = orjson.loads(
    files("algoplatform.api.docs").joinpath("examples_cluster.json").read_bytes()
)
NAMING: Final = Fault("naming", Code.FIELD, "naming须为tag、image之一，不能为“both”")
CARD: Final = Fault(
    "gpuRequests", Code.IMPOSSIBLE, "algo/posterize:1.0：gpuRequests为16000MiB，超过最大的GPU卡（15109MiB）"
)
DIRECTION: Final = Fault("direction", Code.FIELD, "direction须为down、up、both之一，不能为“left”")
DEPTH: Final = Fault("depth", Code.IMPOSSIBLE, "图中有200个镜像，最多能画150个：请减小depth，或改用json、mermaid或dot")
NODE_COUNT: Final = Fault("nodes[0].count", Code.FIELD, "nodes[0].count须为1至2000的整数")
UNKNOWN_CHANNELS: Final = Fault("tvChannel", Code.IMPOSSIBLE, "algo/helmet:2.1.0没有tvChannel，不能计算副本数")
