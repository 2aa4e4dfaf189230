"""The streaming parser: chunk borders affect neither the records nor the errors."""

import itertools
import json
import time
from collections.abc import Iterator
from itertools import chain, pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algoplatform.domain.errors import BadRequest
from algoplatform.domain.record.file import FORMS, MAX_RECORD, read_records
from algoplatform.domain.record.model import INPUTS

RECORD: dict[str, Any] = {
    "imageName": "易华录\ud83d\ude00",
    "text": '\\"\n\u2028😀"',
    "numbers": [0, -1.5e-7, 10**20, 1e999],
    "nested": {"a": [], "b": {}, "c": [[None], True, False]},
}
TEXT = json.dumps(RECORD).replace("Infinity", "1e999")
ENVELOPE = f'\ufeff \n{{"status" : "0", "res":\t{{"k1": {TEXT} ,"k2":{TEXT}}}, "msg":"易"}}\r\n'


def read(data: bytes, *cuts: int) -> list[tuple[str | None, Any]]:
    borders = sorted({0, *cuts, len(data)})
    return list(read_records(data[start:end] for start, end in pairwise(borders)))


def outcome(data: bytes, *cuts: int) -> tuple[str, Any]:
    try:
        return "records", read(data, *cuts)
    except BadRequest as error:
        return "refused", str(error)


@pytest.mark.parametrize(
    ("text", "records"),
    [
        ("[]", []),
        ("{}", []),
        ('{"res":{}}', []),
        ('{"status":"0","res":{},"msg":"x"}', []),
        ('{"msg":{"a":[1]},"res":{"k":{}},"status":0}', [("k", {})]),
        ('[{"a":1},2,"x",null,[true]]', [(None, {"a": 1}), (None, 2), (None, "x"), (None, None), (None, [True])]),
        ('{"k":{"a":1},"l":5}', [("k", {"a": 1}), ("l", 5)]),
        ("\ufeff[1 , 2.5,-3e+5 ]\n", [(None, 1), (None, 2.5), (None, -300000.0)]),
        ('{"":{},"k":{}}', [("", {}), ("k", {})]),
        ('{"k":{},"":{}}', [("k", {}), ("", {})]),
    ],
)
def test_forms_of_a_file(text: str, records: list[Any]) -> None:
    """The envelope, its `res` alone and a list yield their records, whole or byte by byte."""
    data = text.encode()
    assert read(data) == records
    assert read(data, *range(len(data))) == records


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "文件为空"),
        (b" \r\n\t", "文件为空"),
        (b"\xef\xbb\xbf", "文件为空"),
        (b"7", f"JSON格式错误：第1个字符；{FORMS}"),
        (b'"a"', f"JSON格式错误：第1个字符；{FORMS}"),
        (b"[", "JSON格式错误：第2个字符"),
        (b"{", "JSON格式错误：第2个字符"),
        (b"[1", "JSON格式错误：第3个字符"),
        (b"[1,]", "JSON格式错误：第4个字符"),
        (b"[1 2]", "JSON格式错误：第4个字符"),
        (b"[{}]]", "JSON格式错误：第5个字符"),
        (b"[{},tru]", "JSON格式错误：第5个字符"),
        (b'{"a" 1}', "JSON格式错误：第6个字符"),
        (b'{"a":1,}', "JSON格式错误：第8个字符"),
        (b"{a:1}", "JSON格式错误：第2个字符"),
        (b'{"a":1', "JSON格式错误：第7个字符"),
        (b'["a', "JSON格式错误：第2个字符"),
        ('["易", {"a":1 "b"}]'.encode(), "JSON格式错误：第14个字符"),
        (b'{"res":[]}', f"文件的res须为JSON对象；{FORMS}"),
        (b'{"res":', "JSON格式错误：第8个字符"),
        (b'{"status":"0","msg":"x"}', f"文件中没有res；{FORMS}"),
        (b'{"status":"0","k":{}}', "文件的res之外还有镜像信息"),
        (b'{"k":{},"res":{}}', "文件的res之外还有镜像信息"),
        (b'{"res":{},"k":{}}', "文件的res之外还有镜像信息"),
        (b'{"res":{},"res":{}}', "JSON对象中字段“res”重复"),
        (b'{"msg":1,"msg":1,"res":{}}', "JSON对象中字段“msg”重复"),
        (b'[{"a":1,"a":2}]', "JSON对象中字段“a”重复：在第2个字符起的值中"),
        ('{"易":{}, "k":\n{"a":{"b":1,"b":2}}}'.encode(), "JSON对象中字段“b”重复：在第15个字符起的值中"),
        (b"[{},[NaN]]", "JSON中不能使用NaN：在第5个字符起的值中"),
        (b"[-Infinity]", "JSON中不能使用-Infinity：在第2个字符起的值中"),
        (b"[" * 100_000, "JSON格式错误：嵌套过深"),
        (b"[" + b"9" * 5000 + b",]", "JSON格式错误：第5003个字符"),
        (b"[[" + b"9" * 5000 + b"," + b"[" * 100_000, "JSON格式错误：嵌套过深"),
        (b'["\xff"]', "文件不是UTF-8编码"),
        (b'["\xe6\x98', "文件不是UTF-8编码"),
        ("[]".encode("utf-16"), "文件不是UTF-8编码"),
    ],
)
def test_what_is_no_file_of_records(data: bytes, message: str) -> None:
    """Errors name their position in the file, the same at any chunk size."""
    assert outcome(data) == ("refused", message)
    if len(data) < 100:
        assert outcome(data, *range(len(data))) == ("refused", message)


RECORD_ALONE = '{"imageName":"algo/a","imageTag":"1.0","factory":"易"}'


@pytest.mark.parametrize(
    "text",
    [
        RECORD_ALONE,
        f'{{"status":"0","res":{RECORD_ALONE},"msg":"查询成功"}}',
        '{"name":1,"pvcSize":null}',
        '{"imageports" : [] }',
        f'{{"status":"0","res":{{"data":[{RECORD_ALONE}]}},"msg":"查询成功"}}',
        f'{{"data":[{RECORD_ALONE}],"total":1}}',
        f'{{"data": [{",".join([RECORD_ALONE] * 30_000)}]}}',
    ],
)
def test_what_other_operations_answer(text: str) -> None:
    """A single record and a search response are rejected with a message that lists the accepted forms."""
    for cuts in ((), range(len(text.encode()))) if len(text) < 1000 else ((),):
        kind, message = outcome(text.encode(), *cuts)
        assert (kind, message.partition("；")[2]) == ("refused", FORMS)


def test_fields_names_as_keys() -> None:
    """A field name as key is left to the record's checks if its value is an object."""
    assert read(b'{"data":{"a":1},"imageName":{"b":2}}') == [("data", {"a": 1}), ("imageName", {"b": 2})]


def test_a_long_record_is_decoded_a_few_times() -> None:
    """A record that spans many chunks is not decoded again for each chunk."""
    data = b"[" + json.dumps({f"k{number}": 1 for number in range(70_000)}).encode() + b"]"

    def seconds(*cuts: int) -> float:
        start = time.process_time()
        assert len(read(data, *cuts)) == 1
        return time.process_time() - start

    pieces = range(0, len(data), 4096)
    assert min(seconds(*pieces) for _ in range(3)) < 15 * min(seconds() for _ in range(3))


def test_every_border() -> None:
    """Splitting a file at any byte, even within a character, escape, number or literal, changes nothing."""
    data = ENVELOPE.encode()
    expected = [("k1", json.loads(TEXT)), ("k2", json.loads(TEXT))]
    assert all(read(data, cut) == expected for cut in range(len(data)))
    assert read(data, *range(len(data))) == expected


def test_records_come_before_the_file_has_ended() -> None:
    """A record is yielded as soon as its text has arrived."""

    def chunks() -> Iterator[bytes]:
        yield b'[{"a":1},{"b":'
        raise AssertionError("read on")

    assert next(read_records(chunks())) == (None, {"a": 1})


def test_number_of_very_many_digits() -> None:
    """An integer with more digits than Python converts is truncated, at any chunk border."""
    data = b'[{"a":-' + b"9" * 5000 + b',"b":1},' + b"9" * 5000 + b"]"
    for cuts in ((), (4200,), (5007,), (5008, 5014), (10_000,), (10_012,), tuple(range(4000, len(data), 7))):
        assert read(data, *cuts) == [(None, {"a": -int("9" * 31), "b": 1}), (None, int("9" * 32))]


def test_one_record_is_limited() -> None:
    """An endless record is rejected before it fills the memory; many small ones are accepted."""
    endless = chain([b'[{"a":1},"'], iter(lambda: b"x" * 65536, b""))
    with pytest.raises(BadRequest, match=f"单条镜像信息超过上限{MAX_RECORD}个字符：从第10个字符起"):
        list(read_records(endless))
    many = chain([b"[0"], (b',{"a":"' + b"x" * 60_000 + b'"}' for _ in range(40)), [b"]"])
    assert sum(1 for _ in read_records(many)) == 41


def test_blanks_in_a_row_are_limited() -> None:
    """A file is refused once too much white space follows in a row, wherever it is, and reading stops there."""
    blanks = b" \n" * 32 * 1024
    for begin in (b" ", b"[", b"[{}", b"[{},", b"[{}]", b'{"status":"0","res":', b'{"status":"0","res":{}'):
        sent = itertools.count()
        chunks = itertools.chain([begin], (blanks for _ in sent))
        with pytest.raises(BadRequest, match=f"连续的空白字符超过上限{MAX_RECORD}个"):
            list(read_records(chunks))
        assert next(sent) < 20
    assert list(read_records(iter([b"[", *[blanks] * 16, b"{}", *[blanks] * 16, b"]"]))) == [(None, {})]


def test_flaw_early_in_a_long_file() -> None:
    """An error names its own position, however much text follows."""
    chunks = chain([b'[{"a":1},{"b":oops},'], (b"0," * 32768 for _ in range(40)), [b"0]"])
    with pytest.raises(BadRequest, match="JSON格式错误：第15个字符"):
        list(read_records(chunks))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)
FILES = st.lists(JSON, max_size=6) | st.dictionaries(
    st.text(max_size=4).filter(lambda key: key not in ("res", "status", "msg", "data", *INPUTS)), JSON, max_size=6
)
CUTS = st.lists(st.integers(0, 400), max_size=12)


@settings(max_examples=150)
@given(FILES, st.booleans(), st.sampled_from([None, 1, "\t"]), st.booleans(), CUTS)
def test_any_file_at_any_cuts(content: Any, escaped: bool, indent: Any, enveloped: bool, cuts: list[int]) -> None:
    """Random JSON in random chunks yields the same records as json.loads."""
    wrapped = {"msg": 1, "res": content} if enveloped and isinstance(content, dict) else content
    data = json.dumps(wrapped, ensure_ascii=escaped, indent=indent).encode("utf-8", "surrogatepass")
    expected = list(content.items()) if isinstance(content, dict) else [(None, value) for value in content]
    assert read(data, *(cut % (len(data) + 1) for cut in cuts)) == expected


@settings(max_examples=150)
@given(
    FILES,
    CUTS,
    st.integers(0, 400),
    st.sampled_from(['"', "{", "]", ",", ":", "1", "e+", "-", "\\", "tru", " ", "NaN", ""]),
    st.integers(0, 3),
)
def test_any_flaw_at_any_cuts(content: Any, cuts: list[int], at: int, put: str, drop: int) -> None:
    """A corrupted file has the same result in one chunk and in many."""
    text = json.dumps(content)
    at %= len(text) + 1
    data = (text[:at] + put + text[at + drop :]).encode()
    assert outcome(data, *(cut % (len(data) + 1) for cut in cuts)) == outcome(data)
