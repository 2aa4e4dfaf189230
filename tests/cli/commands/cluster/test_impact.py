"""`impact` lists what a change breaks, with the same result from the database and from the service."""

import json
from pathlib import Path

import httpx
import pytest

from algoplatform.cli.commands.cluster import impact
from tests.cli.conftest import Call
from tests.support.images import IMAGES, delete, minimal, records, register


async def registered(client: httpx.AsyncClient) -> str:
    """Register a chain of three, and a replacement for its end; return the id of the end."""
    end = await register(client, "algo/a", imagePorts="web:80:30001", tvChannel=8)
    await register(client, "algo/b", dependencyServiceId="algo/a:1.0")
    await register(client, "algo/c", dependencyServiceId="algo/b:1.0")
    await register(client, "algo/a", "2.0", imagePorts="web:81", tvChannel=4)
    return end


DELETE = """\
直接依赖它（1）
  algo/b:1.0
间接依赖它（1）
  algo/c:1.0
移除顺序（3）
  algo/c:1.0
  algo/b:1.0
  algo/a:1.0
"""


async def test_delete(alike: Call, client: httpx.AsyncClient) -> None:
    """Lists the dependents, and an order in which all of them can be deleted."""
    end = await registered(client)
    for image in ("algo/a:1.0", end):
        result = await alike("impact", image, "--delete")
        assert (result.exit_code, result.stdout, result.stderr) == (0, DELETE, "")
    ids = {f"{record['imageName']}:{record['imageTag']}": record["imageId"] for record in await records(client)}
    for image in DELETE.splitlines()[-3:]:
        assert (await delete(client, ids[image.strip()])).json()["status"] == "0"
    assert (await alike("impact", "algo/a:2.0", "--delete")).stdout == "没有镜像依赖它\n"


async def test_replace(alike: Call, client: httpx.AsyncClient) -> None:
    """A replacement lists harmful changes, with the replicas needed for the channels."""
    await registered(client)
    result = await alike("impact", "algo/a:1.0", "--replace-by", "algo/a:2.0", "--channels", "16")
    title, *lines = result.stdout.split("间接依赖它（1）\n  algo/c:1.0\n")[1].splitlines()
    assert (result.exit_code, title) == (0, "不利的变化（2）")
    assert lines == [
        "  端口80（web）不再提供；节点端口30001不再提供",
        "  每个副本的视频路数由8降为4，16路需要的副本由2个增加到4个",
    ]
    result = await alike("impact", "algo/a:2.0", "--replace-by", "algo/a:2.0")
    assert result.stdout == "没有镜像依赖它\n没有不利的变化\n"


async def test_update(alike: Call, client: httpx.AsyncClient, tmp_path: Path) -> None:
    """An update is a file with the changed fields; --json prints the service's result."""
    end = await registered(client)
    file = tmp_path / "change.json"
    file.write_text('{"tvChannel": 1}')
    assert "8降为1" in (await alike("impact", "algo/a:1.0", "--update", str(file))).stdout
    result = await alike("impact", "algo/a:1.0", "--update", str(file), "--json")
    answer = await client.post(f"{IMAGES}/{end}/_impact", json={"action": "update", "record": {"tvChannel": 1}})
    assert json.loads(result.stdout) == answer.json()["res"]
    file.write_text('{"tvChannel": -1, "imageTag": "x y"}')
    result = await alike("impact", "algo/a:1.0", "--update", str(file))
    assert (result.exit_code, result.stdout, result.stderr[:1]) == (1, "", "2")
    assert "tvChannel" in result.stderr


async def test_cycle(alike: Call, client: httpx.AsyncClient) -> None:
    """For a cycle, the update that has to come first is printed."""
    first = await register(client, "algo/a")
    await register(client, "algo/b", dependencyServiceId="algo/a:1.0")
    body = minimal("algo/a", imageId=first, dependencyServiceId="algo/b:1.0")
    assert (await client.post(f"{IMAGES}/_update", json=body)).status_code == 200
    result = await alike("impact", "algo/a:1.0", "--delete")
    assert "  先更新algo/b:1.0，去掉对algo/a:1.0的依赖，再移除algo/a:1.0、algo/b:1.0\n" in result.stdout


async def test_many(alike: Call, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long list is truncated, and the rest counted."""
    monkeypatch.setattr(impact, "LIMIT", 2)
    await register(client)
    for number in range(4):
        await register(client, f"algo/b{number}", dependencyServiceId="algo/a:1.0")
    shown = (await alike("impact", "algo/a:1.0", "--delete")).stdout
    assert "直接依赖它（4）\n  algo/b0:1.0\n  algo/b1:1.0\n  还有2项未列出\n" in shown


REFUSED: list[tuple[list[str], int, str]] = [
    ([], 2, "须给出--delete、--replace-by、--update之一\n"),
    (["--delete", "--replace-by", "algo/a:1.0"], 2, "须给出"),
    (["--delete", "--channels", "3"], 2, "action为delete时不能有channels\n"),
    (["--replace-by", "algo/a:1.0", "--channels", "0"], 2, "channels"),
    (["--update", "broken.json"], 2, "JSON格式错误"),
    (["--replace-by", "algo/none:1.0"], 1, "204：镜像不存在：algo/none:1.0\n"),
]


async def test_refused(alike: Call, client: httpx.AsyncClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wrong usage is 2, a refusal 1, each with one line."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.json").write_text("{")
    await register(client)
    for arguments, code, told in REFUSED:
        result = await alike("impact", "algo/a:1.0", *arguments)
        assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (code, "", 1), result.output
        assert result.stderr.startswith(told)
    assert (await alike("impact", "algo/none:1.0", "--delete")).exit_code == 1
