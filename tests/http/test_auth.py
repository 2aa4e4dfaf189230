"""`ALGOPLATFORM_AUTH=token`: authentication, and permissions per role and namespace on every entry point."""

import base64
import hashlib
import hmac
import io
import json
import re
import time
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from fastapi.routing import APIRoute
from pydantic import SecretStr
from starlette.types import Receive, Scope, Send

from algoplatform.api.app import create_app
from algoplatform.api.middleware import authentication
from algoplatform.api.routes import dependencies, drift, history, images, lint, manifests
from algoplatform.cli.commands.common import open_registry
from algoplatform.domain.access import TRUSTED, Caller
from algoplatform.domain.errors import AlgoplatformError
from algoplatform.runtime import Runtime
from algoplatform.settings import Settings
from tests.support.images import IMAGES, delete, minimal, records, register, upload
from tests.support.logs import logged
from tests.support.raw import connected
from tests.support.service import serving, settings_for
from tests.support.tokens import SETTINGS, bearer, claims, ec_key, jwk, pem, rsa_jwk, rsa_key, token

NAMESPACES = ("algo", "vse", "")


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    """Token mode, with an elliptic-curve and an RSA key in a file."""
    file = tmp_path / "keys.json"
    file.write_text(
        json.dumps({"keys": [jwk("first"), rsa_jwk("rsa"), jwk("enc", use="enc"), {"kty": "oct", "k": "AA"}]})
    )
    return settings_for(database_url, **SETTINGS, key_file=file)


@pytest.fixture
async def service(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """A client without a token."""
    async with serving(settings) as client:
        yield client


def _segment(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _forged(header: dict[str, Any], secret: bytes | None) -> str:
    """Build a token by hand, as libraries refuse to."""
    signed = f"{_segment(header)}.{_segment(claims())}"
    return f"{signed}.{_segment(hmac.digest(secret, signed.encode(), hashlib.sha256) if secret else b'')}"


def _bad() -> dict[str, list[str]]:
    """Return Authorization headers that must be rejected."""
    good, now = token(), int(time.time())
    head, body, signature = good.split(".")
    tokens = {
        "HS256 signed with the public RSA key": _forged({"alg": "HS256", "kid": "rsa"}, pem(rsa_key())),
        "HS256 signed with the public EC key": _forged({"alg": "HS256", "kid": "first"}, pem(ec_key("first"))),
        "HS256 signed with nothing": _forged({"alg": "HS256", "kid": "first"}, b"\0"),
        "none": _forged({"alg": "none"}, None),
        "nOnE": _forged({"alg": "nOnE", "kid": "first"}, b"x"),
        "no alg": _forged({"kid": "first"}, b"x"),
        "alg is a list": _forged({"alg": ["ES256"], "kid": "first"}, b"x"),
        "alg of another kind of key": _forged({"alg": "RS256", "kid": "first"}, b"x"),
        "alg that is not pinned": jwt.encode(claims(), rsa_key(), algorithm="RS512", headers={"kid": "rsa"}),
        "wrong aud": token(aud="other"),
        "aud of others": token(aud=["other", "another"]),
        "wrong iss": token(iss="https://id.example.evil"),
        "expired": token(exp=now - 3600),
        "expired beyond the leeway": token(exp=now - 12),
        "not yet valid": token(nbf=now + 3600),
        "issued in the future": token(iat=now + 3600),
        "exp is no number": token(exp="never"),
        "exp is infinite": jwt.encode(claims(exp=float("inf")), ec_key("first"), "ES256", {"kid": "first"}),
        "without exp": token(exp=None),
        "without aud": token(aud=None),
        "without iss": token(iss=None),
        "without sub": token(sub=None),
        "sub is a number": f"{head}.{_segment(claims(sub=5))}.{signature}",
        "sub is a signed number": _signed(claims() | {"sub": 5}),
        "sub is empty": token(sub=""),
        "authority is a truth": token(authority=True),
        "authority is a word": token(authority="root"),
        "authority is negative": token(authority=-1),
        "namespace is a number": token(namespace=5),
        "namespaces are numbers": token(namespace=[5]),
        "unknown kid": jwt.encode(claims(), ec_key("other"), "ES256", {"kid": "other"}),
        "kid that is a path": jwt.encode(claims(), ec_key("other"), "ES256", {"kid": "../../dev/null"}),
        "kid that is a list": _forged({"alg": "ES256", "kid": ["first"]}, b"x"),
        "no kid where there are several keys": jwt.encode(claims(), ec_key("other"), "ES256"),
        "key for encryption": token("enc"),
        "wrong key": jwt.encode(claims(), ec_key("other"), "ES256", {"kid": "first"}),
        "jwk header": jwt.encode(claims(), ec_key("other"), "ES256", {"kid": "first", "jwk": jwk("other")}),
        "jku header": jwt.encode(claims(), ec_key("other"), "ES256", {"kid": "first", "jku": "http://127.0.0.1:1/"}),
        "crit header": token(headers={"crit": ["exp"], "exp": 1}),
        "unknown crit header": token(headers={"crit": ["x"], "x": 1}),
        "truncated": good[:-10],
        "signature removed": f"{head}.{body}.",
        "signature all zero": f"{head}.{body}.{_segment(bytes(64))}",
        "claims changed": f"{head}.{_segment(claims(sub='mallory'))}.{signature}",
        "header is no JSON": f"{_segment(b'{')}.{body}.{signature}",
        "header is deeply nested": f"{_segment(b'[' * 5000)}.{body}.{signature}",
        "claims are a list": _signed([1]),
        "not a token": "letmein",
        "huge": token(more="a" * 9000),
        "blank inside": good.replace(".", ". ", 1),
    }
    headers = {name: [f"Bearer {text}"] for name, text in tokens.items()}
    return headers | {
        "nothing": [],
        "empty": [""],
        "Bearer alone": ["Bearer"],
        "Basic": ["Basic YWxpY2U6c2VjcmV0"],
        "the token alone": [good],
        "another scheme": [f"Token {good}"],
        "two headers": [f"Bearer {good}", f"Bearer {good}"],
        "two tokens in one": [f"Bearer {good}, Bearer {good}"],
    }


def _signed(payload: Any) -> str:
    return jwt.api_jws.PyJWS().encode(json.dumps(payload).encode(), ec_key("first"), "ES256", {"kid": "first"})


async def test_bad_tokens(service: httpx.AsyncClient) -> None:
    """Each bad token is rejected, for reads and writes, with the interface's usual error."""
    passed = []
    for name, values in _bad().items():
        headers = [("authorization", value) for value in values]
        read = await service.get(f"{IMAGES}/_search", headers=headers)
        written = await service.post(f"{IMAGES}/_register", json=minimal(), headers=headers)
        for answer in (read, written):
            if (answer.status_code, answer.json()["status"]) != (401, "-401"):
                passed.append((name, answer.text))
            elif answer.headers["www-authenticate"].startswith("Bearer") is False:
                passed.append((name, "no challenge"))
    assert passed == []
    service.headers.update(bearer())
    assert await records(service) == []
    await register(service)


@pytest.mark.parametrize("sub", ["a" * 256, "a\0b", "ali\u00adce", "alice\u200b"])
async def test_actor_that_is_no_name(service: httpx.AsyncClient, sub: str) -> None:
    """A caller's name must be printable in the history, so that no two callers look alike."""
    answer = await service.post(f"{IMAGES}/_register", json=minimal(), headers=bearer(sub=sub))
    assert (answer.status_code, answer.json()["status"]) == (400, "-1")
    assert "令牌的声明sub" in answer.json()["msg"]


REFUSALS: dict[str, tuple[str, str]] = {
    "HS256 signed with the public EC key": ("algorithm", "令牌的签名算法不被接受"),
    "alg of another kind of key": ("key", "令牌的签名密钥未知"),
    "unknown kid": ("key", "令牌的签名密钥未知"),
    "wrong key": ("signature", "令牌的签名错误"),
    "claims changed": ("signature", "令牌的签名错误"),
    "wrong aud": ("audience", "令牌的受众（aud）不是本服务"),
    "aud of others": ("audience", "令牌的受众（aud）不是本服务"),
    "wrong iss": ("issuer", "令牌的签发者（iss）不被接受"),
    "expired": ("expired", "令牌已过期"),
    "not yet valid": ("early", "令牌尚未生效"),
    "issued in the future": ("early", "令牌尚未生效"),
    "exp is no number": ("claim", "令牌的声明exp缺失或有误"),
    "exp is infinite": ("claim", "令牌的声明exp缺失或有误"),
    "without exp": ("claim", "令牌的声明exp缺失或有误"),
    "without aud": ("claim", "令牌的声明aud缺失或有误"),
    "without iss": ("claim", "令牌的声明iss缺失或有误"),
    "without sub": ("claim", "令牌的声明sub缺失或有误"),
    "sub is a signed number": ("claim", "令牌的声明sub缺失或有误"),
    "sub is empty": ("claim", "令牌的声明sub缺失或有误"),
    "authority is a word": ("claim", "令牌的声明authority缺失或有误"),
    "namespaces are numbers": ("claim", "令牌的声明namespace缺失或有误"),
    "crit header": ("format", "令牌格式错误"),
    "claims are a list": ("format", "令牌格式错误"),
    "not a token": ("format", "令牌格式错误"),
    "two headers": ("format", "令牌格式错误"),
    "Basic": ("format", "令牌格式错误"),
}


async def test_refusals_are_told(settings: Settings) -> None:
    """The client learns the kind of error in a token; the log also the reason, never the token."""
    refused = _bad()
    with logged("warning") as log:
        async with serving(settings) as client:
            for name, (kind, message) in REFUSALS.items():
                headers = [("authorization", value) for value in refused[name]]
                headers.append(("x-request-id", kind))
                answer = await client.get(f"{IMAGES}/_search", headers=headers)
                assert answer.json() == {"status": "-401", "res": None, "msg": message}, name
                line = log.lines("token_refused")[-1]
                assert (line["kind"], line["request_id"]) == (kind, kind), name
                assert line["reason"], name
            assert len(log.lines("token_refused")) == len(REFUSALS)
            for values in refused.values():
                await client.get(f"{IMAGES}/_search", headers=[("authorization", value) for value in values])
    parts = {part for values in refused.values() for value in values for part in re.split("[ .,]", value)}
    assert not [part for part in parts if len(part) > 20 and part in log.text]
    reasons = {line["kind"]: line["reason"] for line in reversed(log.lines("token_refused"))}
    assert reasons["audience"] == "aud is other, not algoplatform"
    assert reasons["issuer"] == "iss is https://id.example.evil, not https://id.example"


async def test_actor_claim(settings: Settings) -> None:
    """The history names callers by the configured claim; a token without it is rejected."""
    async with serving(settings.model_copy(update={"actor_claim": "preferred_username"})) as client:
        client.headers.update(bearer(preferred_username="爱丽丝", sub=None))
        image_id = await register(client)
        past = (await client.get(f"{IMAGES}/{image_id}/history")).json()["res"]["data"]
        assert [item["actor"] for item in past] == ["爱丽丝"]
        for given in ({}, {"preferred_username": ""}, {"preferred_username": ["a"]}):
            answer = await client.get(f"{IMAGES}/_search", headers=bearer(**given))
            assert (answer.status_code, answer.json()["msg"]) == (401, "令牌的声明preferred_username缺失或有误")


async def test_good_tokens(service: httpx.AsyncClient) -> None:
    """Valid tokens pass: either key, any case of the scheme, blanks behind it, several audiences, a small clock skew."""
    now = int(time.time())
    for text in (
        token(),
        f" {token()}",
        jwt.encode(claims(), rsa_key(), "RS256", {"kid": "rsa"}),
        jwt.encode(claims(), rsa_key(), "RS256"),
        token(aud=["other", "algoplatform"]),
        token(exp=now - 5),
        token(nbf=now + 5),
        token(authority="1"),
        token(authority=None),
    ):
        answer = await service.get(f"{IMAGES}/_search", headers={"authorization": f"bEARER {text}"})
        assert answer.status_code == 200, answer.text


async def test_what_is_open(service: httpx.AsyncClient) -> None:
    """Probes, metrics and pages need no token; every path below /algoPlatform does, known or not."""
    for path in ("/healthz", "/readyz", "/metrics", "/docs", "/redoc", "/openapi.json"):
        assert (await service.get(path)).status_code == 200, path
    for path in (
        "/algoPlatform",
        "/algoPlatform/none",
        f"{IMAGES}/{'0' * 32}",
        f"{IMAGES}/_load",
        "/%61lgoPlatform/images/_search",
    ):
        answer = await service.get(path)
        assert (answer.status_code, answer.json()["status"]) == (401, "-401"), path
    assert (await service.get("/none")).status_code == 404


async def test_route_reached_past_the_check(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the authentication middleware there is no caller, so the routes reject every request."""
    refused: list[tuple[str, str, int]] = []
    monkeypatch.setattr(authentication, "Authentication", lambda app, verifier: app)
    app = create_app(settings)
    async with app.router.lifespan_context(app) as state:

        async def with_state(scope: Scope, receive: Receive, send: Send) -> None:
            await app({**scope, "state": dict(state or {})}, receive, send)

        transport = httpx.ASGITransport(with_state)
        async with httpx.AsyncClient(transport=transport, base_url="http://x", headers=bearer()) as client:
            routers = (images.router, history.router, manifests.router, dependencies.router, lint.router, drift.router)
            for route in (route for router in routers for route in router.routes):
                assert isinstance(route, APIRoute)
                for method in route.methods or ():
                    answer = await client.request(method, route.path.replace("{imageId:imageId}", "0" * 32))
                    refused.append((method, route.path, answer.status_code))
    assert {status for _, _, status in refused} == {401}, refused
    assert {path.rpartition("/")[2] for _, path, _ in refused} >= {
        *("_register", "_search", "_update", "_delete", "_load", "_upload", "_restore", "history"),
        *("manifests", "_render", "dependencies", "_impact", "_lint", "_drift"),
    }


async def test_refusal_forms(service: httpx.AsyncClient, settings: Settings) -> None:
    """The error has the requested format, and distinguishes a missing from an invalid token."""
    answer = await service.post(f"{IMAGES}/_register", headers={"accept": "application/problem+json"})
    assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json")
    assert answer.json()["code"] == "-401"
    assert "error" not in answer.headers["www-authenticate"]
    answer = await service.get(f"{IMAGES}/_search", headers=bearer(exp=1))
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]
    assert answer.json() == {"status": "-401", "res": None, "msg": "令牌已过期"}
    async with serving(settings.model_copy(update={"http_status": "always-200"})) as lenient:
        answer = await lenient.get(f"{IMAGES}/_search")
        assert (answer.status_code, answer.json()["status"]) == (200, "-401")


async def test_body_is_not_read(service: httpx.AsyncClient) -> None:
    """Unauthenticated requests are rejected before their body is read."""
    answer = await service.post(f"{IMAGES}/_register", content=b"{" * 100)
    assert answer.status_code == 401


ROLES: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "platform": ({"authority": 1}, NAMESPACES),
    "platform with a namespace": ({"authority": 1, "namespace": "zoo"}, NAMESPACES),
    "member": ({"authority": 3, "namespace": "algo"}, ("algo",)),
    "member of two": ({"authority": 2, "namespace": ["algo", "vse"]}, ("algo", "vse")),
    "member elsewhere": ({"authority": 3, "namespace": "alg"}, ()),
    "member of nothing": ({"authority": 3}, ()),
    "member of the empty": ({"authority": 3, "namespace": ["", ""]}, ()),
    "reader": ({"namespace": "algo"}, ()),
    "unknown authority": ({"authority": 9, "namespace": ["algo", "vse"]}, ()),
}


def _named(namespace: str, name: str) -> str:
    return f"{namespace}/{name}" if namespace else name


async def read_for_cluster(client: httpx.AsyncClient, image_id: str) -> list[httpx.Response]:
    """Return the answers of rendering, graph, lint and drift, which only read."""
    image = f"{IMAGES}/{image_id}"
    return [
        await client.get(f"{image}/manifests"),
        await client.post(f"{IMAGES}/_render", json={"images": [image_id]}),
        await client.get(f"{image}/dependencies"),
        await client.post(f"{image}/_impact", json={"action": "delete"}),
        await client.get(f"{IMAGES}/_lint"),
        await client.post(f"{IMAGES}/_lint", files={"file": b"[]"}),
        await client.post(f"{IMAGES}/_drift", json={"items": []}),
    ]


@pytest.mark.parametrize("http_status", ["strict", "always-200"])
async def test_cluster_needs_any_token(settings: Settings, http_status: str) -> None:
    """Reading needs a valid token, without any claims; a missing token is -401, under always-200 with HTTP 200."""
    async with serving(settings.model_copy(update={"http_status": http_status})) as service:
        for answer in await read_for_cluster(service, "0" * 32):
            assert (answer.status_code, answer.json()["status"]) == (401 if http_status == "strict" else 200, "-401")
        service.headers.update(bearer(authority=None))
        answers = await read_for_cluster(service, "0" * 32)
        assert [answer.json()["status"] for answer in answers] == ["204", "204", "204", "204", "0", "0", "0"]
        assert {answer.status_code for answer in answers[:4]} == {404 if http_status == "strict" else 200}


@pytest.mark.parametrize("role", ROLES)
async def test_matrix_over_http(service: httpx.AsyncClient, role: str) -> None:
    """A role registers, updates, uploads, restores and deletes only where it may; all roles may read.

    Rejected writes change nothing.
    """
    given, allowed = ROLES[role]
    service.headers.update(bearer())
    ids = {namespace: await register(service, _named(namespace, "old")) for namespace in NAMESPACES}
    user = {"authority": given.get("authority", 0), "namespace": "algo"}
    for namespace in NAMESPACES:
        name, may = _named(namespace, "old"), namespace in allowed
        before = await records(service)
        own = {"authority": 3, "namespace": namespace} if namespace and user["authority"] == 3 else user
        service.headers.update(bearer(**given, sub="bob") if "authority" in given else bearer(authority=None, **given))
        for answer in await read_for_cluster(service, ids[namespace]):
            assert (answer.status_code, answer.json()["status"]) == (200, "0"), (namespace, answer.text)
        expected = (200, "0") if may else (403, "240")
        changed = minimal(name, imageId=ids[namespace], factory="bob")
        for answer in (
            await service.post(f"{IMAGES}/_register", json=minimal(_named(namespace, "new"))),
            await service.post(f"{IMAGES}/_update", json=changed),
            await upload(service, [minimal(name, algoName="bob"), minimal(_named(namespace, "more"))]),
            await upload(service, [minimal(name)], onConflict="skip"),
            await upload(service, [minimal(name)], dryRun="true"),
            await service.post(f"{IMAGES}/{ids[namespace]}/_restore", json={"version": 1}),
            await service.post(
                f"{IMAGES}/_delete",
                json={"imageId": ids[namespace], "userResult": own | ({"namespace": namespace} if may else {})},
            ),
        ):
            assert (answer.status_code, answer.json()["status"]) == expected, (namespace, answer.text)
        assert (await service.get(f"{IMAGES}/_search")).status_code == 200
        assert (await service.post(f"{IMAGES}/_load")).status_code == 200
        past = (await service.get(f"{IMAGES}/{ids[namespace]}/history")).json()["res"]["data"]
        assert [item["actor"] for item in past] == ([*["bob"] * 4, "alice"] if may else ["alice"])
        service.headers.update(bearer())
        assert (await records(service) == before) is not may


async def _outcome(attempt: Coroutine[Any, Any, Any]) -> str:
    try:
        await attempt
    except AlgoplatformError as error:
        return error.code.value
    return "0"


async def test_matrix_of_use_cases(settings: Settings) -> None:
    """The use cases themselves check permissions, so no entry point can forget to."""
    async with Runtime.open(settings) as runtime:
        for number, (given, allowed) in enumerate(ROLES.values()):
            for namespace in NAMESPACES:
                outcomes = await _attempts(runtime, given, namespace, f"r{number}")
                assert outcomes == ["0" if namespace in allowed else "240"] * 6, (given, namespace)


async def _attempts(runtime: Runtime, given: dict[str, Any], namespace: str, tail: str) -> list[str]:
    name = _named(namespace, tail)
    listed = given.get("namespace", [])
    namespaces = frozenset([listed] if isinstance(listed, str) else listed) - {""}
    caller = Caller(given.get("authority"), namespaces, "bob")
    claim = {"authority": given.get("authority", 9), "namespace": namespace}
    image_id, _ = await runtime.images.register(TRUSTED, minimal(name))
    file = json.dumps([minimal(name, factory="x")]).encode()
    attempts = (
        runtime.images.register(caller, minimal(f"{name}-new")),
        runtime.images.update(caller, minimal(name, imageId=image_id), None),
        runtime.transfer.load(caller, io.BytesIO(file)),
        runtime.revisions.restore(caller, image_id, {"version": 1}, None),
        runtime.images.delete(caller, {"imageId": image_id, "userResult": claim}, None),
        runtime.revisions.restore(caller, image_id, {}, None),
    )
    return [await _outcome(attempt) for attempt in attempts]


@pytest.mark.parametrize(
    ("held", "claimed", "status"),
    [
        ({"authority": 3, "namespace": "algo"}, {"authority": 1, "namespace": ""}, "240"),
        ({"authority": 3, "namespace": "algo"}, {"authority": 1, "namespace": "algo"}, "240"),
        ({"authority": 3, "namespace": "vse"}, {"authority": 3, "namespace": "algo"}, "240"),
        ({"authority": 3}, {"authority": 3, "namespace": "algo"}, "240"),
        ({"authority": 9}, {"authority": 1, "namespace": ""}, "240"),
        ({"authority": None}, {"authority": 1, "namespace": ""}, "240"),
        ({"authority": 1}, {"authority": 3, "namespace": "vse"}, "240"),
        ({"authority": 1}, {"authority": 0, "namespace": "algo"}, "240"),
        ({"authority": 1}, {"authority": 3, "namespace": "algo"}, "0"),
        ({"authority": 1}, {"authority": 1, "namespace": ""}, "0"),
        ({"authority": 3, "namespace": ["vse", "algo"]}, {"authority": 3, "namespace": "algo"}, "0"),
    ],
)
async def test_forged_user_result(
    service: httpx.AsyncClient, held: dict[str, Any], claimed: dict[str, Any], status: str
) -> None:
    """A userResult may claim less than the token grants, and never gains more."""
    service.headers.update(bearer())
    image_id = await register(service, "algo/a")
    service.headers.update(bearer(**held))
    assert (await delete(service, image_id, **claimed)).json()["status"] == status


async def test_upload_of_one_who_may_write_nowhere(settings: Settings) -> None:
    """A caller without write permission is rejected before the file is received, and takes no slot."""
    reader = f"Authorization: {bearer(authority=9)['authorization']}"
    form = "Content-Type: multipart/form-data; boundary=b"
    head = f"POST {IMAGES}/_upload HTTP/1.1\r\nHost: x\r\n{reader}\r\n{form}\r\nContent-Length: 99999\r\n"
    async with serving(settings.model_copy(update={"max_uploads": 1})) as client:
        async with connected(client) as patient:
            await patient.send(f"{head}Expect: 100-continue\r\n\r\n".encode())
            answer = await patient.answer()
            assert (answer.status, answer.envelope["status"]) == (403, "240")
        async with connected(client) as slow:
            await slow.send(f"{head}\r\n--b".encode(), pause=0.1)
            client.headers.update(bearer())
            assert (await upload(client, [minimal()])).status_code == 200


async def test_upload_names_what_is_outside(service: httpx.AsyncClient) -> None:
    """A single record of a forbidden namespace rejects the file; every such record is reported, and none is written."""
    service.headers.update(bearer(authority=3, namespace="algo"))
    file = [minimal("algo/a"), minimal("vse/b"), minimal("plain"), minimal("algo/c", factory="")]
    answer = await upload(service, file)
    assert (answer.status_code, answer.json()["status"]) == (403, "240")
    assert answer.json()["msg"] == (
        "vse/b1.0:当前用户不能操作命名空间“vse”的镜像plain1.0:当前用户不能操作不属于任何命名空间的镜像algo/c1.0:factory不能为空"
    )
    broken = await upload(service, [minimal("algo/a"), minimal("vse/b", tag="-")])
    assert broken.json()["status"] == "240"
    assert broken.json()["msg"].startswith("vse/b-:当前用户不能操作命名空间“vse”的镜像vse/b-:imageTag")
    late = await upload(service, [*(minimal(f"algo/{number}", factory="") for number in range(1000)), minimal("vse/b")])
    assert (late.status_code, late.json()["status"]) == (403, "240")
    assert late.json()["msg"].endswith("……另有1处错误未列出")
    assert await records(service) == []
    assert (await upload(service, file[:1])).status_code == 200


async def test_dependencies_may_be_of_others(service: httpx.AsyncClient) -> None:
    """Depending on an image requires only permission to read it."""
    service.headers.update(bearer())
    await register(service, "vse/base")
    service.headers.update(bearer(authority=3, namespace="algo"))
    await register(service, "algo/a", dependencyServiceId="vse/base:1.0")


async def test_update_cannot_reach_another_namespace(service: httpx.AsyncClient) -> None:
    """The name of an own image does not give access to another's by its id."""
    service.headers.update(bearer())
    image_id = await register(service, "vse/a")
    service.headers.update(bearer(authority=3, namespace="algo"))
    answer = await service.post(f"{IMAGES}/_update", json=minimal("algo/a", imageId=image_id))
    assert answer.json()["status"] == "219"
    assert (await records(service))[0]["imageName"] == "vse/a"


async def test_idempotency_key_is_its_subjects(service: httpx.AsyncClient) -> None:
    """Guessing another caller's key does not return that caller's response."""
    key = {"idempotency-key": "k"}
    first = await service.post(f"{IMAGES}/_register", json=minimal(), headers=bearer() | key)
    again = await service.post(f"{IMAGES}/_register", json=minimal(), headers=bearer() | key)
    other = await service.post(f"{IMAGES}/_register", json=minimal(), headers=bearer(sub="bob", authority=3) | key)
    assert (first.json(), again.headers["location"]) == (again.json(), first.headers["location"])
    assert other.json()["status"] == "240"


async def test_command_line_shows_its_token(service: httpx.AsyncClient) -> None:
    """Commands with --url send ALGOPLATFORM_TOKEN, and fail with a clear message without it."""
    url = str(service.base_url)
    async with open_registry(Settings(token=SecretStr(token())), url) as registry:
        assert await registry.search("") == []
    async with open_registry(Settings(), url) as registry:
        with pytest.raises(AlgoplatformError, match="未认证"):
            await registry.search("")


async def test_openapi_declares_the_token(service: httpx.AsyncClient, client: httpx.AsyncClient) -> None:
    """The OpenAPI document requires a token for every operation, in token mode only."""
    document = (await service.get("/openapi.json")).json()
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    for path in document["paths"].values():
        for operation in path.values():
            assert operation["security"] == [{"bearer": []}]
            assert {"401", "403"} <= set(operation["responses"])
    assert "securitySchemes" not in (await client.get("/openapi.json")).text
