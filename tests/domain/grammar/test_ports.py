"""Ports have names, lie in their ranges, and are unique."""

import pytest

from algoplatform.domain.grammar.ports import ImagePort, ImagePorts
from tests.support.faults import faults_of

CONTAINER = "的容器端口须为1至65535的整数"
NODE = "的节点端口须为30000至32767的整数"
NAME = "的名称只能用小写字母、数字和“-”，且不能以“-”开头或结尾"


def test_the_document_s_example() -> None:
    text = "service1:5016:30016,service2:5017:30017,service:8888"
    ports = ImagePorts.parse(text)
    assert ports.items == (
        ImagePort("service1", 5016, 30016),
        ImagePort("service2", 5017, 30017),
        ImagePort("service", 8888),
    )
    assert str(ports) == text


@pytest.mark.parametrize("text", ["a:1", "0:65535:30000", "a-b--c:80:32767", "x" * 63 + ":80", "a:80,b:80"])
def test_the_edges_of_what_is_allowed(text: str) -> None:
    assert str(ImagePorts.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("a:80,web:99999", [f"第2项“web:99999”{CONTAINER}"]),
        ("web:0", [f"第1项“web:0”{CONTAINER}"]),
        ("web:080", [f"第1项“web:080”{CONTAINER}，不能有前导0或符号"]),
        ("web:+80", [f"第1项“web:+80”{CONTAINER}，不能有前导0或符号"]),
        ("web:８０", [f"第1项“web:８０”{CONTAINER}"]),
        ("web:", [f"第1项“web:”{CONTAINER}"]),
        ("web: 80", [f"第1项“web: 80”{CONTAINER}"]),
        ("web:80:", [f"第1项“web:80:”{NODE}"]),
        ("web:80:29999", [f"第1项“web:80:29999”{NODE}"]),
        ("web:80:32768", [f"第1项“web:80:32768”{NODE}"]),
        ("web", ["第1项“web”须写作“名称:容器端口”或“名称:容器端口:节点端口”"]),
        ("web:1:30000:1", ["第1项“web:1:30000:1”须写作“名称:容器端口”或“名称:容器端口:节点端口”"]),
        (":80", ["第1项“:80”的名称为空"]),
        ("Web:80", [f"第1项“Web:80”{NAME}"]),
        ("-web:80", [f"第1项“-web:80”{NAME}"]),
        ("x" * 64 + ":80", [f"第1项“{'x' * 63}…”的名称长度不能超过63个字符，实际为64个"]),
        ("a:80,,b:81,", ["第2项为空", "第4项为空"]),
        ("a:80, b:81", ["第2项“ b:81”首尾不能有空白字符"]),
        ("a:80,b:80,a:81", ["第3项“a:81”的名称与第1项重复"]),
        ("a:80:30001,b:80,c:81:30001", ["第3项“c:81:30001”的节点端口与第1项重复"]),
        (
            "Web:99999:1,,a:80,a:80",
            [
                f"第1项“Web:99999:1”{NAME}",
                f"第1项“Web:99999:1”{CONTAINER}",
                f"第1项“Web:99999:1”{NODE}",
                "第2项为空",
                "第4项“a:80”的名称与第3项重复",
            ],
        ),
    ],
)
def test_what_is_wrong(text: str, faults: list[str]) -> None:
    assert faults_of(ImagePorts.parse, text) == faults


def test_the_cluster_decides_which_node_ports_there_are() -> None:
    ports = range(20000, 20002)
    assert ImagePorts.parse("a:80:20001", ports).items[0].node_port == 20001
    assert faults_of(lambda text: ImagePorts.parse(text, ports), "a:80:30000") == [
        "第1项“a:80:30000”的节点端口须为20000至20001的整数"
    ]
