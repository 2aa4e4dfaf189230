"""Clients that write continuously; finally the database is checked against what was acknowledged."""

import asyncio
import json
import time
from bisect import bisect
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any
from uuid import uuid4

import asyncpg
import httpx

from algoplatform.storage.postgres.dsn import connect_options
from tests.support.images import IMAGES, minimal

FILE = 30
_STATES = """
    SELECT record::json ->> 'algoDesc' AS mark, count(*) AS states
    FROM (SELECT record FROM image UNION ALL SELECT record FROM image_revision) AS every GROUP BY 1
"""


@dataclass
class Verdict:
    """The outcome of the writes."""

    acknowledged: int
    lost: list[str]
    half: list[str]
    twice: list[str]


@dataclass
class Writers:
    """Clients whose writes each have a unique mark in algoDesc, by which revisions are found at the end."""

    url: str
    load: int
    acknowledged: list[float] = field(default_factory=list)
    registers: set[str] = field(default_factory=set)
    updates: set[str] = field(default_factory=set)
    uploads: dict[str, bool] = field(default_factory=dict)
    retried: int = 0
    wrong: list[str] = field(default_factory=list)
    # Several scenarios may run on one database.
    _name: str = field(default_factory=lambda: uuid4().hex[:8])
    _stopping: bool = False

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """Write during the block, then wait for the responses to all registers."""
        tasks = [asyncio.create_task(task) for task in self._tasks()]
        try:
            yield
        finally:
            self._stopping = True
            async with asyncio.timeout(300):
                await asyncio.gather(*tasks)

    async def loaded(self, since: float = 0, seconds: float = 300) -> None:
        """Wait until the service acknowledges `load` writes within a second."""
        async with asyncio.timeout(seconds):
            while self.since(max(since, time.monotonic() - 1)) < self.load:
                assert not self.wrong, self.wrong
                await asyncio.sleep(0.02)

    def longest_gap(self, since: float) -> float:
        """Return the longest period, in seconds, without an acknowledged write."""
        times = self.acknowledged[max(0, bisect(self.acknowledged, since) - 1) :]
        return max((after - before for before, after in pairwise(times)), default=0.0)

    async def judge(self, dsn: str) -> Verdict:
        """Compare the database with the acknowledged writes."""
        connection = await asyncpg.connect(**connect_options(dsn, {}))
        try:
            states = Counter({row["mark"]: row["states"] for row in await connection.fetch(_STATES)})
        finally:
            await connection.close()
        acknowledged = [*self.registers, *self.updates, *(mark for mark, done in self.uploads.items() if done)]
        return Verdict(
            len(acknowledged),
            lost=[mark for mark in acknowledged if not states[mark]],
            half=[mark for mark in self.uploads if states[mark] not in (0, FILE)],
            twice=[mark for mark in self.registers if states[mark] > 1],
        )

    def since(self, moment: float) -> int:
        """Return the number of writes acknowledged since a time."""
        return len(self.acknowledged) - bisect(self.acknowledged, moment)

    def _tasks(self) -> list[Coroutine[Any, Any, None]]:
        kinds = {"r": self._register_once, "t": self._register_together}
        registering = [self._register(f"{kind}{number}", task) for kind, task in kinds.items() for number in range(4)]
        return [*registering, *(self._update(number) for number in range(3)), self._upload()]

    async def _register(self, writer: str, register: Callable[[httpx.AsyncClient, str], Awaitable[object]]) -> None:
        async with self._client() as client:
            number = 0
            while not self._stopping:
                number += 1
                await register(client, f"{self._name}-{writer}-{number}")

    async def _register_together(self, client: httpx.AsyncClient, mark: str) -> None:
        """Register without a key, so that concurrent registers share a statement; no retry on failure."""
        answer = await self._post(client, "_register", json=minimal(f"algo/{mark}", algoDesc=mark))
        if answer is not None and answer.status_code == 200:
            self.registers.add(mark)
        else:
            await asyncio.sleep(0.02)

    async def _register_once(self, client: httpx.AsyncClient, mark: str) -> str:
        body = minimal(f"algo/{mark}", algoDesc=mark)
        answer = await self._until_done(client, "_register", body, {"idempotency-key": uuid4().hex})
        self.registers.add(mark)
        return answer.headers["location"].rpartition("/")[2]

    async def _update(self, writer: int) -> None:
        async with self._client() as client:
            first = f"{self._name}-u{writer}-0"
            image_id = await self._register_once(client, first)
            number = 0
            while not self._stopping:
                number += 1
                mark = f"{self._name}-u{writer}-{number}"
                body = minimal(f"algo/{first}", imageId=image_id, algoDesc=mark)
                await self._until_done(client, "_update", body, {})
                self.updates.add(mark)

    async def _upload(self) -> None:
        """Upload files of new images, then each again with all images changed; no retry on failure."""
        async with self._client() as client:
            number = 0
            while not self._stopping:
                number += 1
                mark = f"{self._name}-f{number}"
                named = [f"algo/{self._name}-f{(number + 1) // 2}-{item}" for item in range(FILE)]
                content = json.dumps([minimal(name, algoDesc=mark) for name in named]).encode()
                self.uploads[mark] = False
                answer = await self._post(client, "_upload", files={"file": ("f", content)})
                self.uploads[mark] = answer is not None and answer.status_code == 200
                await asyncio.sleep(0.05)

    async def _until_done(
        self, client: httpx.AsyncClient, operation: str, body: dict[str, Any], headers: dict[str, str]
    ) -> httpx.Response:
        while True:
            answer = await self._post(client, operation, json=body, headers=headers)
            if answer is not None and answer.status_code == 200:
                return answer
            self.retried += "idempotency-key" in headers
            await asyncio.sleep(0.02)

    async def _post(self, client: httpx.AsyncClient, operation: str, **given: Any) -> httpx.Response | None:
        """Send a write; return None without a response. Any error in a response must be temporary."""
        try:
            answer = await client.post(f"{IMAGES}/{operation}", **given)
        except httpx.TransportError:
            return None
        if answer.status_code == 200:
            self.acknowledged.append(time.monotonic())
        elif answer.json()["status"] not in ("-409", "-503") or "retry-after" not in answer.headers:
            self.wrong.append(f"{operation}: {answer.status_code} {answer.text[:300]}")
            raise AssertionError(self.wrong)
        return answer

    def _client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.url, timeout=120)
