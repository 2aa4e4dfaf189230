"""What all pages share: URLs, headers, languages, errors, and the setting that disables the console."""

import re
from itertools import chain
from pathlib import Path
from typing import get_args

import httpx
import pytest

import algoplatform.console as package
from algoplatform.console.form import FIELDS, GROUPS, UNITS
from algoplatform.console.mount import create_app
from algoplatform.console.plan_form import COLUMNS, VALUES
from algoplatform.console.rows import SHAPES
from algoplatform.console.wording import WORDINGS, language_of
from algoplatform.domain.record.model import RECORD_FIELDS
from algoplatform.planning.capacity.proofs import Proof
from algoplatform.registries.facts import STATES
from algoplatform.settings import Settings
from tests.support.console import FORM, post
from tests.support.images import IMAGES, register
from tests.support.logs import Log
from tests.support.service import serving, settings_for

FOLDER = Path(package.__file__).parent


@pytest.mark.parametrize("path", ["/", "/console", "/console/"])
async def test_home(client: httpx.AsyncClient, path: str) -> None:
    """The root and /console redirect to the list."""
    answer = await client.get(path)
    assert (answer.status_code // 100, answer.headers["location"].endswith("/console/images")) == (3, True)


async def test_root_path(database_url: str) -> None:
    """With a root path, all links of a page begin with it."""
    async with serving(settings_for(database_url, root_path="/registry")) as client:
        assert (await client.get("/registry/console")).headers["location"] == "/registry/console/images"
        page = (await client.get("/registry/console/images")).text
        found = re.findall(r'(?:href|src|action)="(/[^"]*)"', page)
        assert found and all(address.startswith("/registry/") for address in found)


async def test_left_out(database_url: str) -> None:
    """With ALGOPLATFORM_CONSOLE=false there are no pages, and `/` redirects to the API documentation."""
    async with serving(settings_for(database_url, console=False)) as client:
        assert (await client.get("/")).headers["location"] == "/docs"
        answer = await client.get("/console/images")
        assert (answer.status_code, answer.json()["status"]) == (404, "-404")


async def test_headers(client: httpx.AsyncClient) -> None:
    """Pages have a strict CSP; static files under the current version are cached as immutable."""
    page = await client.get("/console/images")
    policy = page.headers["content-security-policy"]
    assert "default-src 'self'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
    assert page.headers["referrer-policy"] == "same-origin"
    assert "X-Part" in page.headers["vary"]
    for address in re.findall(r'(?:href|src)="(/console/static/[^"]+)"', page.text):
        answer = await client.get(address)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
    assert (await client.get("/console/static/other/console.css")).headers["cache-control"] == "no-cache"
    assert (await client.get("/console/static/x/..%2fsite.py")).status_code == 404


async def test_frame_ancestors(database_url: str) -> None:
    """The setting allows a portal to frame the console."""
    given = settings_for(database_url, console_frame_ancestors="https://portal.example")
    async with serving(given) as client:
        policy = (await client.get("/console/images")).headers["content-security-policy"]
        assert policy.endswith("frame-ancestors https://portal.example")


async def test_errors_are_pages(client: httpx.AsyncClient) -> None:
    """Errors below /console are HTML pages, also those of the request guard; the API keeps its envelope."""
    strange = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}
    answers = [
        (await client.get("/console/nowhere"), 404),
        (await client.get("/console/images/zz"), 404),
        (await client.get(f"/console/images/{'0' * 32}"), 404),
        (await client.put("/console/images"), 405),
        (await client.post("/console/images/new", content=b"a=1", headers=strange | FORM), 403),
        (await client.post("/console/images/new", json={}), 415),
        (await client.post("/console/images/new", content=b"a=%ff", headers=FORM), 400),
        (await client.get("/console/images?namespace=a&namespace=b"), 422),
        (await client.get("/console/images/changes?since=yesterday"), 422),
    ]
    for answer, status in answers:
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"].startswith("text/html")
        assert "content-security-policy" in answer.headers
    assert (await client.get("/nowhere")).json()["status"] == "-404"
    assert (await client.get("/consoles")).json()["status"] == "-404"


async def test_always_200(database_url: str) -> None:
    """The setting `always-200` changes the API's statuses only."""
    async with serving(settings_for(database_url, http_status="always-200")) as client:
        assert (await client.get("/console/nowhere")).status_code == 404


async def test_bounded_forms(database_url: str) -> None:
    """A form may have three times the size limit of a JSON body."""
    async with serving(settings_for(database_url, max_body_bytes=2048)) as client:
        assert (await post(client, "/images/new", {"algoDesc": "a" * 5000})).status_code == 422
        assert (await post(client, "/images/new", {"algoDesc": "a" * 7000})).status_code == 413


async def test_labels_are_bounded(client: httpx.AsyncClient, log: Log) -> None:
    """Logs and metrics contain the route instead of the URL."""
    await client.get(f"/console/images/{'1' * 32}")
    page = (await client.get("/metrics")).text
    assert 'route="/console/images/{image_id}"' in page
    assert "1" * 32 not in page


@pytest.mark.parametrize(
    ("cookie", "accepted", "language"),
    [
        (None, "", "zh"),
        (None, "en-US,en;q=0.9", "en"),
        (None, "zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        (None, "zh; q=0.8, en; q=0.9", "en"),
        (None, "fr, de;q=0.5", "zh"),
        (None, "en;q=x, zh", "zh"),
        ("en", "zh", "en"),
        ("fr", "en", "en"),
    ],
)
def test_language(cookie: str | None, accepted: str, language: str) -> None:
    """The cookie decides, then Accept-Language; any other language gets Chinese."""
    assert language_of(cookie, accepted) == language


async def test_language_is_set(client: httpx.AsyncClient) -> None:
    """The button sets a cookie for a year and redirects back; other destinations are ignored."""
    answer = await post(client, "/language", {"language": "en", "to": "/console/import"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/console/import")
    assert "Max-Age=31536000" in answer.headers["set-cookie"]
    assert 'lang="en"' in (await client.get("/console/images")).text
    for foreign in ("https://evil.example/console/", "//evil.example/console/", "/console/../x", "/console\\@evil", ""):
        answer = await post(client, "/language", {"language": "zh", "to": foreign})
        assert answer.headers["location"] in ("/console/images", "/console/../x")
    assert "set-cookie" not in (await post(client, "/language", {"language": "fr"})).headers


def test_no_wording_is_missing() -> None:
    """Every wording that a page uses exists in both languages, and no wording is unused."""
    text = "".join(path.read_text("utf-8") for path in [*FOLDER.rglob("*.html"), *FOLDER.rglob("*.py")])
    named = set(re.findall(r"\bt\('(\w+)'[,)]", text)) | set(re.findall(r"(?:visit\.)?words\(\"(\w+)\"", text))
    made = {f"group_{name}" for name in GROUPS} | {f"unit_{name}" for name in UNITS.values()}
    made |= {f"column_{column}" for shape in SHAPES.values() for column in shape.columns if column != "image"}
    made |= set(FIELDS) | {f"plan_{name}" for name in (*COLUMNS, *VALUES, *chain(*COLUMNS.values()))}
    made |= {f"plan_{part}_{name}" for part, names in COLUMNS.items() for name in names}
    made |= {f"proof_{proof}" for proof in get_args(Proof)} | {f"artifact_{state}" for state in (*STATES, "moved")}
    assert named | made <= WORDINGS.keys()
    assert all(zh and en for zh, en in WORDINGS.values())
    quoted = set(re.findall(r"['\"](\w+)['\"]", text)) | named | made | {f"{name}_hint" for name in FIELDS}
    stems = (
        "op_",
        "action_",
        "algoType_",
        "useableFlag_",
        "conflict_",
        "shown_",
        "severity_",
        "plan_",
        "proof_",
        "artifact_",
    )
    assert {name for name in WORDINGS if name not in quoted and not name.startswith(stems)} <= {"namespace"}


def test_every_field_is_in_the_form() -> None:
    """The form contains every field of a record that users may change."""
    assert set(FIELDS) == set(RECORD_FIELDS) - {"imageId", "deleteFlag"}


def test_loaded_at_the_first_visit() -> None:
    """A worker loads the template engine at the first visit, the login only with tokens, the command line never."""
    import subprocess
    import sys

    code = (
        "import sys; from algoplatform.cli.worker import application; application();"
        "print({'fastapi', 'jinja2', 'typer'} & sys.modules.keys());"
        "from algoplatform.console.site import Site; from algoplatform.settings import load; Site(load());"
        "print({'jinja2', 'jwt'} & sys.modules.keys())"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
    assert told.split() == ["{'fastapi'}", "{'jinja2'}"]


def test_login_settings_belong_together() -> None:
    """Incomplete OIDC settings are refused, and the message names the missing ones."""
    with pytest.raises(Exception, match="OIDC_TOKEN_URL and ALGOPLATFORM_OIDC_CLIENT_ID"):
        create_app(Settings(database_url=None, oidc_authorize_url="https://id.example/authorize"))


async def test_api_knows_nothing_of_it(client: httpx.AsyncClient) -> None:
    """The OpenAPI document contains no page."""
    await register(client)
    assert "console" not in (await client.get("/openapi.json")).text
    assert (await client.get(f"{IMAGES}/_search")).status_code == 200
