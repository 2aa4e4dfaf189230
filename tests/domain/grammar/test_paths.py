"""Paths are absolute, contain no `..`, and are unique within a list."""

import pytest

from algoplatform.domain.grammar.paths import AbsolutePath, PathList, PathPair, PathPairs
from tests.support.faults import faults_of

SUB_PATH = (
    "/usr/lib64/libnvcuvid.so:/usr/lib/x86_64-linux-gnu/libnvcuvid.so.1,"
    "/usr/lib64/libnvidia-encode.so.1:/usr/lib/x86_64-linux-gnu/libnvidia-encode.so.1"
)


@pytest.mark.parametrize("text", ["/", "/home", "/home/", "//a/./b", "/a b/..c/d..", "/a:b,c", "/数据"])
def test_one_path(text: str) -> None:
    assert str(AbsolutePath.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("", ["不能为空"]),
        ("home", ["“home”须为以“/”开头的绝对路径"]),
        ("/home/..", ["“/home/..”不能含有“..”"]),
        ("/../etc", ["“/../etc”不能含有“..”"]),
        ("/home ", ["“/home ”首尾不能有空白字符"]),
        (" /home", ["“ /home”首尾不能有空白字符"]),
        ("/.. ", ["“/.. ”首尾不能有空白字符", "“/.. ”不能含有“..”"]),
        ("a/../b", ["“a/../b”须为以“/”开头的绝对路径", "“a/../b”不能含有“..”"]),
    ],
)
def test_what_is_wrong_with_one_path(text: str, faults: list[str]) -> None:
    assert faults_of(AbsolutePath.parse, text) == faults


def test_a_list_of_paths() -> None:
    text = "/vse/logs,/vse/coredump,/data/videos"
    paths = PathList.parse(text)
    assert paths.items == ("/vse/logs", "/vse/coredump", "/data/videos")
    assert str(paths) == text


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("/a,,/b,", ["第2项为空", "第4项为空"]),
        ("/a, /b", ["第2项“ /b”首尾不能有空白字符"]),
        ("/a,b", ["第2项“b”须为以“/”开头的绝对路径"]),
        ("/a,/b/../c", ["第2项“/b/../c”不能含有“..”"]),
        ("/a:/b", ["第1项“/a:/b”不能含有“:”，须为单个路径"]),
        (
            "a:/..",
            [
                "第1项“a:/..”不能含有“:”，须为单个路径",
                "第1项“a:/..”须为以“/”开头的绝对路径",
                "第1项“a:/..”不能含有“..”",
            ],
        ),
        ("/a,/b,/a", ["第3项“/a”与第1项重复"]),
        ("/data,/data/", ["第2项“/data/”与第1项重复"]),
        ("/data,//data,/./data", ["第2项“//data”与第1项重复", "第3项“/./data”与第1项重复"]),
        ("a,..", ["第1项“a”须为以“/”开头的绝对路径", "第2项“..”须为以“/”开头的绝对路径", "第2项“..”不能含有“..”"]),
    ],
)
def test_what_is_wrong_with_a_list(text: str, faults: list[str]) -> None:
    assert faults_of(PathList.parse, text) == faults


def test_pairs_of_paths() -> None:
    pairs = PathPairs.parse(SUB_PATH)
    assert pairs.items[0] == PathPair("/usr/lib64/libnvcuvid.so", "/usr/lib/x86_64-linux-gnu/libnvcuvid.so.1")
    assert len(pairs.items) == 2
    assert str(pairs) == SUB_PATH


@pytest.mark.parametrize("text", ["/home:/home", "/a:/b,/a:/c", "/:/"])
def test_a_source_may_appear_in_several_places(text: str) -> None:
    assert str(PathPairs.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("/home", ["第1项“/home”须写作“源路径:目标路径”"]),
        ("/a:/b:ro", ["第1项“/a:/b:ro”须写作“源路径:目标路径”"]),
        ("/a:", ["第1项“/a:”的目标路径不能为空"]),
        (":/a", ["第1项“:/a”的源路径不能为空"]),
        ("/a: /b", ["第1项“/a: /b”的目标路径首尾不能有空白字符"]),
        ("/a:/b,,", ["第2项为空", "第3项为空"]),
        ("/a:/b,/c:/b/", ["第2项“/c:/b/”的目标路径与第1项重复"]),
        ("/a/..:b", ["第1项“/a/..:b”的源路径不能含有“..”", "第1项“/a/..:b”的目标路径须为以“/”开头的绝对路径"]),
        ("/a/..:/b", ["第1项“/a/..:/b”的源路径不能含有“..”"]),
    ],
)
def test_what_is_wrong_with_pairs(text: str, faults: list[str]) -> None:
    assert faults_of(PathPairs.parse, text) == faults
