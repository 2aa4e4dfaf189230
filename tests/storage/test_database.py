"""The connection pool: which failures are reported as transient, and that no connection leaks."""

import asyncio
import random
import re
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import asyncpg
import httpx
import pytest
from starlette.requests import ClientDisconnect

from algoplatform.domain.errors import Busy, Unavailable
from algoplatform.domain.search import Conditions
from algoplatform.storage.postgres.pool import Connection, Database
from algoplatform.storage.postgres.session import Session
from algoplatform.storage.postgres.transactions import retried
from algoplatform.storage.search.statements import ImageSearch
from tests.support.images import IMAGES, delete, minimal, records, register, upload
from tests.support.logs import Log
from tests.support.postgres import execute
from tests.support.service import serving, settings_for

WAITING = "SELECT array_agg(pid) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def _locked(url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """Block all statements on images until the end."""
    async with _connected(url) as connection, connection.transaction():
        await connection.execute("LOCK TABLE image IN ACCESS EXCLUSIVE MODE")
        yield connection


async def _blocked(connection: "asyncpg.Connection[asyncpg.Record]", count: int = 1) -> list[int]:
    """Wait until `count` backends wait for a lock, and return their pids."""
    async with asyncio.timeout(60):
        # Within a transaction the statistics are a snapshot.
        while len(pids := await connection.fetchval(WAITING) or []) < count:
            await connection.execute("SELECT pg_stat_clear_snapshot()")
            await asyncio.sleep(0.01)
    return list(pids)


def _search(client: httpx.AsyncClient) -> "asyncio.Task[httpx.Response]":
    return asyncio.create_task(client.get(f"{IMAGES}/_search"))


def _assert_unavailable(answer: httpx.Response) -> None:
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert list(answer.json()) == ["status", "res", "msg"]
    assert answer.json()["status"] == "-503"


async def _pool(client: httpx.AsyncClient) -> dict[str, float]:
    found = re.findall(r"^algoplatform_pool_connections_(\w+)\S* (\S+)$", (await client.get("/metrics")).text, re.M)
    return {name: float(value) for name, value in found}


@pytest.mark.parametrize(
    "change",
    [
        ("/run&", "/nowhere&"),
        ("port=5432", "port=5433"),
        ("?", "x?"),
        ("port=5432", "port=5432&target_session_attrs=standby"),
    ],
    ids=["no socket", "no server", "no database", "no primary"],
)
async def test_server_gone(database_url: str, change: tuple[str, str]) -> None:
    """Without a database the process stays alive, is not ready, and answers with Retry-After."""
    gone = database_url.replace("%2F", "/").replace(*change)
    assert gone != database_url.replace("%2F", "/")
    async with serving(settings_for(gone)) as client:
        _assert_unavailable(await client.get(f"{IMAGES}/_search"))
        _assert_unavailable(await client.post(f"{IMAGES}/_register", json=minimal()))
        assert (await client.get("/readyz")).json()["reason"] == "database unreachable"
        assert (await client.get("/healthz")).status_code == 200


@pytest.mark.parametrize("spelling", ["?host=%2Fnowhere&host=", "?host=%2Fnowhere,"], ids=["sqlalchemy", "libpq"])
@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+asyncpg"])
async def test_several_hosts(database_url: str, spelling: str, scheme: str) -> None:
    """The primary is found among several hosts, in either syntax, whatever its position."""
    url = database_url.replace("?host=", spelling).replace("postgresql", scheme, 1) + "&target_session_attrs=read-write"
    async with serving(settings_for(url)) as client:
        assert await records(client) == []
    host = database_url.partition("?host=")[2].partition("&")[0]
    async with serving(settings_for(url.replace(f"{spelling}{host}", f"?host={host}&host=%2Fnowhere"))) as client:
        assert await records(client) == []


async def test_server_that_says_nothing() -> None:
    """A server that accepts connections but never answers costs no more than the connect timeout."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://someone@127.0.0.1:{silent.getsockname()[1]}/database"
        async with serving(settings_for(url, pool_timeout=0.2)) as client:
            began = time.monotonic()
            _assert_unavailable(await client.get(f"{IMAGES}/_search"))
            assert time.monotonic() - began < 20


async def test_pool_exhausted(database_url: str) -> None:
    """A request that gets no connection in time is rejected as busy; the others succeed."""
    async with serving(settings_for(database_url, pool_size=1, pool_timeout=1)) as client:
        async with _locked(database_url) as holder:
            first = _search(client)
            await _blocked(holder)
            began = time.monotonic()
            _assert_unavailable(await client.get(f"{IMAGES}/_search"))
            assert time.monotonic() - began >= 1
        assert (await first).status_code == 200
        assert (await client.get(f"{IMAGES}/_search")).status_code == 200


async def test_in_turn(database_url: str) -> None:
    """Requests for a connection are served in order; later ones do not overtake."""
    order: list[int] = []

    async def use(number: int) -> None:
        async with database.connection() as connection:
            order.append(number)
            await connection.execute("SELECT pg_sleep(0.01)")

    async with Database.open(database_url, size=2) as database:
        await asyncio.gather(*map(use, range(12)))
        assert sorted(order[:2]) == [0, 1]
        assert order[2:] == list(range(2, 12))
        assert database.usage() == {"open": 2, "idle": 2, "max": 2}


@asynccontextmanager
async def _filled_pool(database_url: str, size: int, timeout: float, **given: Any) -> AsyncIterator[Database]:
    """Open a pool and all of its connections; only then set the timeout, as connecting can take longer."""
    async with Database.open(database_url, size=size, **given) as database:
        async with AsyncExitStack() as stack:
            for _ in range(size):
                await stack.enter_async_context(database.connection())
        database._timeout = timeout
        yield database


@pytest.mark.parametrize(("size", "writes", "streams"), [(2, 1, 0), (3, 1, 1), (4, 2, 1), (6, 3, 2), (10, 5, 4)])
async def test_shares(database_url: str, size: int, writes: int, streams: int, log: Log) -> None:
    """Writes and streams leave a connection for reads; a rejected request and the log name the full share."""
    async with _filled_pool(database_url, size, 0.2) as database, AsyncExitStack() as stack:
        for _ in range(writes):
            await stack.enter_async_context(database.connection(write=True))
        for _ in range(streams):
            await stack.enter_async_context(database.connection(stream=True))
        for share in ("write", "stream"):
            with pytest.raises(Busy):
                async with database.connection(write=share == "write", stream=share == "stream"):
                    pass
        async with asyncio.timeout(5), database.connection() as connection:
            assert await connection.fetchval("SELECT 1") == 1
    assert [line["share"] for line in log.lines("pool_exhausted")] == ["write", "stream" if streams else "write"]


async def test_what_is_idle_is_closed(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Idle connections are closed after a while, even if closing one of them fails."""
    monkeypatch.setattr("algoplatform.storage.postgres.pool._TIDY_SECONDS", 0.1)
    monkeypatch.setattr("algoplatform.storage.postgres.pool._IDLE_SECONDS", 0.1)
    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context["exception"]))
    close = Session.terminate

    def fail_once(session: Session) -> None:
        monkeypatch.setattr(Session, "terminate", close)
        session.terminate()
        raise ArithmeticError

    async with Database.open(database_url, size=3) as database:
        async with database.connection(), database.connection(), database.connection():
            monkeypatch.setattr(Session, "terminate", fail_once)
        async with asyncio.timeout(20):
            while database.usage()["open"]:  # noqa: ASYNC110 - a timer has no event to wait for
                await asyncio.sleep(0.05)
    assert [type(error) for error in told] == [ArithmeticError]


async def test_of_one_connection_all_is_done(database_url: str) -> None:
    """A pool of one connection serves every use, one after the other."""
    async with Database.open(database_url, size=1) as database:
        for given in ({}, {"write": True}, {"stream": True}, {}):
            async with database.connection(**given) as connection:
                assert await connection.fetchval("SELECT 1") == 1


async def test_who_stops_waiting_is_forgotten(database_url: str) -> None:
    """A request that timed out in the queue leaves nothing behind, however long connections stay in use."""

    async def use() -> None:
        async with database.connection():
            pass

    async with _filled_pool(database_url, 1, 0.1) as database, database.connection():
        failed = await asyncio.gather(*(use() for _ in range(9)), return_exceptions=True)
        assert [type(error) for error in failed] == [Busy] * 9
        assert not database._slots._waiting


async def test_waiting_for_a_server_that_is_gone() -> None:
    """If the server is gone, queued requests fail at once like those before them."""

    async def use() -> None:
        async with database.connection():
            pass

    async with Database.open("postgresql://127.0.0.1:1/none", size=2, timeout=20) as database:
        began = time.monotonic()
        failed = await asyncio.gather(*(use() for _ in range(9)), return_exceptions=True)
        assert [type(error) for error in failed] == [Unavailable] * 9
        assert time.monotonic() - began < 15


async def test_waiting_for_connections_that_are_lost(database_url: str) -> None:
    """If all used connections are lost together, queued requests get new ones at once."""

    async def use(seconds: float) -> str:
        async with database.connection() as connection:
            await connection.execute("SELECT pg_sleep($1)", seconds)
        return "done"

    async with Database.open(database_url, size=3, timeout=20) as database, _connected(database_url) as other:
        lost = [asyncio.create_task(use(30)) for _ in range(3)]
        waiting = [asyncio.create_task(use(0)) for _ in range(9)]
        await asyncio.sleep(0.5)
        began = time.monotonic()
        ended = await other.fetch(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep($1)'"
        )
        assert len(ended) == 3
        assert await asyncio.gather(*waiting) == ["done"] * 9
        assert time.monotonic() - began < 15
        for failed in await asyncio.gather(*lost, return_exceptions=True):
            assert isinstance(failed, Unavailable)


async def test_no_connection_is_lost_on_the_way(database_url: str) -> None:
    """However users and waiters end, all connections are available afterwards."""
    chance = random.Random(11)
    outcomes: list[str] = []

    async def use(what: str) -> None:
        try:
            async with database.connection() as connection:
                if what == "fail":
                    await connection.execute("SELECT 1 / 0")
                elif what == "lose":
                    await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
                else:
                    await connection.fetchval("SELECT pg_sleep(0.002)")
            outcomes.append("done")
        except (asyncpg.DivisionByZeroError, Unavailable) as error:
            outcomes.append(type(error).__name__)

    # A lost connection would be waited for at the end.
    async with asyncio.timeout(240), Database.open(database_url, size=4) as database:
        for _ in range(15):
            kinds = chance.choices(["use", "fail", "lose"], [30, 2, 1], k=40)
            tasks = [asyncio.create_task(use(kind)) for kind in kinds]
            for task in chance.sample(tasks, 15):
                await asyncio.sleep(chance.random() * 0.003)
                task.cancel()
            await asyncio.wait(tasks, timeout=60)
            assert all(task.done() for task in tasks)
        assert {"done", "DivisionByZeroError", "Unavailable"} <= set(outcomes)
        async with AsyncExitStack() as stack:
            async with asyncio.timeout(60):
                for _ in range(4):
                    await stack.enter_async_context(database.connection())
            assert database.usage() == {"open": 4, "idle": 0, "max": 4}


async def test_overload_is_not_absence(database_url: str) -> None:
    """With all connections in use, readiness stays as it was, and the database counts as up."""
    async with serving(settings_for(database_url, pool_size=1, pool_timeout=0.4)) as client:
        for revision, ready in ((None, 200), ("0001", 503)):
            if revision:
                execute(database_url, f"UPDATE alembic_version SET version_num = '{revision}'")
            assert (await client.get("/readyz")).status_code == ready
            async with _locked(database_url) as holder:
                first = _search(client)
                await _blocked(holder)
                assert (await client.get("/readyz")).status_code == ready
                figures = (await client.get("/metrics")).text
                assert "algoplatform_database_up 1.0" in figures
                assert "algoplatform_images_live" not in figures
            assert (await first).status_code == 200


async def test_busy_for_too_long(database_url: str) -> None:
    """If all connections stay in use beyond the statement timeout, the server counts as silent."""
    async with _filled_pool(database_url, 1, 0.1, statement_timeout=0.2) as database:

        async def refusal() -> type[Exception]:
            with pytest.raises(Unavailable) as raised:
                async with database.connection():
                    pass
            return raised.type

        for _ in range(2):
            async with database.connection():
                assert await refusal() is Busy
                await asyncio.sleep(1.3)
                assert await refusal() is Unavailable
            async with database.connection():
                pass


async def test_statement_that_takes_too_long(database_url: str) -> None:
    """A statement is cancelled at its timeout, and the connection stays usable."""
    async with serving(settings_for(database_url, statement_timeout=0.2, pool_size=1)) as client:
        async with _locked(database_url):
            _assert_unavailable(await client.get(f"{IMAGES}/_search"))
        assert await records(client) == []


async def test_lock_that_takes_too_long(database_url: str) -> None:
    """With the operator's lock_timeout, a write that waits too long gets -503, and succeeds on retry."""
    async with serving(settings_for(f"{database_url}&lock_timeout=100ms", pool_size=1)) as client:
        body = minimal(imageId=await register(client))
        async with _connected(database_url) as other, other.transaction():
            await other.execute("SELECT FROM image FOR UPDATE")
            for headers in ({}, {"Idempotency-Key": "k"}):
                _assert_unavailable(await client.post(f"{IMAGES}/_update", json=body, headers=headers))
            _assert_unavailable(await upload(client, [minimal(factory="新")]))
        assert (await client.post(f"{IMAGES}/_update", json=body, headers=headers)).status_code == 200


async def test_connection_ended_by_an_administrator(client: httpx.AsyncClient, database_url: str) -> None:
    """A connection terminated mid-statement fails its request; an idle one is replaced unnoticed."""
    async with _locked(database_url) as holder:
        search = _search(client)
        for pid in await _blocked(holder):
            await holder.execute("SELECT pg_terminate_backend($1)", pid)
        _assert_unavailable(await search)
    assert await records(client) == []
    async with _connected(database_url) as other:
        await other.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE application_name = 'algoplatform' AND datname = current_database()"
        )
    assert await records(client) == []


async def test_too_many_connections(database_url: str) -> None:
    """A server with too many connections is a transient failure."""
    role = database_url.partition("?")[0].rpartition("/")[2]
    async with _connected(database_url) as admin:
        await admin.execute(f"CREATE ROLE {role} LOGIN CONNECTION LIMIT 0")
        try:
            async with serving(settings_for(database_url.replace("//algoplatform@", f"//{role}@"))) as client:
                _assert_unavailable(await client.get(f"{IMAGES}/_search"))
        finally:
            await admin.execute(f"DROP ROLE {role}")


async def test_faults_of_statements_are_not_passing(database_url: str) -> None:
    """Errors that a retry cannot fix are raised unchanged, and the connection returns to the pool."""
    async with Database.open(database_url) as database:
        with pytest.raises(asyncpg.DivisionByZeroError):
            async with database.connection() as connection:
                await connection.execute("SELECT 1 / 0")
        assert database.usage() == {"open": 1, "idle": 1, "max": 10}


async def test_clients_that_hang_up(database_url: str) -> None:
    """Requests whose clients disconnect mid-statement return their connections."""
    async with serving(settings_for(database_url, pool_size=4)) as client:
        async with _locked(database_url) as holder:
            requests = [
                _search(client),
                asyncio.create_task(client.post(f"{IMAGES}/_load")),
                asyncio.create_task(client.post(f"{IMAGES}/_register", json=minimal())),
                asyncio.create_task(
                    client.post(f"{IMAGES}/_register", json=minimal(), headers={"Idempotency-Key": "k"})
                ),
            ]
            await _blocked(holder, 4)
            for request in requests:
                request.cancel()
            await asyncio.gather(*requests, return_exceptions=True)
        async with asyncio.timeout(60):
            while (pool := await _pool(client))["idle"] != pool["open"]:  # noqa: ASYNC110 - the service has no event to wait for
                await asyncio.sleep(0.01)
        answers = await asyncio.gather(*(_search(client) for _ in range(8)))
        assert {answer.status_code for answer in answers} == {200}


async def test_reader_that_goes_away(client: httpx.AsyncClient, database_url: str) -> None:
    """A client that stops reading a download, even at its last chunk, leaves the pool complete."""
    await register(client)

    async def write(data: bytes) -> None:
        raise ClientDisconnect

    async with Database.open(database_url, size=1) as database, asyncio.timeout(60):
        for _ in range(3):
            with pytest.raises(ClientDisconnect):
                async with database.connection() as connection:
                    await ImageSearch().copy(connection, Conditions(), write, keyed=True)
        async with database.connection() as connection:
            assert await connection.fetchval("SELECT count(*) FROM image") == 1
        assert database.usage() == {"open": 1, "idle": 1, "max": 1}


async def test_cancelled_mid_transaction(database_url: str) -> None:
    """A task cancelled mid-statement leaves an idle connection without a transaction."""
    async with Database.open(database_url, size=1) as database, _locked(database_url) as holder:

        async def work() -> None:
            async with database.connection() as connection, connection.transaction():
                await connection.execute("CREATE TABLE half (n integer)")
                await connection.execute("SELECT FROM image")

        task = asyncio.create_task(work())
        await _blocked(holder)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert database.usage() == {"open": 1, "idle": 1, "max": 1}
        async with database.connection() as connection:
            assert not connection.is_in_transaction()
            assert await connection.fetchval("SELECT to_regclass('half')") is None


@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "k"}], ids=["statement", "transaction"])
@pytest.mark.parametrize("deleted", [True, False])
async def test_dependency_deleted_meanwhile(
    client: httpx.AsyncClient, database_url: str, headers: dict[str, str], deleted: bool
) -> None:
    """A register that saw its dependency alive waits for a concurrent delete, and then reports it missing."""
    needed = await register(client, "algo/needed")
    async with _connected(database_url) as other:
        racing = other.transaction()
        await racing.start()
        await other.execute(
            "UPDATE image SET live = false, version = version + 1 WHERE image_id = $1::text::uuid", needed
        )
        body = minimal(dependencyServiceId="algo/needed:1.0")
        answer = asyncio.create_task(client.post(f"{IMAGES}/_register", json=body, headers=headers))
        await _blocked(other)
        await (racing.commit() if deleted else racing.rollback())
        assert (await answer).json()["status"] == ("308" if deleted else "0")


async def test_dependent_registered_meanwhile(client: httpx.AsyncClient, database_url: str) -> None:
    """A delete that saw no dependent waits for the concurrent register, and then refuses."""
    needed = await register(client, "algo/needed")
    dependent = await register(client)
    async with _connected(database_url) as other:
        racing = other.transaction()
        await racing.start()
        await other.execute("INSERT INTO image_dependency VALUES ($1::text::uuid, $2::text::uuid)", dependent, needed)
        answer = asyncio.create_task(delete(client, needed))
        await _blocked(other)
        await racing.commit()
        assert (await answer).json()["status"] == "220"


async def test_never_the_same_twice(database_url: str) -> None:
    """A statement that violates a foreign key on each attempt fails as transient, not as a wrong request."""
    attempts = 0

    async def action(connection: Connection) -> None:
        nonlocal attempts
        attempts += 1
        await connection.execute("INSERT INTO image_dependency VALUES (gen_random_uuid(), gen_random_uuid())")

    async with Database.open(database_url) as database:
        with pytest.raises(Unavailable):
            async with database.connection() as connection:
                await retried(connection, lambda: action(connection))
    assert attempts == 3
