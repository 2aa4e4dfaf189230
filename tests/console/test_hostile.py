"""Hostile input in forms: no markup, no lost input, no 5xx."""

import asyncio
import random
from typing import Any

import httpx

from algoplatform.console.form import FIELDS
from algoplatform.console.rows import SHAPES
from tests.support.console import inputs, post
from tests.support.images import register

TEXTS = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onfocus=alert(1) autofocus='",
    "{{ 7 * 7 }}{% for x in () %}",
    "\u202eevil\u202c",
    "a\u0300" * 2000,
    "x" * 4096,
    "x" * 4097,
    "\x00",
    "\x1b[31m",
    "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"),
    "\r\n\r\n",
    ",,,,::::\\\\,",
    "，：；、",
    "-1",
    "1e9",
    "٣",
    "9" * 400,
    "%00%ff",
    "a:b:c:d=e\\,f",
    "  ",
]
NAMES = [*FIELDS, *(f"{name}.{at}" for name, shape in SHAPES.items() for at in range(len(shape.columns)))]
STRANGE = [
    "version",
    "do",
    "imageId",
    "constructor",
    "imagePorts.9",
    "imagePorts.x",
    ".0",
    "imagePorts.",
    "__proto__",
    "",
]


def form(chance: random.Random) -> list[tuple[str, str]]:
    """Return a form with random names and texts."""
    names = chance.choices([*NAMES, *STRANGE], k=chance.randint(1, 25))
    return [(name, chance.choice(TEXTS)) for name in names]


async def test_300_forms(client: httpx.AsyncClient) -> None:
    """Each form is answered with a page that shows the input as text."""
    chance = random.Random(17)
    image_id = await register(client, "algo/target", algoDesc="unversehrt")
    for number in range(300):
        fields = form(chance)
        path = ("/images/new", f"/images/{image_id}/edit", "/language", f"/images/{image_id}/restore")[number % 4]
        answer = await post(client, path, fields)
        assert answer.status_code < 500, fields
        for evil in ("<script>alert", "<img src=x", "' onfocus", ">49<"):
            assert evil not in answer.text
        if 'id="form"' in answer.text and number % 4 < 2:
            shown = inputs(answer.text)
            for name, text in fields:
                if name in FIELDS and [given for given, _ in fields].count(name) == 1 and text.isprintable():
                    joined = name in SHAPES and not any(value == text for _, value in shown)
                    assert joined or (name, text) in shown, (name, text)


async def test_foreign_and_replayed(client: httpx.AsyncClient) -> None:
    """A form from another site is refused; of repeated or concurrent forms only one registers."""
    new: dict[str, Any] = {"imageName": "algo/once", "imageTag": "1", "factory": "x", "algoName": "y", "algoType": "1"}
    foreign = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}
    for path in ("/images/new", "/images/delete", "/import", "/language", "/logout"):
        answer = await client.post(f"/console{path}", data=new, headers=foreign)
        assert answer.status_code == 403
        assert answer.headers["content-type"].startswith("text/html")
    answers = await asyncio.gather(*(post(client, "/images/new", new) for _ in range(10)))
    assert sorted(answer.status_code for answer in answers) == [303, *[409] * 9]
    assert (await client.get("/console/images", headers={"sec-fetch-site": "cross-site"})).status_code == 200


async def test_too_much(client: httpx.AsyncClient) -> None:
    """Forms with too many fields are refused before a page is built."""
    many = "&".join(["config.0=/a"] * 30_000)
    headers = {"content-type": "application/x-www-form-urlencoded"}
    assert (await client.post("/console/images/new", content=many, headers=headers)).status_code == 400
    rows = [("config.0", f"/{at}") for at in range(3000)]
    answer = await post(client, "/images/new", rows)
    assert answer.status_code == 422
