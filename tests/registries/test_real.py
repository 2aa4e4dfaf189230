"""The client against a real registry, with each kind of authentication."""

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from algoplatform.domain.grammar.reference import ImageName
from algoplatform.registries.client import Registries
from algoplatform.registries.facts import Facts, NotPresent
from tests.support.certificates import Authority
from tests.support.oci import INDEX, MANIFEST, Layout
from tests.support.registry import HTPASSWD, PASSWORD, USER, Registry, needs_registry
from tests.support.token_server import TokenServer

pytestmark = needs_registry


async def look(setting: str, name: str, tag: str = "1.0", known: str | None = None) -> Facts | str:
    """Return the facts of an image, or its state if it is not present."""
    async with Registries.open(setting) as registries:
        try:
            return await registries.look(ImageName.parse(name), tag, known)
        except NotPresent as reason:
            return reason.state


async def test_image(registry: Registry, layout: Layout) -> None:
    """The digest of a single image is the one that skopeo sees; its platform is that of its configuration."""
    layout.tag(layout.image(), "a")
    registry.push(layout.folder, "a", "algo/single:1.0")
    facts = await look(registry.setting(), f"{registry.host}/algo/single")
    assert isinstance(facts, Facts)
    assert facts.digest == registry.digest("algo/single:1.0")
    assert facts.media_type == MANIFEST
    assert facts.platforms
    [platform] = facts.platforms
    manifest = json.loads((layout.folder / "blobs" / "sha256" / facts.digest[7:]).read_bytes())
    assert platform.document() == {
        "os": "linux",
        "architecture": "amd64",
        "size": sum(layer["size"] for layer in manifest["layers"]),
        "entrypoint": ["/app/serve"],
        "cmd": ["--name", "two words"],
        "exposedPorts": ["443/tcp", "8080/tcp"],
        "user": "1000",
        "created": "2026-11-01T00:00:00Z",
    }
    # For a known digest only the digest is read.
    known = await look(registry.setting(), f"{registry.host}/algo/single", known=facts.digest)
    assert known == Facts(facts.digest)


async def test_index(registry: Registry, layout: Layout) -> None:
    """An index has the digest of the index, and its platforms without the attestation."""
    images = [layout.image(), layout.image(architecture="arm64", text="arm"), layout.attestation()]
    layout.tag(layout.index(images), "a")
    registry.push(layout.folder, "a", "algo/many:1.0")
    facts = await look(registry.setting(), f"{registry.host}/algo/many")
    assert isinstance(facts, Facts)
    assert (facts.digest, facts.media_type) == (registry.digest("algo/many:1.0"), INDEX)
    assert [each.architecture for each in facts.platforms or ()] == ["amd64", "arm64"]


async def test_moved_missing_unreachable(tmp_path: Path, layout: Layout) -> None:
    """A moved tag has another digest; a deleted one is missing; a stopped registry is unreachable."""
    registry = Registry(tmp_path)
    name = f"{registry.host}/algo/moving"
    with registry.running():
        layout.tag(layout.image(), "a")
        registry.push(layout.folder, "a", "algo/moving:1.0")
        first = await look(registry.setting(), name)
        layout.tag(layout.image(text="new"), "b")
        registry.push(layout.folder, "b", "algo/moving:1.0")
        second = await look(registry.setting(), name)
        assert isinstance(first, Facts)
        assert isinstance(second, Facts)
        assert first.digest != second.digest == registry.digest("algo/moving:1.0")
        registry.delete("algo/moving:1.0")
        assert await look(registry.setting(), name) == "missing"
        assert await look(registry.setting(), f"{registry.host}/algo/never") == "missing"
    assert await look(registry.setting(), name) == "unreachable"


async def test_tls(tmp_path: Path, layout: Layout) -> None:
    """A certificate is trusted only by the CA of the setting; a registry with TLS is never read without it."""
    authority = Authority(tmp_path)
    registry = Registry(tmp_path, tls=authority.issue("registry"))
    layout.tag(layout.image(), "a")
    name = f"{registry.host}/algo/x"
    with registry.running():
        registry.push(layout.folder, "a", "algo/x:1.0")
        found = await look(registry.setting(caFile=str(authority.certificate)), name)
        assert isinstance(found, Facts)
        assert found.digest == registry.digest("algo/x:1.0")
        assert await look(registry.setting(), name) == "unreachable"
        assert await look(registry.setting(http=True), name) in ("unreachable", "unsupported")


async def test_basic(tmp_path: Path, layout: Layout) -> None:
    """HTTP Basic with the right password, a wrong one and none."""
    (tmp_path / "htpasswd").write_text(f"{HTPASSWD}\n")
    auth = {"htpasswd": {"realm": "test", "path": str(tmp_path / "htpasswd")}}
    registry = Registry(tmp_path, auth)
    layout.tag(layout.image(), "a")
    credentials = f"{USER}:{PASSWORD}"
    with registry.running():
        registry.push(layout.folder, "a", "algo/x:1.0", credentials=credentials)
        name = f"{registry.host}/algo/x"
        right = await look(registry.setting(username=USER, password=PASSWORD), name)
        assert isinstance(right, Facts)
        assert right.digest == registry.digest("algo/x:1.0", credentials=credentials)
        assert await look(registry.setting(username=USER, password="wrong"), name) == "denied"
        assert await look(registry.setting(), name) == "denied"
        missing = f"{registry.host}/algo/never"
        assert await look(registry.setting(username=USER, password=PASSWORD), missing) == "missing"


@asynccontextmanager
async def bearer(folder: Path, layout: Layout) -> AsyncIterator[tuple[Registry, TokenServer]]:
    """A registry with one image, whose tokens are issued by a server on another port."""
    async with TokenServer.running(folder, USER, PASSWORD) as server:
        registry = Registry(folder, {"token": server.registry_config()})
        with registry.running():
            layout.tag(layout.image(), "a")
            credentials = f"{USER}:{PASSWORD}"
            await asyncio.to_thread(registry.push, layout.folder, "a", "algo/x:1.0", credentials=credentials)
            server.asked.clear()
            yield registry, server


async def test_bearer(tmp_path: Path, layout: Layout) -> None:
    """A token server named in the setting gets the credentials, and is asked only for pull access."""
    async with bearer(tmp_path, layout) as (registry, server):
        named: dict[str, Any] = {"username": USER, "password": PASSWORD}
        name = f"{registry.host}/algo/x"
        for realm in (server.realm, f"127.0.0.1:{server.port}"):
            server.asked.clear()
            facts = await look(registry.setting(realms=[realm], **named), name)
            assert isinstance(facts, Facts)
            assert facts.digest == await asyncio.to_thread(
                registry.digest, "algo/x:1.0", credentials=f"{USER}:{PASSWORD}"
            )
            basic = f"Basic {b64encode(f'{USER}:{PASSWORD}'.encode()).decode()}"
            assert (server.asked[0].authorization, server.asked[0].scope) == (basic, "repository:algo/x:pull")
        wrong = named | {"password": "wrong"}
        assert await look(registry.setting(realms=[server.realm], **wrong), name) == "denied"
        server.asked.clear()
        assert await look(registry.setting(realms=[server.realm]), name) == "denied"
        assert [each.authorization for each in server.asked] == [None]
        missing = f"{registry.host}/algo/never"
        assert await look(registry.setting(realms=[server.realm], **named), missing) == "missing"


@pytest.mark.parametrize(
    "realms", [[], ["auth.local"], ["http://127.0.0.1:{port}/other"], ["https://127.0.0.1:{port}"]]
)
async def test_bearer_elsewhere(tmp_path: Path, layout: Layout, realms: list[str]) -> None:
    """A token server that the setting does not name is not contacted."""
    async with bearer(tmp_path, layout) as (registry, server):
        named = [realm.format(port=server.port) for realm in realms]
        setting = registry.setting(realms=named, username=USER, password=PASSWORD)
        assert await look(setting, f"{registry.host}/algo/x") == "denied"
        assert server.asked == []
