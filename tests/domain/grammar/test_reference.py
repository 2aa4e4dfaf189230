"""Names, tags and references follow the grammar of distribution/reference."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from algoplatform.domain.grammar.reference import ImageName, ImageReference, ImageTag
from tests.support.faults import faults_of

ALLOWED = "只能用小写字母、数字及“.”“_”“-”"
SEPARATORS = "须以小写字母或数字开头和结尾，其间只能用单个“.”、一至两个“_”或若干“-”分隔"


@pytest.mark.parametrize(
    ("text", "namespace"),
    [
        ("test1.0", None),
        ("nginx", None),
        ("algo/posterize", "algo"),
        ("algo/structure_new", "algo"),
        ("ehualu/ehlai_water_fire-muti", "ehualu"),
        ("algo/a__b/c---d/e.f", "algo"),
        ("localhost/x", None),
        ("localhost:5000/x", None),
        ("localhost:5000/algo/x", "algo"),
        ("localhost2/x", "localhost2"),
        ("host:5000/x", None),
        ("harbor.local:5000/algo/x", "algo"),
        ("harbor.local/algo/team/x", "algo"),
        ("Harbor.LOCAL/x", None),
        ("10.0.0.1:5000/x", None),
        ("[::1]:5000/algo/x", "algo"),
        ("[abc]/vse/x", "vse"),
        ("[abc]:5/vse/x", "vse"),
        ("[::1]/x", None),
        ("Docker/docker", None),
        ("LOCALHOST/x", None),
        ("My-Registry/algo/x", "algo"),
        ("my-Registry:5000/algo/x", "algo"),
        ("a" * 255, None),
    ],
)
def test_a_name_and_its_namespace(text: str, namespace: str | None) -> None:
    name = ImageName.parse(text)
    assert str(name) == text
    assert name.namespace == namespace


@pytest.mark.parametrize(
    ("text", "host", "path"),
    [
        ("algo/x", None, "algo/x"),
        ("x", None, "x"),
        ("localhost/x", "localhost", "x"),
        ("harbor.local:5000/algo/team/x", "harbor.local:5000", "algo/team/x"),
        ("[::1]/x", "[::1]", "x"),
    ],
)
def test_host_and_path(text: str, host: str | None, path: str) -> None:
    name = ImageName.parse(text)
    assert (name.host, name.path) == (host, path)


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("", ["不能为空"]),
        ("Algo", [f"“Algo”的路径第1段“Algo”含有不允许的字符“A”，{ALLOWED}"]),
        ("a/Algo/x", [f"“a/Algo/x”的路径第2段“Algo”含有不允许的字符“A”，{ALLOWED}"]),
        ("Al_go/x", ["“Al_go/x”的仓库地址“Al_go”须为主机名或IP地址，可带“:端口”"]),
        ("[x]/a", ["“[x]/a”的仓库地址“[x]”须为主机名或IP地址，可带“:端口”"]),
        ("algo/安全帽", [f"“algo/安全帽”的路径第2段“安全帽”含有不允许的字符“安”，{ALLOWED}"]),
        ("algo/x:1.0", [f"“algo/x:1.0”的路径第2段“x:1.0”含有不允许的字符“:”，{ALLOWED}"]),
        ("algo/x ", [f"“algo/x ”的路径第2段“x ”含有不允许的字符“ ”，{ALLOWED}"]),
        ("algo/x_", [f"“algo/x_”的路径第2段“x_”{SEPARATORS}"]),
        ("a..b", [f"“a..b”的路径第1段“a..b”{SEPARATORS}"]),
        ("a___b", [f"“a___b”的路径第1段“a___b”{SEPARATORS}"]),
        ("/algo", ["“/algo”的路径第1段为空"]),
        ("algo//x", ["“algo//x”的路径第2段为空"]),
        ("harbor.local/", ["“harbor.local/”的路径第1段为空"]),
        ("a_b.c/d", ["“a_b.c/d”的仓库地址“a_b.c”须为主机名或IP地址，可带“:端口”"]),
        ("a.b:x/d", ["“a.b:x/d”的仓库地址“a.b:x”须为主机名或IP地址，可带“:端口”"]),
        (
            "-a.b/C/d",
            [
                "“-a.b/C/d”的仓库地址“-a.b”须为主机名或IP地址，可带“:端口”",
                f"“-a.b/C/d”的路径第1段“C”含有不允许的字符“C”，{ALLOWED}",
            ],
        ),
        ("a" * 256, [f"“{'a' * 63}…”长度不能超过255个字符，实际为256个"]),
    ],
)
def test_what_is_wrong_with_a_name(text: str, faults: list[str]) -> None:
    assert faults_of(ImageName.parse, text) == faults


def test_a_name_of_very_many_faults() -> None:
    """At most 20 faults are listed, plus a note that there are more; of overlong names only the length."""
    *told, more = faults_of(ImageName.parse, "/" * 200)
    assert told == [f"“{'/' * 63}…”的路径第{position}段为空" for position in range(1, 21)]
    assert more == "还有更多错误，只列出前20处"
    assert faults_of(ImageName.parse, "/" * 4096) == [f"“{'/' * 63}…”长度不能超过255个字符，实际为4096个"]


@given(st.text("aA1.:-_[]/", max_size=12))
def test_a_host_is_never_a_namespace(text: str) -> None:
    """The namespace is the first component of the path; the host does not count."""
    if not faults_of(ImageName.parse, f"{text}/b/c"):
        namespace = ImageName(f"{text}/b/c").namespace
        assert namespace is not None
        assert not faults_of(ImageName.parse, namespace)


@pytest.mark.parametrize("text", ["1.0", "latest", "_x", "A.b-c_d", "x" * 128])
def test_a_tag(text: str) -> None:
    assert str(ImageTag.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("", ["不能为空"]),
        (".1", ["“.1”不能以“.”开头"]),
        ("1 0", ["“1 0”含有不允许的字符“ ”，只能用字母、数字及“_”“.”“-”"]),
        ("1.0\n", ["“1.0\n”含有不允许的字符“\n”，只能用字母、数字及“_”“.”“-”"]),
        (
            "-" + "版" * 128,
            [
                f"“-{'版' * 62}…”长度不能超过128个字符，实际为129个",
                f"“-{'版' * 62}…”含有不允许的字符“版”，只能用字母、数字及“_”“.”“-”",
                f"“-{'版' * 62}…”不能以“-”开头",
            ],
        ),
    ],
)
def test_what_is_wrong_with_a_tag(text: str, faults: list[str]) -> None:
    assert faults_of(ImageTag.parse, text) == faults


@pytest.mark.parametrize(
    ("text", "name", "tag"),
    [
        ("algo/posterize:1.0", "algo/posterize", "1.0"),
        ("test1.0:test1.0", "test1.0", "test1.0"),
        ("harbor.local:5000/algo/x:latest", "harbor.local:5000/algo/x", "latest"),
        ("a" * 255 + ":" + "b" * 128, "a" * 255, "b" * 128),
    ],
)
def test_the_tag_stands_behind_the_last_colon(text: str, name: str, tag: str) -> None:
    reference = ImageReference.parse(text)
    assert reference == ImageReference(ImageName(name), ImageTag(tag))
    assert str(reference) == text


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("", ["不能为空"]),
        ("algo/x", ["“algo/x”缺少标签名，须写作“镜像名:标签名”"]),
        ("host:5000/x", ["“host:5000/x”缺少标签名，须写作“镜像名:标签名”"]),
        ("algo/x:", ["“algo/x:”的标签名不能为空"]),
        (":1.0", ["“:1.0”的镜像名不能为空"]),
        (
            "a/Algo",
            [
                f"“a/Algo”的镜像名的路径第2段“Algo”含有不允许的字符“A”，{ALLOWED}",
                "“a/Algo”缺少标签名，须写作“镜像名:标签名”",
            ],
        ),
        (
            "a/X:-1",
            [f"“a/X:-1”的镜像名的路径第2段“X”含有不允许的字符“X”，{ALLOWED}", "“a/X:-1”的标签名不能以“-”开头"],
        ),
        ("a" * 256 + ":1", [f"“{'a' * 63}…”的镜像名长度不能超过255个字符，实际为256个"]),
    ],
)
def test_what_is_wrong_with_a_reference(text: str, faults: list[str]) -> None:
    assert faults_of(ImageReference.parse, text) == faults
