"""Importing: a preview with counts, names and all faults, then writing all or nothing."""

import json
from typing import Any

import httpx

from tests.support.images import minimal, records, register


async def sent(client: httpx.AsyncClient, some: Any, part: str = "", **fields: str) -> httpx.Response:
    """Send the import form."""
    content = some if isinstance(some, bytes) else json.dumps(some).encode()
    headers = {"x-part": part} if part else {}
    return await client.post("/console/import", files={"file": ("list.json", content)}, data=fields, headers=headers)


async def test_preview_then_write(client: httpx.AsyncClient) -> None:
    """A preview writes nothing, and lists what would change."""
    await register(client, "algo/a")
    some = [minimal("algo/a", memRequests=5), minimal("algo/b")]
    preview = await sent(client, some, dryRun="true")
    assert preview.status_code == 200
    for text in ("预览：尚未写入", "algo/a:1.0", "<code>memRequests</code>", "algo/b:1.0"):
        assert text in preview.text
    assert len(await records(client)) == 1
    skipped = await sent(client, some, dryRun="true", onConflict="skip")
    assert '<option value="skip" selected>' in skipped.text
    written = await sent(client, some, dryRun="false")
    assert "已写入" in written.text
    assert len(await records(client)) == 2
    again = await sent(client, some, dryRun="false")
    assert again.status_code == 200


async def test_all_faults(client: httpx.AsyncClient) -> None:
    """All faults are listed with their records, and the status is 422."""
    answer = await sent(client, [minimal("algo/a", memRequests="x"), minimal("algo/b", algoType="9")], dryRun="true")
    assert answer.status_code == 422
    for text in ("文件有 2 处错误", "algo/a1.0", "memRequests", "algo/b1.0", "algoType"):
        assert text in answer.text


async def test_bad_files_and_options(client: httpx.AsyncClient) -> None:
    """An invalid file and an unknown option are reported on the page."""
    assert (await sent(client, b"hello", dryRun="true")).status_code == 422
    assert (await sent(client, [], dryRun="true", onConflict="x")).status_code == 422
    assert (await client.post("/console/import", files={"other": b"x"})).status_code == 422


async def test_progress(client: httpx.AsyncClient) -> None:
    """The script receives JSON lines with the bytes checked, and finally the result; proxies must not buffer them."""
    many = [minimal(f"algo/{at}") for at in range(3000)]
    answer = await sent(client, many, "progress", dryRun="true")
    assert (answer.status_code, answer.headers["x-accel-buffering"]) == (200, "no")
    *steps, last = map(json.loads, answer.text.splitlines())
    assert steps[0] == {"checked": 0, "size": len(json.dumps(many))}
    assert last["ok"] is True
    assert "还有 2,000 个" in last["html"]
    wrong = (await sent(client, [minimal(algoType="7")], "progress", dryRun="false")).text.splitlines()
    assert json.loads(wrong[-1])["ok"] is False
