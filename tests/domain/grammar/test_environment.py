r"""Environment variables: the first colon ends the key, and `\,` is an escaped comma in a value."""

import pytest

from algoplatform.domain.grammar.environment import Environment, EnvironmentVariable
from tests.support.faults import faults_of

FORM = "缺少“:”，须写作“键:值”（值中的逗号写作“\\,”）"
ALLOWED = "只能用字母、数字及“_”“-”“.”"


@pytest.mark.parametrize(
    ("text", "variables"),
    [
        ("CVSIP:172.38.90.52,CVSPORT:11112", [("CVSIP", "172.38.90.52"), ("CVSPORT", "11112")]),
        ("ent:3er", [("ent", "3er")]),
        ("URL:http://host:80/", [("URL", "http://host:80/")]),
        ("A:,B:", [("A", ""), ("B", "")]),
        ("A:a b", [("A", "a b")]),
        (".a-b._:1,a..b:2", [(".a-b._", "1"), ("a..b", "2")]),
        (r"A:1\,2,B:3", [("A", "1,2"), ("B", "3")]),
        (r"A:\,", [("A", ",")]),
        (r"A:C:\dir", [("A", r"C:\dir")]),
        (r"A:\\,B:1", [("A", r"\,B:1")]),
        ("A:1,B:x\\", [("A", "1"), ("B", "x\\")]),
    ],
)
def test_variables_in_their_order(text: str, variables: list[tuple[str, str]]) -> None:
    environment = Environment.parse(text)
    assert environment.items == tuple(EnvironmentVariable(key, value) for key, value in variables)
    assert str(environment) == text


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("A", [f"第1项“A”{FORM}"]),
        ("A:1,2", [f"第2项“2”{FORM}"]),
        ("A:1,,B:2,", ["第2项为空", "第4项为空"]),
        ("A:1, B:2", ["第2项“ B:2”首尾不能有空白字符"]),
        ("A: 1", ["第1项“A: 1”的值首尾不能有空白字符"]),
        ("A:1 ", ["第1项“A:1 ”首尾不能有空白字符"]),
        (":1", ["第1项“:1”的键为空"]),
        ("1A:1", ["第1项“1A:1”的键不能以数字开头"]),
        ("..A:1", ["第1项“..A:1”的键不能为“.”，也不能以“..”开头"]),
        (".:1", ["第1项“.:1”的键不能为“.”，也不能以“..”开头"]),
        ("A B:1", [f"第1项“A B:1”的键含有不允许的字符“ ”，{ALLOWED}"]),
        ("键:1", [f"第1项“键:1”的键含有不允许的字符“键”，{ALLOWED}"]),
        ("A:1,B:2,A:3", ["第3项“A:3”的键与第1项重复"]),
        (
            "1é: x,A:1,A:2",
            [
                f"第1项“1é: x”的键含有不允许的字符“é”，{ALLOWED}",
                "第1项“1é: x”的键不能以数字开头",
                "第1项“1é: x”的值首尾不能有空白字符",
                "第3项“A:2”的键与第2项重复",
            ],
        ),
    ],
)
def test_what_is_wrong(text: str, faults: list[str]) -> None:
    assert faults_of(Environment.parse, text) == faults
