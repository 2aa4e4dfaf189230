"""`render` prints only manifests on stdout, the same from the database and from the service."""

import asyncio
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from algoplatform.manifests.options import OPTIONS
from tests.cli.conftest import Call
from tests.support.cluster_tools import run_kubectl
from tests.support.images import IMAGES, minimal, register, upload

FIELDS: dict[str, Any] = {"imagePorts": "web:80:30001", "cpuRequests": 1000, "memRequests": 1024, "tvChannel": 4}


@pytest.fixture
async def image_id(client: httpx.AsyncClient) -> str:
    """An image whose only warning is the missing registry; algo/b depends on it."""
    own = await register(client, "algo/a", **FIELDS)
    await register(client, "algo/b", **FIELDS | {"imagePorts": "web:80"}, dependencyServiceId="algo/a:1.0")
    return own


def named(text: str) -> list[str]:
    """Return kind and name of each object."""
    return [f"{item['kind']}/{item['metadata']['name']}" for item in yaml.safe_load_all(text)]


async def answer(client: httpx.AsyncClient, *images: str, **options: Any) -> dict[str, Any]:
    """Return the `res` of the service."""
    got = await client.post(f"{IMAGES}/_render", json={"images": list(images), "options": options})
    assert got.status_code == 200, got.text
    found: dict[str, Any] = got.json()["res"]
    return found


async def test_yaml_alone(alike: Call, client: httpx.AsyncClient, image_id: str) -> None:
    """Stdout equals the service's YAML, byte for byte, by reference or id; warnings go to stderr."""
    file = await client.get(f"{IMAGES}/{image_id}/manifests", params={"format": "yaml"})
    for image in ("algo/a:1.0", image_id):
        result = await alike("render", image)
        assert (result.exit_code, result.stdout_bytes) == (0, file.content)
        assert result.stderr == "警告：algo/a:1.0：镜像名称中没有仓库地址，将从Docker Hub拉取（no-registry）\n"
    assert named(result.stdout) == ["Service/algo-a-1-0", "Service/algo-a-1-0-nodeport", "Deployment/algo-a-1-0"]


async def test_json(alike: Call, client: httpx.AsyncClient, image_id: str) -> None:
    """--json prints the service's result, and nothing on stderr."""
    result = await alike("render", "--json", "algo/a:1.0", "algo/b:1.0", "--replicas", "2")
    assert (result.exit_code, result.stderr) == (0, "")
    assert json.loads(result.stdout) == await answer(client, "algo/a:1.0", "algo/b:1.0", replicas=2)


VALUES = {
    "profile": "nvidia",
    "cards": "15109,24576",
    "cores": "50",
    "registry": "harbor.local:5000",
    "defaultCpu": "500",
    "defaultMemory": "1024",
    "mountStore": "hostPath:/data",
    "nodeSelector": "gpu=t4",
    "tolerations": "gpu=yes:NoSchedule",
    "replicas": "3",
    "channels": "9",
}


async def test_options(cli: Call, client: httpx.AsyncClient, database_url: str, image_id: str) -> None:
    """Every option of rendering is an option of the command, and is described in its help."""
    shown = "".join((await cli("render", "--help")).output.split())
    for option in OPTIONS:
        assert "".join(f"--{option.kebab}{option.form}{option.description}".split()) in shown
        value = option.allowed[-1] if option.allowed else VALUES.get(option.name, "x")
        result = await cli("render", "algo/a:1.0", f"--{option.kebab}", value, "--json", DATABASE_URL=database_url)
        body = {"images": ["algo/a:1.0"], "options": {option.name: value}}
        got = await client.post(f"{IMAGES}/_render", json=body)
        if got.is_success:
            assert json.loads(result.stdout) == got.json()["res"], option.kebab
        else:
            told = f"{got.json()['status']}：{got.json()['msg']}\n"
            assert (option.name, result.exit_code, result.stderr) == ("pin", 1, told)


async def test_flags(alike: Call, image_id: str) -> None:
    """A flag without a value means true, at any position."""
    both = ["Deployment/algo-a-1-0", "Deployment/algo-b-1-0"]
    flags = [["--closure"], ["--closure", "true"], ["--closure=true"]]
    for arguments in [*(["render", *flag, "algo/b:1.0"] for flag in flags), ["render", "algo/b:1.0", "--closure"]]:
        result = await alike(*arguments)
        assert [name for name in named(result.stdout) if name.startswith("Deployment")] == both
    result = await alike("render", "algo/b:1.0", "--closure", "false")
    assert [name for name in named(result.stdout) if name.startswith("Deployment")] == both[1:]


async def test_fail_on(alike: Call, image_id: str) -> None:
    """If findings have the given severity, the exit code is 1, and no YAML is printed."""
    for severity, code in (("error", 0), ("warning", 1)):
        result = await alike("render", "algo/a:1.0", "--fail-on", severity)
        assert (result.exit_code, result.stdout == "") == (code, code == 1)
        assert "no-registry" in result.stderr
        result = await alike("render", "algo/a:1.0", "--fail-on", severity, "--json")
        assert (result.exit_code, len(json.loads(result.stdout)["warnings"])) == (code, 1)
    assert (await alike("render", "algo/a:1.0", "--registry", "h.local", "--fail-on", "none")).exit_code == 2


async def test_needs_and_contents(alike: Call, client: httpx.AsyncClient, tmp_path: Path) -> None:
    """Objects that must exist first are listed; with --config-files the ConfigMap is rendered instead."""
    await register(client, "h.local/algo/c", **FIELDS, config="/etc/c.conf", imageMount="/data")
    result = await alike("render", "h.local/algo/c:1.0")
    assert "须先创建：ConfigMap algo/" in result.stderr
    assert "内容为etc_c.conf（/etc/c.conf）" in result.stderr
    assert "说明：h.local/algo/c:1.0：pvcSize为空" in result.stderr
    file = tmp_path / "files.json"
    file.write_text(json.dumps({"h.local/algo/c:1.0": {"/etc/c.conf": "on\n"}}))
    result = await alike("render", "h.local/algo/c:1.0", "--config-files", str(file))
    [first, *_] = yaml.safe_load_all(result.stdout)
    assert (first["kind"], first["data"], "ConfigMap" in result.stderr) == ("ConfigMap", {"etc_c.conf": "on\n"}, False)
    file.write_text(json.dumps({"h.local/algo/c:1.0": {"/x": "\ud800"}}))
    result = await alike("render", "h.local/algo/c:1.0", "--config-files", str(file))
    assert (result.exit_code, result.stdout, result.stderr[:4]) == (1, "", "202：")
    file.write_text("{")
    result = await alike("render", "h.local/algo/c:1.0", "--config-files", str(file))
    assert (result.exit_code, result.output) == (2, "JSON格式错误：第1行第2列\n")


async def test_refused(alike: Call, client: httpx.AsyncClient, image_id: str) -> None:
    """A refusal that depends on the registry is 1 with its message; one that does not is 2 with every fault."""
    await register(client, "algo/gpu", gpuRequests=16000)
    for arguments, code, told in (
        (["algo/gpu:1.0", "--cards", "15109"], 1, "-422：algo/gpu:1.0：gpuRequests"),
        (["algo/none:1.0", "nothing"], 1, "204：镜像不存在：algo/none:1.0，nothing"),
        ([os.fsdecode(b"\xff")], 1, "204：镜像不存在"),
        (["algo/a:1.0", "--profile", "none-such"], 1, "202：没有“none-such”这个GPU方案"),
        (["algo/a:1.0", "--naming", "x", "--replicas", "1", "--channels", "2"], 2, "naming须为tag、image之一"),
        (["algo/a:1.0", "--replicas", "1", "--channels", "2"], 2, "replicas与channels不能同时给出"),
    ):
        result = await alike("render", *arguments)
        assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (code, "", 1), result.output
        assert result.stderr.startswith(told)


async def test_kubectl_reads_it(alike: Call, image_id: str, tmp_path: Path) -> None:
    """`kubectl kustomize` accepts the output as a resource."""
    result = await alike("render", "algo/b:1.0", "--closure")
    (tmp_path / "all.yaml").write_bytes(result.stdout_bytes)
    (tmp_path / "kustomization.yaml").write_text("resources: [all.yaml]\nnamePrefix: x-\n")
    built = await asyncio.to_thread(run_kubectl, "kustomize", str(tmp_path))
    assert sorted(named(built.decode())) == sorted(re.sub("/", "/x-", name) for name in named(result.stdout))


async def test_closed_pipe(client: httpx.AsyncClient, database_url: str) -> None:
    """If the reader closes the pipe early, there is no traceback; YAML is UTF-8 in any locale."""
    assert (await upload(client, [minimal(f"algo/a{n}", algoName="抽帧") for n in range(200)])).status_code == 200
    images = [f"algo/a{n}:1.0" for n in range(200)]
    command = [sys.executable, "-m", "algoplatform", "render", *images]
    environment = os.environ | {"ALGOPLATFORM_DATABASE_URL": database_url, "PYTHONIOENCODING": "gbk"}
    process = await asyncio.to_thread(
        subprocess.Popen, command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    with process:
        assert "抽帧" in (await asyncio.to_thread(process.stdout.read, 2000)).decode(errors="replace")
        process.stdout.close()
        told = (await asyncio.to_thread(process.stderr.read)).decode("gbk")
    assert "Traceback" not in told
    assert "Errno" not in told
