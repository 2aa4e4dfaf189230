"""`graph` lists and draws dependencies, with the same result from the database and from the service."""

import json
import os

import httpx
import pytest

from algoplatform.cli.registry import remote
from tests.cli.conftest import Call
from tests.support.images import IMAGES, minimal, register, upload


async def registered(client: httpx.AsyncClient) -> dict[str, str]:
    """Register a diamond, one of whose images depends on itself; return the ids."""
    ids = {}
    for name, needs in (("d", ""), ("b", "algo/d:1.0"), ("c", "algo/d:1.0,algo/c:1.0"), ("a", "algo/b:1.0,algo/c:1.0")):
        ids[name] = await register(client, f"algo/{name}", dependencyServiceId=needs)
    return ids


TABLE = """\
层  镜像
0   algo/d:1.0
1   algo/b:1.0
      → algo/d:1.0
1   algo/c:1.0
      → algo/d:1.0
      → algo/c:1.0
2   algo/a:1.0
      → algo/b:1.0
      → algo/c:1.0
"""


async def test_table(alike: Call, client: httpx.AsyncClient) -> None:
    """Each image has a line with its level, followed by a line for each dependency; it is named by reference or id."""
    ids = await registered(client)
    for image in ("algo/a:1.0", ids["a"]):
        result = await alike("graph", image)
        assert (result.exit_code, result.stdout, result.stderr) == (0, TABLE, "4个镜像，5条依赖\n")
    result = await alike("graph", "algo/d:1.0")
    assert (result.stdout, result.stderr) == ("层  镜像\n0   algo/d:1.0\n", "1个镜像，0条依赖\n")


async def test_options(alike: Call, client: httpx.AsyncClient) -> None:
    """Direction, depth and limit are those of the service; truncation is reported."""
    await registered(client)
    result = await alike("graph", "algo/d:1.0", "--direction", "up", "--depth", "1")
    assert "algo/a:1.0" not in result.stdout
    assert "未显示全部" in result.stderr
    result = await alike("graph", "algo/a:1.0", "--limit", "2", "--json")
    assert len(json.loads(result.stdout)["nodes"]) == 2
    result = await alike("graph", "algo/b:1.0", "--direction", "both")
    assert (result.stdout.count("→"), result.stderr) == (2, "3个镜像，2条依赖\n")


async def test_json(alike: Call, client: httpx.AsyncClient) -> None:
    """--json or --format json prints the service's result, and nothing on stderr."""
    ids = await registered(client)
    answer = await client.get(f"{IMAGES}/{ids['a']}/dependencies")
    for form in (["--json"], ["--format", "json"], ["--json", "--format", "json"]):
        result = await alike("graph", "algo/a:1.0", *form)
        assert (json.loads(result.stdout), result.stderr) == (answer.json()["res"], "")


async def test_drawings(alike: Call, client: httpx.AsyncClient) -> None:
    """A drawing contains every image, but no links, as these would lead nowhere from a file."""
    await registered(client)
    for form, begin in (("svg", "<svg "), ("mermaid", "---\n"), ("dot", "digraph ")):
        result = await alike("graph", "algo/a:1.0", "--format", form)
        assert (result.exit_code, result.stderr, result.stdout.startswith(begin)) == (0, "", True)
        assert all(f"algo/{name}:1.0" in result.stdout for name in "abcd")
        assert "href" not in result.stdout
        assert "URL" not in result.stdout


async def test_large(alike: Call, client: httpx.AsyncClient) -> None:
    """Too many images for a readable drawing are refused with the service's message."""
    await register(client)
    many = [minimal(f"algo/b{number}", dependencyServiceId="algo/a:1.0") for number in range(150)]
    assert (await upload(client, many)).status_code == 200
    result = await alike("graph", "algo/a:1.0", "--direction", "up", "--format", "svg")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("-422：图中有151个镜像")
    result = await alike("graph", "algo/a:1.0", "--direction", "up")
    assert result.stdout.count("→ algo/a:1.0") == 150


async def test_cycle(alike: Call, client: httpx.AsyncClient) -> None:
    """Cycles are named."""
    first = await register(client, "algo/a")
    await register(client, "algo/b", dependencyServiceId="algo/a:1.0")
    body = minimal("algo/a", imageId=first, dependencyServiceId="algo/b:1.0")
    assert (await client.post(f"{IMAGES}/_update", json=body)).status_code == 200
    result = await alike("graph", "algo/a:1.0")
    assert result.stdout.splitlines()[-1] == "循环依赖：algo/a:1.0 → algo/b:1.0 → algo/a:1.0"
    assert result.stderr == "2个镜像，2条依赖，1个循环依赖\n"


async def test_unknown(alike: Call) -> None:
    """An unknown image gives 204 and exit code 1."""
    for image in ("algo/none:1.0", "algo/none", "c" * 32, os.fsdecode(b"algo/\xff:1")):
        result = await alike("graph", image)
        assert (result.exit_code, result.stdout, result.stderr[:9]) == (1, "", "204：镜像不存在")


async def test_usage(alike: Call) -> None:
    """Invalid options give exit code 2 and list every fault."""
    for arguments, told in (
        (["--depth", "x", "--direction", "left"], "direction须为down、up、both之一，不能为“left”；depth须为整数\n"),
        (["--limit", "1001"], "limit须"),
        (["--json", "--format", "svg"], "--json与--format不能同时使用\n"),
    ):
        result = await alike("graph", "algo/a:1.0", *arguments)
        assert (result.exit_code, result.output.startswith(told)) == (2, True), result.output


async def test_among_many_names(alike: Call, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """With --url an image is found even if many other names contain its name."""
    monkeypatch.setattr(remote, "LIMIT", 2)
    for name, tag in (("algo/x", "1"), ("a.local/algo/x", "1"), ("algo/x", "1.0"), ("b.local/algo/x", "1.2")):
        await register(client, name, tag)
    assert (await alike("graph", "algo/x:1")).stdout.endswith("0   algo/x:1\n")
    assert (await alike("graph", "go/x:1")).exit_code == 1
