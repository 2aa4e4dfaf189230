"""`lint` lists findings, with the same result from the database and from the service."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from rich.cells import cell_len

from algoplatform.cli.commands.cluster import lint
from tests.cli.conftest import Call
from tests.support.images import IMAGES, minimal, register
from tests.support.linting import record
from tests.support.stranger import answering, page

LONG = "harbor.local:5000/sensetime/a-name-that-takes-more-than-a-line-of-a-terminal/face:6.3-cuda12"


async def registered(client: httpx.AsyncClient) -> None:
    """Register an image with an error, one with a warning and an info, and one without findings."""
    clean: dict[str, Any] = {"cpuRequests": 1000, "memRequests": 1024, "tvChannel": 8}
    await register(client, "h.local/algo/a", **clean, hostPath="/etc:/data")
    await register(client, *LONG.rsplit(":", 1), **clean | {"tvChannel": None}, imagePorts="web:80:31000")
    await register(client, "h.local/algo/c", **clean)


async def test_table(alike: Call, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Findings are listed below their image; names are never cut, and all other lines fit into the terminal."""
    await registered(client)
    monkeypatch.setenv("COLUMNS", "80")
    result = await alike("lint")
    assert (result.exit_code, result.stderr) == (0, "1处错误，1处警告，2处提示\n")
    lines = result.stdout.splitlines()
    assert [line for line in lines if not line.startswith(" ")] == ["h.local/algo/a:1.0", LONG]
    assert [cell_len(line) for line in lines if cell_len(line) > 80] == [cell_len(LONG)]
    assert [line.split()[:2] for line in lines if line.startswith("  ") and line[2] != " "] == [
        ["提示", "hostpath-psa"],
        ["错误", "hostpath-dangerous"],
        ["提示", "node-port-dynamic"],
        ["警告", "channels-unknown"],
    ]


async def test_nothing(alike: Call) -> None:
    """Without findings there is a message for people, and an empty list for programs."""
    result = await alike("lint", "--fail-on", "warning")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "没有发现问题\n")
    result = await alike("lint", "--json")
    assert (result.stdout, result.stderr) == ('{"findings":[],"counts":{},"total":0}\n', "")


async def answer(client: httpx.AsyncClient, **query: Any) -> dict[str, Any]:
    """Return the `res` of the service."""
    found: dict[str, Any] = (await client.get(f"{IMAGES}/_lint", params=query)).json()["res"]
    return found


CONDITIONS: list[tuple[list[str], dict[str, str]]] = [
    ([], {}),
    (["--severity", "error,warning"], {"severity": "error,warning"}),
    (["--rule", "channels-unknown"], {"rule": "channels-unknown"}),
    (["--search-condition", "face"], {"searchCondition": "face"}),
    (["--namespace", "algo", "--useable-flag", "0"], {"namespace": "algo", "useableFlag": "0"}),
    (["--profile", "nvidia", "--cards", "15109"], {"profile": "nvidia", "cards": "15109"}),
]


async def test_conditions(alike: Call, client: httpx.AsyncClient) -> None:
    """The conditions are those of the service; --json prints its complete result."""
    await registered(client)
    for options, query in CONDITIONS:
        result = await alike("lint", "--json", *options)
        assert (result.exit_code, json.loads(result.stdout), result.stderr) == (0, await answer(client, **query), "")


async def test_sarif(alike: Call, client: httpx.AsyncClient) -> None:
    """SARIF equals that of the service."""
    await registered(client)
    result = await alike("lint", "--format", "sarif", "--severity", "error", "--fail-on", "error")
    sent = await client.get(f"{IMAGES}/_lint", params={"format": "sarif", "severity": "error"})
    assert (result.exit_code, json.loads(result.stdout)) == (1, sent.json())
    assert [found["level"] for found in sent.json()["runs"][0]["results"]] == ["error"]


FAILING: list[tuple[list[str], int]] = [
    ([], 0),
    (["--fail-on", "error"], 1),
    (["--fail-on", "warning", "--severity", "info"], 0),
    (["--fail-on", "warning", "--rule", "channels-unknown"], 1),
    (["--fail-on", "error", "--rule", "channels-unknown"], 0),
]


async def test_fail_on(alike: Call, client: httpx.AsyncClient) -> None:
    """The exit code is 1 if a listed finding has at least the given severity."""
    await registered(client)
    for more in ([], ["--json"], ["--format", "sarif"]):
        for options, code in FAILING:
            result = await alike("lint", *options, *more)
            assert (result.exit_code, result.stdout != "") == (code, True), options


async def test_many(alike: Call, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first thousand findings are listed and the rest counted; the exit code considers all."""
    monkeypatch.setattr(lint, "LIMIT", 2)
    await registered(client)
    await register(client, "h.local/z/z", hostPath="/:/x")
    result = await alike("lint", "--search-condition", "z/z", "--fail-on", "error")
    assert result.exit_code == 1
    assert result.stderr.startswith("共5处，只列出前2处；可用")


async def test_file(alike: Call, client: httpx.AsyncClient, tmp_path: Path) -> None:
    """A file is checked together with registered images, and nothing is written."""
    await registered(client)
    file = tmp_path / "images.json"
    needs = {"dependencyServiceId": "h.local/algo/c:1.0,algo/none:1.0"}
    file.write_text(json.dumps([minimal(**_clean("h.local/x/x")) | needs]))
    result = await alike("lint", str(file), "--fail-on", "error")
    assert (result.exit_code, result.stderr) == (1, "1处错误\n")
    assert result.stdout.splitlines()[0] == "h.local/x/x:1.0"
    assert "dependency-gone" in result.stdout
    assert json.loads((await alike("lint", str(file), "--json")).stdout)["counts"] == {"dependency-gone": 1}
    file.write_text(json.dumps([minimal(imagePorts="x")]))
    refused = await alike("lint", str(file))
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "imagePorts" in refused.stderr
    assert (await alike("lint", str(tmp_path / "none.json"))).exit_code == 2


def _clean(name: str) -> dict[str, Any]:
    clean = record(name)
    return {"name": clean.pop("imageName"), "tag": clean.pop("imageTag")} | clean


async def test_usage(alike: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Invalid options give exit code 2 and list every fault."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.json").write_text("[]")
    for arguments, told in (
        (["--rule", "x", "--severity", "y"], "severity中没有“y”，须为error、warning、info；rule中没有“x”\n"),
        (["in.json", "--namespace", "algo"], "namespace不是已知的查询条件\n"),
        (["--cards", "x"], "cards"),
        (["--json", "--format", "sarif"], "--json与--format不能同时使用\n"),
    ):
        result = await alike("lint", *arguments)
        assert (result.exit_code, result.stdout, result.stderr.startswith(told)) == (2, "", True), result.output


@pytest.mark.parametrize("body", ['{"status":"0","res":{"findings":[]}', '{"status":"0","data":[]}', '{"sta', ""])
async def test_stranger(cli: Call, body: str) -> None:
    """A response that is not from the service is not printed."""
    async with answering(page(body)) as url:
        for more in ([], ["--json"]):
            result = await cli("lint", *more, "--url", url)
            assert (result.exit_code, result.stdout) == (1, "")
            assert "不是算法平台的服务" in result.stderr
