"""`serve` for operators: its output, its refusals, and how it stops."""

import asyncio
import json
import os
import signal
import socket
import threading
import time
from pathlib import Path
from typing import Any, NoReturn

import httpx
import pytest
from pydantic import SecretStr

from algoplatform.cli import listening, serving
from algoplatform.runtime import NotReady
from algoplatform.settings import Settings, load
from tests.cli.conftest import Call
from tests.support.images import IMAGES, minimal
from tests.support.logs import Log
from tests.support.postgres import Postgres, execute
from tests.support.process import refused, served

SAMPLE = Path(__file__).parents[2] / "examples" / "image_list.json"


def load_of(url: str) -> dict[str, object]:
    answer = httpx.post(f"{url}{IMAGES}/_load")
    found: dict[str, object] = answer.json()["res"]
    return found


def test_one_worker(database_url: str) -> None:
    """`serve` prints its address, imports the sample, warns of misspelt settings, and exits with 0."""
    with served("--sample", str(SAMPLE), DATABASE_URL=database_url, PROT="1") as service:
        assert service.get("/readyz").status_code == 200
        assert service.welcome[1] == f"文档  {service.url}/docs"
        assert service.welcome[2].startswith(f"试试  curl '{service.url}{IMAGES}/_search?")
        assert httpx.get(service.welcome[2].split("'")[1]).json()["status"] == "0"
        assert load_of(service.url).keys() == json.loads(SAMPLE.read_text())["res"].keys()
        assert service.log("unknown_settings")[0]["names"] == ["ALGOPLATFORM_PROT"]
        assert service.stop() == 0
        assert "Traceback" not in service.stderr


def test_two_workers(database_url: str) -> None:
    """Metrics are summed over the workers, none of which is left at the end; service links do no harm."""
    with served("--workers", "2", DATABASE_URL=database_url, PORT="tcp://10.96.12.7:8000") as service:
        service.get("/readyz")
        for _ in range(40):
            service.get("/healthz")
        pages = {service.get("/metrics").text for _ in range(6)}
        counted = {line for page in pages for line in page.splitlines() if '/healthz",status="200"} 40.0' in line}
        assert any(line.startswith("algoplatform_http_request_duration_seconds_count") for line in counted)
        for page in pages:
            assert (
                'algoplatform_http_request_duration_seconds_count{method="GET",route="/healthz",status="200"} 40.0'
                in page
            )
        workers = [line for line in service.log("request") if line["route"] == "/healthz"]
        assert len(workers) == 40
        folder = Path(f"/proc/{_children(service.process.pid)[0]}/environ").read_bytes()
        metrics = folder.partition(b"PROMETHEUS_MULTIPROC_DIR=")[2].partition(b"\0")[0].decode()
        assert len(list(Path(metrics).iterdir())) >= 2
        assert [line["names"] for line in service.log("ignored_settings")] == [["ALGOPLATFORM_PORT"]]
        assert service.stop() == 0
        assert not Path(metrics).exists()


def _children(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                found.append(int(child))
    return found


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_drain(database_url: str, workers: str) -> None:
    """After SIGTERM a running upload completes, new connections are refused, and the exit code is 0."""
    content = json.dumps([minimal("algo/late")]).encode()
    boundary = b"--b\r\ncontent-disposition: form-data; name=file; filename=f\r\n\r\n"
    body = boundary + content + b"\r\n--b--\r\n"
    head = f"POST {IMAGES}/_upload HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n".encode()
    with served("--workers", workers, DATABASE_URL=database_url) as service:
        await asyncio.to_thread(service.get, "/readyz")
        port = httpx.URL(service.url).port or 0
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head + b"expect: 100-continue\r\ncontent-type: multipart/form-data; boundary=b\r\n\r\n")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100")
        service.process.send_signal(signal.SIGTERM)
        await _refusing(port)
        writer.write(body)
        answer = await asyncio.wait_for(reader.read(), 120)
        writer.close()
        assert answer.startswith(b"HTTP/1.1 200")
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["res"]["created"] == 1
        assert await asyncio.to_thread(service.process.wait, 120) == 0
    with served(DATABASE_URL=database_url) as service:
        await asyncio.to_thread(service.get, "/healthz")
        assert len(await asyncio.to_thread(load_of, service.url)) == 1


async def _refusing(port: int) -> None:
    for _ in range(3000):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionError:
            return
        writer.close()
        await asyncio.sleep(0.02)
    raise AssertionError("new connections are still taken")


def test_database_comes_later(postgres: Postgres) -> None:
    """Without its database the service runs but is not ready; it becomes ready when the database comes up."""
    with postgres.database() as template:
        away = template.replace("?", "x?")
        with served(DATABASE_URL=away, POOL_TIMEOUT="1") as service:
            ready = service.get("/readyz")
            assert (ready.status_code, ready.json()["reason"]) == (503, "database unreachable")
            assert service.get("/healthz").status_code == 200
            assert service.get(f"{IMAGES}/_search").json()["status"] == "-503"
            name = template.partition("?")[0].rpartition("/")[2]
            execute(template.replace(name, "postgres"), f'ALTER DATABASE {name} RENAME TO "{name}x"')
            try:
                assert service.get("/readyz").status_code == 200
                assert service.get(f"{IMAGES}/_search").json()["status"] == "0"
                assert service.stop() == 0
            finally:
                execute(template.replace(name, "postgres"), f'ALTER DATABASE "{name}x" RENAME TO {name}')


def test_refused_in_a_process(postgres: Postgres) -> None:
    """An outdated schema is refused with the command to run, and no traceback."""
    with postgres.database(migrated=False) as dsn:
        code, output = refused("--port", "0", DATABASE_URL=dsn)
    assert (code, output.count("\n")) == (2, 1)
    assert "schema is at nothing" in output
    assert "algoplatform migrate" in output


def test_newer_schema(database_url: str) -> None:
    """If the schema is newer than the program, the service starts and logs a warning."""
    execute(database_url, "UPDATE alembic_version SET version_num = 'newer'")
    with served("--sample", str(SAMPLE), DATABASE_URL=database_url) as service:
        assert service.get("/readyz").status_code == 200
        assert len(load_of(service.url)) > 0
        (warning,) = service.log("schema_newer")
        assert "schema is at newer" in warning["reason"]
        assert service.stop() == 0


async def test_port_in_use(cli: Call, database_url: str) -> None:
    """A second service on a port in use says so, before it starts anything."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        code, output = await asyncio.to_thread(refused, "--port", port, DATABASE_URL=database_url)
    assert (code, output) == (2, f"cannot listen on 127.0.0.1:{port}: Address already in use\n")


async def test_beyond_loopback(cli: Call, database_url: str) -> None:
    """Listening beyond loopback requires the setting for a gateway in front."""
    result = await cli("serve", "--host", "0.0.0.0", DATABASE_URL=database_url)
    assert (result.exit_code, result.output.count("\n")) == (2, 1)
    assert "ALGOPLATFORM_TRUST_GATEWAY=true" in result.output


@pytest.mark.parametrize(
    ("token_url", "variable", "value"),
    [
        ("", "ALGOPLATFORM_OIDC_TOKEN_URL", ""),
        ("https://id.example/token", "HTTPS_PROXY", "socks5://user:hunter2@127.0.0.1:7890"),
        ("https://id.example/token", "SSL_CERT_FILE", "/nowhere"),
    ],
)
async def test_login_that_cannot_work(
    cli: Call, monkeypatch: pytest.MonkeyPatch, token_url: str, variable: str, value: str
) -> None:
    """What would make each login of the console fail is reported before anything is started."""
    monkeypatch.setenv(variable, value)
    login = {"OIDC_AUTHORIZE_URL": "https://id.example/login", "OIDC_TOKEN_URL": token_url, "OIDC_CLIENT_ID": "x"}
    with socket.create_server(("127.0.0.1", 0)) as listener:
        result = await cli("serve", "--port", str(listener.getsockname()[1]), **login)
    assert (result.exit_code, result.output.count("\n"), "hunter2" in result.output) == (2, 1, False)
    assert variable in result.output


@pytest.mark.parametrize(
    ("settings", "warned"),
    [
        ({"host": "0.0.0.0", "trust_gateway": True}, True),
        ({"host": "0.0.0.0", "trust_gateway": True, "allowed_hosts": "localhost,127.0.0.1"}, False),
        ({"host": "0.0.0.0", "auth": "token"}, False),
        ({"trust_gateway": True}, False),
    ],
)
def test_any_host(settings: dict[str, Any], warned: bool, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service behind a trusted gateway without allowed hosts logs a warning at its start."""

    class Listened(Exception):
        """Raised to end the start here."""

    def listen(settings: Settings) -> NoReturn:
        raise Listened

    monkeypatch.setattr(listening, "bound", listen)
    monkeypatch.setattr(serving, "configure_logging", lambda level: None)
    with pytest.raises(Listened):
        serving.run(Settings(**settings), None)
    assert [line["level"] for line in log.lines("any_host_answered")] == ["warning"] * warned


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch, database_url: str, log: object) -> None:
    monkeypatch.setenv("ALGOPLATFORM_DATABASE_URL", database_url)
    monkeypatch.setenv("ALGOPLATFORM_WORKERS", "1")


def test_sample_only_into_an_empty_registry(in_process: None, tmp_path: Path) -> None:
    """A registry with any image is left unchanged; a faulty sample is refused like any file."""
    faulty = tmp_path / "faulty.json"
    faulty.write_text('[{"imageName":"algo/a","imageTag":"1"}]')

    async def prepare(file: Path) -> None:
        await serving.prepare(load(), file)

    with pytest.raises(Exception, match="algo/a1:"):
        asyncio.run(prepare(faulty))
    asyncio.run(prepare(SAMPLE))
    asyncio.run(prepare(faulty))


def test_serving_in_process(
    in_process: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Inside the test process `serve` runs from start to SIGTERM, and restores the previous signal handler."""
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setenv("ALGOPLATFORM_PROT", "1")
    welcome = serving.welcome

    def welcomed(settings: Settings) -> None:
        welcome(settings)
        _terminate_when_ready(settings.port)

    monkeypatch.setattr(serving, "welcome", welcomed)
    with pytest.raises(SystemExit) as left:
        serving.run(load(port=0), None)
    assert left.value.code == 0
    assert signal.getsignal(signal.SIGTERM) is before
    assert capsys.readouterr().out.startswith("API   http://127.0.0.1:")


def test_begun_in_order(in_process: None) -> None:
    """The port is bound first: if it is taken, nothing contacts the database, which may be missing."""
    away = SecretStr("postgresql://u@127.0.0.1:1/x")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken = load(port=listener.getsockname()[1], database_url=away)
        with pytest.raises(NotReady, match="Address already in use"):
            serving.run(taken, None)
    asyncio.run(serving.prepare(taken, SAMPLE))


def _terminate_when_ready(port: int) -> None:
    def wait() -> None:
        for _ in range(12000):
            try:
                httpx.get(f"http://127.0.0.1:{port}/healthz")
                break
            except httpx.ConnectError:
                time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait).start()
