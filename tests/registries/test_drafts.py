"""Drafts: records filled in from an image's configuration."""

import asyncio
from typing import Any

import pytest
from pydantic import SecretStr

from algoplatform.catalogue.cluster.drafts import Draft, drafted, preferred
from algoplatform.domain.grammar.reference import ImageReference
from algoplatform.domain.record.check import Rules
from algoplatform.registries.facts import Platform
from tests.registries.test_hostile import UNKNOWN, setting
from tests.support.images import IMAGES
from tests.support.oci import Layout
from tests.support.registry import Registry, needs_registry
from tests.support.replies import reply, replying
from tests.support.service import serving, settings_for

REFERENCE = ImageReference.parse("harbor.local/algo/x:1.0")
EMPTY: dict[str, Any] = {
    "os": "linux",
    "architecture": "amd64",
    "size": 1,
    "entrypoint": None,
    "cmd": None,
    "exposed_ports": (),
    "user": "",
    "created": None,
}


def draft(**config: Any) -> Draft:
    """Draft a record from an image with this configuration."""
    return drafted(REFERENCE, Platform(**EMPTY | config), Rules())


@needs_registry
async def test_registered(registry: Registry, layout: Layout, database_url: str) -> None:
    """A draft of a pushed image becomes a record once the required fields are filled in."""
    layout.tag(layout.image(), "a")
    await asyncio.to_thread(registry.push, layout.folder, "a", "algo/draft:1.0")
    async with serving(settings_for(database_url, registries=SecretStr(registry.setting()))) as client:
        name = f"{registry.host}/algo/draft"
        answer = await client.post(f"{IMAGES}/_draft", json={"image": f"{name}:1.0"})
        record = answer.json()["res"]
        assert len(record) == 29
        assert {key: value for key, value in record.items() if value is not None} == {
            "imageName": name,
            "imageTag": "1.0",
            "imagePorts": "port-443:443,port-8080:8080",
            "imageMount": "/data,/var/log/app",
            "workingDir": "/app",
            "command": "/app/serve",
            "args": "--name 'two words'",
            "env": "PATH:/usr/bin:/bin,MODE:fast\\,safe",
        }
        assert answer.json()["msg"] == "起草成功"
        assert (await client.get(f"{IMAGES}/_search")).json()["res"]["data"] == []
        filled = record | {"factory": "易华录", "algoName": "抽帧", "algoType": "1"}
        assert (await client.post(f"{IMAGES}/_register", json=filled)).status_code == 200


@needs_registry
async def test_quoted(registry: Registry, layout: Layout, database_url: str) -> None:
    """The message may quote any text that was left out, but no value of a variable."""
    config = {"Cmd": ['echo "x"\n\\'], "Env": ["A=1", '9"=secret']}
    layout.tag(layout.image(config), "a")
    await asyncio.to_thread(registry.push, layout.folder, "a", "algo/quoted:1.0")
    async with serving(settings_for(database_url, registries=SecretStr(registry.setting()))) as client:
        answer = await client.post(f"{IMAGES}/_draft", json={"image": f"{registry.host}/algo/quoted:1.0"})
    assert answer.json()["res"]["env"] == "A:1"
    assert 'env的“9"”' in answer.json()["msg"]
    assert "secret" not in answer.text


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "202"),
        ({"image": ""}, "202"),
        ({"image": 1}, "202"),
        ({"image": "harbor.local/algo/x"}, "202"),
        ({"image": "harbor.local/algo/x:1.0", "more": 1}, "202"),
        ({"image": "harbor.local/algo/x@sha256:00"}, "202"),
        ([], "-1"),
        ({"image": "elsewhere.local/algo/x:1.0"}, "-422"),
        ({"image": "algo/x:1.0"}, "-422"),
        ({"image": "{host}/algo/x:1.0"}, "-422"),
    ],
)
async def test_refused(database_url: str, body: Any, code: str) -> None:
    """An invalid reference is 202; an image that is not present is -422 with its state."""
    known = isinstance(body, dict) and "{host}" in str(body.get("image"))
    async with (
        replying(lambda _: reply(404, UNKNOWN)) as served,
        serving(settings_for(database_url, registries=SecretStr(setting(served)))) as client,
    ):
        sent = {"image": f"{served.host}/algo/x:1.0"} if known else body
        answer = (await client.post(f"{IMAGES}/_draft", json=sent)).json()
    assert answer["status"] == code
    if code == "-422":
        assert answer["msg"].startswith("missing：" if known else "not-configured：")


def test_nothing() -> None:
    """An image with an empty configuration gives a record with only name and tag."""
    found = draft()
    assert {name: value for name, value in found.record.items() if value} == {
        "imageName": "harbor.local/algo/x",
        "imageTag": "1.0",
    }
    assert found.left_out == []


@pytest.mark.parametrize(
    ("config", "field", "value", "left_out"),
    [
        ({"exposed_ports": ["53/udp", "53/tcp", "80"]}, "imagePorts", "port-53:53,port-80:80", "imagePorts的“53/udp”"),
        ({"exposed_ports": ["80", "80/tcp", "080/tcp"]}, "imagePorts", "port-80:80", None),
        (
            {"exposed_ports": ["0/tcp", "8000-8100/tcp", "x", "99999"]},
            "imagePorts",
            None,
            "imagePorts的“0/tcp、8000-8100/tcp、x”等4项",
        ),
        ({"env": ["A=1", "9=x", "B", "A=2", "C= x", "D=a,b"]}, "env", "A:1,D:a\\,b", "env的“9、B、A”等4项"),
        (
            {"env": [f"K{n}={'x' * 1000}" for n in range(6)]},
            "env",
            ",".join(f"K{n}:{'x' * 1000}" for n in range(4)),
            "env的“K4、K5”",
        ),
        ({"env": ["A=x\\", "B=1"]}, "env", "B:1,A:x\\", None),
        ({"env": ["A=x\\", "B=y,\\", "C=a\\b"]}, "env", "C:a\\b,A:x\\", "env的“B”"),
        ({"volumes": ["data", "/a,b", "/data", "/data/", "/../x"]}, "imageMount", "/data", "等4项"),
        ({"working_dir": "app"}, "workingDir", None, "workingDir的“app”"),
        ({"entrypoint": ["sh", "-c", "a\nb"]}, "command", None, "command的“sh -c 'a\\x0ab'”"),
        ({"cmd": ["a b", "", "'"]}, "args", """'a b' '' ''"'"''""", None),
        ({"cmd": ["\0"]}, "args", None, "args"),
        ({"cmd": ["x" * 5000]}, "args", None, "args"),
        ({"env": [f"K{n}=" for n in range(300)]}, "env", ",".join(f"K{n}:" for n in range(200)), "等100项"),
    ],
)
def test_left_out(config: dict[str, Any], field: str, value: str | None, left_out: str | None) -> None:
    """Values that a record cannot hold are left out and named in the message; the others are taken over."""
    found = draft(**config)
    assert found.record[field] == value
    if left_out is None:
        assert found.left_out == []
    else:
        assert left_out in found.message
        assert found.message.isprintable()


def test_platform() -> None:
    """The draft uses the site's platform, or the first one if the image lacks it."""
    arm, amd = Platform(**EMPTY | {"architecture": "arm64"}), Platform(**EMPTY)
    assert preferred([arm, amd], "linux/amd64") is amd
    assert preferred([arm, amd], "linux/riscv64") is arm
