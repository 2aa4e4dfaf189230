"""The body of a plan: every fault at once, each with its path."""

import copy
from typing import Any

import pytest

from algoplatform.domain.errors import MAX_COUNTED, MAX_RECORD_FAULTS, Refused
from algoplatform.domain.plan.check import check_plan_request
from algoplatform.domain.plan.model import Cameras, CardRow, Margin, NodeRow, RunningRow
from algoplatform.domain.plan.rows import Faults

BODY: dict[str, Any] = {
    "profile": "hami",
    "cameras": [{"name": "厂区", "channels": 200, "images": ["algo/a:1.0"]}],
    "nodes": [{"name": "n", "count": 2, "cpu": 31000, "memory": 126976, "cards": [{"count": 4, "memory": 15109}]}],
    "running": [{"node": "n-1", "card": 3, "gpuMemory": 1000}],
}
LISTED: dict[str, Any] = {"items": []}
ABSENT = object()


def changed(path: str, value: Any) -> dict[str, Any]:
    """Return the body with another value at a path: `nodes.0.count`."""
    body = copy.deepcopy(BODY)
    *way, last = path.split(".")
    place: Any = body
    for name in way:
        place = place[int(name)] if isinstance(place, list) else place.setdefault(name, {})
    if value is ABSENT:
        del place[last]
    elif isinstance(place, list):
        place[int(last)] = value
    else:
        place[last] = value
    return body


def told(body: object) -> list[tuple[str, str, str]]:
    """Return code, field and message of each fault."""
    with pytest.raises(Refused) as refused:
        check_plan_request(body)
    return [(fault.code, fault.field, fault.message) for fault in refused.value.faults]


def test_what_a_request_says() -> None:
    """Absent and blank values get their defaults, strings of digits are integers, repeated images count once."""
    body = {
        "cameras": [
            {"name": "a", "channels": "8", "images": ["x:1", "y:1", "x:1"]},
            {"name": "b", "pictures": 3, "images": ["x:1"]},
        ],
        "nodes": [
            {
                "name": "n",
                "cpu": "31000",
                "memory": 0,
                "cards": [{"memory": 15109}, {"memory": 24576, "count": 2, "shares": 4}],
            },
            {"name": "m", "count": 2, "cpu": 1, "memory": 1, "pods": 50, "labels": {"gpu": "t4"}, "cards": None},
        ],
        "running": [{"node": "m-2", "cpu": 5}, {"node": "n", "card": 2, "image": "x:1", "replicas": 3}],
        "profile": " ",
        "overrides": {"x:1": {"channelsPerReplica": 20}},
    }
    found = check_plan_request(body)
    assert found.cameras == (Cameras("a", ("x:1", "y:1"), 8), Cameras("b", ("x:1",), pictures=3))
    assert found.images == ["x:1", "y:1"]
    assert found.nodes == (
        NodeRow("n", 31000, 0, cards=(CardRow(15109), CardRow(24576, 2, 4))),
        NodeRow("m", 1, 1, 2, 50, {"gpu": "t4"}),
    )
    assert [row.names for row in found.nodes] == [["n"], ["m-1", "m-2"]]
    assert found.running == (RunningRow("m-2", cpu=5), RunningRow("n", 2, "x:1", replicas=3))
    assert (found.profile, found.overrides, found.reserve) == (None, {"x:1": 20}, Margin(10, 0))
    assert (found.unknown_channels, found.simulate, found.kubectl) == ("one", 0, None)


def test_no_running_pods_beside_the_output_of_kubectl() -> None:
    """`running` and `kubectl` may only be given together if `running` is empty."""
    body = {"cameras": BODY["cameras"], "kubectl": {"nodes": LISTED}}
    assert check_plan_request(body | {"running": []}).running == ()
    assert told(body | {"running": BODY["running"]})[0] == ("202", "running", "running与kubectl不能同时给出")


INTEGER = "须为整数"


@pytest.mark.parametrize(
    ("path", "value", "field", "said"),
    [
        ("nodes.0.count", 10**9, "nodes[0].count", "须为1至2000的整数"),
        ("nodes.0.count", 0, "nodes[0].count", "须为1至2000的整数"),
        ("nodes.0.count", -1, "nodes[0].count", "须为1至2000的整数"),
        ("nodes.0.count", True, "nodes[0].count", INTEGER),
        ("nodes.0.count", 1.5, "nodes[0].count", INTEGER),
        ("nodes.0.count", 2.0, "nodes[0].count", INTEGER),
        ("nodes.0.count", float("nan"), "nodes[0].count", INTEGER),
        ("nodes.0.count", float("inf"), "nodes[0].count", INTEGER),
        ("nodes.0.count", "NaN", "nodes[0].count", INTEGER),
        ("nodes.0.count", [2], "nodes[0].count", INTEGER),
        ("nodes.0.count", "9" * 5000, "nodes[0].count", "须为0至2147483647的整数"),
        ("nodes.0.name", "", "nodes[0].name", "不能为空"),
        ("nodes.0.name", 5, "nodes[0].name", "须为字符串"),
        ("nodes.0.name", "a\x00", "nodes[0].name", "第2个字符是控制字符（U+0000）"),
        ("nodes.0.cpu", ABSENT, "nodes[0].cpu", "不能为空"),
        ("nodes.0.cpu", -5, "nodes[0].cpu", "须为0至2147483647的整数"),
        ("nodes.0.memory", "1Gi", "nodes[0].memory", INTEGER),
        ("nodes.0.pods", 0, "nodes[0].pods", "须为1至2147483647的整数"),
        ("nodes.0.colour", "red", "nodes[0].colour", "不是已知字段"),
        ("nodes.0.labels", {"a": 1}, "nodes[0].labels", "的值须为字符串"),
        ("nodes.0.labels", ["a"], "nodes[0].labels", "须为标签的对象，至多100个"),
        ("nodes.0.cards.0.memory", 0, "nodes[0].cards[0].memory", "须为1至2147483647的整数"),
        ("nodes.0.cards.0.memory", ABSENT, "nodes[0].cards[0].memory", "不能为空"),
        ("nodes.0.cards.0.count", -1, "nodes[0].cards[0].count", "须为1至20000的整数"),
        ("nodes.0.cards.0.shares", 0, "nodes[0].cards[0].shares", "须为1至1000的整数"),
        ("nodes.0.cards", {"memory": 1}, "nodes[0].cards", "须为JSON对象的列表"),
        ("nodes.0.cards", [{"memory": 1}] * 101, "nodes[0].cards", "至多100项，实际为101项"),
        ("nodes.0.cards.0", 15109, "nodes[0].cards[0]", "须为JSON对象"),
        ("nodes.0", "gpu-a", "nodes[0]", "须为JSON对象"),
        ("nodes", {}, "nodes", "须为JSON对象的列表"),
        ("nodes", [], "nodes", "不能为空，或给出kubectl"),
        ("cameras", ABSENT, "cameras", "不能为空"),
        ("cameras", [], "cameras", "不能为空"),
        ("cameras", "厂区", "cameras", "须为JSON对象的列表"),
        ("cameras.0.channels", 0, "cameras[0].channels", "须为1至2147483647的整数"),
        ("cameras.0.channels", ABSENT, "cameras[0]", "须有channels或pictures，至少为1"),
        ("cameras.0.pictures", -1, "cameras[0].pictures", "须为0至2147483647的整数"),
        ("cameras.0.images", [], "cameras[0].images", "须为镜像编号或镜像名:标签名的列表，不能为空"),
        ("cameras.0.images", ABSENT, "cameras[0].images", "不能为空"),
        ("cameras.0.images", ["a:1", 5], "cameras[0].images", "的第2项须为镜像编号或镜像名:标签名"),
        ("cameras.0.images", ["x" * 400], "cameras[0].images", "的第1项须为镜像编号或镜像名:标签名"),
        ("cameras.0.images", ["x"] * 10_001, "cameras[0].images", "过多：各组的镜像合计至多10000项"),
        ("cameras.0.images", [f"x:{n}" for n in range(1001)], "cameras", "中的镜像至多1000个"),
        ("reserve.gpuMemoryPercent", 100, "reserve.gpuMemoryPercent", "须为0至99的整数"),
        ("reserve.nodes", -1, "reserve.nodes", "须为0至2000的整数"),
        ("reserve.cpu", 1, "reserve.cpu", "不是已知字段"),
        ("reserve", 10, "reserve", "须为JSON对象"),
        ("overrides", [], "overrides", "须为JSON对象"),
        ("overrides", {str(n): {} for n in range(10_001)}, "overrides", "至多10000项"),
        ("overrides", {"x:1": 5}, "overrides.x:1", "须为JSON对象"),
        (
            "overrides",
            {"x:1": {"channelsPerReplica": 0}},
            "overrides.x:1.channelsPerReplica",
            "须为1至2147483647的整数",
        ),
        ("overrides", {"x:1": {"replicas": 2}}, "overrides.x:1.replicas", "不是已知字段"),
        ("unknownChannels", "two", "unknownChannels", "须为one、refuse之一，不能为“two”"),
        ("simulate", -1, "simulate", "须为0至20的整数"),
        ("simulate", 21, "simulate", "须为0至20的整数"),
        ("profile", 5, "profile", "须为字符串"),
        ("colour", 5, "colour", "不是已知字段"),
        ("running.0.node", "n", "running[0].node", "不在nodes中：“n”"),
        ("running.0.node", ABSENT, "running[0].node", "不能为空"),
        ("running.0.card", 4, "running[0].card", "须小于这个节点的卡数4"),
        ("running.0.card", ABSENT, "running[0].card", "不能为空：gpuMemory大于0"),
        ("running.0.gpuMemory", ABSENT, "running[0]", "须有image，或cpu、memory、gpuMemory"),
        ("running.0.gpuMemory", -1, "running[0].gpuMemory", "须为0至2147483647的整数"),
        ("running.0.image", "a:1", "running[0].image", "与gpuMemory不能同时给出"),
        ("running.0.replicas", 0, "running[0].replicas", "须为1至50000的整数"),
        ("kubectl", {"nodes": LISTED}, "nodes", "与kubectl不能同时给出"),
        ("kubectl", 5, "kubectl", "须为JSON对象"),
        ("kubectl", {"nodes": {"items": {}}}, "kubectl.nodes", "须为kubectl get nodes -o json的输出"),
        ("kubectl", {"nodes": LISTED, "pods": []}, "kubectl.pods", "须为kubectl get pods -o json的输出"),
        ("kubectl", {"nodes": LISTED, "svc": LISTED}, "kubectl.svc", "不是已知字段"),
    ],
)
def test_a_fault_has_its_path(path: str, value: Any, field: str, said: str) -> None:
    """Each fault is 202, and has its path."""
    assert ("202", field, field + said) in told(changed(path, value))


def test_all_faults_at_once() -> None:
    """All faults are reported together."""
    body = changed("nodes.0.count", 10**9) | {
        "cameras": [{"name": "a", "channels": 0, "images": []}, {"name": "a"}],
        "simulate": True,
    }
    assert [field for _, field, _ in told(body)] == [
        "cameras[0].channels",
        "cameras[0].images",
        "cameras[1].images",
        "cameras[1]",
        "cameras[1].name",
        "nodes[0].count",
        "simulate",
        "running[0].node",
    ]


def test_names_occur_once() -> None:
    """The names of groups and nodes are unique, including the names of nodes that `count` generates."""
    group, node = BODY["cameras"][0], BODY["nodes"][0]
    assert told(BODY | {"cameras": [group, group]}) == [
        ("202", "cameras[1].name", "cameras[1].name与cameras[0].name重复：“厂区”")
    ]
    twice = told(BODY | {"nodes": [node, {**node, "name": "n-2", "count": 1}]})
    assert twice == [("202", "nodes[1].name", "nodes[1].name与nodes[0].name重复：“n-2”")]


@pytest.mark.parametrize(
    ("nodes", "said"),
    [
        (
            [{"name": "a", "count": 1500, "cpu": 1, "memory": 1}, {"name": "b", "count": 501, "cpu": 1, "memory": 1}],
            "共有2001个节点，至多2000个",
        ),
        (
            [{"name": "a", "count": 2000, "cpu": 1, "memory": 1, "cards": [{"memory": 1, "count": 11}]}],
            "共有22000张GPU卡，至多20000张",
        ),
    ],
)
def test_bounds_of_the_whole(nodes: list[Any], said: str) -> None:
    """A few rows with large counts exceed the limits, too."""
    body = {"cameras": BODY["cameras"], "nodes": nodes}
    assert told(body) == [("202", "nodes", f"nodes{said}")]
    rows = [{"node": "n-1", "cpu": 1, "replicas": 30_000}] * 2
    assert told(BODY | {"running": rows}) == [("202", "running", "running的副本合计至多50000个")]


def test_faults_are_bounded() -> None:
    """Of 2,000 faulty rows the first faults are listed, and the others counted."""
    with pytest.raises(Refused) as refused:
        check_plan_request(BODY | {"nodes": [{"name": str(n), "cpu": -1, "memory": -1, "x": 1} for n in range(2000)]})
    assert len(refused.value.faults) == MAX_RECORD_FAULTS
    assert refused.value.total >= 6000


def test_rows_are_read_until_faults_are_too_many_to_count() -> None:
    """Rows are no longer read once their faults exceed the number that is counted."""
    faults = Faults()
    read: list[str] = []

    def refuse(_: object, place: str) -> None:
        read.append(place)
        for name in "abc":
            faults.tell(f"{place}.{name}", "不是已知字段")

    faults.rows([{}] * 5000, "running", 5000, refuse)
    assert len(read) == -(-(MAX_COUNTED + MAX_RECORD_FAULTS) // 3)


@pytest.mark.parametrize("body", [None, [], "x", 5])
def test_no_object(body: object) -> None:
    """A body that is not an object is -1, as in all operations."""
    assert told(body) == [("-1", "", "请求体须为JSON对象")]
