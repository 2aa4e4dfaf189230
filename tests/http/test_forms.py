"""Multipart forms as real clients send them: the part named `file` is the file."""

import asyncio
import json
import random
import re
import shutil
from typing import Any

import httpx
import pytest

from algoplatform.api.http.forms import FileForm
from algoplatform.domain.errors import BadRequest
from tests.support.images import IMAGES, minimal, records

FILE = json.dumps([minimal()]).encode()
BROKEN = "表单格式错误，须为含一个文件字段file的multipart/form-data"
DISPOSITIONS = [
    'name="file"',
    "name=file",
    'name="file"; filename=""',
    'name="file"; filename="image_list.json"',
    'name="file"; filename="镜像.json"',
    "name=\"file\"; filename*=utf-8''%E9%95%9C%E5%83%8F.json",
    "name=\"file\"; filename*=utf-8'zh-CN'%E9%95%9C%E5%83%8F.json",
    "filename*=UTF-8''a.json; name=\"file\"",
    "name=\"file\"; filename*=gibberish''%FF",
    'name="file"; filename*0="image_"; filename*1="list.json"',
    "name=\"file\"; filename*0*=utf-8''%E9%95%9C; filename*1*=%E5%83%8F.json",
    'name="file"; filename="a; name=other.json"',
    'filename="a\\"; name=other.json"; name="file"',
    'NAME="file"; FILENAME="a"',
]


def part(disposition: str, content: bytes = FILE, *headers: str) -> bytes:
    """Return a part."""
    head = "\r\n".join((f"Content-Disposition: form-data; {disposition}", *headers))
    return f"--b\r\n{head}\r\n\r\n".encode() + content + b"\r\n"


async def send(
    client: httpx.AsyncClient, *parts: bytes, end: bytes = b"--b--\r\n", boundary: str = "b"
) -> httpx.Response:
    """Upload a form of these parts."""
    headers = {"content-type": f"multipart/form-data; boundary={boundary}"}
    return await client.post(f"{IMAGES}/_upload", content=b"".join(parts) + end, headers=headers)


def created(answer: httpx.Response) -> Any:
    """Return how many images an upload created."""
    assert answer.status_code == 200, answer.text
    return answer.json()["res"]["created"]


async def test_names_of_files(client: httpx.AsyncClient) -> None:
    """The file name may be anything, in every notation that exists, or absent."""
    for number, disposition in enumerate(DISPOSITIONS):
        for headers in ((), ("Content-Type: application/json",), ("Content-Type:", "X: y")):
            content = json.dumps([minimal(f"algo/a{number}-{len(headers)}")]).encode()
            assert created(await send(client, part(disposition, content, *headers))) == 1, disposition


async def test_large_without_a_name(client: httpx.AsyncClient) -> None:
    """`curl -F 'file=<image_list.json'` sends the file as text, whatever its size."""
    many = [minimal(f"algo/a{number}", algoDesc="长" * 1000) for number in range(500)]
    content = json.dumps(many, ensure_ascii=False).encode()
    assert len(content) > 1024 * 1024
    assert created(await send(client, part('name="file"', content))) == 500


@pytest.mark.parametrize("empty", ['name="file"; filename=""', 'name="file"', 'name="other"; filename="x"', 'name="x"'])
async def test_other_parts(client: httpx.AsyncClient, empty: str) -> None:
    """Blank inputs and parts with other names are not the file, wherever they appear."""
    content = b"" if '"file"' in empty else b"x" * 100_000
    for number, order in enumerate((1, -1)):
        file = part('name="file"; filename="a"', json.dumps([minimal(f"algo/a{number}")]).encode())
        parts = [part(empty, content), file, part('filename="nameless"', b"y")][::order]
        assert created(await send(client, *parts)) == 1


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([], "缺少文件：表单字段file不能为空"),
        ([part('name="File"')], "缺少文件：表单字段file不能为空"),
        ([part('filename="file"')], "缺少文件：表单字段file不能为空"),
        ([part('name="x"; filename="a; name=file"')], "缺少文件：表单字段file不能为空"),
        ([part('name="file"')] * 2, "表单字段file重复"),
        ([part('name="a"', b"")] * 65, "表单字段超过上限64个"),
        ([b"--b\r\nno header\r\n\r\n" + FILE + b"\r\n"], BROKEN),
        ([b"--c\r\n"], BROKEN),
        ([part('name="file"; filename="' + "a" * 5000 + '"')], BROKEN),
        ([part('name="file"', FILE, *["A: b"] * 20)], BROKEN),
    ],
)
async def test_forms_without_the_file(client: httpx.AsyncClient, parts: list[bytes], message: str) -> None:
    """A form without the file, or a body that is no form, gets an error that says so."""
    answer = await send(client, *parts)
    assert (answer.status_code, answer.json()) == (400, {"status": "-1", "res": None, "msg": message})
    assert await records(client) == []


@pytest.mark.parametrize("end", [b"", b"--b", b"\r\n--b-", b"--b\r\n"])
async def test_cut_forms(client: httpx.AsyncClient, end: bytes) -> None:
    """A form without its end is incomplete, so its file may be, too."""
    answer = await send(client, part('name="file"'), end=end)
    assert (answer.status_code, answer.json()["msg"]) == (400, BROKEN)


@pytest.mark.parametrize("boundary", ["", '""', "b" * 300, "x", 'x";' + "a=b;" * 300 + 'c="'])
async def test_boundaries(client: httpx.AsyncClient, boundary: str) -> None:
    """A missing, overlong or wrong boundary gets an error that says so."""
    answer = await send(client, part('name="file"'), boundary=boundary)
    assert (answer.status_code, answer.json()["msg"]) == (400, BROKEN)


def test_pieces() -> None:
    """A form may arrive in any pieces; bytes that resemble the boundary belong to the file."""
    content = b"\r\n--\r\n--a--b\r\n-\r\r\n--bx\n--b"
    form = (
        part('name="x"', b"no") + part("name=\"file\"; filename*=utf-8''a", content) + part('name="y"') + b"--b--\r\n"
    )
    rng = random.Random(1)
    for _ in range(200):
        cuts = sorted(rng.sample(range(len(form)), 8))
        read = FileForm("multipart/form-data; boundary=b")
        for start, end in zip([0, *cuts], [*cuts, None], strict=True):
            read.write(form[start:end])
        with read.take() as file:
            assert file.read() == content


def test_memory_and_parts() -> None:
    """Parts other than the file are not stored, and neither is a rejected form."""
    read = FileForm("multipart/form-data; boundary=b")
    read.write(b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n')
    for _ in range(10):
        read.write(b"x" * 100_000)
    read.write(b"\r\n--b--")
    with pytest.raises(BadRequest, match="缺少文件"):
        read.take()
    read.close()


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
async def test_curl(client: httpx.AsyncClient, tmp_path: Any) -> None:
    """The usual curl commands: the file, its content as text, and standard input."""
    path = tmp_path / "image_list.json"
    for number, field in enumerate(("file=@{}", "file=<{}", "file=<{};type=application/json", "file=<-")):
        path.write_text(json.dumps([minimal(f"algo/a{number}")]), "utf-8")
        process = await asyncio.create_subprocess_exec(
            *("curl", "-s", "-F", field.format(path), f"{client.base_url}{IMAGES}/_upload"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await process.communicate(path.read_bytes())
        assert re.search(rb'"created":1,', out), out


def test_fields_beside_the_file() -> None:
    """Short fields are kept, wherever they stand; long ones are dropped without being stored."""
    form = FileForm("multipart/form-data; boundary=b")
    fields = [
        part('name="dryRun"', b"true"),
        part('name="long"', b"a" * 300),
        part('name="file"'),
        part('name="x"', b""),
    ]
    for piece in (b"".join(fields) + b"--b--\r\n")[:]:
        form.write(bytes([piece]))
    with form.take() as file:
        assert file.read() == FILE
    assert form.fields == {"dryRun": "true", "x": ""}
