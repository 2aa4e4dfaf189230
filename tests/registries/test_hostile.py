"""Hostile registries: connections, credentials, memory and time are protected, and content is checked by its digest."""

import asyncio
import gzip
import json
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from algoplatform.domain.grammar.reference import ImageName
from algoplatform.registries import inspection
from algoplatform.registries.client import Registries
from algoplatform.registries.facts import Facts, NotPresent
from algoplatform.registries.manifest import ACCEPT, DOCKER_INDEX, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from tests.support.oci import digest_of, dumped
from tests.support.replies import Asked, Replies, Reply, reply, replying

CONFIG = dumped({"os": "linux", "architecture": "amd64", "config": {"Cmd": ["/run"]}})
MANIFEST = dumped(
    {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest_of(CONFIG), "size": 1},
        "layers": [{"size": 3}, {"size": 4}],
    }
)
DIGEST = digest_of(MANIFEST)
UNKNOWN = dumped({"errors": [{"code": "MANIFEST_UNKNOWN"}]})
SECRET = "s3cret"


def setting(served: Replies, **more: Any) -> str:
    """Return a value of ALGOPLATFORM_REGISTRIES with this server."""
    return json.dumps([{"host": served.host, "http": True, "username": "u", "password": SECRET, **more}])


async def ask(text: str, host: str, known: str | None = None) -> Facts | str:
    """Return the facts of algo/x:1.0, or its state if it is not present."""
    async with Registries.open(text) as registries:
        try:
            return await registries.look(ImageName.parse(f"{host}/algo/x"), "1.0", known)
        except NotPresent as reason:
            assert SECRET not in reason.message
            return reason.state


def honest(asked: Asked) -> bytes:
    """Answer as a well-behaved registry."""
    kind = {"content-type": OCI_MANIFEST, "docker-content-digest": DIGEST}
    if asked.path.endswith("/manifests/1.0"):
        return reply(200, MANIFEST, kind)
    return reply(200, CONFIG) if asked.path.endswith(f"/blobs/{digest_of(CONFIG)}") else reply(404, UNKNOWN)


async def state_of(answer: Reply, **more: Any) -> Facts | str:
    """Return the facts or the state of an image on a server with this answer."""
    async with replying(answer) as served:
        return await ask(setting(served, **more), served.host)


async def test_honest() -> None:
    """The test server works; the client accepts all four manifest types, and no compression."""
    async with replying(honest) as served:
        facts = await ask(setting(served), served.host)
    assert isinstance(facts, Facts)
    assert facts.digest == DIGEST
    assert [each.size for each in facts.platforms or ()] == [7]
    assert [each.method for each in served.asked] == ["HEAD", "GET", "GET"]
    assert all(kind in ACCEPT for kind in (OCI_INDEX, OCI_MANIFEST, DOCKER_INDEX, DOCKER_MANIFEST))
    assert [each.headers["accept"] for each in served.asked[:2]] == [ACCEPT] * 2
    assert {each.headers["accept-encoding"] for each in served.asked} == {"identity"}
    # Credentials are sent only after a challenge.
    assert not any("authorization" in each.headers for each in served.asked)


async def test_no_connection_to_others() -> None:
    """Only configured hosts are contacted; Docker Hub is not contacted by default."""
    async with replying(honest) as served, replying(honest) as other:
        assert await ask(setting(served), other.host) == "not-configured"
        assert await ask("", other.host) == "not-configured"
        async with Registries.open(setting(served)) as registries:
            with pytest.raises(NotPresent) as refused:
                await registries.look(ImageName.parse("algo/x"), "1.0")
        assert refused.value.state == "not-configured"
    assert served.asked == other.asked == []


@pytest.mark.parametrize(
    ("status", "body", "state"),
    [
        (404, UNKNOWN, "missing"),
        (404, dumped({"errors": [{"code": "NAME_UNKNOWN"}]}), "missing"),
        (404, dumped({"errors": [{"code": "DENIED"}]}), "denied"),
        (404, b"", "unreachable"),
        (404, b"<html>not found</html>", "unreachable"),
        (404, dumped({"errors": []}), "unreachable"),
        (404, dumped({"errors": [{"code": ""}, 1]}), "unreachable"),
        (404, dumped([]), "unreachable"),
        (404, b"[" * 100_000, "unreachable"),
        (403, UNKNOWN, "denied"),
        (401, b"", "denied"),
        (500, UNKNOWN, "unreachable"),
        (503, b"", "unreachable"),
        (429, b"", "unreachable"),
        (400, b"", "unsupported"),
        (307, b"", "unsupported"),
    ],
)
async def test_states(status: int, body: bytes, state: str) -> None:
    """Each status is mapped to a state; only a 404 with a registry's error code means missing."""
    assert await state_of(lambda _: reply(status, body)) == state


def _with_manifest(content: bytes, kind: str = OCI_MANIFEST, **headers: str) -> Reply:
    told = {"content-type": kind, "docker-content-digest": digest_of(content), **headers}
    return lambda asked: reply(200, content, told) if "/manifests/" in asked.path else reply(200, CONFIG)


@pytest.mark.parametrize(
    "answer",
    [
        _with_manifest(MANIFEST, **{"docker-content-digest": f"sha256:{'0' * 64}"}),
        _with_manifest(MANIFEST, **{"docker-content-digest": "sha512:00"}),
        _with_manifest(gzip.compress(MANIFEST), **{"content-encoding": "gzip"}),
        _with_manifest(b"x" * (inspection.MAX_MANIFEST + 1)),
        _with_manifest(b"not JSON"),
        _with_manifest(b"[" * 1_000_000),
        _with_manifest(MANIFEST, "text/html"),
        _with_manifest(MANIFEST, OCI_INDEX),
        _with_manifest(dumped({"manifests": [{"mediaType": OCI_INDEX}]} | {"config": 1})),
        _with_manifest(dumped({"manifests": 1}), OCI_INDEX),
        _with_manifest(dumped({"manifests": [1]}), OCI_INDEX),
        _with_manifest(dumped({"manifests": [{"mediaType": OCI_MANIFEST, "digest": "latest"}]}), OCI_INDEX),
        _with_manifest(
            dumped({"manifests": [{"mediaType": OCI_MANIFEST, "digest": f"sha256:{n:064}"} for n in range(99)]}),
            OCI_INDEX,
        ),
        _with_manifest(MANIFEST.replace(b'"size":3', b'"size":-3')),
        _with_manifest(MANIFEST.replace(b'"size":3', b'"size":1e99')),
        _with_manifest(MANIFEST.replace(b"image.config", b"helm.config")),
        _with_manifest(MANIFEST.replace(digest_of(CONFIG).encode(), f"sha256:{'1' * 64}".encode())),
    ],
)
async def test_unsupported(answer: Reply) -> None:
    """Content that is too large, compressed, malformed, not an image, or does not match its digest, is unsupported."""
    assert await state_of(answer) == "unsupported"


@pytest.mark.parametrize(
    "config",
    [
        b"{}",
        b"null",
        dumped({"os": "linux", "architecture": "a b"}),
        dumped({"os": "linux", "architecture": "amd64", "config": [1]}),
        dumped({"os": "linux", "architecture": "amd64", "config": {"Cmd": "run"}}),
        dumped({"os": "linux", "architecture": "amd64", "config": {"Cmd": [1]}}),
        dumped({"os": "linux", "architecture": "amd64", "config": {"Cmd": ["x" * 70_000]}}),
        dumped({"os": "linux", "architecture": "amd64", "config": {"ExposedPorts": ["80"]}}),
        dumped({"os": "linux", "architecture": "amd64", "config": {"User": 0.5}}),
        b" " * (inspection.MAX_CONFIG + 1),
    ],
)
async def test_configs(config: bytes) -> None:
    """An invalid image configuration is unsupported."""
    manifest = MANIFEST.replace(digest_of(CONFIG).encode(), digest_of(config).encode())
    told = {"content-type": OCI_MANIFEST, "docker-content-digest": digest_of(manifest)}

    def answer(asked: Asked) -> bytes:
        return reply(200, manifest, told) if "/manifests/" in asked.path else reply(200, config)

    assert await state_of(answer) == "unsupported"


async def _endless(_: Asked) -> AsyncIterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n"
    while True:
        yield b"x" * 65536


async def _endless_head(_: Asked) -> AsyncIterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\n"
    while True:
        yield b"x-more: x\r\n" * 1000


async def _slow(_: Asked) -> AsyncIterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n"
    while True:
        yield b"x"
        await asyncio.sleep(0.02)


def _getting(pieces: Callable[[Asked], AsyncIterator[bytes]]) -> Reply:
    """Answer HEAD like `honest`, and GET with these chunks."""
    return lambda asked: honest(asked) if asked.method == "HEAD" else pieces(asked)


@pytest.mark.parametrize(("pieces", "state"), [(_endless, "unsupported"), (_endless_head, "unreachable")])
async def test_endless(pieces: Callable[[Asked], AsyncIterator[bytes]], state: str) -> None:
    """An endless body or head is read only up to a limit."""
    tracemalloc.start()
    try:
        assert await state_of(_getting(pieces)) == state
        assert tracemalloc.get_traced_memory()[1] < 8 * inspection.MAX_MANIFEST
    finally:
        tracemalloc.stop()


async def test_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time limit covers a whole image, however slowly bytes arrive."""
    assert inspection.SECONDS == 10
    monkeypatch.setattr(inspection, "SECONDS", 0.3)
    async with replying(_getting(_slow)) as served:
        started = time.monotonic()
        assert await ask(setting(served), served.host) == "unreachable"
        assert 0.3 <= time.monotonic() - started < 8


@pytest.mark.parametrize(
    "challenge",
    [
        'Bearer realm="http://{other}/token",service="x"',
        'Bearer realm="http://u:p@{own}/token"',
        'Bearer realm="https://{own}/token"',
        'Bearer realm="//{other}/token"',
        'Bearer realm="http://{own}@{other}/token"',
        'Bearer realm="http://{other}/token", Basic realm="x"',
        "Bearer",
        "Negotiate",
        "",
        "x" * 50_000,
    ],
)
async def test_realms(challenge: str) -> None:
    """A token server on another origin is not contacted, and invalid challenges are not answered."""
    async with replying(lambda _: reply(200, dumped({"token": "t"}))) as other:
        own = ""
        told = ""

        def answer(_: Asked) -> bytes:
            return reply(401, b"", {"www-authenticate": told} if told else {})

        async with replying(answer) as served:
            own = served.host
            told = challenge.format(own=own, other=other.host)
            assert await ask(setting(served), served.host) == "denied"
    assert other.asked == []
    assert not any("authorization" in each.headers for each in served.asked)


async def test_realm_on_its_own_host() -> None:
    """A token server on the registry's own host gets the credentials; the registry gets only the token."""

    def answer(asked: Asked) -> bytes:
        if asked.path == "/token":
            return reply(200, dumped({"access_token": "abc"}))
        if asked.headers.get("authorization") != "Bearer abc":
            own = f'Bearer realm="http://{served.host}/token",service="s s",scope="repository:other:push"'
            return reply(401, b"", {"WWW-Authenticate": own})
        return honest(asked)

    async with replying(answer) as served:
        assert isinstance(await ask(setting(served), served.host), Facts)
    tokens = [each for each in served.asked if each.path == "/token"]
    assert len(tokens) == 1
    assert tokens[0].headers["authorization"].startswith("Basic ")
    assert tokens[0].target == "/token?scope=repository%3Aalgo%2Fx%3Apull&service=s+s"
    sent = {each.headers.get("authorization") for each in served.asked if each.path != "/token"}
    assert sent == {None, "Bearer abc"}


@pytest.mark.parametrize("token", [b"{}", dumped({"token": "a b"}), dumped({"token": 1}), b"x" * 300_000, b"nothing"])
async def test_bad_tokens(token: bytes) -> None:
    """An answer without a valid token is denied or unsupported."""

    def answer(asked: Asked) -> bytes:
        if asked.path == "/token":
            return reply(200, token)
        return reply(401, b"", {"www-authenticate": f'Bearer realm="http://{served.host}/token"'})

    async with replying(answer) as served:
        assert await ask(setting(served), served.host) in ("denied", "unsupported")


def _redirecting(target: str) -> Reply:
    def answer(asked: Asked) -> bytes:
        if "authorization" not in asked.headers:
            return reply(401, b"", {"www-authenticate": "Basic realm=x"})
        return reply(307, b"", {"location": target}) if "/blobs/" in asked.path else honest(asked)

    return answer


async def test_redirects_of_blobs() -> None:
    """A blob may be redirected to another configured host, which gets no credentials."""
    async with replying(lambda _: reply(200, CONFIG)) as store:
        async with replying(_redirecting(f"http://{store.host}/here?signature=1")) as served:
            both = json.dumps([*json.loads(setting(served)), {"host": store.host, "http": True}])
            assert isinstance(await ask(both, served.host), Facts)
        assert [(each.target, "authorization" in each.headers) for each in store.asked] == [
            ("/here?signature=1", False)
        ]
        store.asked.clear()
        # A host that is not configured, another scheme, credentials in the URL, an invalid URL.
        for target in (
            f"http://{store.host}/x",
            f"https://{store.host}/x",
            f"http://u:p@{store.host}/x",
            "http://[",
        ):
            async with replying(_redirecting(target)) as served:
                known = both if "u:p" in target else setting(served)
                text = json.dumps([*json.loads(setting(served)), *json.loads(known)[1:]])
                assert await ask(text, served.host) == "unsupported"
        assert store.asked == []


async def test_redirects_end() -> None:
    """At most three redirects are followed."""

    def store(asked: Asked) -> bytes:
        left = int(asked.path.removeprefix("/"))
        return reply(302, b"", {"location": f"/{left - 1}"}) if left else reply(200, CONFIG)

    async with replying(store) as behind:
        for hops, expected in ((2, Facts), (3, str)):
            async with replying(_redirecting(f"http://{behind.host}/{hops}")) as served:
                both = json.dumps([*json.loads(setting(served)), {"host": behind.host, "http": True}])
                assert isinstance(await ask(both, served.host), expected)


async def test_redirects_of_manifests() -> None:
    """Redirects of manifests are not followed."""
    async with replying(honest) as other:

        def answer(asked: Asked) -> bytes:
            return reply(307, b"", {"location": f"http://{other.host}{asked.path}"})

        async with replying(answer) as served:
            both = json.dumps([*json.loads(setting(served)), {"host": other.host, "http": True}])
            assert await ask(both, served.host) == "unsupported"
    assert other.asked == []


async def test_retry_after() -> None:
    """A busy registry is asked again after a short Retry-After; after a long one it is not contacted for that time."""
    busy = [reply(429, b"", {"retry-after": "0"}), reply(503, b"", {"retry-after": "Thu, 01 Jan 2026 00:00:00 GMT"})]

    async with replying(lambda asked: busy.pop() if busy else honest(asked)) as served:
        assert isinstance(await ask(setting(served), served.host), Facts)
    for told in ("3600", "Fri, 01 Jan 2100 00:00:00 GMT", "nonsense"):
        busy_for_long = reply(429, b"", {"retry-after": told})
        async with _always(busy_for_long) as served, Registries.open(setting(served)) as registries:
            for _ in range(3):
                with pytest.raises(NotPresent) as refused:
                    await registries.look(ImageName.parse(f"{served.host}/algo/x"), "1.0")
                assert refused.value.state == "unreachable"
        # Without a pause, HEAD and perhaps GET for each of three images.
        assert len(served.asked) <= (6 if told == "nonsense" else 1)


def _always(told: bytes) -> AbstractAsyncContextManager[Replies]:
    return replying(lambda _: told)


async def test_sixteen_at_once() -> None:
    """At most 16 images are looked up at once."""
    running, most = 0, 0

    async def answer(asked: Asked) -> AsyncIterator[bytes]:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.05)
        running -= 1
        yield honest(asked).partition(b"\r\n\r\n")[0] + b"\r\n\r\n"

    async with replying(answer) as served, Registries.open(setting(served)) as registries:
        name = ImageName.parse(f"{served.host}/algo/x")
        found = await asyncio.gather(*(registries.look(name, "1.0", DIGEST) for _ in range(60)))
    assert found == [Facts(DIGEST)] * 60
    assert most == 16


async def test_timeouts_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry on which 16 lookups in a row have timed out is not contacted for a while."""
    monkeypatch.setattr(inspection, "SECONDS", 0.2)
    async with replying(_slow_head) as served, Registries.open(setting(served)) as registries:
        name = ImageName.parse(f"{served.host}/algo/x")
        for _ in range(2):
            states = await asyncio.gather(*(registries.look(name, "1.0") for _ in range(16)), return_exceptions=True)
            assert all(isinstance(each, NotPresent) and each.state == "unreachable" for each in states)
        assert len(served.asked) == 16


async def _slow_head(_: Asked) -> AsyncIterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\n"
    await asyncio.sleep(60)
