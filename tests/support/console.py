"""Requests to the console without a browser."""

import re
from collections.abc import Iterable, Mapping
from html import unescape
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlencode

import httpx

FORM = {"content-type": "application/x-www-form-urlencoded"}


async def post(
    client: httpx.AsyncClient, path: str, fields: Mapping[str, Any] | Iterable[tuple[str, Any]]
) -> httpx.Response:
    """Send a form as a browser without script would."""
    content = urlencode(list(fields.items()) if isinstance(fields, Mapping) else list(fields))
    return await client.post(f"/console{path}", content=content, headers=FORM)


class _Inputs(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, str]] = []
        self.select = self.area = ""
        self.text = ""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        name = given.get("name") or ""
        if tag == "input" and name:
            self.found.append((name, given.get("value") or ""))
        if tag == "select":
            self.select = name
        if tag == "option" and "selected" in given:
            self.found.append((self.select, given.get("value") or ""))
        if tag == "textarea":
            self.area, self.text = name, ""

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            self.found.append((self.area, self.text.removeprefix("\n").replace("\n", "\r\n")))


def inputs(html: str) -> list[tuple[str, str]]:
    """Return the fields that the form with the id `form` would send."""
    parser = _Inputs()
    form = re.search(r'<form method="post" id="form".*?</form>', html, re.DOTALL)
    assert form
    parser.feed(form[0])
    return parser.found


def replaced(fields: Iterable[tuple[str, str]], **new: str) -> list[tuple[str, str]]:
    """Return the fields with some values replaced."""
    return [(name, new.get(name, value)) for name, value in fields]


def text_of(html: str) -> str:
    """Return a page without its tags."""
    return unescape(re.sub(r"<[^>]+>", "", html))
