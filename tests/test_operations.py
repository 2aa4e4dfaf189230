"""docs/operations.md: its commands run, its statements on upgrades hold, and every alert is explained."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
import yaml

from algoplatform.storage.schema import migrations
from algoplatform.storage.schema.versions import REVISIONS
from tests.support.command import environment
from tests.support.images import IMAGES, delete, minimal, records, register, upload
from tests.support.markdown import ROOT, blocks, rows
from tests.support.postgres import Postgres
from tests.support.programs import wheel_programs
from tests.support.service import serving, settings_for

DOCUMENT = (ROOT / "docs/operations.md").read_text("utf-8")
SCRIPTS = [block.text for block in blocks(DOCUMENT) if block.language == "bash"]
KEY = {"idempotency-key": "kept"}


def run(script: str, folder: Path, database_url: str, restored: str = "") -> None:
    """Run commands of the document unmodified."""
    path = f"{wheel_programs()}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    env = environment(database_url) | {"RESTORED_URL": restored, "PATH": path}
    done = subprocess.run(["bash", "-euc", script], cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"


@pytest.fixture
def empty(postgres: Postgres) -> Iterator[str]:
    """An empty database."""
    with postgres.database(migrated=False) as dsn:
        yield dsn


async def fill(client: httpx.AsyncClient) -> None:
    """Run every kind of write once."""
    base = await register(client, "algo/base", env="KEY:a\\,b", algoDesc="说明")
    await client.post(f"{IMAGES}/_update", json=minimal("algo/base", imageId=base, factory="二"))
    await register(client, "algo/app", dependencyServiceId="algo/base:1.0")
    await delete(client, await register(client, "algo/gone"))
    assert (await client.post(f"{IMAGES}/_register", json=minimal("algo/kept"), headers=KEY)).status_code == 200
    assert (await upload(client, [minimal("algo/more"), minimal("algo/kept", factory="三")])).status_code == 200


async def state(client: httpx.AsyncClient, dsn: str) -> list[Any]:
    """Return everything that a restore must recover: the export, the stored response, every revision."""
    kept = await client.post(f"{IMAGES}/_register", json=minimal("algo/kept"), headers=KEY)
    connection = await asyncpg.connect(dsn)
    try:
        past = await connection.fetch("SELECT * FROM image_revision ORDER BY image_id, version")
        all_ = await connection.fetch("SELECT * FROM image ORDER BY image_id")
    finally:
        await connection.close()
    return [(await client.post(f"{IMAGES}/_load")).content, kept.headers["location"], past, all_]


async def test_dump_and_restore(client: httpx.AsyncClient, database_url: str, empty: str, tmp_path: Path) -> None:
    """A dump restored into an empty database serves the same data and responses under the same rules."""
    await fill(client)
    before = await state(client, database_url)
    assert len(before[2]) == 3
    dump, restore = (script for script in SCRIPTS if "registry.dump" in script)
    await asyncio.to_thread(run, dump, tmp_path, database_url, empty)
    await register(client, "algo/after-the-dump")
    await asyncio.to_thread(run, restore, tmp_path, database_url, empty)
    async with serving(settings_for(empty)) as restored:
        assert (await restored.get("/readyz")).status_code == 200
        assert await state(restored, empty) == before
        (base,) = await records(restored, searchCondition="algo/base")
        assert (await delete(restored, base["imageId"])).json()["status"] == "220"
        twice = await restored.post(f"{IMAGES}/_register", json=minimal("algo/base"))
        assert twice.json()["status"] == "203"
        changed = minimal("algo/base", imageId=base["imageId"])
        assert (await restored.post(f"{IMAGES}/_update", json=changed)).headers["etag"] == '"3"'
        assert len((await state(restored, empty))[2]) == 4


async def test_export_and_import(client: httpx.AsyncClient, database_url: str, empty: str, tmp_path: Path) -> None:
    """An export recreates the registry in an empty database; the documented commands compare the two."""
    await fill(client)
    (script,) = (script for script in SCRIPTS if "algoplatform export" in script)
    await asyncio.to_thread(run, script, tmp_path, database_url, empty)
    assert (tmp_path / "registry.json").read_bytes() == (await client.post(f"{IMAGES}/_load")).content
    assert (tmp_path / "registry.json").read_bytes().count(b'"imageId"') == 4


async def test_schema_taken_back(client: httpx.AsyncClient, database_url: str) -> None:
    """The schema can be downgraded and upgraded again while the service runs, without loss of images."""
    await fill(client)
    before = await records(client)
    (script,) = (script for script in SCRIPTS if "downgrade" in script)
    await asyncio.to_thread(run, script, ROOT, database_url)
    assert f"schema is at {script.split()[-1]}" in (await client.get("/readyz")).json()["reason"]
    await asyncio.to_thread(migrations.upgrade, database_url)
    assert (await client.get("/readyz")).status_code == 200
    assert await records(client) == before


# The INSERT of the version with schema 0001, with the columns that it knew.
INSERT = """
    INSERT INTO image (image_id, image_name, image_tag, namespace, factory, algo_type, event_type, incident_id,
                       useable_flag, search, record)
    VALUES ($1, $2, '1.0', 'algo', 'ehl', '1', NULL, NULL, '0', $2, $3)
    ON CONFLICT (image_name, image_tag) WHERE live DO NOTHING RETURNING version
"""
LINK = "INSERT INTO image_dependency (dependent_id, dependency_id) VALUES ($1, $2)"
UPDATE = """
    UPDATE image SET record = image_merge(record, $2), factory = $3, algo_type = '2', search = $3, event_type = 7,
                     incident_id = '1', useable_flag = '1', version = version + 1, updated_at = now()
    WHERE image_id = $1 AND live RETURNING version
"""
UNLINK = "DELETE FROM image_dependency WHERE dependent_id = $1"
DELETE = """
    UPDATE image SET live = false, version = version + 1, updated_at = now(),
                     record = replace(record, '"deleteFlag":"0"', '"deleteFlag":"1"')
    WHERE image_id = $1 AND live RETURNING version
"""
KEEP = "INSERT INTO idempotency_key (key, fingerprint, http_status, headers, body) VALUES ('k', '', 200, '{}', '')"
FORGET = "DELETE FROM idempotency_key WHERE created_at <= now()"


async def test_old_version_on_the_newest_schema(client: httpx.AsyncClient, aside: asyncpg.Connection) -> None:
    """The oldest version can write to the newest schema, and the newest version reads and updates that."""
    base, app = await register(client, "algo/new"), "0" * 31 + "1"
    (shape,) = await records(client)
    text = httpx.Response(200, json=shape | {"imageId": app, "imageName": "algo/old"}).text
    assert await aside.fetchval(INSERT, app, "algo/old", text) == 1
    assert await aside.fetchval(INSERT, "0" * 32, "algo/old", text.replace(app, "0" * 32)) is None
    await aside.execute(LINK, app, base)
    assert (await delete(client, base)).json()["status"] == "220"
    assert await aside.fetchval(UPDATE, app, '{"factory":"二"}', "二") == 2
    assert [record["factory"] for record in await records(client, searchCondition="二")] == ["二"]
    changed = minimal("algo/old", imageId=app, algoName="new")
    assert (await client.post(f"{IMAGES}/_update", json=changed)).headers["etag"] == '"3"'
    await aside.execute(UNLINK, app)
    assert await aside.fetchval(DELETE, app) == 4
    await aside.execute(KEEP)
    await aside.execute(FORGET)
    assert [record["imageName"] for record in await records(client)] == ["algo/new"]


_COLUMNS = """
    SELECT table_name || '.' || column_name AS name, table_name AS table, data_type || ' ' || is_nullable AS type,
           is_nullable = 'YES' OR column_default IS NOT NULL AS optional
    FROM information_schema.columns WHERE table_schema = 'public'
"""


async def _columns(dsn: str) -> dict[str, asyncpg.Record]:
    connection = await asyncpg.connect(dsn)
    try:
        return {row["name"]: row for row in await connection.fetch(_COLUMNS)}
    finally:
        await connection.close()


def test_migrations_only_add(empty: str) -> None:
    """Each migration keeps all columns, and adds to existing tables only what older versions may omit."""
    before: dict[str, asyncpg.Record] = {}
    for revision in reversed(REVISIONS):
        migrations.upgrade(empty, revision)
        after = asyncio.run(_columns(empty))
        assert {name: row["type"] for name, row in before.items()}.items() <= {
            name: row["type"] for name, row in after.items()
        }.items(), revision
        tables = {row["table"] for row in before.values()}
        added = [row for name, row in after.items() if name not in before and row["table"] in tables]
        assert [row["name"] for row in added if not row["optional"]] == [], revision
        before = after


def test_features_are_where_it_says() -> None:
    """The table's PostgreSQL features are used in our SQL where it says."""
    listed = [(cells[1].strip("`"), cells[2].strip("`")) for cells in rows(DOCUMENT) if cells[-1].endswith(".py`")]
    assert len(listed) > 10
    for phrase, file in listed:
        assert phrase in (ROOT / file).read_text("utf-8"), (phrase, file)


def test_every_alert_is_explained() -> None:
    """Every alert has a row, and every row an alert."""
    groups = yaml.safe_load((ROOT / "deploy/prometheus/rules.yaml").read_text())["groups"]
    alerts = [rule["alert"] for group in groups for rule in group["rules"] if "alert" in rule]
    assert [cells[0] for cells in rows(DOCUMENT) if cells[0].startswith("Algoplatform")] == alerts
