"""Missing or foreign services and databases: exit code 2 or 1, one clear line, no traceback."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx
import pytest
from typer.testing import Result

from algoplatform.cli.registry import answers
from tests.cli.conftest import Call
from tests.support.owners import ask
from tests.support.peers import peer
from tests.support.postgres import Postgres, execute
from tests.support.stranger import answering, page


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def assert_not_written() -> None:
    assert not Path("out.json").exists()


COMMANDS = [
    ["search", "x"],
    ["check"],
    ["export", "out.json"],
    ["import", "in.json"],
    ["render", "algo/a:1.0"],
    ["graph", "algo/a:1.0"],
    ["impact", "algo/a:1.0", "--delete"],
    ["lint"],
    ["lint", "in.json"],
]


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in.json").write_text("[]")


@pytest.mark.parametrize("command", COMMANDS)
async def test_nobody_listens(cli: Call, command: list[str]) -> None:
    """With neither service nor database at the address: exit code 2, one line, no file."""
    port = free_port()
    for result in (
        await cli(*command, "--url", f"http://127.0.0.1:{port}"),
        await cli(*command, DATABASE_URL=f"postgresql://u:hunter2@127.0.0.1:{port}/x"),
    ):
        assert (result.exit_code, result.output.count("\n")) == (2, 1), result.output
        assert "无法" in result.output
        assert "hunter2" not in result.output
    assert_not_written()


NO_ADDRESSES = [
    "127.0.0.1:1",
    "localhost",
    "http://[::1",
    "ftp://user:hunter2@127.0.0.1",
    "http://",
    "http:127.0.0.1",
    "http://user:hunter2/x@127.0.0.1",
    "http://127.0.0.1:hunter2",
    "http://127.0.0.1:99999",
    "http://127.0.0.1\n:1",
    "http://…",
    "\udcff",
]


@pytest.mark.parametrize("url", NO_ADDRESSES)
async def test_no_address(cli: Call, url: str) -> None:
    """An invalid service URL is reported as such."""
    for command in COMMANDS:
        result = await cli(*command, "--url", url)
        assert (result.exit_code, result.output) == (2, "--url须为服务的地址，如http://127.0.0.1:8000\n")
    assert_not_written()


def one_line(result: Result) -> str:
    """Return the single line that a failing command prints."""
    assert (result.exit_code, result.output.count("\n")) == (2, 1), result.output
    assert "Traceback" not in result.output
    assert "hunter2" not in result.output
    line: str = result.output
    return line


async def test_secure_address_of_a_plain_service(cli: Call) -> None:
    """https:// to an HTTP port and http:// to a TLS port are reported as such."""
    refusing = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    alert = b"\x15\x03\x01\x00\x02\x02\x46"
    async with at_once(refusing) as plain, at_once(alert) as secure, at_once(b"") as silent:
        for command in COMMANDS:
            assert "请改用http://" in one_line(await cli(*command, "--url", plain.replace("http", "https")))
            assert "请改用https://" in one_line(await cli(*command, "--url", secure))
        assert "请改用https://" in one_line(await cli("search", "--url", silent))
    assert_not_written()


@asynccontextmanager
async def at_once(answer: bytes) -> AsyncIterator[str]:
    """Respond before the request is complete."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65536)
        writer.write(answer)
        with suppress(ConnectionError):
            await writer.drain()
            if answer:
                await reader.read()
        writer.close()

    async with peer(serve) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.mark.parametrize("location", ["https://user:hunter2@id.example/login?back=hunter2", "//["])
@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"])
async def test_redirect(cli: Call, status: str, location: str) -> None:
    """A redirect is reported with its target, and does not receive the token."""
    answer = f"HTTP/1.1 {status}\r\nlocation: {location}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode()
    async with answering(answer) as url:
        for command in COMMANDS:
            line = one_line(await cli(*command, "--url", url, TOKEN="hunter2"))
            assert "要求转到" in line
            assert not location.startswith("https") or "https://***@id.example/login?***" in line
    assert_not_written()


@pytest.mark.parametrize("encoding", ["gzip", "gzip, gzip", "br"])
async def test_compressed_answer(cli: Call, encoding: str) -> None:
    """A compressed response, which was not allowed, is not decompressed."""
    for more in ("", "\r\ncontent-disposition: attachment"):
        async with answering(page("x", kind=f"application/json\r\ncontent-encoding: {encoding}{more}")) as url:
            for command in COMMANDS:
                assert "被压缩" in one_line(await cli(*command, "--url", url))
    assert_not_written()


async def test_endless_answer(cli: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """An endless response is read only up to the size limit."""
    monkeypatch.setattr(answers, "_MAX_BYTES", 1 << 20)
    async with answering(page(" " * (2 << 20))) as url:
        for command in COMMANDS:
            if command[0] == "lint":
                # Findings go to disk as soon as the response begins like findings.
                result = await cli(*command, "--url", url)
                assert (result.exit_code, "不是算法平台的服务" in result.output) == (1, True)
                continue
            assert "的答复超过1MiB" in one_line(await cli(*command, "--url", url))
    assert_not_written()


@pytest.mark.parametrize(
    "proxy", ["socks5://u:hunter2@127.0.0.1:1", "socks4://127.0.0.1:1", "socks://x", "…", "http://x:y"]
)
@pytest.mark.parametrize("exempt", ["::1/128", "fd07::/64,[::1]", "10.0.0.0/8"])
async def test_proxies_are_not_for_loopback(
    cli: Call, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, proxy: str, exempt: str
) -> None:
    """A local service is reached without a proxy; elsewhere an unusable proxy is named by its variable."""
    for name in ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY"):
        monkeypatch.setenv(name, proxy)
    monkeypatch.setenv("NO_PROXY", exempt)
    for url in (str(client.base_url), str(client.base_url).replace("127.0.0.1", "localhost")):
        result = await cli("search", "--url", url, TOKEN="abc\n")
        assert result.exit_code == 0, result.output
    assert one_line(await cli("search", "--url", "http://registry.example")).startswith("HTTP_PROXY: ")
    assert one_line(await cli("search", "--url", "https://registry.example")).startswith("HTTPS_PROXY: ")


async def test_proxy_that_is_away(cli: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that does not listen is named by its variable, as the service itself may be up."""
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:hunter2@127.0.0.1:{free_port()}")
    for url in ("https://registry.example", "https://user:hunter2@registry.example"):
        line = one_line(await cli("search", "--url", url))
        assert line == "服务无法访问：Connection refused（经由环境变量HTTPS_PROXY所设的代理）\n"


async def test_address_of_the_images(cli: Call, client: httpx.AsyncClient) -> None:
    """The URL that `serve` prints at its start is accepted too."""
    for path in ("/", "/algoPlatform", "/algoPlatform/images", "/algoPlatform/images/", "?a=b#c"):
        result = await cli("search", "--url", f" {str(client.base_url).rstrip('/')}{path} ")
        assert result.exit_code == 0, result.output


@pytest.mark.parametrize("value", ["hunter2\nhunter2", "hunter2 x", "hunter2é", "hunter2\udce9", "Bearer hunter2"])
async def test_token_that_is_none(cli: Call, value: str) -> None:
    """A token that no header can hold is reported by its setting, and not shown."""
    for command in COMMANDS:
        result = await cli(*command, "--url", "http://127.0.0.1:1", TOKEN=value)
        assert one_line(result).startswith("ALGOPLATFORM_TOKEN: ")


@pytest.mark.parametrize(
    "answer",
    [
        page("<h1>It works!</h1>", kind="text/html"),
        page("{}"),
        page("[]"),
        page("null"),
        page("[" * 100000),
        page('{"status":"0"}'),
        page('{"status":"0","res":null,"msg":"?"}'),
        page('{"status":"0","res":{"data":null},"msg":"?"}'),
        page('{"status":"0","res":{"data":[1],"created":"1"},"msg":"?"}'),
        page('{"status":"0","res":{"data":[{"imageName":"a"}],"created":1},"msg":"?"}'),
        page('{"status":"202","res":null,"msg":5}', "422 Unprocessable"),
        page('{"code":"0","detail":"?"}', "400 Bad Request", "application/problem+json"),
        page('{"status":"0","res":{"data":1'),
        page("Bad gateway", "502 Bad Gateway", "text/plain"),
        page('{"code":"no such","detail":"?"}', "400 Bad Request", "application/problem+json"),
        page('{"code":"-1","detail":"?","errors":3}', "400 Bad Request", "application/problem+json"),
    ],
)
async def test_another_service(cli: Call, answer: bytes) -> None:
    """A response in another format is not taken for a registry."""
    async with answering(answer) as url:
        for command in COMMANDS:
            result = await cli(*command, "--url", url)
            assert (result.exit_code, result.output.count("\n")) == (1, 1), result.output
            assert "不是算法平台的服务" in result.output
    assert_not_written()


@pytest.mark.parametrize("content", ["[1]", '[{"imageName":"a"}]', "{", "<h1>", '{"res":[]}', ""])
async def test_export_of_another_service(cli: Call, content: str) -> None:
    """A download without images is not accepted as a list to check."""
    async with answering(page(content, kind="application/json\r\ncontent-disposition: attachment")) as url:
        result = await cli("check", "--url", url)
    assert (result.exit_code, result.output.count("\n"), result.output[:3]) == (1, 1, "-1："), result.output


async def test_the_services_own_refusal(cli: Call) -> None:
    """A failure without faulty records is reported with the service's message."""
    problem = '{"code":"-503","detail":"服务暂时不可用，请稍后重试","errors":[]}'
    async with answering(page(problem, "503 Service Unavailable", "application/problem+json")) as url:
        for command in COMMANDS:
            result = await cli(*command, "--url", url)
            assert (result.exit_code, result.output) == (1, "-503：服务暂时不可用，请稍后重试\n")


@pytest.mark.parametrize("command", [["search"], ["migrate"]])
async def test_no_database_there(cli: Call, command: list[str]) -> None:
    """A missing or foreign database is reported in one line, for each command."""
    async with at_once(b"HTTP/1.1 400 Bad Request\r\n\r\n") as plain, at_once(b"") as silent:
        for address in (plain.removeprefix("http://"), silent.removeprefix("http://"), f"127.0.0.1:{free_port()}"):
            for query in ("connect_timeout=2&sslmode=disable", "connect_timeout=2"):
                url = f"postgresql://u:hunter2@{address}/x?{query}"
                line = one_line(await cli(*command, DATABASE_URL=url))
                assert line.startswith(("数据库无法连接：", "数据库结构升级失败：")), line
                assert "sqlalchemy" not in line


async def test_database_of_another_name(cli: Call, database_url: str) -> None:
    """An unknown database name is reported with the server's message, in one line."""
    other = database_url.replace("?", "x?")
    for command in ("search", "migrate"):
        result = await cli(command, DATABASE_URL=other)
        assert (result.exit_code, result.output.count("\n")) == (2, 1), result.output
        assert "does not exist" in result.output


@pytest.fixture
def locked(postgres: Postgres, database_url: str) -> Iterator[str]:
    """The URL of a role with a wrong password."""
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
    """A wrong password is reported with the server's message, without the password."""
    result = await cli(command, DATABASE_URL=locked)
    assert (result.exit_code, result.output.count("\n")) == (2, 1), result.output
    assert "password authentication failed" in result.output
    assert "hunter2" not in result.output


async def test_no_primary(cli: Call, database_url: str) -> None:
    """If no host has the requested role, `migrate` says so in one line."""
    result = await cli("migrate", DATABASE_URL=f"{database_url}&target_session_attrs=standby")
    assert (result.exit_code, result.output.count("\n")) == (2, 1), result.output


async def test_damaged_database(cli: Call, postgres: Postgres) -> None:
    """A database with other tables is reported with PostgreSQL's message."""
    with postgres.database(migrated=False) as dsn:
        execute(dsn, "CREATE TABLE alembic_version (other text)")
        result = await cli("search", DATABASE_URL=dsn)
    assert (result.exit_code, result.output.count("\n")) == (2, 1), result.output
    assert "version_num" in result.output


async def test_no_database_at_all(cli: Call) -> None:
    """Without the setting, the commands name it."""
    for command in ("search", "check"):
        result = await cli(command)
        told = "ALGOPLATFORM_DATABASE_URL未设置，也没有用--url指明服务的地址\n"
        assert (result.exit_code, result.output) == (2, told)
