"""If-Match and If-None-Match (RFC 9110, 13): versions as the service sends them and as proxies alter them."""

import time
from contextlib import suppress

import httpx
import pytest
from starlette.requests import Request

from algoplatform.api.http.request import if_match, is_known, wants_problem
from algoplatform.domain.errors import BadRequest
from tests.support.images import IMAGES, minimal, register


def request(name: str, *values: str) -> Request:
    """Return a request with these lines of a header."""
    return Request({"type": "http", "headers": [(name.encode(), value.encode("latin-1")) for value in values]})


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        ('"1"', 200),
        ('W/"1"', 200),
        ('"9", W/"1"', 200),
        ("*", 200),
        ('"2"', 412),
        ('W/"2"', 412),
        ('"abc"', 412),
        ('"1 "', 400),
        ("1", 400),
        ("", 400),
        ("W/1", 400),
        ('w/"1"', 400),
        ('"1', 400),
        ('"1" "2"', 400),
        ('"1",2', 400),
        ("*, 1", 400),
        ("'1'", 400),
        (",", 400),
    ],
)
async def test_if_match(client: httpx.AsyncClient, condition: str, status: int) -> None:
    """A version matches weak or strong; an invalid list of tags is rejected, and nothing is written."""
    image_id = await register(client)
    for operation, body in (
        ("_update", minimal(imageId=image_id, algoDesc="新")),
        ("_delete", {"imageId": image_id, "userResult": {"authority": 1}}),
    ):
        if operation == "_delete" and status == 200:
            continue
        answer = await client.post(f"{IMAGES}/{operation}", json=body, headers={"if-match": condition})
        assert answer.status_code == status, answer.text
        if status == 400:
            assert answer.json() == {"status": "-1", "res": None, "msg": 'If-Match须为*或带双引号的ETag列表，如"1"'}
    record = (await client.get(f"{IMAGES}/{image_id}")).json()["res"]
    assert record["algoDesc"] == ("新" if status == 200 else None)


@pytest.mark.parametrize(
    ("condition", "status"),
    [('"1"', 304), ('W/"1"', 304), ('"9",W/"1"', 304), ("*", 304), ('"2"', 200), ("1", 200), ('"1', 200), ("", 200)],
)
async def test_if_none_match(client: httpx.AsyncClient, condition: str, status: int) -> None:
    """An invalid entity tag matches nothing, and the response is complete."""
    image_id = await register(client)
    answer = await client.get(f"{IMAGES}/{image_id}", headers={"if-none-match": condition})
    assert answer.status_code == status


def test_lines() -> None:
    """A list may span several lines, with empty elements, and with commas inside tags."""
    assert sorted(if_match(request("if-match", '"1"', 'W/"2",, "a,b" ,', '"é"')) or ()) == [1, 2]
    assert if_match(request("if-match", " * ")) is None
    assert if_match(request("x")) is None
    with pytest.raises(BadRequest):
        if_match(request("if-match", '"1"', "2"))


@pytest.mark.parametrize(
    "text",
    [
        ",".join(['"1"'] * 10_000),
        " " * 32_000 + "x",
        ", " * 16_000 + "x",
        '"' * 32_001,
        '"' + "," * 32_000,
        'W/"' * 10_000,
        "\t " * 16_000 + '"1"' + " " * 1000 + "x",
    ],
)
def test_long_conditions(text: str) -> None:
    """Parsing takes linear time."""
    began = time.process_time()
    for _ in range(10):
        with suppress(BadRequest):
            if_match(request("if-match", text))
        is_known(request("if-none-match", text), '"2"')
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    ("accept", "problem"),
    [
        ("application/problem+json", True),
        ("APPLICATION/PROBLEM+JSON", True),
        ("text/html, application/problem+json ; q=0.5", True),
        ("application/problem+json;q=0.5,application/json;q=0.4", True),
        ("application/problem+json;q=0.5,application/json", False),
        ("application/problem+json;q=0", False),
        ("xapplication/problem+json", False),
        ("application/problem+jsonx", False),
        ("application/problem+json x", False),
        ("*/*", False),
        ("", False),
    ],
)
def test_accept(accept: str, problem: bool) -> None:
    """RFC 9457 is only for clients that name it."""
    assert wants_problem(request("accept", accept)) is problem


@pytest.mark.parametrize(
    "text",
    ["a," * 16_000, "application/problem+json," * 1300, "," + " " * 32_000, "application/problem+json" + ";q" * 15_000,
     "application/problem+json" + " " * 32_000 + "x", "application/problem+json;" + " " * 32_000 + "x", ",;" * 16_000],
)  # fmt: skip
def test_long_accept(text: str) -> None:
    """Parsing Accept takes linear time, too."""
    began = time.process_time()
    for _ in range(10):
        wants_problem(request("accept", text, "application/problem+json"))
    assert time.process_time() - began < 1
