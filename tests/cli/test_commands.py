"""The commands that read print the same by the database and by the service's URL."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import asyncpg
import httpx
import pytest

from algoplatform import __version__
from algoplatform.storage.schema.versions import HEAD
from tests.cli.conftest import Call
from tests.support.images import IMAGES, minimal, records, register, upload
from tests.support.owners import ask, wait_until
from tests.support.postgres import Postgres, execute
from tests.support.tables import cells

MIGRATION_LOCK = 4_715_962_001


async def test_version(cli: Call) -> None:
    """--version prints the version and nothing else."""
    result = await cli("--version")
    assert (result.exit_code, result.output) == (0, f"{__version__}\n")


async def test_no_command(cli: Call) -> None:
    """Without a command there is help, and for an unknown one a hint, and no traceback."""
    assert "import" in (await cli()).output
    unknown = await cli("nonsense")
    assert (unknown.exit_code, "No such command" in unknown.output) == (2, True)


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
    """An argument that is not UTF-8 is refused in one line, by the database and by the address alike."""
    result = await reached("search", os.fsdecode("抽帧".encode("gbk")))
    assert (result.exit_code, result.output) == (1, "202：searchCondition第1个字符不是合法的Unicode字符\n")


@pytest.mark.parametrize(("encoding", "shown"), [("gbk", "抽帧é\\U0001f600"), ("ascii", "\\u62bd\\u5e27\\xe9")])
async def test_other_encodings(client: httpx.AsyncClient, database_url: str, encoding: str, shown: str) -> None:
    """What a terminal's encoding cannot show is escaped, and JSON stays JSON."""
    await register(client, "algo/a", algoName="抽帧é😀")
    environment = os.environ | {"ALGOPLATFORM_DATABASE_URL": database_url, "PYTHONIOENCODING": encoding}
    for more in ([], ["--json"]):
        command = [sys.executable, "-m", "algoplatform", "search", *more]
        done = await asyncio.to_thread(subprocess.run, command, env=environment, capture_output=True, check=True)
        text = done.stdout.decode(encoding)
        assert json.loads(text) == await records(client) if more else shown in text


async def test_check(reached: Call, client: httpx.AsyncClient) -> None:
    """Stored records that violate current rules are listed, one line each, and the exit code is 1."""
    await register(client, "algo/a", imagePorts="web:80:32000")
    await register(client, "algo/b", imagePorts="web:80:30001")
    fine = await reached("check")
    assert (fine.exit_code, fine.output) == (0, "2个镜像全部符合规则\n")
    broken = await reached("check", NODE_PORT_RANGE="30000-30500")
    assert broken.exit_code == 1
    for part in ("algo/a:1.0", "imagePorts", "208", "30000"):
        assert part in broken.output
    assert "algo/b" not in broken.output
    listed = await reached("check", "--json", NODE_PORT_RANGE="30000-30500")
    [fault] = json.loads(listed.stdout)
    assert (listed.exit_code, fault["image"], fault["field"], fault["code"]) == (1, "algo/a:1.0", "imagePorts", "208")
    assert "32000" in fault["message"]
    fine = await reached("check", "--json")
    assert (fine.exit_code, fine.stdout) == (0, "[]\n")


_DRIFT = (
    "DELETE FROM image_dependency",
    """INSERT INTO image_dependency (dependent_id, dependency_id)
       SELECT one.image_id, other.image_id FROM image AS one, image AS other
       WHERE one.image_name = 'algo/b' AND other.image_name = 'algo/c'""",
    "UPDATE image SET live = false, version = version + 1 WHERE image_name = 'algo/gone'",
)


async def test_check_of_edges(cli: Call, client: httpx.AsyncClient, database_url: str) -> None:
    """Missing and surplus edges and unregistered dependencies are reported; an update repairs the edges."""
    for name in ("a", "c", "gone"):
        await register(client, f"algo/{name}")
    needs = {"b": "algo/a:1.0,algo/b:1.0", "d": "algo/gone:1.0"}
    ids = {name: await register(client, f"algo/{name}", dependencyServiceId=needs[name]) for name in needs}
    assert (await cli("check", DATABASE_URL=database_url)).output == "5个镜像全部符合规则\n"
    execute(database_url, *_DRIFT)
    found = await cli("check", DATABASE_URL=database_url, COLUMNS="200")
    assert found.exit_code == 1
    for told in ("缺少到“algo/a:1.0”的依赖关系", "记录中没有依赖“algo/c:1.0”", "依赖的镜像“algo/gone:1.0”未注册"):
        assert told in found.output
    assert found.output.count("308") == 3
    for name, image_id in ids.items():
        body = minimal(f"algo/{name}", imageId=image_id, dependencyServiceId=needs[name].replace("gone", "a"))
        assert (await client.post(f"{IMAGES}/_update", json=body)).status_code == 200
    assert (await cli("check", DATABASE_URL=database_url)).output == "4个镜像全部符合规则\n"


async def test_check_shows_a_thousand(cli: Call, client: httpx.AsyncClient, database_url: str) -> None:
    """The first 1,000 findings are shown and the rest counted."""
    await register(client)
    images = [minimal(f"algo/b{number}", dependencyServiceId="algo/a:1.0") for number in range(1003)]
    assert (await upload(client, images)).status_code == 200
    execute(database_url, "DELETE FROM image_dependency")
    found = await cli("check", DATABASE_URL=database_url)
    shown = [row for row in cells(found.output) if row[2] == "308"]
    assert (found.exit_code, len(shown)) == (1, 1000)
    assert "还有3处错误未列出" in found.output


async def test_openapi_needs_no_database(cli: Call) -> None:
    """The document is JSON on stdout and lists the six operations."""
    result = await cli("openapi", DATABASE_URL="postgresql://nobody@192.0.2.1/none")
    assert result.exit_code == 0
    paths = json.loads(result.stdout)["paths"]
    for operation in ("_register", "_search", "_update", "_delete", "_load", "_upload"):
        assert f"/algoPlatform/images/{operation}" in paths


async def test_settings(cli: Call) -> None:
    """Every setting is shown with its value, passwords masked."""
    result = await cli("settings", DATABASE_URL="postgresql://u:hunter2@db/x", NODE_PORT_RANGE="31000-31999")
    assert result.exit_code == 0
    assert "hunter2" not in result.output
    assert "ALGOPLATFORM_NODE_PORT_RANGE=31000-31999\n" in result.output
    assert "（默认值：30000-32767）" in result.output
    listed = await cli("settings", "--json", JWKS_URL="https://u:hunter2@id.example/keys")
    rows = {row["name"]: row for row in json.loads(listed.stdout)}
    assert rows["ALGOPLATFORM_JWKS_URL"]["value"] == "https://***@id.example/keys"
    assert rows["ALGOPLATFORM_PORT"]["default"] == "8000"
    assert all(row["description"] for row in rows.values())


@pytest.mark.parametrize("columns", ["60", "80", "200"])
async def test_settings_on_terminals(cli: Call, columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The description of a setting is wrapped at the terminal's width."""
    monkeypatch.setenv("COLUMNS", columns)
    purposes = [line for line in (await cli("settings")).output.splitlines() if line.startswith(" ")]
    assert 40 < max(map(len, purposes)) <= int(columns)


@pytest.mark.parametrize("command", [["settings"], ["openapi"], ["search"], ["check"], ["serve"], ["migrate"]])
async def test_wrong_setting(cli: Call, command: list[str]) -> None:
    """A wrong setting gives one line that names it, for each command."""
    result = await cli(*command, PORT="http")
    assert result.exit_code == 2
    assert result.output.startswith("ALGOPLATFORM_PORT: ")
    assert result.output.count("\n") == 1


@pytest.mark.parametrize("command", [["settings"], ["openapi"], ["search", "--json"], ["check"], ["migrate"]])
async def test_service_link(cli: Call, database_url: str, command: list[str]) -> None:
    """A port variable that Kubernetes set for a Service is ignored, with one line on stderr."""
    result = await cli(*command, PORT="tcp://10.96.12.7:8000", DATABASE_URL=database_url)
    assert result.exit_code == 0, result.output
    assert (result.stderr.count("\n"), "忽略ALGOPLATFORM_PORT" in result.stderr) == (1, True)
    assert "忽略" not in result.stdout


async def test_migrate(cli: Call, postgres: Postgres) -> None:
    """A new database works only after it is migrated to the schema of this version."""
    with postgres.database(migrated=False) as dsn:
        before = await cli("search", DATABASE_URL=dsn)
        assert (before.exit_code, "run `algoplatform migrate`" in before.output) == (2, True)
        for _ in range(2):
            result = await cli("migrate", DATABASE_URL=dsn)
            assert (result.exit_code, result.output) == (0, f"数据库结构版本：{HEAD}\n")
        assert (await cli("search", DATABASE_URL=dsn)).exit_code == 0


async def test_migrate_needs_a_database(cli: Call) -> None:
    """Without a database URL there is nothing to migrate, and the error says so."""
    result = await cli("migrate")
    assert (result.exit_code, "ALGOPLATFORM_DATABASE_URL" in result.output) == (2, True)


async def test_newer_schema(cli: Call, postgres: Postgres) -> None:
    """A database migrated by a newer version is refused in one line that does not suggest to migrate."""
    with postgres.database() as dsn:
        execute(dsn, "UPDATE alembic_version SET version_num = 'future'")
        results = [await cli(command, DATABASE_URL=dsn) for command in ("migrate", "search")]
        told = [(result.exit_code, result.output) for result in results]
    for code, output in told:
        assert (code, output.count("\n"), "失败" in output) == (2, 1, False), output
        assert "schema is at future, which is newer than this version" in output
        assert "algoplatform migrate" not in output


async def test_migrate_outlasts_requests(cli: Call, postgres: Postgres) -> None:
    """A role's statement_timeout, which is for requests, does not abort a migration that takes longer."""
    with postgres.database(migrated=False) as dsn:
        name = dsn.partition("?")[0].rpartition("/")[2]
        execute(dsn, f"ALTER DATABASE {name} SET statement_timeout = '200ms'")
        other = await asyncpg.connect(dsn)
        await other.execute("SELECT pg_advisory_lock($1)", MIGRATION_LOCK)
        migrating = asyncio.ensure_future(cli("migrate", DATABASE_URL=dsn))
        waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        await asyncio.to_thread(wait_until, lambda: ask(dsn, waiting) == 1)
        await asyncio.sleep(0.4)
        await other.close()
        assert (await migrating).exit_code == 0


def test_as_a_module(tmp_path: Path) -> None:
    """`python -m algoplatform` is the same command, in a real process and from any folder."""
    command = [sys.executable, "-m", "algoplatform", "--version"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == f"{__version__}\n"
