"""`export` writes whole files, `import` is all or nothing, and its report is readable."""

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from algoplatform.cli.commands.common import open_registry
from algoplatform.cli.output import errors
from tests.cli.conftest import Call
from tests.support.images import IMAGES, minimal, records, register
from tests.support.service import settings_for
from tests.support.stranger import answering
from tests.support.tables import cells


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def written(path: Path, content: Any) -> str:
    path.write_text(content if isinstance(content, str) else json.dumps(content, ensure_ascii=False), "utf-8")
    return str(path)


async def test_export(reached: Call, client: httpx.AsyncClient, tmp_path: Path) -> None:
    """The file is the response of `_load`, byte for byte, and no other file is left next to it."""
    await register(client, "algo/a", algoDesc="中文\n")
    await register(client, "algo/b", dependencyServiceId="algo/a:1.0")
    result = await reached("export", str(tmp_path / "out.json"))
    assert (result.exit_code, result.stdout) == (0, "")
    content = (tmp_path / "out.json").read_bytes()
    assert f"（{len(content)}字节）" in result.stderr
    assert content == (await client.post(f"{IMAGES}/_load")).content
    assert names(tmp_path) == ["out.json"]


async def test_export_to_what_is_no_file(reached: Call, client: httpx.AsyncClient) -> None:
    """A device is written to, not replaced."""
    assert (await reached("export", "/dev/null")).exit_code == 0
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)  # noqa: PTH116 - no method of a path in a coroutine


async def test_export_through_a_link(reached: Call, client: httpx.AsyncClient, tmp_path: Path) -> None:
    """A symbolic link keeps its target."""
    (tmp_path / "link").symlink_to(tmp_path / "file")
    assert (await reached("export", str(tmp_path / "link"))).exit_code == 0
    assert (tmp_path / "link").is_symlink()
    assert json.loads((tmp_path / "file").read_bytes())["res"] == {}


@pytest.mark.parametrize("path", ["none/out.json", "."])
async def test_export_nowhere(reached: Call, tmp_path: Path, path: str) -> None:
    """If no file can be written, one line says so."""
    result = await reached("export", str(tmp_path / path))
    assert (result.exit_code, result.output.count("\n")) == (2, 1)
    assert result.output.startswith(f"{(tmp_path / path).resolve()}：")
    assert names(tmp_path) == []


async def test_export_broken_off(cli: Call, tmp_path: Path) -> None:
    """An export that fails midway keeps the previous file, and leaves no partial one."""
    head = b"HTTP/1.1 200 OK\r\ncontent-disposition: attachment\r\ntransfer-encoding: chunked\r\n\r\n"
    file = tmp_path / "out.json"
    for before in ([], ["out.json"]):
        async with answering(head + b'14\r\n{"status":"0","res":{\r\n') as url:
            result = await cli("export", str(file), "--url", url)
        assert (result.exit_code, result.output.count("\n")) == (2, 1)
        assert names(tmp_path) == before
        file.write_text("before")
    assert file.read_text() == "before"


async def test_import(reached: Call, client: httpx.AsyncClient, tmp_path: Path) -> None:
    """A dry run only counts; an import counts and writes."""
    await register(client, "algo/a", pvcSize=1)
    file = written(tmp_path / "in.json", [minimal("algo/a"), minimal("algo/b"), minimal("algo/c")])
    dry = await reached("import", file, "--dry-run")
    assert (dry.exit_code, "未写入" in dry.output) == (0, True)
    assert len(await records(client)) == 1
    result = await reached("import", file)
    assert (result.exit_code, "导入成功" in result.output) == (0, True)
    for output in (dry.output, result.output):
        assert re.findall(r"[0-9]+", output) == ["2", "1", "0", "0"]
    assert len(await records(client)) == 3


FAULTY = [
    minimal("algo/fine"),
    minimal(
        "registry.example:5000/algo/" + "long-name/" * 5 + "x",
        imagePorts="web:99999",
        config="/a,/" + "long" * 20 + "/..",
    ),
    minimal("algo/b", env="[red]A:1", dependencyServiceId="algo/none:1"),
    {"imageName": "algo/\x1b[31mred", "imageTag": "1"},
]


@pytest.mark.parametrize("width", [80, 200])
async def test_import_refused(
    reached: Call, client: httpx.AsyncClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    """All faults of all records are listed, uncut and without control characters, and nothing is written."""
    monkeypatch.setattr(errors, "width", width)
    result = await reached("import", written(tmp_path / "in.json", FAULTY))
    assert (result.exit_code, result.stdout) == (1, "")
    rows = cells(result.stderr)
    assert all(len(row) == 4 for row in rows)
    assert rows[0] == ["镜像", "字段", "状态码", "错误"]
    faults = {(field, code) for _, field, code, _ in rows[1:]}
    assert faults >= {("imagePorts", "208"), ("config", "209"), ("env", "217"), ("dependencyServiceId", "308")}
    assert faults >= {("factory", "202"), ("algoName", "202"), ("algoType", "211"), ("imageName", "221")}
    messages = {field: message for _, field, _, message in rows[1:]}
    assert messages["imagePorts"] == "imagePorts第1项“web:99999”的容器端口须为1至65535的整数"
    assert "[red]A" in messages["env"]
    assert f"文件中有{len(rows) - 1}处错误，未写入任何数据" in result.stderr
    assert "\x1b" not in result.stderr
    assert await records(client) == []


async def test_import_of_a_nameless_file(reached: Call, client: httpx.AsyncClient, tmp_path: Path) -> None:
    """A file is imported even if its name is not valid UTF-8."""
    path = tmp_path / os.fsdecode("镜像.json".encode("gbk"))
    result = await reached("import", written(path, [minimal()]))
    assert result.exit_code == 0, result.output
    assert len(await records(client)) == 1


async def test_import_of_many_faults(reached: Call, tmp_path: Path) -> None:
    """The first 1,000 faults are listed, with the total number."""
    content = [{"imageName": f"algo/a{number}", "imageTag": "1"} for number in range(400)]
    result = await reached("import", written(tmp_path / "in.json", content))
    assert result.exit_code == 1
    assert "文件中有1200处错误" in result.stderr
    assert re.search("另有[0-9]+处错误未列出", result.stderr)


@pytest.mark.parametrize("content", ["", "{", '{"status":"0"}', "[1"])
async def test_import_of_no_records(reached: Call, tmp_path: Path, content: str) -> None:
    """A file without records is refused in one line."""
    result = await reached("import", written(tmp_path / "in.json", content))
    assert (result.exit_code, result.stderr.count("\n"), result.stderr[:3]) == (1, 1, "-1：")


@pytest.mark.parametrize("content", [b"", b"hello", b"\xff\xfe{", b"\x00", b"[1]", b"PK\x03\x04", b"[" * 100000])
async def test_import_of_something_else(reached: Call, tmp_path: Path, content: bytes) -> None:
    """No content of a file causes a traceback."""
    (tmp_path / "in.json").write_bytes(content)
    result = await reached("import", str(tmp_path / "in.json"))
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert "Traceback" not in result.output


@pytest.mark.parametrize("command", [["import"], ["serve", "--sample"]])
async def test_folder_in_the_place_of_a_file(cli: Call, tmp_path: Path, command: list[str]) -> None:
    """A folder instead of a file is reported before anything is opened."""
    result = await cli(*command, str(tmp_path))
    told = re.sub(r"[\s│]+", " ", result.output)
    assert (result.exit_code, "is a directory" in told) == (2, True)


async def test_import_of_no_file(cli: Call, tmp_path: Path) -> None:
    """A missing file is reported before anything is opened."""
    result = await cli("import", str(tmp_path / "none"))
    # The message is in a box, whose lines wrap a long path.
    told = re.sub(r"[\s│]+", " ", result.output)
    assert (result.exit_code, "does not exist" in told) == (2, True)


def test_columns_of_a_real_terminal(database_url: str, tmp_path: Path) -> None:
    """In a separate process the report respects COLUMNS and goes to stderr."""
    file = written(tmp_path / "in.json", FAULTY)
    env = {"ALGOPLATFORM_DATABASE_URL": database_url, "COLUMNS": "60", "PATH": os.environ["PATH"]}
    command = [sys.executable, "-m", "algoplatform", "import", file]
    done = subprocess.run(command, env=env, capture_output=True, text=True, encoding="utf-8")
    assert (done.returncode, done.stdout) == (1, "")
    assert max(map(len, done.stderr.splitlines())) <= 60
    assert "Traceback" not in done.stderr


async def test_progress(client: httpx.AsyncClient, database_url: str, tmp_path: Path) -> None:
    """Both ways of importing report progress to the last byte."""
    path = tmp_path / "in.json"
    written(path, [minimal(f"algo/a{number}", algoDesc="x" * 4000) for number in range(50)])
    for url in (None, str(client.base_url)):
        steps: list[int] = []
        async with open_registry(settings_for(database_url), url) as registry:
            await registry.load(path, dry_run=True, advance=steps.append)
        assert sum(steps) == path.stat().st_size
        assert len(steps) > 2
