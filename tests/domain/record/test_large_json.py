"""Large bodies are parsed in steps, with the same result as in one step."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from algoplatform.domain.errors import BadRequest
from algoplatform.domain.record import large_json
from algoplatform.domain.record.json import parse_json
from algoplatform.domain.record.large_json import MAX_TEXT, parse_large_json

_LEAVES = (
    some.none() | some.booleans() | some.integers() | some.floats(allow_nan=False, allow_infinity=False) | some.text()
)
_VALUES = some.recursive(
    _LEAVES,
    lambda inner: some.lists(inner, max_size=5) | some.dictionaries(some.text(), inner, max_size=5),
    max_leaves=20,
)


def parsed(content: bytes, size: int = 64 * 1024) -> Any:
    """Parse content in chunks of `size` bytes."""
    return parse_large_json(iter([content[at : at + size] for at in range(0, len(content), size)]))


def reason(content: bytes) -> str:
    """Return the message of the refusal."""
    with pytest.raises(BadRequest) as refused:
        parsed(content)
    return str(refused.value)


@given(_VALUES, some.integers(1, 9), some.booleans(), some.sampled_from([None, 1]))
def test_as_parsed_whole(value: Any, size: int, ascii_only: bool, indent: int | None) -> None:  # noqa: FBT001 - Hypothesis
    """The result is the same wherever chunks and steps end."""
    content = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode("utf-8", "surrogatepass")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(large_json, "_STEP", 1)
        patch.setattr(large_json, "_DEPTH", 500)
        assert parsed(content, size) == value


def test_large_ones() -> None:
    """Objects, arrays and texts may be longer than a step."""
    body = {
        "images": [f"algo/x{number}:1.0" for number in range(5_000)],
        "configFiles": {"algo/x:1.0": {"/a": "值" * 500_000, "/b": '"\\\n' * 300_000}, "b": {"/c": ""}},
        "options": {"closure": True, "replicas": 12345678901234567890, "x": [[[]]] * 20_000},
    }
    content = json.dumps(body).encode()
    assert parsed(content) == body == parse_json(content)
    assert parsed(b"\xef\xbb\xbf" + content + b" \n") == body


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a":"' + b"x" * (MAX_TEXT + 200_000), f"单个文本超过上限{MAX_TEXT}个字符：从第6个字符起"),
        (b"1" * (MAX_TEXT + 200_000), f"单个文本超过上限{MAX_TEXT}个字符：从第1个字符起"),
        (b'{"a":' + b" " * 2_000_000 + b"1}", "连续的空白字符超过上限1048576个：到第"),
        (b'{"a":[' + b"1," * 100_000 + b'1],"a":1}', "JSON对象中字段“a”重复"),
        (b'{"a":[' + b"1," * 100_000 + b'{"b":1,"b":2}]}', "JSON对象中字段“b”重复"),
        (b"[" + b"1," * 100_000 + b"1}", "JSON格式错误：第200003个字符"),
        (b"[" + b"1," * 100_000 + b"NaN]", "JSON中不能使用NaN"),
        (b"[" + b"1," * 100_000 + b"1] 1", "JSON格式错误：第200005个字符"),
        (b"[" + b"1," * 100_000, "JSON格式错误：第200002个字符"),
        (b'{"a":[' + b"1," * 100_000 + b'"\xff"]}', "不是UTF-8编码"),
        (b"[" * 200_000, "JSON格式错误：嵌套过深"),
        (b"[" * 40 + b"1," * 100_000, "JSON格式错误：嵌套过深"),
        (b"", "JSON格式错误：第1个字符"),
    ],
)
def test_refused(content: bytes, message: str) -> None:
    """Invalid bodies are refused with the position of the fault."""
    assert message in reason(content)
