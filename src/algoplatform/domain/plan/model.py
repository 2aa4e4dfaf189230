"""A request for a plan. CPU is in m (thousandths of a core), memory and GPU memory in MiB."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

MAX_IMAGES: Final = 1_000
MAX_NODES: Final = 2_000
MAX_CARDS: Final = 20_000
MAX_PODS: Final = 50_000
MAX_SIMULATIONS: Final = 20
DEFAULT_PODS: Final = 110

UnknownChannels = Literal["one", "refuse"]


@dataclass(frozen=True, slots=True)
class Cameras:
    """A group of cameras, and the images that analyse all of them, by id or reference, each once."""

    name: str
    images: tuple[str, ...]
    channels: int = 0
    pictures: int = 0


@dataclass(frozen=True, slots=True)
class CardRow:
    """`count` equal cards of a node; `shares` of each, None for the number that the GPU profile gives."""

    memory: int
    count: int = 1
    shares: int | None = None


@dataclass(frozen=True, slots=True)
class NodeRow:
    """`count` equal nodes."""

    name: str
    cpu: int
    memory: int
    count: int = 1
    pods: int = DEFAULT_PODS
    labels: Mapping[str, str] = field(default_factory=dict)
    cards: tuple[CardRow, ...] = ()

    @property
    def names(self) -> list[str]:
        """The names of its nodes: `name`, or `name-1` to `name-<count>` if there are several."""
        return [self.name] if self.count == 1 else [f"{self.name}-{number}" for number in range(1, self.count + 1)]

    @property
    def card_count(self) -> int:
        """The number of cards of one of its nodes."""
        return sum(row.count for row in self.cards)


@dataclass(frozen=True, slots=True)
class RunningRow:
    """Equal pods on a node, described by their image (id or reference) or by the amounts that each takes."""

    node: str
    card: int | None = None
    image: str | None = None
    cpu: int = 0
    memory: int = 0
    gpu_memory: int = 0
    replicas: int = 1


@dataclass(frozen=True, slots=True)
class Margin:
    """What stays free: a percentage of each card, and a number of nodes, those with the most GPU memory."""

    gpu_memory_percent: int = 10
    nodes: int = 0


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """A request; `kubectl` replaces `nodes` and `running`, `overrides` maps images to channels of a replica."""

    cameras: tuple[Cameras, ...]
    nodes: tuple[NodeRow, ...] = ()
    running: tuple[RunningRow, ...] = ()
    kubectl: Mapping[str, Any] | None = None
    profile: str | None = None
    reserve: Margin = field(default_factory=Margin)
    overrides: Mapping[str, int] = field(default_factory=dict)
    unknown_channels: UnknownChannels = "one"
    simulate: int = 0

    @property
    def images(self) -> list[str]:
        """The images that the cameras need, each once, by id or reference as the request names them."""
        return list(dict.fromkeys(image for group in self.cameras for image in group.images))
