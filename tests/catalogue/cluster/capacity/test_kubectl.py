"""Parsing kubectl's output: cards from annotations or allocatable resources, ignored nodes, what pods use."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from algoplatform.catalogue.cluster.capacity.kubectl import pods as pods_module
from algoplatform.catalogue.cluster.capacity.kubectl.pods import requests
from algoplatform.catalogue.cluster.capacity.kubectl.values import MIB, MILLI, whole
from algoplatform.catalogue.cluster.capacity.nodes import Reading
from algoplatform.catalogue.cluster.capacity.problem import read_kubectl
from algoplatform.catalogue.cluster.capacity.sharing import Sharing
from algoplatform.domain.errors import Refused
from algoplatform.manifests.gpu.profiles import SHIPPED
from algoplatform.manifests.option_values import Toleration
from algoplatform.manifests.options import Options
from algoplatform.planning.capacity.model import Amounts, Card, Held, LeftOut
from tests.support.plans import T4, kubectl


def read(nodes: list[Any], pods: list[Any] | None = None, profile: str = "hami", **options: Any) -> Reading:
    """Parse nodes and pods."""
    given = {"nodes": {"items": nodes}, "pods": None if pods is None else {"items": pods}}
    return read_kubectl(given, Sharing(SHIPPED[profile], Options(**options)))


def node(
    name: str = "n",
    labels: dict[str, str] | None = None,
    note: str | None = None,
    allocatable: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Return a node of 8 CPUs and 16 GiB; `note` is HAMi's annotation."""
    notes = {"hami.io/node-nvidia-register": note} if note is not None else {}
    resources = {"cpu": "8", "memory": "16Gi", "pods": "110"} | (allocatable or {})
    metadata = {"name": name, "labels": labels or {}, "annotations": notes}
    return {"metadata": metadata, "spec": {}, "status": {"allocatable": resources}}


def pod(limits: dict[str, str], on: str = "n", notes: dict[str, str] | None = None) -> dict[str, Any]:
    """Return a running pod with one container."""
    spec = {"nodeName": on, "containers": [{"resources": {"limits": limits}}]}
    return {"metadata": {"annotations": notes or {}}, "spec": spec, "status": {"phase": "Running"}}


def test_a_cluster_with_hami() -> None:
    """Both formats of the annotation are read; unhealthy cards, ended pods and pods without a node do not count."""
    cluster = read_kubectl(kubectl(), Sharing(SHIPPED["hami"], Options())).cluster
    card = Card(T4, 10)
    assert {each.name: (each.cpu, each.memory, each.cards) for each in cluster.nodes} == {
        "gpu-a": (31000, 126976, (card, card)),
        "gpu-b": (31000, 126976, (card, card)),
        "gpu-c": (31000, 131923432 // 1024, (Card(32768, 10),)),
        "cpu-1": (16000, 65_000_000_000 // 1024**2, ()),
    }
    assert [each.kind for each in cluster.nodes] == ["gpu-a", "gpu-a", "gpu-c", "cpu-1"]
    assert set(cluster.held) == {
        Held("gpu-a", 0, Amounts(2000, 4096, 4000, 1)),
        Held("gpu-a", 1, Amounts(2000, 4096, 4000, 1)),
        # The first init container needs more memory than the later ones and the containers; overhead is added.
        Held("gpu-b", 1, Amounts(1250, 8192 + 120, 3000, 1)),
        # A pod with two cards counts its CPU and memory once.
        Held("gpu-b", 0, Amounts(4000, 8192, 2000, 1)),
        Held("gpu-b", 1, Amounts(0, 0, 2000, 1)),
        # A pod without annotation is assumed on the emptier card.
        Held("gpu-b", 0, Amounts(1000, 1024, 1000, 1)),
        # A pod that requests no gpumem uses the whole card.
        Held("gpu-c", 0, Amounts(1000, 1024, 32768, 1)),
        Held("cpu-1", None, Amounts(100, 0, 0, 0), 2),
    }
    assert cluster.left_out == (
        LeftOut("master-1", "node(s) had untolerated taint {node-role.kubernetes.io/control-plane: }"),
        LeftOut("gpu-d", "node(s) were unschedulable"),
        LeftOut("gpu-e", "node(s) had untolerated taint {node.kubernetes.io/not-ready: }"),
    )


def test_every_node_that_is_left_out_is_named() -> None:
    """The assumption names every ignored node, however many there are."""
    gone = [
        {"metadata": {"name": f"n-{at}"}, "status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}}
        for at in range(100)
    ]
    [told, _] = read_kubectl({"nodes": {"items": gone}}, Sharing(SHIPPED["hami"], Options())).assumptions
    assert all(f"n-{at}（node(s) had untolerated taint" in told for at in range(100))


def test_what_is_assumed() -> None:
    """Assumptions name ignored nodes, unhealthy cards, pods on unknown cards, and missing pods."""
    said = read_kubectl(kubectl(), Sharing(SHIPPED["hami"], Options())).assumptions
    assert said[:2] == [f"节点gpu-{node}有1张GPU卡不健康，未计入：卡1" for node in "ac"]
    assert said[2].startswith("未计入的节点：master-1（node(s) had untolerated taint")
    assert said[3:] == ["节点gpu-b上有容器组没有注明所用的GPU卡，按最空闲的卡计算"]
    assert read([node()]).assumptions == ["没有给出kubectl.pods，按节点上没有容器组计算"]


@pytest.mark.parametrize(
    ("quantity", "unit", "up", "expected"),
    [
        ("31", MILLI, False, 31000),
        ("31000m", MILLI, False, 31000),
        ("100u", MILLI, True, 1),
        ("100u", MILLI, False, 0),
        ("1e-1", MILLI, True, 100),
        ("0.5", MILLI, False, 500),
        (".5", MILLI, False, 500),
        (31, MILLI, False, 31000),
        ("128Gi", MIB, False, 131072),
        ("1k", MIB, True, 1),
        ("1M", MIB, False, 0),
        ("1E", MIB, False, 10**18 // 1024**2 if 10**18 // 1024**2 < 2**31 else 2**31 - 1),
        ("1e3", MIB, True, 1),
        ("2e9", MIB, False, 2 * 10**9 // 1024**2),
        ("131923432Ki", MIB, False, 128831),
        ("9" * 60, MIB, False, 2**31 - 1),
        ("1e999", MILLI, False, 2**31 - 1),
        ("1e-999", MILLI, True, 1),
        ("9" * 65, MIB, False, None),
        ("", MIB, False, None),
        ("-1", MIB, False, None),
        ("1KiB", MIB, False, None),
        (True, MIB, False, None),
        (None, MIB, False, None),
        (float("nan"), MIB, False, None),
        ({}, MIB, False, None),
    ],
)
def test_quantities(quantity: object, unit: Any, up: bool, expected: int | None) -> None:
    """Quantities are parsed as Kubernetes does; what is not a valid quantity gives None."""
    assert whole(quantity, unit, up=up) == expected


def cards(nodes: list[Any], profile: str = "hami", **options: Any) -> list[tuple[int, int]]:
    """Return memory and shares of each card of the first node."""
    return [(card.memory, card.shares) for card in read(nodes, profile=profile, **options).cluster.nodes[0].cards]


def test_cards_by_annotation() -> None:
    """The annotation has seven or nine fields per card, or is JSON by index that omits 0 and false."""
    seven = "GPU-1,10,15109,100,NVIDIA-Tesla T4,0,true:GPU-2,4,24576,100,A10,0,true:"
    nine = "GPU-1,10,15109,100,NVIDIA-Tesla T4,0,true,1,hami-core:GPU-2,4,24576,100,A10,0,false,0,mig:"
    both = [
        {"id": "b", "index": 1, "count": 4, "devmem": 24576, "health": True},
        {"id": "a", "count": 10, "devmem": T4, "health": True},
    ]
    assert cards([node(note=seven)]) == [(T4, 10), (24576, 4)]
    assert cards([node(note=nine)]) == [(T4, 10)]
    assert cards([node(note=json.dumps(both))]) == [(T4, 10), (24576, 4)]
    assert cards([node(note=json.dumps([{"id": "a", "count": 10, "devmem": T4}]))]) == []
    # After the plugin was removed, its annotation remains, but nothing is allocatable.
    assert cards([node(note=seven, allocatable={"nvidia.com/gpu": "0"})]) == []


@pytest.mark.parametrize(
    "note",
    [
        "[",
        "[5]",
        "[null]",
        '[{"index": "x"}]',
        '[{"index": 1e999}]',
        "[" * 5000,
        '[{"devmem": -5}]',
        "GPU-1,10,15109",
        "GPU-1,a,b,c,d,e,f",
        "a:b",
        "GPU-1,10,99999999999,1,t,0,true",
    ],
)
def test_annotations_that_cannot_be_read(note: str) -> None:
    """A node with an invalid annotation is kept without cards, and an assumption says so."""
    found = read([node("gpu-x", note=note)])
    assert found.cluster.nodes[0].cards == ()
    assert found.assumptions[0] == "节点gpu-x的GPU卡注解无法识别，它的卡未计入"


LABELS = {"nvidia.com/gpu.count": "2", "nvidia.com/gpu.memory": "15360"}


@pytest.mark.parametrize(
    ("profile", "labels", "allocatable", "expected"),
    [
        ("nvidia", LABELS, {"nvidia.com/gpu": "2"}, [(15360, 1)] * 2),
        # A card has failed since the labels were set.
        ("nvidia", LABELS, {"nvidia.com/gpu": "1"}, [(15360, 1)]),
        ("nvidia-timeslice", LABELS | {"nvidia.com/gpu.replicas": "4"}, {"nvidia.com/gpu": "8"}, [(15360, 4)] * 2),
        ("nvidia-timeslice", LABELS, {"nvidia.com/gpu": "8"}, [(15360, 4)] * 2),
        ("nvidia-mps", LABELS | {"nvidia.com/gpu.replicas": "4"}, {"nvidia.com/gpu": "4"}, [(3840, 1)] * 4),
        ("hami", LABELS, {"nvidia.com/gpu": "20"}, [(15360, 10)] * 2),
        ("aliyun", {}, {"aliyun.com/gpu-mem": "28", "aliyun.com/gpu-count": "2"}, [(14336, 110)] * 2),
        ("aliyun", LABELS, {"aliyun.com/gpu-mem": "28"}, [(14336, 110)] * 2),
        ("tencent", {}, {"tencent.com/vcuda-core": "200", "tencent.com/vcuda-memory": "118"}, [(15104, 100)] * 2),
        ("volcano", {}, {"volcano.sh/vgpu-number": "20", "volcano.sh/vgpu-memory": "30218"}, [(T4, 10)] * 2),
        (
            "mig",
            {"nvidia.com/mig-1g.5gb.memory": "4800"},
            {"nvidia.com/mig-1g.5gb": "3", "nvidia.com/mig-3g.20gb": "1"},
            [(4800, 1)] * 3 + [(19968, 1)],
        ),
        ("none", LABELS, {"nvidia.com/gpu": "2"}, []),
        ("hami", {}, {}, []),
    ],
)
def test_cards_by_what_is_allocatable(
    profile: str, labels: dict[str, str], allocatable: dict[str, str], expected: list[Any]
) -> None:
    """Cards follow from the resources of each profile's device plugin, and from labels of GPU feature discovery."""
    assert cards([node(labels=labels, allocatable=allocatable)], profile) == expected


def test_cards_of_unknown_memory() -> None:
    """Cards of unknown memory get the site's `cards`; without these they are ignored, with an assumption."""
    whole = node(allocatable={"nvidia.com/gpu": "2"})
    assert cards([whole], "nvidia", cards=(24576, T4)) == [(T4, 1)] * 2
    found = read([whole], profile="nvidia")
    assert found.cluster.nodes[0].cards == ()
    assert "节点n的GPU显存未知，它的卡未计入" in found.assumptions[0]


def held(pods: list[Any], nodes: list[Any], profile: str) -> list[tuple[int | None, int, int]]:
    """Return card, MiB and shares that pods use."""
    return sorted(
        (each.card, each.each.gpu_memory, each.each.shares * each.pods)
        for each in read(nodes, pods, profile).cluster.held
        if each.card is not None
    )


def test_cards_that_pods_hold() -> None:
    """A pod uses the card that its annotation names, or else the emptiest, by the resources of the profile."""
    two = {"nvidia.com/gpu.count": "2", "nvidia.com/gpu.memory": "15360"}
    whole = node(labels=two, allocatable={"nvidia.com/gpu": "2"})
    assert held([pod({"nvidia.com/gpu": "1"})] * 2, [whole], "nvidia") == [(0, 15360, 1), (1, 15360, 1)]
    aliyun = node(allocatable={"aliyun.com/gpu-mem": "28", "aliyun.com/gpu-count": "2"})
    noted = pod({"aliyun.com/gpu-mem": "5"}, notes={"ALIYUN_COM_GPU_MEM_IDX": "1"})
    assert held([noted, pod({"aliyun.com/gpu-mem": "3"})], [aliyun], "aliyun") == [(0, 3072, 1), (1, 5120, 1)]
    tencent = node(allocatable={"tencent.com/vcuda-core": "200", "tencent.com/vcuda-memory": "118"})
    asks = pod({"tencent.com/vcuda-core": "30", "tencent.com/vcuda-memory": "4"})
    assert held([asks], [tencent], "tencent") == [(0, 1024, 30)]
    mig = node(allocatable={"nvidia.com/mig-1g.5gb": "1", "nvidia.com/mig-3g.20gb": "1"})
    assert held([pod({"nvidia.com/mig-1g.5gb": "1"})], [mig], "mig") == [(0, 4864, 1)]
    sliced = node(labels=two, allocatable={"nvidia.com/gpu": "8"})
    assert held([pod({"nvidia.com/gpu": "1"})], [sliced], "nvidia-timeslice") == [(0, 0, 1)]


def test_requests_of_a_pod() -> None:
    """Containers add up; init containers run one at a time, beside earlier sidecars; overhead is added."""

    def container(cpu: str, **more: str) -> dict[str, Any]:
        return {"resources": {"requests": {"cpu": cpu}}, **more}

    spec = {
        "initContainers": [container("3"), container("1", restartPolicy="Always"), container("2500m")],
        "containers": [container("1"), {"resources": {"limits": {"cpu": "500m"}}}, {}],
        "overhead": {"cpu": "250m"},
    }
    assert requests({"spec": spec})["cpu"] == 3500 + 250
    assert requests({"spec": {}})["cpu"] == 0


def test_taints_and_selector() -> None:
    """NoSchedule and NoExecute exclude a node unless the site tolerates them; labels must match the node selector."""
    tainted = [node(name) for name in ("exact", "any", "other", "soft")]
    for each, key, effect in zip(
        tainted, ("gpu", "own", "gpu", "x"), ("NoSchedule", "NoExecute", "NoExecute", "PreferNoSchedule"), strict=True
    ):
        each["spec"]["taints"] = [{"key": key, "value": "yes", "effect": effect}]
    tolerations = (Toleration("gpu", "yes", "NoSchedule"), Toleration("own", None, None))
    cluster = read(tainted, tolerations=tolerations).cluster
    assert [each.name for each in cluster.nodes] == ["exact", "any", "soft"]
    assert cluster.left_out == (LeftOut("other", "node(s) had untolerated taint {gpu: yes}"),)
    chosen = read([node("a", {"gpu": "on"}), node("b")], node_selector=(("gpu", "on"),)).cluster
    assert chosen.left_out == (LeftOut("b", "node(s) didn't match Pod's node affinity/selector"),)


@pytest.mark.parametrize("effect", [[], {}, None, 1])
def test_an_effect_that_is_no_text(effect: object) -> None:
    """A taint whose effect is not a string excludes no pods."""
    tainted = node()
    tainted["spec"]["taints"] = [{"key": "gpu", "effect": effect}]
    assert [each.name for each in read([tainted]).cluster.nodes] == ["n"]


@pytest.mark.parametrize(
    ("nodes", "field"),
    [
        ([5], "kubectl.nodes.items[0]"),
        ([{}], "kubectl.nodes.items[0].metadata.name"),
        ([node("a\ud800")], "kubectl.nodes.items[0].metadata.name"),
        ([node("a\n")], "kubectl.nodes.items[0].metadata.name"),
        ([node("a"), node("a")], "kubectl.nodes.items[1].metadata.name"),
        ([node("a", allocatable={"cpu": "x"})], "kubectl.nodes.items[0].status.allocatable.cpu"),
        ([{"metadata": {"name": "a"}}], "kubectl.nodes.items[0].status.allocatable.memory"),
        ([node(str(n)) for n in range(2001)], "kubectl.nodes"),
        ([node("a", labels=LABELS, allocatable={"nvidia.com/gpu": str(10**9)})], "kubectl.nodes"),
    ],
)
def test_faults(nodes: list[Any], field: str) -> None:
    """Faults are 202, with the path within the output."""
    with pytest.raises(Refused) as refused:
        read(nodes)
    assert ("202", field) in {(fault.code, fault.field) for fault in refused.value.faults}


def test_too_many_pods() -> None:
    """The number of running pods is limited."""
    with pytest.raises(Refused, match="至多50000个运行中的容器组，实际为50001个"):
        read([node()], [pod({})] * 50_001)


LONG = ";" * 256 * 1024 + "u,NVIDIA,1000,0:"


def test_annotations_longer_than_kubernetes_allows() -> None:
    """Annotations above the limit of Kubernetes are not parsed: parsing 256 MiB would take gigabytes of memory."""
    assert read([node(note=" " * 256 * 1024 + "u,10,15109,100,true:")]).cluster.nodes[0].cards == ()
    whole_card = pod({"nvidia.com/gpu": "1"}, notes={"hami.io/vgpu-devices-allocated": LONG})
    held = read([node(note="u,10,15109,100,true:")], [whole_card]).cluster.held
    assert [each.each.gpu_memory for each in held] == [15109]


MANY = node(labels={"nvidia.com/gpu.memory": "15109"}, allocatable={"nvidia.com/gpu": "20000"})


def test_a_pod_with_many_cards() -> None:
    """Finding the cards of a pod takes linear time: comparing 20,000 cards with 20,000 would take minutes."""
    held = read([MANY], [pod({"nvidia.com/gpu": "20000"})], "nvidia").cluster.held
    assert [each.card for each in held] == list(range(20_000))


def test_too_many_cards_of_pods(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pod may request any number of cards, so the total over all pods is limited, too."""
    monkeypatch.setattr(pods_module, "_MOST_HELD", 100)
    with pytest.raises(Refused, match="至多占用GPU卡100次"):
        read([MANY], [pod({"nvidia.com/gpu": "100"}), pod({"nvidia.com/gpu": "1"})], "nvidia")


def test_pods_with_cards_on_a_node_without_any() -> None:
    """Pods with cards on a node without cards use none, however many they request."""
    held = read([node()], [pod({"nvidia.com/gpu": str(10**9)})] * 1_000, "nvidia").cluster.held
    assert held == (Held("n", None, Amounts(0, 0), 1_000),)


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["1", "NoSchedule", "Ready", "n"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "metadata",
                    "name",
                    "labels",
                    "annotations",
                    "spec",
                    "status",
                    "taints",
                    "key",
                    "effect",
                    "conditions",
                    "type",
                    "allocatable",
                    "cpu",
                    "memory",
                    "pods",
                    "nodeName",
                    "containers",
                    "initContainers",
                    "resources",
                    "requests",
                    "limits",
                    "overhead",
                    "nvidia.com/gpu",
                    "nvidia.com/gpumem",
                    "hami.io/node-nvidia-register",
                    "hami.io/vgpu-devices-allocated",
                    "phase",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(st.lists(ANYTHING, max_size=3), st.lists(ANYTHING, max_size=3), st.sampled_from(sorted(SHIPPED)))
def test_any_output(nodes: list[Any], pods: list[Any], profile: str) -> None:
    """Any output is either parsed or refused with 202."""
    try:
        read([node(), *nodes], pods, profile)
    except Refused as refused:
        assert {fault.code for fault in refused.faults} == {"202"}
