"""Hostile input to all fields and operations: rejected in the envelope, clipped in echoes, not written."""

import asyncio
import contextlib
import errno
import gzip
import json
import re
import socket
from collections.abc import AsyncIterator, Iterator
from itertools import product
from typing import Any

import httpx
import pytest

from tests.support import record_fields as table
from tests.support.images import IMAGES, PLATFORM, delete, minimal, records, register, upload

MAX_ANSWER = 256 * 1024
LONG = "ABCDEFGHIJ" * 10_000
JSON = {"content-type": "application/json"}
FIELDS = [*table.ALL, "imageports"]
OPERATIONS = ("_register", "_update", "_delete", "_search", "_load")
IMAGE_ID = "0123456789abcdef" * 2

# Values, as JSON text, that are invalid in every field.
EVERYWHERE = {
    "NUL": r'"/a\u0000b"',
    "control": r'"/a\u001b[31m"',
    "surrogate": r'"/\ud800"',
    "surrogate in turn": r'"\udc00\ud800"',
    "infinite": "1e999",
    "minus infinite": "-1e999",
    "negative": "-1",
    "fraction": "1.5",
    "whole fraction": "1.0",
    "true": "true",
    "false": "false",
    "overflow": "2147483648",
    "64 bits": "9223372036854775808",
    "huge": "1" * 4000,
    "more digits than Python reads": "1" * 5000,
    "digits in a string": '"' + "1" * 5000 + '"',
    "100 KB": json.dumps(LONG),
    "list": "[]",
    "object": "{}",
    "nested": "[" * 500 + "]" * 500,
    "many": "[" + ",".join(["{}"] * 10_000) + "]",
    "SQL in a list": '["\'; DROP TABLE image; --"]',
}
# Values that are valid as text in some fields, and must be rejected in fields of other types.
LITERAL = ["'; DROP TABLE image; --", "%", "_", "\\", "$1", "{0}", "%s", "../../etc/passwd", "<script>", "NULL", "${x}"]
UNREADABLE = {
    "NaN": b'{"imageName":NaN}',
    "Infinity": b'{"imageName":-Infinity}',
    "twice": b'{"imageName":"a","imageName":"b"}',
    "twice inside": b'{"userResult":{"authority":1,"authority":1}}',
    "deep list": b"[" * 100_000,
    "deep object": b'{"a":' * 100_000,
    "deep and closed": b"[" * 100_000 + b"]" * 100_000,
    "UTF-16": '{"imageName":"algo/a"}'.encode("utf-16"),
    "UTF-32": '{"imageName":"algo/a"}'.encode("utf-32"),
    "GBK": '{"factory":"易华录"}'.encode("gbk"),
    "Latin-1": b'{"factory":"\xe9"}',
    "overlong": b'{"factory":"\xc0\x80"}',
    "raw surrogate": b'{"factory":"\xed\xa0\x80"}',
    "cut": b'{"imageName":"al',
    "cut character": b'{"factory":"\xe6\x98',
    "two values": b"{}{}",
    "comment": b"{} // x",
    "single quotes": b"{'a':1}",
    "raw newline": b'{"factory":"a\nb"}',
    "NUL byte": b"{}\x00",
    "two BOMs": b"\xef\xbb\xbf\xef\xbb\xbf{}",
}
NO_OBJECT = (b"null", b"[]", b"1", b"true", b'"x"', b"1e999", b'[{"imageName":"algo/a"}]')


def body_with(field: str, value: str, **others: Any) -> bytes:
    """Return a record with this JSON text in one field."""
    rest = {name: content for name, content in (minimal() | others).items() if name != field}
    text = json.dumps(rest, ensure_ascii=False)
    return f'{text[:-1]},"{field}":{value}}}'.encode()


def refused(answer: httpx.Response) -> str:
    """Expect an error of bounded size in the envelope, without a long echo; return its message."""
    assert 400 <= answer.status_code < 500, (answer.status_code, answer.text[:300])
    body = answer.json()
    assert list(body) == ["status", "res", "msg"]
    assert isinstance(body["status"], str)
    assert body["status"] != "0"
    assert body["res"] is None
    assert body["msg"]
    assert len(answer.content) <= MAX_ANSWER
    for echo in (LONG[:70], "1" * 65, "[[[[", "\\ud800" * 11):
        assert echo not in body["msg"]
    return str(body["msg"])


@pytest.fixture
async def kept(client: httpx.AsyncClient) -> AsyncIterator[str]:
    """An image that must remain unchanged, and the only one."""
    image_id = await register(client, "algo/kept", "1.0", algoDesc="旧")
    before = (await client.get(f"{IMAGES}/{image_id}")).content
    yield image_id
    assert (await client.get(f"{IMAGES}/{image_id}")).content == before
    assert len(await records(client)) == 1


@pytest.mark.parametrize("operation", ["_register", "_update"])
async def test_hostile_values_of_fields(client: httpx.AsyncClient, kept: str, operation: str) -> None:
    """Each hostile value of each field is rejected with the field's name and status."""
    others = {"imageId": kept, "imageName": "algo/kept"} if operation == "_update" else {}
    for field, (what, value) in product(FIELDS, EVERYWHERE.items()):
        answer = await post(client, operation, body_with(field, value, **others))
        message = refused(answer)
        shown = {"imageports": "imagePorts"}.get(field, field)
        assert answer.status_code == 422, (field, what, message)
        assert shown in message or "请检查依赖算法是否正确" in message, (field, what, message)
        assert answer.json()["status"] == table.code_of(shown), (field, what, message)


async def post(client: httpx.AsyncClient, operation: str, content: bytes, **headers: str) -> httpx.Response:
    return await client.post(f"{IMAGES}/{operation}", content=content, headers=JSON | headers)


async def test_hostile_values_in_a_file(client: httpx.AsyncClient, kept: str) -> None:
    """An upload reports every hostile value, each with its record; a problem lists all of them."""
    asked = [(field, value) for field in FIELDS for what, value in EVERYWHERE.items() if what not in ("100 KB", "many")]
    lines = [
        body_with(field, value, **{} if field in ("imageName", "imageTag") else {"imageTag": f"t{number}"})
        for number, (field, value) in enumerate(asked)
    ]
    content = b"[" + b",".join(lines) + b"]"
    message = refused(await upload(client, content))
    problem = await client.post(
        f"{IMAGES}/_upload", files={"file": content}, headers={"accept": "application/problem+json"}
    )
    assert len(problem.content) <= MAX_ANSWER
    told = {(entry["image"], entry["field"]) for entry in problem.json()["errors"]}
    for number, (field, _) in enumerate(asked):
        name = {"imageports": "imagePorts"}.get(field, field)
        if field not in ("imageName", "imageTag"):
            assert (f"algo/at{number}", name) in told
            assert f"algo/at{number}:" in message
    assert {field for _, field in told} == {name for name in FIELDS if name != "imageports"}
    for field in FIELDS:
        refused(await upload(client, b"[" + body_with(field, EVERYWHERE["100 KB"]) + b"]"))
        refused(await upload(client, b"[" + body_with(field, EVERYWHERE["many"]) + b"]"))


async def test_hostile_conditions(client: httpx.AsyncClient, kept: str) -> None:
    """Search and load reject them in every condition, in the body and, where possible, in the query."""
    names = ("searchCondition", "namespace", "algoType", "eventType", "factory", "incidentId", "useableFlag")
    for name in (*names, "page", "pageSize"):
        for value in EVERYWHERE.values():
            for operation in ("_search", "_load"):
                refused(await post(client, operation, f'{{"{name}":{value}}}'.encode()))
        for text in ("a\x00b", "\x1b", "x" * 5000, "-1", "1e3", "99999999999"):
            answer = await client.get(f"{IMAGES}/_search", params={name: text})
            if answer.status_code != 200:
                refused(answer)
            elif "\x00" in text or "\x1b" in text or len(text) > 4096:
                raise AssertionError((name, text[:10]))
    for broken in ("searchCondition=%FF%FE", "searchCondition=%ED%A0%80"):
        assert refused(await client.get(f"{IMAGES}/_search?{broken}")) == "查询参数不是UTF-8编码"
    assert (await client.get(f"{IMAGES}/_search?searchCondition=%")).json()["res"] == {"data": []}
    assert "k999" in refused(await client.get(f"{IMAGES}/_search?" + "&".join(f"k{n}=1" for n in range(999, 0, -1))))
    for path in ("_search", f"{kept}/history"):
        answer = await client.get(f"{IMAGES}/{path}?" + "&".join(f"k{number}=1" for number in range(1025)))
        assert (answer.status_code, refused(answer)) == (422, "查询参数超过上限1024个")


async def test_text_is_taken_literally(client: httpx.AsyncClient) -> None:
    """Text that other programs would interpret is stored, found and returned literally."""
    await register(client, "algo/other", factory="甲", algoName="乙", incidentId="丙")
    for number, text in enumerate(LITERAL):
        name, free = f"algo/x{number}", dict.fromkeys(("factory", "algoName", "algoDesc", "incidentId"), text)
        image_id = await register(client, name, **free)
        for exact in ("factory", "incidentId"):
            [record] = await records(client, **{exact: text})
            assert {key: record[key] for key in free} == free
        found = await records(client, searchCondition=text)
        assert image_id in [record["imageId"] for record in found]
        assert all(text.lower() in "".join(map(str, record.values())).lower() for record in found)
        assert await records(client, namespace=text) == []
        # "_" and "NULL" are valid tags.
        legal = {"command", "args"} | ({"imageTag"} if text in ("_", "NULL") else set())
        for field in set(table.ALL) - set(free) - legal:
            answer = await post(client, "_register", body_with(field, json.dumps(text), imageTag="2"))
            assert field in refused(answer) or field == "dependencyServiceId", (field, text)


async def test_unreadable_bodies(client: httpx.AsyncClient, kept: str) -> None:
    """Invalid JSON is -1 with 400, for every operation and for a file."""
    for what, content in UNREADABLE.items():
        for operation in OPERATIONS:
            answer = await post(client, operation, content)
            refused(answer)
            assert (answer.status_code, answer.json()["status"]) == (400, "-1"), what
        answer = await upload(client, content)
        refused(answer)
        assert answer.json()["status"] == "-1", what


async def test_body_that_is_no_object(client: httpx.AsyncClient, kept: str) -> None:
    """Other JSON types are rejected; an empty body only where one is required."""
    for operation in OPERATIONS:
        for content in NO_OBJECT:
            refused(await post(client, operation, content))
        if operation not in ("_search", "_load"):
            refused(await post(client, operation, b""))
    for content in (b"null", b"1", b'"x"', b"", b" ", b"[[]]", b'{"res":null}', b'{"a":null}'):
        refused(await upload(client, content))


async def test_media_types(client: httpx.AsyncClient, kept: str) -> None:
    """A body with another, no or an invalid media type is -415."""
    content = json.dumps(minimal()).encode()
    for media in (
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "application",
        ";;",
        "a" * 9000,
    ):
        for operation in OPERATIONS:
            answer = await post(client, operation, content, **{"content-type": media})
            refused(answer)
            assert (answer.status_code, answer.json()["status"]) == (415, "-415")
    for operation in (*OPERATIONS, "_upload"):
        request = client.build_request("POST", f"{IMAGES}/{operation}", content=content)
        assert "content-type" not in request.headers
        answer = await client.send(request)
        refused(answer)
        assert answer.status_code == 415


async def test_compressed_bodies(client: httpx.AsyncClient, kept: str) -> None:
    """Compressed bodies are never decompressed, bomb or not."""
    bomb = gzip.compress(b" " * 20_000_000 + b"{}")
    encodings = ("gzip", "deflate", "br", "zstd", "gzip, gzip", "x", "GZIP")
    for operation, encoding in product((*OPERATIONS, "_upload"), encodings):
        media = "multipart/form-data; boundary=x" if operation == "_upload" else "application/json"
        answer = await post(client, operation, bomb, **{"content-type": media, "content-encoding": encoding})
        refused(answer)
        assert (answer.status_code, answer.json()["status"]) == (415, "-415")


async def test_very_many_and_very_long_keys(client: httpx.AsyncClient, kept: str) -> None:
    """A body full of unknown names is rejected within the size limit, however the names are escaped."""
    many = json.dumps(minimal() | {f"key{number}": 1 for number in range(20_000)}).encode()
    long = json.dumps(minimal() | {LONG: 1}).encode()
    odd = json.dumps(minimal() | {"\ud800" * 100: 1, "\x00": 1, "__proto__": 1, "": 1, "易" * 100: 1}).encode()
    for content in (many, long, odd):
        for operation in OPERATIONS:
            refused(await post(client, operation, content))
        refused(await upload(client, b"[" + content + b"]"))
    keys = json.dumps({LONG: minimal(), "\ud800": minimal(), "": minimal(), "../x": minimal(tag="9")}).encode()
    message = refused(await upload(client, keys))
    assert message.count("须为32位小写十六进制字符串") == 4


@pytest.mark.parametrize("padding", [0, 40_000])
async def test_a_field_by_both_of_its_names_nested_deeply(client: httpx.AsyncClient, padding: int) -> None:
    """If both names of a field have deeply nested values, the record is rejected without comparing the values."""
    for depth in (500, 900, 940, 960, 980, 990):
        nested = "[" * depth + "]" * depth
        body = f'{{"imagePorts":{nested},"imageports":{nested},"algoDesc":"{"x" * padding}"}}'
        for operation in ("_register", "_update"):
            answer = await client.post(f"{IMAGES}/{operation}", content=body.encode(), headers=JSON)
            assert answer.status_code in (400, 422), answer.text
        answer = await upload(client, f"[{body}]".encode())
        assert answer.status_code in (400, 422), answer.text


async def test_long_names_are_never_echoed_whole(client: httpx.AsyncClient) -> None:
    """Valid long names, tags and namespaces are clipped like invalid ones, in every error and label."""
    name, tag = "s" * 100 + "/" + "n" * 100, "t" * 100
    needed = await register(client, name, tag)
    await register(client, "algo/b", tag, dependencyServiceId=f"{name}:{tag}")
    await register(client, name, "t" * 101, dependencyServiceId=f"{name}:{tag}")
    twice = [minimal(name, tag), minimal(name, tag, pvcSize="x", dependencyServiceId=f"{name}:{'u' * 100}")]
    claim = {"imageId": needed, "userResult": {"authority": 3, "namespace": "algo"}}
    shown, label = f"{'s' * 63}…:{'t' * 63}…", f"{'s' * 63}…{'t' * 63}…"
    for answer, told in (
        (await post(client, "_register", json.dumps(minimal(name, tag)).encode()), f"镜像已注册：{shown}"),
        (await post(client, "_register", json.dumps(twice[1]).encode()), f"“{'s' * 63}…:{'u' * 63}…”未注册"),
        (await delete(client, needed), f"依赖它：algo/b:{'t' * 63}…，{shown}"),
        (await post(client, "_delete", json.dumps(claim).encode()), f"命名空间“{'s' * 63}…”"),
        (await upload(client, twice, onConflict="fail"), f"{label}:文件中重复"),
        (await upload(client, twice, onConflict="fail"), f"{label}:pvcSize须为整数"),
        (await upload(client, twice, onConflict="fail"), f"{label}:镜像已注册：{shown}"),
    ):
        message = refused(answer)
        assert told in message
        assert all(letter * 65 not in message for letter in "snt"), message


USERS: list[Any] = [
    None, [], "x", 1, {}, {"authority": None}, {"authority": True}, {"authority": 1.0}, {"authority": -1},
    {"authority": "1 OR 1=1"}, {"authority": 2**31}, {"authority": [1]}, {"authority": 1, "namespace": ["algo"]},
    {"authority": 1, "namespace": "\x00"}, {"authority": 1, "namespace": "\ud800"}, {"authority": 1, "namespace": LONG},
    {"authority": 1, "admin": True}, {"authority": 3, "namespace": "%"}, {"authority": 3, "namespace": "algo\n"},
    {"authority": 1, LONG: 1}, {"authority": LONG},
]  # fmt: skip


async def test_hostile_users(client: httpx.AsyncClient, kept: str) -> None:
    """An invalid userResult deletes nothing."""
    for user in USERS:
        refused(await post(client, "_delete", json.dumps({"imageId": kept, "userResult": user}).encode()))


async def test_hostile_ids(client: httpx.AsyncClient, kept: str) -> None:
    """An invalid id finds nothing, in a path or a body."""
    ids: list[Any] = [
        "",
        "x",
        kept.upper(),
        kept + "\n",
        f"{kept}' OR '1'='1",
        LONG,
        "\x00",
        "\ud800",
        1,
        None,
        [kept],
        {},
    ]
    for image_id in ids:
        refused(await post(client, "_delete", json.dumps({"imageId": image_id, "userResult": PLATFORM}).encode()))
        refused(await post(client, "_update", json.dumps(minimal("algo/kept", imageId=image_id)).encode()))
    for path in (
        "%00",
        "..%2f..%2fetc",
        "x" * 5000,
        "%F0%9F%98%80",
        kept.upper(),
        f"{kept}%0a",
        "_",
        "_nothing",
        f"{kept}/x",
    ):
        answer = await client.get(f"{IMAGES}/{path}")
        refused(answer)
        assert answer.status_code == 404


async def test_names_of_files(client: httpx.AsyncClient) -> None:
    """The file name of an upload has no effect."""
    for name in ("../../../etc/passwd", "C:\\x", "a" * 1000, "%00", 'a\\"b', "文件.json"):
        answer = await post(client, "_upload", form(f'name="file"; filename="{name}"'), **FORM)
        assert answer.json()["res"] == {"created": 0, "updated": 0, "unchanged": 0, "skipped": 0}, name


FORM = {"content-type": "multipart/form-data; boundary=x"}


def form(disposition: str, content: bytes = b"[]", more: str = "") -> bytes:
    """Return a form of one part, built by hand."""
    head = f"--x\r\nContent-Disposition: form-data; {disposition}\r\n{more}\r\n"
    return head.encode() + content + b"\r\n--x--\r\n"


async def test_broken_forms(client: httpx.AsyncClient, kept: str) -> None:
    """Forms that are cut, empty, without a file, with two, or with malformed headers are -1."""
    whole = form('name="file"; filename="a"', json.dumps([minimal()]).encode())
    two = whole.removesuffix(b"--x--\r\n") + whole
    broken = [
        *(whole[:length] for length in range(0, len(whole) - 3, 7)),
        two,
        form('name="other"; filename="a"'),
        form('filename="a"'),
        form("name=file; filename=" + "a" * 100_000),
        form('name="file"; filename="a"', b"\xff\xfe[]"),
        form('name="file"; filename="a"', gzip.compress(b"[]")),
        b"--x\r\n\r\n\r\n--x--\r\n",
        b"--x\r\nContent-Disposition\r\n\r\n[]\r\n--x--\r\n",
        b"\r\n" * 1000,
        b"--y--\r\n",
        b"".join(form(f'name="f{number}"').removesuffix(b"--x--\r\n") for number in range(100)) + b"--x--\r\n",
    ]
    for content in broken:
        answer = await post(client, "_upload", content, **FORM)
        refused(answer)
        assert answer.json()["status"] == "-1", content[:200]
    for parameter in ("", "; boundary=", "; boundary=" + "b" * 5000, "; charset=nonsense"):
        media = "multipart/form-data" + parameter
        refused(await post(client, "_upload", whole, **{"content-type": media}))
    charset = {"content-type": "multipart/form-data; boundary=x; charset=nonsense"}
    assert (await post(client, "_upload", form('name="file"; filename="a"'), **charset)).status_code == 200


async def test_bodies_over_the_limit(client: httpx.AsyncClient, kept: str) -> None:
    """A body over the limit is -413, whether declared by its length or found while chunks arrive."""
    content = json.dumps(minimal(algoDesc="x" * 1_100_000)).encode()

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(content), 60_000):
            yield content[start : start + 60_000]

    for operation in OPERATIONS:
        for sent in (content, chunks()):
            answer = await client.post(f"{IMAGES}/{operation}", content=sent, headers=JSON)
            refused(answer)
            assert (answer.status_code, answer.json()["status"]) == (413, "-413")


@pytest.mark.parametrize("name", ["idempotency-key", "if-match", "accept", "x-request-id", "if-none-match", "x"])
async def test_hostile_headers(client: httpx.AsyncClient, name: str) -> None:
    """Headers of any size and content are accepted or rejected, and never cause a 5xx."""
    for value in (
        b"",
        b"\xff\xfe",
        b"\x01",
        b'"',
        b'W/"',
        b"*" * 10,
        b"," * 5000,
        b"9" * 5000,
        b'"' + b"9" * 30 + b'"',
    ):
        image = minimal(tag="t")
        answer = await client.post(
            f"{IMAGES}/_update", json=image | {"imageId": IMAGE_ID}, headers=[(name.encode(), value)]
        )
        assert answer.status_code in (400, 404, 412, 422), answer.text[:200]
    assert await records(client) == []


def exchange(url: httpx.URL, *sent: bytes) -> bytes:
    """Send bytes, close for writing, and return the response, even if the service closes first."""
    assert url.port is not None
    received = b""
    with socket.create_connection((url.host, url.port), timeout=120) as connection:
        try:
            for data in sent:
                connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
        except OSError as error:
            if error.errno not in (errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN):
                raise
        with contextlib.suppress(ConnectionResetError):
            while chunk := connection.recv(65536):
                received += chunk
    return received


def requests() -> Iterator[tuple[str, bytes]]:
    """Requests that violate HTTP itself."""
    body = json.dumps(minimal()).encode()
    head = f"POST {IMAGES}/_register HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n".encode()
    length = len(body)
    yield "length too large", head + b"Content-Length: %d\r\n\r\n" % (length + 10) + body
    yield "length negative", head + b"Content-Length: -1\r\n\r\n" + body
    yield "length no number", head + b"Content-Length: ten\r\n\r\n" + body
    yield "length huge", head + b"Content-Length: 99999999999999999999\r\n\r\n" + body
    yield "two lengths", head + b"Content-Length: 2\r\nContent-Length: %d\r\n\r\n" % length + body
    yield "length and chunks", head + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    yield "chunks cut", head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % length + body
    yield "chunk size no number", head + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n" + body + b"\r\n0\r\n\r\n"
    yield "no request", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20
    yield "no version", f"POST {IMAGES}/_register\r\n\r\n".encode()
    yield "header cut", head + b"X"


async def test_lying_requests(client: httpx.AsyncClient) -> None:
    """A self-contradictory request writes nothing, causes no 5xx, and does not affect the next one."""
    for what, data in requests():
        answer = await asyncio.to_thread(exchange, client.base_url, data)
        assert re.match(rb"HTTP/1\.1 4\d\d ", answer) or not answer, (what, answer[:200])
        assert await records(client) == [], what


async def test_length_too_small(client: httpx.AsyncClient) -> None:
    """Bytes after the declared length are not part of the body."""
    body = json.dumps(minimal()).encode()
    head = f"POST {IMAGES}/_register HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n".encode()
    answer = await asyncio.to_thread(exchange, client.base_url, head + b"Content-Length: 20\r\n\r\n" + body)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b'"status":"-1"' in answer
    assert await records(client) == []


async def test_huge_headers(client: httpx.AsyncClient) -> None:
    """Heads of a megabyte, in one piece or many, do not bring the service down."""
    line = f"GET {IMAGES}/_search HTTP/1.1\r\nHost: x\r\nConnection: close\r\n".encode()
    for headers in (b"X: " + b"a" * 1_000_000 + b"\r\n", b"".join(b"X-%d: a\r\n" % number for number in range(20_000))):
        answer = await asyncio.to_thread(exchange, client.base_url, line + headers + b"\r\n")
        assert re.match(rb"HTTP/1\.1 (200|4\d\d) ", answer) or not answer
    assert await records(client) == []
