"""GPU profiles: exact limits or a refusal, for shipped rows and rows of a site."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from algoplatform.domain.errors import Refused
from algoplatform.manifests.gpu.amounts import DoesNotFit, amounts
from algoplatform.manifests.gpu.profiles import SHIPPED, ProfilesInvalid, parse_profiles, with_site
from algoplatform.manifests.options import parse_options
from algoplatform.manifests.rendering import render
from tests.support.rendering import main_of, only, options, pod_of, reasons, rendered, target

CARD = 15109
REQUESTS = (1, 255, 256, 1023, 1024, 1025, 15109, 15110)
NO: None = None


def hami(mib: int) -> dict[str, int]:
    """Return the limits of the default profile."""
    return {"nvidia.com/gpu": 1, "nvidia.com/gpumem": mib}


def volcano(mib: int) -> dict[str, int]:
    """Return the limits for Volcano's vGPU."""
    return {"volcano.sh/vgpu-number": 1, "volcano.sh/vgpu-memory": mib}


def tencent(core: int, units: int) -> dict[str, int]:
    """Return the limits for Tencent's GPU manager: cores in percent of a card, and memory in units of 256 MiB."""
    return {"tencent.com/vcuda-memory": units, "tencent.com/vcuda-core": core}


def ascend(mib: int) -> dict[str, int]:
    """Return the limits for a template of an Ascend card."""
    return {"huawei.com/Ascend910B4": 1, "huawei.com/Ascend910B4-memory": mib}


def hygon(mib: int) -> dict[str, int]:
    """Return the limits for a Hygon DCU."""
    return {"hygon.com/dcunum": 1, "hygon.com/dcumem": mib}


def mlu(units: int) -> dict[str, int]:
    """Return the limits for a Cambricon MLU, with memory in units of 256 MiB."""
    return {"cambricon.com/vmlu": 1, "cambricon.com/mlu.smlu.vmemory": units}


def metax(mib: int) -> dict[str, int | str]:
    """Return the limits for a MetaX card."""
    return {"metax-tech.com/sgpu": 1, "metax-tech.com/vmemory": f"{mib}Mi"}


def gib(units: int) -> dict[str, int]:
    """Return the limits for Aliyun's GPU sharing, in GiB."""
    return {"aliyun.com/gpu-mem": units}


def mig(slice_: str) -> dict[str, int]:
    """Return the limits for a MIG slice."""
    return {f"nvidia.com/mig-{slice_}": 1}


WHOLE = {"nvidia.com/gpu": 1}
TPU = {"tpu.bitmain.com/bm1684": 1}
# One column for each of REQUESTS; the largest card has 15,109 MiB; None means refused.
TABLE: dict[str, list[Any]] = {
    "hami": [*map(hami, REQUESTS[:7]), NO],
    "volcano": [*map(volcano, REQUESTS[:7]), NO],
    "aliyun": [gib(1), gib(1), gib(1), gib(1), gib(1), gib(2), NO, NO],
    "tencent": [tencent(1, 1), tencent(2, 1), tencent(2, 1), tencent(7, 4), tencent(7, 4), tencent(7, 5), NO, NO],
    "nvidia": [*[WHOLE] * 7, NO],
    "nvidia-timeslice": [*[WHOLE] * 7, NO],
    "nvidia-mps": [*[WHOLE] * 6, NO, NO],
    "mig": [*[mig("1g.5gb")] * 6, NO, NO],
    "sophon": [*[TPU] * 7, NO],
    "ascend": [*[ascend(8192)] * 6, NO, NO],
    "hygon": [*map(hygon, REQUESTS[:7]), NO],
    "cambricon": [mlu(1), mlu(1), mlu(1), mlu(4), mlu(4), mlu(5), NO, NO],
    "metax": [*map(metax, REQUESTS[:7]), NO],
    "none": [{}] * 8,
}


@pytest.mark.parametrize("name", SHIPPED)
def test_table(name: str) -> None:
    """Requests are rounded up, the size of the card is rounded down, and what does not fit is refused."""
    found: list[Any] = []
    for mib in REQUESTS:
        try:
            found.append(amounts(mib, SHIPPED[name], (8192, CARD)).limits)
        except DoesNotFit:
            found.append(None)
    assert found == TABLE[name]
    assert len(TABLE) == len(SHIPPED)


@given(st.sampled_from(sorted(SHIPPED)), st.integers(1, 2**31 - 1), st.lists(st.integers(1, 2**31 - 1), max_size=3))
def test_never_less_than_asked_for(name: str, mib: int, cards: list[int]) -> None:
    """The reserved memory is at least the request, and at most the largest card."""
    try:
        found = amounts(mib, SHIPPED[name], tuple(cards))
    except DoesNotFit:
        return
    assert found.reserved is None or found.reserved >= mib
    assert found.reserved is None or not cards or found.reserved <= max(cards)


@pytest.mark.parametrize(
    ("mib", "slice_"), [(4865, "1g.6gb"), (9729, "2g.10gb"), (19968, "2g.20gb"), (40193, "7g.80gb")]
)
def test_smallest_slice(mib: int, slice_: str) -> None:
    assert amounts(mib, SHIPPED["mig"]).limits == mig(slice_)


def test_without_cards_no_refusal_by_size() -> None:
    """Without `cards` only templates and slices limit the size; tencent then asks for `cores` or `cards`."""
    for name in sorted(set(SHIPPED) - {"mig", "ascend", "tencent"}):
        assert amounts(10**6, SHIPPED[name]).limits or name == "none"
    for name in ("mig", "ascend"):
        with pytest.raises(DoesNotFit, match=name):
            amounts(10**6, SHIPPED[name])
    with pytest.raises(DoesNotFit, match="cores或cards"):
        amounts(1000, SHIPPED["tencent"])


def test_no_request_no_gpu() -> None:
    for mib in (None, 0):
        assert amounts(mib, SHIPPED["hami"]).limits == {}
    found = rendered(gpuRequests=0)
    assert "resources" not in main_of(found)
    assert only(found, "Deployment")["spec"]["strategy"] == {"type": "RollingUpdate"}


def test_cores() -> None:
    assert main_of(rendered({"cores": "30"}, gpuRequests=1000))["resources"]["limits"] == {
        **hami(1000),
        "nvidia.com/gpucores": 30,
    }
    found = rendered({"profile": "tencent", "cores": "200"}, gpuRequests=1000)
    assert main_of(found)["resources"]["limits"] == tencent(200, 4)


@pytest.mark.parametrize(("profile", "cores"), [("hami", "101"), ("tencent", "101"), ("tencent", "250")])
def test_wrong_cores(profile: str, cores: str) -> None:
    with pytest.raises(Refused) as caught:
        options(profile=profile, cores=cores, naming="x")
    assert [(fault.field, fault.code) for fault in caught.value.faults] == [("naming", "202"), ("cores", "202")]


def test_cores_of_settings_with_another_profile() -> None:
    """A request's cores are checked with the profile of the settings; those of the settings when they are used."""
    base = parse_options({"profile": "tencent", "cores": "200"}, SHIPPED)
    with pytest.raises(Refused):
        parse_options({"cores": "150"}, SHIPPED, base)
    assert parse_options({"profile": "hami", "cores": "50"}, SHIPPED, base).cores == 50
    other = parse_options({"profile": "hami"}, SHIPPED, base)
    with pytest.raises(Refused, match="cores须为1至100的整数"):
        render([target()], other)


def test_cores_that_a_profile_does_not_have() -> None:
    found = rendered({"profile": "nvidia", "cores": "30", "cards": "1000"}, gpuRequests=1000)
    assert found.assumptions == ["algo/x:1.0：方案nvidia不支持cores，已忽略"]


def test_scheduler_and_runtime() -> None:
    """The profile's scheduler is set only for pods with a GPU; an option takes precedence."""
    assert pod_of(rendered({"profile": "volcano"}, gpuRequests=1))["schedulerName"] == "volcano"
    assert "schedulerName" not in pod_of(rendered({"profile": "volcano"}))
    given = {"profile": "volcano", "schedulerName": "mine", "runtimeClass": "nvidia"}
    found = pod_of(rendered(given, gpuRequests=1))
    assert (found["schedulerName"], found["runtimeClassName"]) == ("mine", "nvidia")


def test_refusal() -> None:
    """The reason names the image, the field and both sizes."""
    assert reasons(target(gpuRequests=20000), cards="8192,15109") == [
        ("gpuRequests", "-422", "algo/x:1.0：gpuRequests为20000MiB，超过最大的GPU卡（15109MiB）")
    ]
    [(_, _, message)] = reasons(target(gpuRequests=15109), cards="15109", profile="aliyun")
    assert message == "algo/x:1.0：gpuRequests按方案aliyun取整后为15360MiB，最大的GPU卡（15109MiB）放不下"


def test_waste_is_reported() -> None:
    found = rendered({"profile": "nvidia", "cards": "8192,15109"}, gpuRequests=1000)
    assert found.assumptions == ["algo/x:1.0：gpuRequests为1000MiB，按方案nvidia占用8192MiB，闲置7192MiB"]
    assert rendered({"profile": "nvidia"}, gpuRequests=1000).assumptions == [
        "algo/x:1.0：gpuRequests为1000MiB，按方案nvidia占用整张卡"
    ]
    assert rendered(gpuRequests=1000).assumptions == []


def test_none_warns() -> None:
    [warning] = rendered({"profile": "none"}, gpuRequests=1000).warnings
    assert (warning.rule, warning.severity, warning.image) == ("gpu-none", "warning", "algo/x:1.0")
    assert rendered({"profile": "none"}).warnings == []


def test_site_rows() -> None:
    """A row replaces the shipped row of the same name; values up to cardsUpTo mean whole cards."""
    rows = [
        {
            "name": "aliyun",
            "memory": "aliyun.com/gpu-mem",
            "unitMiB": 1024,
            "wholeCards": "aliyun.com/gpu-count",
            "cardsUpTo": 8,
        },
        {"name": "ours", "count": "example.com/gpu", "sharesPerCard": 4, "runtimeClass": "nvidia"},
    ]
    found = with_site(json.dumps(rows).encode())
    assert list(found) == [*SHIPPED, "ours"]
    assert amounts(8, found["aliyun"], (CARD,)).limits == {"aliyun.com/gpu-count": 8}
    assert amounts(9, found["aliyun"], (CARD,)).limits == gib(1)
    assert amounts(3777, found["ours"], (CARD,)).reserved == 3777
    with pytest.raises(DoesNotFit, match="3777MiB，每卡4份"):
        amounts(3778, found["ours"], (CARD,))
    assert with_site(None) is SHIPPED
    assert options(profile="hami").profile == "hami"


@pytest.mark.parametrize(
    ("rows", "faults"),
    [
        ({}, ["must be a JSON list of rows"]),
        ([1], ["row 1: Input should be"]),
        ([{"name": "A"}], ["row 1: name:"]),
        ([{"name": "a", "count": "gpu"}], ["row 1: count:"]),
        ([{"name": "a", "unitMiB": 0}], ["row 1: unitMiB:"]),
        ([{"name": "a", "unitMiB": "1"}], ["row 1: unitMiB:"]),
        ([{"name": "a", "units": 1}], ["row 1: units:"]),
        ([{"name": "a"}, {"name": "a"}], ["row 2: name: a is there twice"]),
        ([{"name": "a", "cardsUpTo": 8}], ["row 1: Value error, cardsUpTo requires"]),
        ([{"name": "a", "core": "a.b/c"}], ["row 1: Value error, core requires"]),
        ([{"name": "a", "count": "a.b/c", "slices": {"a.b/c": 1}}], ["row 1: Value error, slices exclude"]),
        (
            [{"name": "a", "roundTo": [0]}, {"quantity": "Gi"}],
            ["row 1: roundTo.0:", "row 2: name:", "row 2: quantity:"],
        ),
    ],
)
def test_wrong_rows(rows: object, faults: list[str]) -> None:
    with pytest.raises(ProfilesInvalid) as caught:
        parse_profiles(json.dumps(rows).encode())
    lines = str(caught.value).splitlines()
    assert len(lines) == len(faults)
    assert all(line.startswith(fault) for line, fault in zip(lines, faults, strict=True))


def test_no_json() -> None:
    with pytest.raises(ProfilesInvalid, match=r"is not JSON: .*第1行"):
        parse_profiles(b"[")
