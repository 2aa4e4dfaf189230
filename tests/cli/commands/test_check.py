"""`check` lists stored records that violate the current rules, and edges that differ from the records."""

import json

import httpx

from tests.cli.conftest import Call
from tests.support.images import IMAGES, minimal, register, upload
from tests.support.postgres import execute
from tests.support.tables import cells


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
