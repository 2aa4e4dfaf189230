"""Sources of the token keys: rotation, unreachable URLs, and required settings."""

import asyncio
import gzip
import json
import time
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from algoplatform.api.middleware.authentication import verifier
from algoplatform.auth.jwks import FetchedKeys, parse_jwks
from algoplatform.auth.tokens import Verifier
from algoplatform.domain.errors import Unauthenticated, Unavailable
from algoplatform.logs import REQUEST_ID
from algoplatform.settings import Settings, SettingsError
from tests.support.images import IMAGES
from tests.support.logs import logged
from tests.support.peers import peer
from tests.support.service import serving, settings_for
from tests.support.stranger import answering
from tests.support.tokens import SETTINGS, KeyServer, bearer, claims, ec_key, jwk, key_server, pem, rsa_key, token


def _given(text: str) -> list[bytes]:
    return [f"Bearer {text}".encode()]


async def _passes(checked: Verifier, text: str) -> bool:
    try:
        return (await checked.caller(_given(text))).subject == "alice"
    except Unauthenticated:
        return False


def _fetching(served: KeyServer, refresh: float = 300, floor: float = 0.05) -> Verifier:
    return Verifier(Settings(**SETTINGS), FetchedKeys(served.url, refresh, floor))


async def test_fetched_once(database_url: str) -> None:
    """The first token triggers the fetch, once for all concurrent requests."""
    async with key_server() as served:
        served.delay = 4
        async with serving(settings_for(database_url, **SETTINGS, jwks_url=served.url)) as client:
            assert served.asked == 0
            answers = await asyncio.gather(
                *(client.get(f"{IMAGES}/_search", headers=bearer()) for _ in range(20)), client.get("/healthz")
            )
            assert {answer.status_code for answer in answers} == {200}
            assert answers[-1].elapsed.total_seconds() < 3
        assert served.asked == 1


async def test_rotation() -> None:
    """A new key is found when a token names it; an old one is rejected once it is withdrawn."""
    async with key_server() as served, (checked := _fetching(served)).keys:
        assert await _passes(checked, token())
        served.keys = [jwk("second"), jwk("first")]
        await asyncio.sleep(0.06)
        assert await _passes(checked, token("second"))
        served.keys = [jwk("second")]
        await asyncio.sleep(0.06)
        assert not await _passes(checked, token("third"))
        assert not await _passes(checked, token())


async def test_rotation_from_a_key_without_a_name() -> None:
    """A key without a kid verifies any token, yet does not keep a new key from being fetched."""
    async with key_server() as served, (checked := _fetching(served)).keys:
        served.keys = [{name: value for name, value in jwk("first").items() if name != "kid"}]
        assert await _passes(checked, token())
        assert served.asked == 1
        served.keys = [*served.keys, jwk("second")]
        await asyncio.sleep(0.06)
        assert await _passes(checked, token("second"))
        assert await _passes(checked, token())


async def test_old_keys_are_fetched_again() -> None:
    """A withdrawn key expires even if no token names a new one, and no request waits for that."""
    async with key_server() as served, (checked := _fetching(served, refresh=0.05)).keys:
        assert await _passes(checked, token())
        served.keys, served.delay = [jwk("second")], 4
        await asyncio.sleep(0.06)
        began = time.perf_counter()
        assert await _passes(checked, token())
        assert time.perf_counter() - began < 3
        async with asyncio.timeout(60):
            while await _passes(checked, token()):  # noqa: ASYNC110 - the keys have no event to wait for
                await asyncio.sleep(0.05)


@pytest.mark.parametrize(("status", "keys"), [(500, [jwk("first")]), (200, []), (200, [{"kty": "oct", "k": "AA"}])])
async def test_url_away(status: int, keys: list[dict[str, str]]) -> None:
    """Without any key the result is Unavailable; with earlier keys the service continues."""
    async with key_server() as served, (checked := _fetching(served)).keys:
        before, served.keys, served.status = served.keys, keys, status
        with pytest.raises(Unavailable):
            await checked.caller(_given(token()))
        served.keys, served.status = before, 200
        await asyncio.sleep(0.06)
        assert await _passes(checked, token())
        served.keys, served.status = keys, status
        await asyncio.sleep(0.06)
        assert not await _passes(checked, token("second"))
        assert await _passes(checked, token())


async def test_nobody_there(database_url: str) -> None:
    """An unreachable URL is -503 with Retry-After, not an internal error."""
    async with serving(settings_for(database_url, **SETTINGS, jwks_url="http://127.0.0.1:1/")) as client:
        answer = await client.get(f"{IMAGES}/_search", headers=bearer())
        assert (answer.status_code, answer.json()["status"], answer.headers["retry-after"]) == (503, "-503", "1")
        assert (await client.get(f"{IMAGES}/_search")).status_code == 401


async def test_forged_names_do_not_hammer() -> None:
    """Any number of tokens with unknown kids causes only one fetch per interval."""
    async with key_server() as served, (checked := _fetching(served, floor=60)).keys:
        assert await _passes(checked, token())
        for number in range(200):
            assert not await _passes(checked, jwt.encode(claims(), ec_key("x"), "ES256", {"kid": f"k{number}"}))
        assert served.asked == 1


async def test_hanging_url_holds_nobody_up() -> None:
    """While a fetch hangs, tokens of known keys pass, and the event loop is not blocked."""
    async with key_server() as served, (checked := _fetching(served)).keys:
        assert await _passes(checked, token())
        served.delay = 4
        await asyncio.sleep(0.06)
        waiting = asyncio.create_task(_passes(checked, token("second")))
        slowest = 0.0
        while not waiting.done():
            began = time.perf_counter()
            await asyncio.sleep(0.01)
            assert await _passes(checked, token())
            slowest = max(slowest, time.perf_counter() - began)
        assert not await waiting
        assert slowest < 3


async def test_hanging_url_and_a_key_without_a_name() -> None:
    """While a fetch hangs, a key without a kid verifies its own tokens; only other tokens wait."""
    async with key_server() as served, (checked := _fetching(served)).keys:
        served.keys = [{name: value for name, value in jwk("first").items() if name != "kid"}]
        assert await _passes(checked, token())
        served.delay = 3600
        await asyncio.sleep(0.06)
        other = asyncio.create_task(_passes(checked, token("second")))
        await _until(lambda: served.asked == 2)
        async with asyncio.timeout(3):
            for _ in range(5):
                assert await _passes(checked, token())
                await asyncio.sleep(0.06)
        assert not other.done()
        assert not await other
        assert await _passes(checked, token())


async def test_forged_signatures_do_not_hammer() -> None:
    """Tokens with wrong signatures refetch a key without a kid once per interval, however many come."""
    async with key_server() as served, (checked := _fetching(served, floor=60)).keys:
        served.keys = [{name: value for name, value in jwk("first").items() if name != "kid"}]
        for number in range(50):
            assert not await _passes(checked, jwt.encode(claims(), ec_key("x"), "ES256", {"kid": f"k{number}"}))
        assert served.asked == 1


async def _until(holds: Callable[[], bool]) -> None:
    for _ in range(2000):
        if holds():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("the condition was not met in time")


def _zipped(content: bytes, layers: int) -> bytes:
    for _ in range(layers):
        content = gzip.compress(content)
    encoding = ", ".join(["gzip"] * layers)
    return (
        f"HTTP/1.1 200 OK\r\nContent-Encoding: {encoding}\r\nContent-Length: {len(content)}\r\n\r\n".encode() + content
    )


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("size", [0, 64])
async def test_compressed_key_set(layers: int, size: int) -> None:
    """A compressed response, which was not requested, is not decompressed: it could exhaust the memory."""
    answer = _zipped(json.dumps({"keys": [jwk("first")]}).encode() + b" " * (size << 20), layers)
    async with answering(answer) as url, (keys := FetchedKeys(url, 300)):
        tracemalloc.start()
        try:
            with pytest.raises(Unavailable):
                await keys.find("first", "ES256")
            assert tracemalloc.get_traced_memory()[1] < 8 << 20
        finally:
            tracemalloc.stop()


async def test_plain_answers_are_asked_for() -> None:
    """The request asks for an uncompressed response, so honest providers send one."""
    async with key_server() as served, (checked := _fetching(served)).keys:
        assert await _passes(checked, token())
        assert "accept-encoding: identity" in served.head.lower()


async def test_endless_key_set() -> None:
    """An endless key set is read only up to a limit above any real one."""
    sent = 0

    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        with suppress(ConnectionError):
            while sent < 256 << 20:
                writer.write(b" " * 65536)
                await writer.drain()
                sent += 65536
        writer.close()

    async with (
        peer(pour) as port,
        FetchedKeys(f"http://127.0.0.1:{port}/", 300) as keys,
    ):
        with pytest.raises(Unavailable):
            await keys.find("first", "ES256")
    assert sent < 32 << 20


async def test_secrets_of_the_address_stay_out_of_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials in the URL or a proxy's are not logged when a fetch fails, at any level."""
    for proxy in (None, "http://user:hunter2@127.0.0.1:1"):
        url = "http://user:hunter2@127.0.0.1:1/jwks?key=hunter2" if proxy is None else "http://id.example/jwks"
        if proxy:
            monkeypatch.setenv("HTTP_PROXY", proxy)
        with logged("debug") as log:
            async with FetchedKeys(url, 300) as keys:
                with pytest.raises(Unavailable):
                    await keys.find("first", "ES256")
            assert [line["proxy"] for line in log.lines("jwks_unavailable")] == [proxy and "HTTP_PROXY"]
            assert "hunter2" not in log.text


async def test_shared_fetch_has_no_request_id() -> None:
    """A failed fetch, which several requests may share, is not logged under the id of the first one."""
    token = REQUEST_ID.set("first")
    try:
        with logged("warning") as log:
            async with FetchedKeys("http://127.0.0.1:1/jwks", 300) as keys:
                with pytest.raises(Unavailable):
                    await keys.find("first", "ES256")
    finally:
        REQUEST_ID.reset(token)
    [line] = log.lines("jwks_unavailable")
    assert "request_id" not in line


@pytest.mark.parametrize(
    "proxy", ["socks5://127.0.0.1:7890", "socks4://127.0.0.1:1", "ftp://x", "http://user:hunter2@:1"]
)
async def test_unusable_proxy(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    """An unusable proxy stops the start in token mode, in a line with its variable; not for loopback."""
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(SettingsError, match=r"^ALL_PROXY: is not the address of a usable proxy") as caught:
        verifier(Settings(**SETTINGS, jwks_url="https://id.example/jwks"))
    assert "hunter2" not in str(caught.value)
    async with key_server() as served, (checked := _fetching(served)).keys:
        assert await _passes(checked, token())


def test_missing_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Certificates that the environment names but that do not exist are reported with the variable."""
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/ca.pem")
    with pytest.raises(SettingsError, match=r"^SSL_CERT_FILE"):
        verifier(Settings(**SETTINGS, jwks_url="https://id.example/jwks"))


async def test_pem_file(tmp_path: Path) -> None:
    """A PEM public key verifies tokens whatever kid they have."""
    file = tmp_path / "key.pem"
    file.write_bytes(pem(ec_key("first")))
    checked = verifier(Settings(**SETTINGS, key_file=file))
    assert checked is not None
    assert await _passes(checked, token())
    assert await _passes(checked, jwt.encode(claims(), ec_key("first"), "ES256"))
    assert not await _passes(checked, token("second"))


@pytest.mark.parametrize("kind", ["missing", "garbage", "private", "weak", "set of nothing", "curve"])
def test_bad_key_file(tmp_path: Path, kind: str) -> None:
    """A key file that verifies nothing, or that holds a private key, is one line at the start."""
    file = tmp_path / "key"
    contents = {
        "garbage": b"hello",
        "private": ec_key("first").private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        "weak": pem(rsa_key(1024)),
        "set of nothing": b'{"keys": [5, {"kty": "RSA"}, {"kty": "oct", "k": "AA"}]}',
        "curve": pem(ec.generate_private_key(ec.SECP256K1())),
    }
    if kind != "missing":
        file.write_bytes(contents[kind])
    with pytest.raises(SettingsError, match=f"^ALGOPLATFORM_KEY_FILE: {file}: "):
        verifier(Settings(**SETTINGS, key_file=file))


@pytest.mark.parametrize(
    "wrong",
    [
        {"key_ops": None},
        {"key_ops": 5},
        {"alg": {}},
        {"alg": {"x": 1}},
        {"alg": [1]},
        {"kty": {}},
        {"crv": {}},
        {"crv": "secp256k1"},
        {"x": 5},
        {"use": []},
    ],
)
async def test_unusable_keys_are_passed_over(wrong: dict[str, object], tmp_path: Path) -> None:
    """An unusable key of a set is ignored: the others count, and alone it makes no valid set."""
    bad = jwk("first") | wrong
    async with key_server() as served, (checked := _fetching(served)).keys:
        served.keys = [bad, jwk("second")]
        assert await _passes(checked, token("second"))
        assert not await _passes(checked, token())
    file = tmp_path / "keys.json"
    file.write_text(json.dumps({"keys": [bad]}))
    with pytest.raises(SettingsError, match=f"^ALGOPLATFORM_KEY_FILE: {file}: not a public key"):
        verifier(Settings(**SETTINGS, key_file=file))


def test_key_is_bound_to_its_algorithm() -> None:
    """A key of a set is valid for its own algorithm only, and a private one never."""
    [key] = parse_jwks(json.dumps({"keys": [jwk("first", alg="ES256")]}).encode())
    assert (key.kid, set(key.algorithms)) == ("first", {"ES256"})
    with pytest.raises(ValueError, match="no usable"):
        parse_jwks(json.dumps({"keys": [jwk("first", key_ops=["sign"])]}).encode())


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({}, "TOKEN_AUDIENCE and ALGOPLATFORM_TOKEN_ISSUER and either ALGOPLATFORM_JWKS_URL or ALGOPLATFORM_KEY_FILE"),
        ({"token_audience": "a", "token_issuer": "i"}, "either"),
        ({"token_audience": "a", "jwks_url": "http://x"}, "ALGOPLATFORM_TOKEN_ISSUER"),
        ({"token_audience": "a", "token_issuer": "i", "jwks_url": "http://x", "key_file": Path("y")}, "either"),
    ],
)
def test_incomplete_settings(given: dict[str, object], missing: str) -> None:
    """Token mode does not start with incomplete settings, and names what is missing."""
    with pytest.raises(SettingsError, match=missing):
        verifier(Settings(auth="token", **given))  # type: ignore[arg-type]  # as the table has it


def test_any_address_with_tokens() -> None:
    """With a token on every request the service may listen anywhere; symmetric algorithms are not allowed."""
    Settings(**SETTINGS, host="0.0.0.0").check_listening()
    for name in ("HS256", "none"):
        with pytest.raises(ValueError, match="token_algorithms"):
            Settings(token_algorithms=name)
