"""What is not there, or is something else: exit code 2 or 1, one clear line, never a traceback."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Call
from tests.support.owners import ask
from tests.support.postgres import Postgres, execute
from tests.support.stranger import answering, page


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def assert_not_written() -> None:
    assert not Path("out.json").exists()


COMMANDS = [["search", "x"], ["check"], ["export", "out.json"], ["import", "in.json"]]


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in.json").write_text("[]")


@pytest.mark.parametrize("command", COMMANDS)
async def test_nobody_listens(cli: Call, command: list[str]) -> None:
    """Neither a service nor a database at the address: exit code 2, one line, no file."""
    port = free_port()
    for result in (
        await cli(*command, "--url", f"http://127.0.0.1:{port}"),
        await cli(*command, DATABASE_URL=f"postgresql://u:hunter2@127.0.0.1:{port}/x"),
    ):
        assert (result.exit_code, result.output.count("\n")) == (2, 1), result.output
        assert "无法" in result.output
        assert "hunter2" not in result.output
    assert_not_written()


@pytest.mark.parametrize("url", ["127.0.0.1:1", "http://[::1", "ftp://127.0.0.1", "http://"])
async def test_no_address(cli: Call, url: str) -> None:
    """What is no address of a service is told as such."""
    result = await cli("search", "--url", url)
    assert (result.exit_code, result.output.count("\n")) == (2, 1), result.output


@pytest.mark.parametrize(
    "answer",
    [
        page("<h1>It works!</h1>", kind="text/html"),
        page("{}"),
        page("[]"),
        page("null"),
        page('{"status":"0","res":{"data":1'),
        page("Bad gateway", "502 Bad Gateway", "text/plain"),
        page('{"code":"no such","detail":"?"}', "400 Bad Request", "application/problem+json"),
        page('{"code":"-1","detail":"?","errors":3}', "400 Bad Request", "application/problem+json"),
    ],
)
async def test_another_service(cli: Call, answer: bytes) -> None:
    """What answers in no form of ours is not taken for a registry."""
    async with answering(answer) as url:
        for command in COMMANDS:
            result = await cli(*command, "--url", url)
            assert (result.exit_code, result.output.count("\n")) == (1, 1), result.output
            assert "不是算法平台的服务" in result.output
    assert_not_written()


async def test_the_services_own_refusal(cli: Call) -> None:
    """A failure that is about no record is told in the service's words."""
    problem = '{"code":"-503","detail":"服务暂时不可用，请稍后重试","errors":[]}'
    async with answering(page(problem, "503 Service Unavailable", "application/problem+json")) as url:
        for command in COMMANDS:
            result = await cli(*command, "--url", url)
            assert (result.exit_code, result.output) == (1, "-503：服务暂时不可用，请稍后重试\n")


async def test_database_of_another_name(cli: Call, database_url: str) -> None:
    """A server that knows no such database says so itself, in one line."""
    other = database_url.replace("?", "x?")
    for command in ("search", "migrate"):
        result = await cli(command, DATABASE_URL=other)
        assert (result.exit_code, result.output.count("\n")) == (2, 1), result.output
        assert "does not exist" in result.output


@pytest.fixture
def locked(postgres: Postgres, database_url: str) -> Iterator[str]:
    """The address of a role that has a password, with another one."""
    hba = Path(ask(database_url, "SHOW hba_file"))
    before = hba.read_text()
    execute(database_url, "CREATE ROLE locked LOGIN PASSWORD 'right'")
    hba.write_text(f"local all locked scram-sha-256\n{before}")
    execute(database_url, "SELECT pg_reload_conf()")
    yield database_url.replace("algoplatform@", "locked:hunter2@", 1)
    hba.write_text(before)
    execute(database_url, "SELECT pg_reload_conf()", "DROP ROLE locked")


@pytest.mark.parametrize("command", ["search", "migrate"])
async def test_wrong_password(cli: Call, locked: str, command: str) -> None:
    """A password that the server refuses is told in the server's line, without the password."""
    result = await cli(command, DATABASE_URL=locked)
    assert (result.exit_code, result.output.count("\n")) == (2, 1), result.output
    assert "password authentication failed" in result.output
    assert "hunter2" not in result.output


async def test_no_primary(cli: Call, database_url: str) -> None:
    """Where none of the hosts is what the address asks for, migrating says so in one line."""
    result = await cli("migrate", DATABASE_URL=f"{database_url}&target_session_attrs=standby")
    assert (result.exit_code, result.output.count("\n")) == (2, 1), result.output


async def test_damaged_database(cli: Call, postgres: Postgres) -> None:
    """A database whose tables are not ours is told in PostgreSQL's words."""
    with postgres.database(migrated=False) as dsn:
        execute(dsn, "CREATE TABLE alembic_version (other text)")
        result = await cli("search", DATABASE_URL=dsn)
    assert (result.exit_code, result.output.count("\n")) == (2, 1), result.output
    assert "version_num" in result.output


async def test_no_database_at_all(cli: Call) -> None:
    """Without the setting, the commands name it."""
    result = await cli("search")
    assert (result.exit_code, "ALGOPLATFORM_DATABASE_URL" in result.output) == (2, True)
