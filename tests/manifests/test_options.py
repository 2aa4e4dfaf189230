"""Options: each is defined once, and all faults are reported at once."""

import dataclasses
from typing import Any

import pytest

from algoplatform.domain.errors import Refused
from algoplatform.manifests.gpu.profiles import SHIPPED
from algoplatform.manifests.option_values import MountStore, Toleration
from algoplatform.manifests.options import BY_NAME, OPTIONS, Options, parse_options
from tests.support.rendering import options

NAMES: list[str] = """
profile cards cores naming registry pin argsStyle defaultCpu defaultMemory limits storageClass accessMode claims
mountStore config hostPathWritable pullSecrets serviceAccount runtimeClass schedulerName nodeSelector tolerations
readiness localtime replicas channels closure namespace
""".split()  # noqa: SIM905 - a list of this length would take a page


def faults(given: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the option and the message of every fault."""
    with pytest.raises(Refused) as caught:
        parse_options(given, SHIPPED)
    assert caught.value.code == "202"
    return [(fault.field, fault.message) for fault in caught.value.faults]


def test_names() -> None:
    """The names are those of the contract, in its order; each belongs to one field of Options."""
    assert [option.name for option in OPTIONS] == NAMES
    assert [option.attribute for option in OPTIONS] == [field.name for field in dataclasses.fields(Options)]
    assert all(option.description and option.form for option in OPTIONS)


def test_one_name_gives_the_others() -> None:
    option = BY_NAME["hostPathWritable"]
    assert (option.attribute, option.kebab) == ("host_path_writable", "host-path-writable")
    assert (option.setting, option.default) == ("ALGOPLATFORM_RENDER_HOST_PATH_WRITABLE", False)
    assert BY_NAME["cards"].setting == "ALGOPLATFORM_GPU_CARDS"
    assert BY_NAME["claims"].allowed == ("one", "per-mount")


@pytest.mark.parametrize("name", NAMES)
def test_blank_keeps_the_default(name: str) -> None:
    assert parse_options({name: " "}, SHIPPED) == parse_options({name: None}, SHIPPED) == Options()


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("profile", "mig", "mig"),
        ("cards", "15109, 24576", (15109, 24576)),
        ("cores", "100", 100),
        ("cores", 50, 50),
        ("naming", "image", "image"),
        ("registry", "harbor.local:5000/mirror", "harbor.local:5000/mirror"),
        ("registry", "localhost", "localhost"),
        ("pin", "true", True),
        ("pin", True, True),
        ("pin", False, False),
        ("defaultCpu", "500", 500),
        ("storageClass", "local-path", "local-path"),
        ("accessMode", "ReadWriteOncePod", "ReadWriteOncePod"),
        ("mountStore", "emptyDir", MountStore()),
        ("mountStore", "hostPath:/data/", MountStore("hostPath", "/data")),
        ("mountStore", "nfs:10.0.0.1:/export/a", MountStore("nfs", "/export/a", "10.0.0.1")),
        ("mountStore", "nfs:[fe80::1]:/", MountStore("nfs", "", "[fe80::1]")),
        ("pullSecrets", "a,b.c,a", ("a", "b.c")),
        ("nodeSelector", "gpu=t4,example.com/pool=", (("gpu", "t4"), ("example.com/pool", ""))),
        (
            "tolerations",
            "a=b:NoSchedule,c:NoExecute,d",
            (Toleration("a", "b", "NoSchedule"), Toleration("c", None, "NoExecute"), Toleration("d", None, None)),
        ),
        ("replicas", "0", 0),
        ("channels", "2147483647", 2147483647),
        ("namespace", "算法", "算法"),
    ],
)
def test_values(name: str, text: object, value: object) -> None:
    found = parse_options({name: text}, SHIPPED)
    assert getattr(found, BY_NAME[name].attribute) == value


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("profile", "kuda"),
        ("cards", "0"),
        ("cards", "15109,,1"),
        ("cards", "16 GB"),
        ("cards", ",".join("1" * 1001)),
        ("cores", "0"),
        ("cores", "-1"),
        ("cores", "1.0"),
        ("cores", "１"),
        ("cores", 2**31),
        ("cores", 10**400),
        ("naming", "Tag"),
        ("registry", "harbor"),
        ("registry", "a b"),
        ("registry", "harbor.local/"),
        ("pin", "yes"),
        ("pin", 1),
        ("pin", []),
        ("storageClass", "Local_Path"),
        ("storageClass", "x" * 254),
        ("accessMode", "ReadOnlyMany"),
        ("mountStore", "hostPath"),
        ("mountStore", "hostPath:data"),
        ("mountStore", "hostPath:/a/../b"),
        ("mountStore", "nfs:/export"),
        ("mountStore", "nfs:a b:/export"),
        ("mountStore", "s3:/x"),
        ("pullSecrets", "a,"),
        ("nodeSelector", "gpu"),
        ("nodeSelector", "a=1,a=2"),
        ("nodeSelector", "a=中"),
        ("nodeSelector", "=a"),
        ("tolerations", "a=b:Never"),
        ("tolerations", ":NoSchedule"),
        ("replicas", "-1"),
        ("channels", "0"),
        ("closure", "1"),
        ("namespace", "x" * 254),
        ("namespace", "x" * 5000),
        ("namespace", "a\x00"),
        ("namespace", "\ud800"),
        ("nosuch", "1"),
        ("host_path_writable", "true"),
    ],
)
def test_wrong_values(name: str, text: object) -> None:
    assert [field for field, _ in faults({name: text})] == [name]


def test_every_fault_at_once() -> None:
    found = faults({"naming": "x", "replicas": "1", "channels": "2", "nosuch": "1", "profile": "kuda", "pin": {}})
    assert [field for field, _ in found] == ["nosuch", "naming", "pin", "profile", "replicas"]
    assert ("naming", "naming须为tag、image之一，不能为“x”") in found


def test_very_many_unknown_names() -> None:
    """Only the first 200 faults are listed; the total counts all."""
    with pytest.raises(Refused) as caught:
        parse_options({f"x{number}": "1" for number in range(1000)}, SHIPPED)
    assert (len(caught.value.faults), caught.value.total) == (200, 1000)


def test_over_defaults() -> None:
    """A request's `replicas` replaces the `channels` of the settings, and vice versa."""
    base = options(channels="100", registry="harbor.local")
    found = parse_options({"replicas": "2"}, SHIPPED, base)
    assert (found.replicas, found.channels, found.registry) == (2, None, "harbor.local")
    again = parse_options({"channels": "3"}, SHIPPED, found)
    assert (again.replicas, again.channels) == (None, 3)
