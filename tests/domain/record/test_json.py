"""Strict JSON: deviations from RFC 8259 are rejected with their position."""

from typing import Any

import pytest

from algoplatform.domain.errors import BadRequest
from algoplatform.domain.record.json import parse_json


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"null", None),
        (b" [1, -2.5, true] \r\n", [1, -2.5, True]),
        (b'\xef\xbb\xbf{"a":"\xe6\x98\x93"}', {"a": "易"}),
        (rb'"\ud83d\ude00"', "😀"),
        (rb'"\ud800"', "\ud800"),
        (b'{"a":{"x":1},"b":{"x":1},"":0}', {"a": {"x": 1}, "b": {"x": 1}, "": 0}),
        (b"1e999", float("inf")),
        (b"-0", 0),
        (b"9" * 4300, 10**4300 - 1),
        (b'{"a":1,"b":[' + b"1" * 5000 + b"]}", {"a": 1, "b": [int("1" * 32)]}),
    ],
)
def test_json(data: bytes, value: Any) -> None:
    """Valid JSON is parsed; integers with more digits than Python converts are truncated."""
    assert parse_json(data) == value


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "JSON格式错误：第1行第1列"),
        (b"{", "JSON格式错误：第1行第2列"),
        (b'{\n"a":1,\n}', "JSON格式错误：第3行第1列"),
        (b"[1] []", "JSON格式错误：第1行第5列"),
        (b"{'a':1}", "JSON格式错误：第1行第2列"),
        (b"[01]", "JSON格式错误：第1行第3列"),
        (b'["\x01"]', "JSON格式错误：第1行第3列"),
        (b"[1] // x", "JSON格式错误：第1行第5列"),
        (b"NaN", "JSON中不能使用NaN"),
        (b'{"a":[Infinity]}', "JSON中不能使用Infinity"),
        (b"[-Infinity]", "JSON中不能使用-Infinity"),
        (b'{"a":1,"a":1}', "JSON对象中字段“a”重复"),
        (b'[{"x":{"b":1,"a":2,"b":null}}]', "JSON对象中字段“b”重复"),
        (b'{"k":1,"k":1}'.replace(b"k", b"k" * 65), f"JSON对象中字段“{'k' * 63}…”重复"),
        (rb'{"\ud800":1,"\ud800":1}', "JSON对象中字段“\\ud800”重复"),
        (b"[" + b"9" * 5000 + b",]", "JSON格式错误：第1行第5003列"),
        (b"[" + b"9" * 5000 + b"," + b"[" * 100_000, "JSON格式错误：嵌套过深"),
        (b"[" * 100_000, "JSON格式错误：嵌套过深"),
        (b'{"a":' * 100_000, "JSON格式错误：嵌套过深"),
        ('["a"]'.encode("utf-16"), "内容不是UTF-8编码：第1字节"),
        ('["易华录"]'.encode("gbk"), "内容不是UTF-8编码：第3字节"),
        (b'"\xed\xa0\x80"', "内容不是UTF-8编码：第2字节"),
        (b'"\xc0\x80"', "内容不是UTF-8编码：第2字节"),
    ],
)
def test_what_is_no_json(data: bytes, message: str) -> None:
    with pytest.raises(BadRequest) as caught:
        parse_json(data)
    assert (str(caught.value), caught.value.code, caught.value.malformed) == (message, "-1", True)
