"""A file of 100,000 records is uploaded and exported in constant memory, while others are served."""

import asyncio
import json
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from typing import IO, Any

import httpx
import pytest

from tests.support.images import IMAGES, minimal, upload
from tests.support.processes import Service, service

pytestmark = pytest.mark.slow
RECORDS = 100_000
MEBIBYTE = 1024 * 1024


def realistic(number: int) -> dict[str, Any]:
    """Return a realistic record: most fields set; a few hundred of all records have dependencies."""
    needs = (
        {"dependencyServiceId": f"algo/vendor{(number - 1) % 7}/model{number - 1:06}:1.0"} if number % 100 == 99 else {}
    )
    return minimal(
        f"algo/vendor{number % 7}/model{number:06}",
        factory=f"厂商{number % 7}",
        algoName=f"安全帽检测{number}",
        algoType="0",
        frameInterval=1000,
        frameNumber=1,
        imagePorts="service1:5016:30016,service2:5017:30017,service:8888",
        imageMount="/vse/logs,/vse/coredump,/data/videos",
        algoDesc="检测画面中的人员是否佩戴安全帽，支持多路视频与图片。" * 4,
        tvChannel=number % 16,
        cpuRequests=1000,
        gpuRequests=2000,
        memRequests=4000,
        config="/etc/fdfs/client.conf,/app/application-linedrawing.properties",
        eventType=3000 + number % 50,
        subPath="/usr/lib64/libnvcuvid.so:/usr/lib/x86_64-linux-gnu/libnvcuvid.so.1",
        hostPath="/home:/home",
        workingDir="/home",
        env=f"CVSIP:172.38.90.52,CVSPORT:11112,NUMBER:{number}",
        command="/home/realtimetest/project/restart.sh",
        args="--name 'two words'",
        incidentId="0",
        useableFlag="0",
        **needs,
    )


@pytest.fixture(scope="module")
def file() -> Iterator[IO[bytes]]:
    """The file, written record by record."""
    with tempfile.TemporaryFile() as written:
        for number in range(RECORDS):
            line = json.dumps(realistic(number), ensure_ascii=False)
            written.write(f"{',' if number else '['}{line}\n".encode())
        written.write(b"]")
        yield written


async def form(file: IO[bytes], end: bytes = b"]") -> AsyncIterator[bytes]:
    """Send the file as a form in chunks, with another end if given."""
    yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.json"\r\n\r\n'
    file.seek(-1, 2)
    left = file.tell()
    file.seek(0)
    while left:
        chunk = file.read(min(left, 256 * 1024))
        left -= len(chunk)
        yield chunk
    yield end + b"\r\n--x--\r\n"


async def send(client: httpx.AsyncClient, file: IO[bytes], **options: Any) -> httpx.Response:
    headers = {"content-type": "multipart/form-data; boundary=x"}
    return await client.post(f"{IMAGES}/_upload", content=form(file, **options), headers=headers)


async def others(client: httpx.AsyncClient, seconds: list[float], done: asyncio.Event) -> None:
    """Search repeatedly in the meantime, and record the seconds."""
    while not done.is_set():
        began = time.perf_counter()
        answer = await client.get(f"{IMAGES}/_search", params={"searchCondition": "kept"})
        seconds.append(time.perf_counter() - began)
        assert len(answer.json()["res"]["data"]) == 1
        await asyncio.sleep(0.02)


async def load(running: Service, client: httpx.AsyncClient) -> int:
    """Export, and count the records as they arrive."""
    found = 0
    async with client.stream("POST", f"{IMAGES}/_load") as answer:
        assert answer.status_code == 200
        before = b""
        async for chunk in answer.aiter_bytes():
            found += (before + chunk).count(b'"deleteFlag":"0"')
            before = chunk[-15:]
    return found


async def test_large_file_in_and_out(database_url: str, file: IO[bytes]) -> None:
    """Memory grows by less than 64 MiB on upload and 32 MiB on export, while searches are answered."""
    async with service(database_url) as running, running.client() as client:
        await upload(client, [minimal("algo/kept")])
        seconds: list[float] = []
        done = asyncio.Event()
        meanwhile = asyncio.create_task(others(client, seconds, done))
        running.reset_peak()
        resident = running.peak()
        began = time.perf_counter()

        bad = b"," + json.dumps(minimal("algo/bad", pvcSize=-1)).encode() + b"]"
        refused = await send(client, file, end=bad)
        assert refused.status_code == 422
        assert refused.json()["msg"] == "algo/bad1.0:pvcSize须为0至2147483647的整数"
        assert await load(running, client) == 1

        answer = await send(client, file)
        assert answer.json()["res"] == {"created": RECORDS, "updated": 0, "unchanged": 0, "skipped": 0}, answer.text
        assert running.peak() - resident < 64 * MEBIBYTE

        running.reset_peak()
        resident = running.peak()
        assert await load(running, client) == RECORDS + 1
        assert running.peak() - resident < 32 * MEBIBYTE
        done.set()
        await meanwhile
        # On a busy machine both take longer.
        assert sorted(seconds)[int(len(seconds) * 0.99)] < max(1, (time.perf_counter() - began) / 20)
