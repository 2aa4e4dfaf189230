"""Listing images at any width: names whole, other columns by usefulness."""

import asyncio
import json
import os
import pty
import subprocess
import sys
import termios
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from algoplatform.cli import listing
from algoplatform.cli.output import visible
from tests.cli.conftest import Call
from tests.support.images import upload

SAMPLE = Path(__file__).parents[2] / "examples/image_list.json"
RECORDS: list[dict[str, Any]] = list(json.loads(SAMPLE.read_text())["res"].values())
NAMES = [f"{record['imageName']}:{record['imageTag']}" for record in RECORDS]
LONGEST = "harbor.local:5000/sensetime/face_feature:6.3-cuda12"


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_widths(width: int) -> None:
    """No line exceeds the terminal, every name is in one piece, and no text is cut."""
    shown = list(listing.lines(RECORDS, width))
    assert max(map(cell_len, shown)) <= width
    assert [line.split()[0] for line in shown[1:] if not line.startswith(" ")] == NAMES
    assert not [line for line in shown if "…" in line]


def test_wider_tells_more() -> None:
    """The most useful columns come first, and a wider terminal shows more of them."""
    headers = [next(listing.lines(RECORDS, width)).split() for width in (60, 80, 120, 200)]
    assert headers[0] == ["镜像", "算法名称", "厂商", "类别"]
    assert headers[1] == ["镜像", "算法名称", "厂商", "类别", "可用"]
    assert headers[2] == ["镜像", "算法名称", "厂商", "类别", "imageId"]
    assert headers[3] == ["镜像", "算法名称", "厂商", "类别", "imageId", "依赖", "可用", "事件类型"]
    assert len(next(listing.lines(RECORDS, None)).split()) == 10


def test_name_wider_than_most() -> None:
    """A name that would leave no room has its own line; the others stay in their column."""
    shown = list(listing.lines(RECORDS, 80))
    [alone] = [number for number, line in enumerate(shown) if line == LONGEST]
    assert shown[alone + 1].split() == ["人脸特征提取", "商汤", "1", "0"]
    assert shown[alone + 1].index("人脸特征提取") == shown[0].index("算法名称") + len("镜像")


def test_columns_are_aligned() -> None:
    """Chinese characters, which take two cells, do not shift the columns behind them."""
    header, *rows = (line for line in listing.lines(RECORDS, 200))
    at = cell_len(header[: header.index("imageId")])
    ids = [record["imageId"] for record in RECORDS]
    assert [cell_len(row[: row.index(image_id)]) for row, image_id in zip(rows, ids, strict=True)] == [at] * len(ids)


def test_long_texts_are_cut_last() -> None:
    """A long text that would displace a whole column is cut and marked so."""
    records = [*RECORDS, {"imageName": "a", "imageTag": "1", "algoName": "长" * 500, "factory": "f" * 500}]
    shown = list(listing.lines(records, 80))
    assert shown[0].split()[:2] == ["镜像", "算法名称"]
    assert "长…" in shown[-1]
    assert max(map(cell_len, shown)) <= 80
    assert "长" * 500 in list(listing.lines(records, None))[-1]


def test_nothing_steers_the_terminal() -> None:
    """Line breaks and control characters are escaped."""
    record = {"imageName": "a\x1b[31m", "imageTag": "1", "algoName": "[red]x[/red]\nz"}
    [_, line] = listing.lines([record], None)
    assert line.split() == ["a\\x1b[31m:1", "[red]x[/red]\\nz"]


TEXT = st.text(max_size=60)


@given(
    st.lists(
        st.fixed_dictionaries({"imageName": TEXT, "imageTag": TEXT, "factory": TEXT, "algoDesc": TEXT}), max_size=6
    ),
    st.integers(20, 250),
)
def test_any_records(records: list[dict[str, str]], width: int) -> None:
    """With any records, only a name may exceed the terminal's width."""
    names = [visible(f"{record['imageName']}:{record['imageTag']}") for record in records]
    for line in listing.lines(records, width):
        assert cell_len(line) <= width or line in names
        assert line.isprintable()


@pytest.mark.parametrize("width", [60, 200])
async def test_real_terminal(cli: Call, client: httpx.AsyncClient, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal its width applies; into a pipe everything is written uncut."""
    assert (await upload(client, SAMPLE.read_bytes())).status_code == 200
    command = [sys.executable, "-m", "algoplatform", "search", "--url", str(client.base_url)]
    # The test runner may have set it for its workers.
    monkeypatch.delenv("COLUMNS", raising=False)
    shown = await asyncio.to_thread(_on_terminal, command, width)
    assert shown == list(listing.lines(RECORDS, width))
    piped = (await cli("search", "--url", str(client.base_url))).stdout.splitlines()
    assert piped == list(listing.lines(RECORDS, None))


def _on_terminal(command: list[str], width: int) -> list[str]:
    mine, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, width))
    env = {name: value for name, value in os.environ.items() if not name.startswith(("ALGO", "COLUMNS"))}
    process = subprocess.Popen(command, stdout=theirs, env=env | {"NO_COLOR": "1", "TERM": "dumb"})
    os.close(theirs)
    output = b""
    try:
        while part := os.read(mine, 65536):
            output += part
    except OSError:  # a terminal ends like this when its other side is closed
        pass
    os.close(mine)
    assert process.wait(30) == 0
    return output.decode().splitlines()
