"""Dependencies are comma-separated references."""

import pytest

from algoplatform.domain.grammar.dependencies import Dependencies
from algoplatform.domain.grammar.reference import ImageReference
from tests.support.faults import faults_of


@pytest.mark.parametrize(
    "text",
    [
        "algo/posterize:1.0",
        "algo/posterize:1.0,algo/structure_new:latest",
        "host:5000/x:1,x:1,x:2,test1.0:1,a.b/c:1",
        "a" * 255 + ":1," + "b" * 255 + ":1",
    ],
)
def test_references_in_their_order(text: str) -> None:
    dependencies = Dependencies.parse(text)
    assert dependencies.items == tuple(map(ImageReference.parse, text.split(",")))
    assert str(dependencies) == text


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("1", ["第1项“1”缺少标签名，须写作“镜像名:标签名”"]),
        ("a:1,,b:1,", ["第2项为空", "第4项为空"]),
        ("a:1, b:1", ["第2项“ b:1”首尾不能有空白字符"]),
        ("a:1,b:1,a:1", ["第3项“a:1”与第1项重复"]),
        ("a:1,a_b.c/d:1", ["第2项“a_b.c/d:1”的镜像名的仓库地址“a_b.c”须为主机名或IP地址，可带“:端口”"]),
        ("a:1," + "b" * 256 + ":1", [f"第2项“{'b' * 63}…”的镜像名长度不能超过255个字符，实际为256个"]),
        (
            "host:5000/x,algo/x:-1, ",
            [
                "第1项“host:5000/x”缺少标签名，须写作“镜像名:标签名”",
                "第2项“algo/x:-1”的标签名不能以“-”开头",
                "第3项为空",
            ],
        ),
    ],
)
def test_what_is_wrong(text: str, faults: list[str]) -> None:
    assert faults_of(Dependencies.parse, text) == faults
