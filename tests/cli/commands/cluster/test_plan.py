"""`plan` prints demand, a bar for each card and what does not fit, the same from the database and from the service."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from rich.cells import cell_len
from typer.testing import CliRunner

from algoplatform.cli.commands import app
from tests.cli.conftest import Call
from tests.support.images import IMAGES
from tests.support.plans import cameras, image, known, kubectl, nodes, worked_example

BODY: dict[str, Any] = {
    "cameras": cameras((200, ["algo/helmet_detect:2.1.0"]), (50, ["algo/plate_color:1.4"])),
    "nodes": nodes(),
    "simulate": 2,
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file with the worked example."""
    return write(tmp_path, BODY)


def write(folder: Path, body: object) -> Path:
    """Write a request body to a file."""
    path = folder / "plan.json"
    path.write_text(json.dumps(body), encoding="utf-8")
    return path


async def test_json(alike: Call, client: httpx.AsyncClient, file: Path) -> None:
    """--json prints the service's result, and nothing on stderr."""
    await known(client, *worked_example())
    result = await alike("plan", str(file), "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    assert json.loads(result.stdout) == (await client.post(f"{IMAGES}/_plan", json=BODY)).json()["res"]


async def test_tables(alike: Call, client: httpx.AsyncClient, file: Path) -> None:
    """Demand with its reasons, totals, a bar for each card of the nodes in use, and the simulation."""
    await known(client, *worked_example())
    result = await alike("plan", str(file))
    assert result.exit_code == 0
    shown = result.stdout
    for text in ("algo/helmet_detect:2.1.0", "组1", "显存（MiB）", "115000", "全部放得下", "模拟调度器2次"):
        assert text in shown
    bars = [line for line in shown.splitlines() if line.startswith("  卡")]
    assert bars and all(line.count("█") + line.count("░") == 20 for line in bars)
    assert sum(map(int, re.findall(r"helmet_detect:2\.1\.0×(\d+)", "".join(bars)))) == 25


async def test_what_is_missing(alike: Call, client: httpx.AsyncClient, tmp_path: Path) -> None:
    """Prints the scheduler's reasons and the nodes to add, assumptions on stderr; --fail-on sets the exit code."""
    await known(client, image("algo/a", "1.0", gpuRequests=4000, tvChannel=1), image("algo/b", "1.0"))
    body = {"cameras": cameras((60, ["algo/a:1.0", "algo/b:1.0"])), "nodes": nodes()}
    path = str(write(tmp_path, body))
    result = await alike("plan", path)
    assert result.exit_code == 0
    assert "放不下：algo/a:1.0×12" in result.stdout
    assert "Insufficient nvidia.com/gpumem，需要4000，最多剩余" in result.stdout
    assert "再加1个与gpu-a相同的节点就放得下" in result.stdout
    assert result.stderr == "说明：algo/b:1.0没有tvChannel，按1个副本计算\n"
    for severity in ("error", "warning"):
        assert (await alike("plan", path, "--fail-on", severity)).exit_code == 1
    body["nodes"] = nodes(5)
    assert (await alike("plan", str(write(tmp_path, body)), "--fail-on", "warning")).exit_code == 0


async def test_nodes_of_two_kinds(alike: Call, client: httpx.AsyncClient, tmp_path: Path) -> None:
    """If nodes of two kinds are needed, one sentence names both, as neither would be enough."""
    await known(client, image("algo/a", "1.0", gpuRequests=9000, tvChannel=1), image("algo/b", "1.0", cpuRequests=8000))
    body = {
        "cameras": cameras((6, ["algo/a:1.0"]), (6, ["algo/b:1.0"])),
        "overrides": {"algo/b:1.0": {"channelsPerReplica": 1}},
        "nodes": [*nodes(1, cpu=4000), {"name": "cpu", "cpu": 16000, "memory": 8192}],
    }
    result = await alike("plan", str(write(tmp_path, body)))
    [told] = [line for line in result.stdout.splitlines() if "就放得下" in line]
    assert sorted(re.findall(r"加\d+个与[a-z-]+相同的节点", told)) == [
        "加1个与gpu-a相同的节点",
        "加2个与cpu相同的节点",
    ]
    assert "总量" in result.stdout


async def test_a_narrow_terminal(alike: Call, client: httpx.AsyncClient, file: Path) -> None:
    """In 80 columns names, numbers and headings are not cut, and no line of a table is longer."""
    await known(client, *worked_example())
    shown = (await alike("plan", str(file), COLUMNS="80")).stdout.splitlines()
    rows = [line for line in shown if line.startswith("│ algo/")]
    assert [row.split()[1] for row in rows] == ["algo/frames:1.0", "algo/helmet_detect:2.1.0", "algo/plate_color:1.4"]
    assert any("显存MiB" in line and "内存MiB" in line for line in shown)
    assert all(cell_len(line) <= 80 for line in shown if line[:1] in "┏┃┡│├└")
    assert "algo/frames:1.0用于：组1（algo/helmet_detect:2.1.0）；组2（algo/plate_color:1.4）" in shown
    assert "algo/plate_color:1.4用于：组2" in shown


async def test_kubectl(alike: Call, client: httpx.AsyncClient, tmp_path: Path) -> None:
    """Bars distinguish running from planned pods."""
    await known(client, image("algo/a", "1.0", gpuRequests=5000, tvChannel=1, cpuRequests=100))
    body = {"cameras": cameras((8, ["algo/a:1.0"])), "kubectl": kubectl(), "reserve": {"gpuMemoryPercent": 0}}
    result = await alike("plan", str(write(tmp_path, body)))
    assert result.exit_code == 0
    assert "▓▓▓▓▓█████████████░░ 10000/15109MiB，已用4000  algo/a:1.0×2" in result.stdout
    assert "未计入的节点：" in result.stderr


async def test_standard_input(client: httpx.AsyncClient, database_url: str) -> None:
    """`-` reads standard input."""
    await known(client, *worked_example())
    env = {"ALGOPLATFORM_DATABASE_URL": database_url}
    result = await asyncio.to_thread(
        lambda: CliRunner().invoke(app, ["plan", "-", "--json"], input=json.dumps(BODY), env=env)
    )
    assert (result.exit_code, json.loads(result.stdout)["fits"]) == (0, True)


async def test_refusals(alike: Call, client: httpx.AsyncClient, tmp_path: Path) -> None:
    """A refused file is 1 and lists every fault; wrong usage is 2."""
    wrong = BODY | {"nodes": nodes(0), "simulate": float("nan")}
    result = await alike("plan", str(write(tmp_path, wrong)))
    assert result.exit_code == 1
    assert result.stderr == "202：nodes[0].count须为1至2000的整数；simulate须为整数\n"
    result = await alike("plan", str(write(tmp_path, BODY)))
    assert (result.exit_code, result.stderr.startswith("204：镜像不存在：")) == (1, True)
    (tmp_path / "plan.json").write_text("{")
    result = await alike("plan", str(tmp_path / "plan.json"))
    assert (result.exit_code, result.stderr) == (1, "-1：JSON格式错误：第1行第2列\n")
    assert (await alike("plan", str(tmp_path / "none.json"))).exit_code == 2
    assert (await alike("plan", str(tmp_path / "plan.json"), "--fail-on", "info")).exit_code == 2
