"""Invalid answers of registries: none may abort the verification of a set, or erase known facts without cause."""

import asyncio
import gzip
import logging
from contextlib import suppress
from typing import Any

import asyncpg
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from algoplatform.api.server.options import DRAIN
from algoplatform.catalogue.cluster.artifacts import Artifacts
from algoplatform.domain.access import OPERATOR
from algoplatform.domain.grammar.reference import ImageName
from algoplatform.domain.search import check_conditions
from algoplatform.registries import inspection
from algoplatform.registries.client import Registries
from algoplatform.registries.connection import AT_ONCE
from algoplatform.registries.facts import Facts, NotPresent, codes_of
from algoplatform.registries.manifest import (
    OCI_INDEX,
    OCI_MANIFEST,
    children,
    media_type_of,
    read_config,
    read_manifest,
)
from algoplatform.runtime import Runtime
from tests.registries.test_artifacts import service, verified
from tests.registries.test_hostile import CONFIG, MANIFEST, SECRET, UNKNOWN, ask, honest, setting, state_of
from tests.support.images import IMAGES, register
from tests.support.logs import logged
from tests.support.oci import digest_of, dumped
from tests.support.replies import Asked, Reply, reply, replying
from tests.support.service import serving, settings_for

ZIPPED = {"content-encoding": "gzip"}
CHILD = {"mediaType": OCI_MANIFEST, "digest": f"sha256:{'0' * 64}"}


def _manifest(content: bytes, kind: str = OCI_INDEX, config: bytes = CONFIG) -> Reply:
    told = {"content-type": kind, "docker-content-digest": digest_of(content)}
    return lambda asked: reply(200, content, told) if "/manifests/" in asked.path else reply(200, config)


def _index(*entries: Any) -> Reply:
    return _manifest(dumped({"manifests": entries}))


def test_most_platforms() -> None:
    """An index has up to 32 platforms; attestations do not count."""
    attestation = CHILD | {"platform": {"os": "unknown", "architecture": "unknown"}}
    some = [CHILD | {"digest": f"sha256:{number:064}"} for number in range(32)]
    assert len(children({"manifests": [*some, *[attestation] * 32]})) == 32
    with pytest.raises(NotPresent, match="超过32个"):
        children({"manifests": [*some, CHILD]})


@pytest.mark.parametrize("kind", [[], {}, [OCI_MANIFEST], 1, None])
async def test_types_of_any_kind(kind: object) -> None:
    """A media type that is not a string is unsupported."""
    assert await state_of(_index({**CHILD, "mediaType": kind})) == "unsupported"
    for header in ("text/plain", OCI_MANIFEST, ""):
        assert await state_of(_manifest(dumped({"mediaType": kind}), header)) == "unsupported"


@pytest.mark.parametrize(
    "entries",
    [
        [],
        [CHILD | {"mediaType": OCI_INDEX}],
        [CHILD | {"platform": {"os": "unknown", "architecture": "unknown"}}],
        [CHILD | {"mediaType": "application/vnd.cncf.helm.chart"}],
    ],
)
async def test_indexes_without_images(entries: list[Any]) -> None:
    """An index that is empty, or holds only indexes, attestations or other artifacts, is unsupported."""
    assert await state_of(_index(*entries)) == "unsupported"


@pytest.mark.parametrize(("there", "state"), [([True, False], "present"), ([False, False], "missing")])
async def test_mirrors_of_some_platforms(there: list[bool], state: str) -> None:
    """An image is present if one of its platforms is; missing platforms are left out."""
    listed = [digest_of(MANIFEST) if is_there else f"sha256:{n:064}" for n, is_there in enumerate(there)]
    content = dumped({"manifests": [CHILD | {"digest": each} for each in listed]})
    told = {"content-type": OCI_INDEX, "docker-content-digest": digest_of(content)}

    def answer(asked: Asked) -> bytes:
        if asked.path.endswith("/manifests/1.0"):
            return reply(200, content, told)
        if asked.path.endswith(digest_of(MANIFEST)):
            return reply(200, MANIFEST, {"content-type": OCI_MANIFEST})
        return honest(asked)

    found = await state_of(answer)
    if isinstance(found, Facts):
        assert state == "present"
        assert [each.architecture for each in found.platforms or ()] == ["amd64"]
        assert found.digest == digest_of(content)
    else:
        assert found == state


_KEYS = ["manifests", "mediaType", "digest", "platform", "config", "layers", "size", "os", "architecture", "created"]
_OF_CONFIG = ["Entrypoint", "Cmd", "ExposedPorts", "User", "Env", "WorkingDir", "Volumes"]
_NAMES = [*_KEYS, *_OF_CONFIG]
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2**64) | st.floats() | st.sampled_from(["", "linux", OCI_MANIFEST]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_NAMES), inner, max_size=5),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(_NAMES), _JSON, max_size=8), st.sampled_from(["", "text/plain", OCI_INDEX]))
def test_any_document(document: dict[str, Any], kind: str) -> None:
    """Any document is either read or refused with NotPresent."""
    for read in (
        lambda: media_type_of(kind, document),
        lambda: children(document),
        lambda: read_manifest(document),
        lambda: read_config(document, 1),
        lambda: codes_of(document),
    ):
        with suppress(NotPresent):
            read()


@pytest.mark.parametrize(
    "told",
    [
        "Fri, 31 Dec 9999 23:59:59 -2300",
        "Fri, 31 Dec 9999 23:59:59 -0000",
        "Mon, 01 Jan 1900 00:00:00 +2300",
        "Fri, 31 Dec 2100 23:59:59 +9999",
    ],
)
async def test_times_to_retry(told: str) -> None:
    """A Retry-After outside of the years 1 to 9999 in UTC does not raise."""
    assert await state_of(lambda _: reply(429, b"", {"retry-after": told})) == "unreachable"


@pytest.mark.parametrize(("status", "state"), [(500, "unreachable"), (404, "unreachable"), (401, "denied")])
async def test_compressed_errors(status: int, state: str) -> None:
    """The status of an error decides, even if its body is compressed."""
    assert await state_of(lambda _: reply(status, gzip.compress(UNKNOWN), ZIPPED)) == state


@pytest.mark.parametrize(
    "token", [reply(200, b"<html>"), reply(200, b"x" * 300_000), reply(200, gzip.compress(b"{}"), ZIPPED)]
)
async def test_answers_of_token_servers(token: bytes) -> None:
    """A token server that returns no token gives denied: it says nothing about the image."""

    def answer(asked: Asked) -> bytes:
        if asked.path == "/token":
            return token
        return reply(401, b"", {"www-authenticate": f'Bearer realm="http://{served.host}/token"'})

    async with replying(answer) as served:
        assert await ask(setting(served), served.host) == "denied"


async def test_busy_token_server() -> None:
    """A token server is not contacted for the time of its Retry-After, just like a registry."""

    def answer(asked: Asked) -> bytes:
        if asked.path == "/token":
            return reply(429, b"", {"retry-after": "3600"})
        return reply(401, b"", {"www-authenticate": f'Bearer realm="http://{served.host}/token"'})

    async with replying(answer) as served, Registries.open(setting(served)) as registries:
        for _ in range(3):
            with pytest.raises(NotPresent) as refused:
                await registries.look(ImageName.parse(f"{served.host}/algo/x"), "1.0")
            assert refused.value.state == "unreachable"
    assert [each.path for each in served.asked].count("/token") == 1


async def test_cookies() -> None:
    """Cookies are not stored: they would grow without limit, and act as a login that nobody configured."""
    number = 0

    def answer(asked: Asked) -> bytes:
        nonlocal number
        number += 1
        head, _, body = honest(asked).partition(b"\r\n\r\n")
        return b"%b\r\nset-cookie: n%d=%b\r\n\r\n%b" % (head, number, b"x" * 4000, body)

    async with replying(answer) as served, Registries.open(setting(served)) as registries:
        for _ in range(5):
            assert isinstance(await registries.look(ImageName.parse(f"{served.host}/algo/x"), "1.0"), Facts)
    assert number == 15
    assert not any("cookie" in each.headers for each in served.asked)


@pytest.mark.parametrize("own", [{"Env": ["A=" + "x" * 300_000]}, {"Volumes": {"/x" * 200_000: {}}}])
async def test_large_texts_for_drafts(own: dict[str, Any]) -> None:
    """Texts that only drafts use are limited too, as an index may have 32 of them."""
    config = dumped({"os": "linux", "architecture": "amd64", "config": own})
    manifest = MANIFEST.replace(digest_of(CONFIG).encode(), digest_of(config).encode())
    assert await state_of(_manifest(manifest, OCI_MANIFEST, config)) == "unsupported"


async def test_unprintable_codes(database_url: str) -> None:
    """Error codes are cleaned before they are stored in a message, as PostgreSQL rejects NUL."""
    answers = {"code": "A\0B"}

    def answer(_: Asked) -> bytes:
        return reply(404, dumped({"errors": [answers]}))

    async with replying(answer) as served, service(database_url, setting(served)) as client:
        image_id = await register(client, f"{served.host}/algo/x")
        assert (await verified(client, image_id))["state"] == "unreachable"
        answers["code"] = "MANIFEST_UNKNOWN"
        assert (await verified(client, image_id))["state"] == "missing"


async def test_one_of_many(database_url: str) -> None:
    """Invalid answers for some images do not abort the verification of a set."""
    strange: dict[str, Reply] = {
        "a": _index({"mediaType": {}}),
        "b": lambda _: reply(404, dumped({"errors": [{"code": "\0"}]})),
        "c": lambda _: reply(429, b"", {"retry-after": "Fri, 31 Dec 9999 23:59:59 -2300"}),
    }

    def answer(asked: Asked) -> Any:
        return strange.get(asked.path.split("/")[3], honest)(asked)

    async with replying(answer) as served, service(database_url, setting(served)) as client:
        for name in ("a", "b", "x"):
            await register(client, f"{served.host}/algo/{name}")
        assert await _states(client) == {"present": 1, "unreachable": 1, "unsupported": 1}
        await register(client, f"{served.host}/algo/c")
        assert sum((await _states(client)).values()) == 4


async def _states(client: httpx.AsyncClient) -> dict[str, int]:
    answer = await client.post(f"{IMAGES}/_verify")
    assert answer.status_code == 200, answer.text
    states: dict[str, int] = answer.json()["res"]["states"]
    return states


def test_debugging_tells_no_headers() -> None:
    """Debug logs contain no headers of answers, which hold cookies and signed URLs."""
    with logged("debug") as log:
        logging.getLogger("httpcore.http11").debug("location: /x?signature=s3cret")
        logging.getLogger("algoplatform").debug("ours")
    assert "ours" in log.text
    assert SECRET not in log.text


class _Counting(Registries):
    """Counts concurrent lookups, running or waiting."""

    running = most = 0

    async def look(self, name: ImageName, tag: str, known: str | None = None) -> Facts:
        """Wait briefly before the lookup."""
        self.running += 1
        self.most = max(self.most, self.running)
        await asyncio.sleep(0.02)
        self.running -= 1
        return await super().look(name, tag, known)


async def test_sets_do_not_wait_for_themselves(database_url: str, aside: asyncpg.Connection) -> None:
    """A set queues at most one more batch of lookups at a registry, so that none waits too long in the queue."""
    settings = settings_for(database_url)
    async with serving(settings) as client, Runtime.open(settings) as runtime:
        await register(client, "algo/base")
        await aside.execute(_MANY)
        counting = _Counting({})
        artifacts = Artifacts(runtime.database, runtime.access, counting, None)
        found = await artifacts.verify_set(OPERATOR, check_conditions({}))
        assert found.states == {"not-configured": 701}
        assert AT_ONCE < counting.most <= 2 * AT_ONCE
    assert inspection.SECONDS + inspection._QUEUE_SECONDS < DRAIN


async def test_all_before_one(database_url: str, aside: asyncpg.Connection) -> None:
    """Without a page, `before` selects all images before that key, as in a search."""
    async with service(database_url, "") as client:
        await register(client, "algo/base")
        await aside.execute(_MANY)
        answer = await client.post(f"{IMAGES}/_verify?before=zz/z:1")
        assert answer.json()["res"]["total"] == 701


_MANY = """
INSERT INTO image (image_id, image_name, image_tag, namespace, factory, algo_type, search, record)
SELECT id, 'algo/i' || n, '1', namespace, factory, algo_type, search,
       replace(record, replace(image_id::text, '-', ''), replace(id::text, '-', ''))
FROM image, (SELECT n, gen_random_uuid() AS id FROM generate_series(1, 700) AS n) AS more
"""
