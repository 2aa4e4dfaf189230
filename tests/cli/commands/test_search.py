"""`search` prints the same from the database and from the service."""

import asyncio
import json
import os
import subprocess
import sys

import httpx
import pytest

from tests.cli.conftest import Call
from tests.support.images import records, register


async def test_search(reached: Call, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each image has a line: its name, and as many other fields as fit."""
    image_id = await register(client, "algo/posterize", factory="易华录", algoName="[bold]抽帧[/x]")
    await register(client, "algo/other")
    for columns in ("", "200"):
        monkeypatch.setenv("COLUMNS", columns)
        result = await reached("search", "POSTERIZE")
        assert (result.exit_code, result.stderr) == (0, "")
        [header, found] = [line.split() for line in result.output.splitlines()]
        assert header[:5] == ["镜像", "算法名称", "厂商", "类别", "imageId"]
        assert found[:5] == ["algo/posterize:1.0", "[bold]抽帧[/x]", "易华录", "1", image_id]


async def test_search_finds_nothing(reached: Call) -> None:
    """No result is a message for people, and an empty list for programs."""
    result = await reached("search", "none")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "没有找到镜像\n")
    result = await reached("search", "none", "--json")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "[]\n", "")


async def test_search_for_programs(reached: Call, client: httpx.AsyncClient) -> None:
    """--json prints the records as the service returns them, whole and in its order."""
    await register(client, "algo/b", algoDesc="两\n行")
    await register(client, "algo/a", dependencyServiceId="algo/b:1.0")
    result = await reached("search", "--json")
    assert json.loads(result.stdout) == await records(client)
    assert [list(record) for record in json.loads(result.stdout)] == [list(record) for record in await records(client)]
    assert "两" in result.stdout


async def test_search_refused(reached: Call) -> None:
    """A condition that the service refuses is reported with its message and code."""
    result = await reached("search", "x" * 5000)
    assert (result.exit_code, result.output[:4]) == (1, "202：")
    assert result.output.count("\n") == 1


async def test_search_for_no_text(reached: Call) -> None:
    """An argument that is not UTF-8 is refused in one line, with the database as with --url."""
    result = await reached("search", os.fsdecode("抽帧".encode("gbk")))
    assert (result.exit_code, result.output) == (1, "202：searchCondition第1个字符不是合法的Unicode字符\n")


@pytest.mark.parametrize(("encoding", "shown"), [("gbk", "抽帧é\\U0001f600"), ("ascii", "\\u62bd\\u5e27\\xe9")])
async def test_other_encodings(client: httpx.AsyncClient, database_url: str, encoding: str, shown: str) -> None:
    """Characters that the terminal's encoding lacks are escaped, and JSON stays valid."""
    await register(client, "algo/a", algoName="抽帧é😀")
    environment = os.environ | {"ALGOPLATFORM_DATABASE_URL": database_url, "PYTHONIOENCODING": encoding}
    for more in ([], ["--json"]):
        command = [sys.executable, "-m", "algoplatform", "search", *more]
        done = await asyncio.to_thread(subprocess.run, command, env=environment, capture_output=True, check=True)
        text = done.stdout.decode(encoding)
        assert json.loads(text) == await records(client) if more else shown in text
