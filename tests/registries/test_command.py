"""The command `verify`, and the periodic check of the service."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable

import asyncpg
import httpx
import pytest
from pydantic import SecretStr
from typer.testing import Result

from tests.cli.conftest import Call, cli
from tests.registries.test_hostile import DIGEST, honest, setting
from tests.support.images import IMAGES, register
from tests.support.replies import Asked, Replies, replying
from tests.support.service import serving, settings_for

__all__ = ["cli"]


@pytest.fixture
async def served() -> AsyncIterator[Replies]:
    """A registry that contains algo/x."""
    async with replying(honest) as registry:
        yield registry


@pytest.fixture
async def client(database_url: str, served: Replies) -> AsyncIterator[httpx.AsyncClient]:
    """A service with that registry configured, an image in it, and an image of no configured registry."""
    async with serving(settings_for(database_url, registries=SecretStr(setting(served)))) as client:
        await register(client, f"{served.host}/algo/x")
        await register(client, "other/none")
        yield client


@pytest.fixture
def verify(
    cli: Call, client: httpx.AsyncClient, served: Replies, database_url: str
) -> Callable[..., Awaitable[Result]]:
    """Run `verify` on the database and with --url; both must give the same result."""

    async def call(*arguments: str) -> Result:
        local = await cli("verify", *arguments, DATABASE_URL=database_url, REGISTRIES=setting(served))
        remote = await cli("verify", *arguments, "--url", str(client.base_url))
        assert (remote.exit_code, remote.stderr) == (local.exit_code, local.stderr)
        if "--json" in arguments:
            assert list(json.loads(remote.stdout)) == list(json.loads(local.stdout))
        return local

    return call


async def test_one(verify: Call, served: Replies) -> None:
    """Verifying one image prints its state, digest and platforms."""
    result = await verify(f"{served.host}/algo/x:1.0")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "状态  存在（present）",
        f"摘要  {DIGEST}",
        "平台  linux/amd64，7 bytes，用户root，端口无",
    ]
    assert json.loads((await verify(f"{served.host}/algo/x:1.0", "--json")).stdout)["digest"] == DIGEST
    result = await verify("other/none:1.0", "--fail-on", "error")
    assert (result.exit_code, result.stdout.splitlines()[0]) == (0, "状态  仓库不在配置中（not-configured）")
    assert (await verify("other/none:1.0", "--fail-on", "warning")).exit_code == 1


async def test_sets(verify: Call) -> None:
    """Verifying images by conditions prints the number of images in each state."""
    found = json.loads((await verify("--json")).stdout)
    assert found == {"total": 2, "states": {"not-configured": 1, "present": 1}}
    result = await verify("--namespace", "algo", "--fail-on", "warning")
    assert result.exit_code == 0
    assert "共校验1个镜像" in result.stdout
    assert (await verify("--fail-on", "error")).exit_code == 0
    assert (await verify("--fail-on", "warning")).exit_code == 1
    assert json.loads((await verify("--namespace", "none", "--json")).stdout) == {"total": 0, "states": {}}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("a/b:1", "--namespace", "algo"), 2, "不能同时给出"),
        (("--algo-type", "9"), 2, "algoType"),
        (("algo/never:1.0",), 1, "镜像不存在"),
        (("algo/UPPER:1.0",), 1, "镜像不存在"),
    ],
)
async def test_refused(verify: Call, arguments: tuple[str, ...], code: int, message: str) -> None:
    """Wrong usage exits with 2, an unknown image with 1."""
    result = await verify(*arguments)
    assert (result.exit_code, message in result.stderr) == (code, True)


async def test_periodically(database_url: str, aside: asyncpg.Connection) -> None:
    """With an interval the service verifies images periodically; without one it does not."""
    asked = asyncio.Semaphore(0)

    def answer(request: Asked) -> bytes:
        if request.method == "HEAD":
            asked.release()
        return honest(request)

    async with replying(answer) as served:
        settings = settings_for(database_url, registries=SecretStr(setting(served)))
        async with serving(settings) as client:
            image_id = await register(client, f"{served.host}/algo/x")
        assert served.asked == []
        async with serving(settings.model_copy(update={"verify_interval": 0.4})) as client, asyncio.timeout(60):
            for _ in range(3):
                await asked.acquire()
            assert (await client.get(f"{IMAGES}/{image_id}/artifact")).json()["res"]["digest"] == DIGEST
    # The advisory lock has been released.
    assert await aside.fetchval("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = 4715962") == 0
