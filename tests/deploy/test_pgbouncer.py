"""The service through a real PgBouncer in transaction mode."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from algoplatform.storage.postgres.pool import Database
from tests.support.images import IMAGES, minimal, records
from tests.support.postgres import Postgres, execute
from tests.support.programs import ROOT, free_port, needs, running, unprivileged
from tests.support.service import serving, settings_for
from tests.support.tour import tour

pytestmark = needs("pgbouncer")


def folder_of(database_url: str) -> Path:
    """Return the folder of the server's socket from its DSN."""
    return Path(parse_qs(urlsplit(database_url).query)["host"][0])


def configured(database_url: str, port: int, folder: Path) -> str:
    """Return the shipped file with this test's paths and a pool so small that clients share sessions."""
    socket = folder_of(database_url)
    (folder / "users").write_text('"algoplatform" ""\n')
    replaced = {
        "algoplatform = host=postgres port=5432 dbname=algoplatform": f"* = host={socket}",
        "listen_addr = *": "listen_addr = 127.0.0.1",
        "listen_port = 6432": f"listen_port = {port}",
        "auth_type = scram-sha-256": "auth_type = trust",
        "/etc/pgbouncer/userlist.txt": str(folder / "users"),
        "default_pool_size = 20": "default_pool_size = 2",
    }
    text = (ROOT / "deploy/pgbouncer/pgbouncer.ini").read_text()
    for ours, theirs in replaced.items():
        assert ours in text
        text = text.replace(ours, theirs)
    return text


@pytest.fixture
def pooled_url(postgres: Postgres, database_url: str, tmp_path: Path) -> Iterator[str]:
    """DSN of the test's database through PgBouncer."""
    port = free_port()
    folder = folder_of(database_url).parent / f"pgbouncer-{port}"
    folder.mkdir(mode=0o755)
    (folder / "pgbouncer.ini").write_text(configured(database_url, port, folder))
    name = database_url.partition("?")[0].rpartition("/")[2]
    with running(["pgbouncer", folder / "pgbouncer.ini"], port, tmp_path / "log", unprivileged()):
        yield f"postgresql://algoplatform@127.0.0.1:{port}/{name}"


async def test_every_operation(pooled_url: str) -> None:
    """With the documented setting every operation works, including uploads and idempotent repeats."""
    async with serving(settings_for(pooled_url, prepared_statements=False)) as client:
        await tour(client)


async def test_many_clients_on_two_sessions(pooled_url: str) -> None:
    """Different requests run concurrently, and none gets another's prepared statement."""
    async with serving(settings_for(pooled_url, prepared_statements=False, pool_size=20)) as client:

        async def one(number: int) -> None:
            answer = await client.post(f"{IMAGES}/_register", json=minimal(f"algo/n{number}"))
            assert answer.status_code == 200, answer.text
            image_id = answer.headers["location"].rpartition("/")[2]
            read, found = await asyncio.gather(
                client.get(f"{IMAGES}/{image_id}"), records(client, searchCondition=f"algo/n{number}:")
            )
            assert read.json()["res"]["imageName"] == found[0]["imageName"] == f"algo/n{number}"

        await asyncio.gather(*(one(number) for number in range(60)))
        assert len(await records(client)) == 60


async def test_statement_timeout_of_the_role(database_url: str, pooled_url: str) -> None:
    """The statement timeout, which PgBouncer rejects at session start, applies as the role's setting."""
    name = database_url.partition("?")[0].rpartition("/")[2]
    execute(database_url, f"ALTER ROLE algoplatform IN DATABASE {name} SET statement_timeout = '60s'")
    async with Database.open(pooled_url, prepared_statements=False) as database, database.connection() as connection:
        assert await connection.fetchval("SHOW statement_timeout") == "1min"


async def test_without_the_setting(pooled_url: str) -> None:
    """PgBouncer's rejection counts as an unreachable database: the service starts and reports not ready."""
    async with serving(settings_for(pooled_url)) as client:
        answer: httpx.Response = await client.get("/readyz")
        assert (answer.status_code, answer.json()["reason"]) == (503, "database unreachable")
