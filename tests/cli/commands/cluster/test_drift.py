"""`drift` compares a cluster with the registry, with the same result from the database and from the service."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from rich.console import Console
from typer.testing import CliRunner

from algoplatform.cli.commands import app
from algoplatform.cli.commands.cluster import drift
from tests.cli.conftest import Call
from tests.support.cluster import live, pod, printed, unready
from tests.support.images import IMAGES, delete, register


async def deployed(client: httpx.AsyncClient, name: str, **fields: Any) -> tuple[str, list[dict[str, Any]]]:
    """Register an image; return its id, and its objects as a cluster would."""
    image_id = await register(client, name, **fields)
    answer = await client.get(f"{IMAGES}/{image_id}/manifests", params={"registry": "h.local"})
    return image_id, live(answer.json()["res"]["manifests"])


async def cluster(client: httpx.AsyncClient) -> bytes:
    """Return a cluster with workloads that are in sync, edited, not ready, and orphaned."""
    _, in_sync = await deployed(client, "algo/a", imagePorts="web:80")
    _, edited = await deployed(client, "algo/b", env="MODEL:yolov8")
    edited[0]["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"] = "yolov9"
    _, waiting = await deployed(client, "algo/c")
    waiting = [unready(waiting[0])]
    gone, orphan = await deployed(client, "algo/d")
    assert (await delete(client, gone)).status_code == 200
    pods = [pod(waiting[0], waiting="ImagePullBackOff")]
    return printed([*in_sync, *edited, *waiting, *orphan, *pods])


async def test_table(alike: Call, client: httpx.AsyncClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table has a row for each difference, reason and orphan; the other workloads are only counted."""
    (file := tmp_path / "cluster.json").write_bytes(await cluster(client))
    # The width is read when the module is imported, so the console is replaced.
    monkeypatch.setattr(drift, "console", Console(width=200))
    result = await alike("drift", str(file), "--registry", "h.local")
    assert result.exit_code == 0
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in result.stdout.splitlines() if "│" in line]
    path = "spec.template.spec.containers[main].env[MODEL].value"
    assert rows == [
        ["algo/b:1.0", "集群中被修改", f"Deployment algo-b-1-0 {path}", "yolov8", "yolov9"],
        ["algo/c:1.0", "未就绪", "ImagePullBackOff", "", ""],
        ["algo/d:1.0", "镜像已不存在", "Deployment algo-d-1-0", "", "多余"],
    ]
    assert result.stderr.splitlines()[-1] == "一致1个，未就绪1个，镜像已不存在1个，集群中被修改1个"


async def test_json(alike: Call, client: httpx.AsyncClient, tmp_path: Path) -> None:
    """--json prints the service's result; the options are those of rendering."""
    (file := tmp_path / "cluster.json").write_bytes(await cluster(client))
    for options, query in [([], {}), (["--registry", "h.local", "--closure"], {"registry": "h.local"})]:
        result = await alike("drift", str(file), "--json", *options)
        sent = await client.post(f"{IMAGES}/_drift", files={"file": file.read_bytes()}, params=query)
        assert (result.exit_code, json.loads(result.stdout), result.stderr) == (0, sent.json()["res"], "")


async def test_exit_codes(alike: Call, client: httpx.AsyncClient, tmp_path: Path) -> None:
    """With --fail-on an orphan is an error, an unready workload a warning; invalid input is 1, wrong usage 2."""
    (file := tmp_path / "cluster.json").write_bytes(await cluster(client))
    _, waiting = await deployed(client, "algo/e")
    (late := tmp_path / "late.json").write_bytes(printed([unready(waiting[0])]))
    (wrong := tmp_path / "wrong.json").write_text("error: You must be logged in to the server (Unauthorized)\n")
    codes = {
        (str(file),): 0,
        (str(file), "--fail-on", "error"): 1,
        (str(late), "--fail-on", "error"): 0,
        (str(late), "--fail-on", "warning"): 1,
        (str(wrong),): 1,
        (str(tmp_path / "none.json"),): 2,
        (str(file), "--naming", "x"): 2,
    }
    for arguments, code in codes.items():
        options = () if "--naming" in arguments else ("--registry", "h.local")
        result = await alike("drift", *arguments, *options)
        assert result.exit_code == code, (arguments, result.stdout, result.stderr)
    assert "须为kubectl get" in (await alike("drift", str(wrong))).stderr


async def test_standard_input(client: httpx.AsyncClient, database_url: str) -> None:
    """The output of kubectl can be piped in."""
    _, objects = await deployed(client, "algo/a")
    env = {"ALGOPLATFORM_DATABASE_URL": database_url}

    def run() -> Any:
        arguments = ["drift", "-", "--registry", "h.local", "--json"]
        return CliRunner().invoke(app, arguments, input=printed(objects), env=env)

    result = await asyncio.to_thread(run)
    assert json.loads(result.stdout)["counts"] == {"in-sync": 1}
