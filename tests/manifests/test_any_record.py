"""Any valid record is either rendered to valid manifests, or refused with a reason."""

import os
from collections.abc import Iterator
from typing import Any

import kubernetes_validate
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from algoplatform.domain.errors import Refused
from algoplatform.domain.record.check import Rules, check
from algoplatform.manifests.check.objects import check as admit
from algoplatform.manifests.gpu.profiles import SHIPPED
from algoplatform.manifests.image import Target
from algoplatform.manifests.options import parse_options
from algoplatform.manifests.rendering import Rendered, render
from algoplatform.manifests.yaml import dump_yaml
from tests.support.cluster_tools import read_by_go, validate
from tests.support.rendering import IMAGE_ID, options, render_all
from tests.support.strategies import image_records

FULL = os.environ.get("ALGOPLATFORM_TEST_FULL")
EXAMPLES = 10_000 if FULL else 300
VERSIONS = [f"1.{minor}" for minor in range(25, 38)]

CHOICES: dict[str, list[str]] = {
    "profile": list(SHIPPED),
    "cards": ["15109,24576", "2147483647"],
    "cores": ["50"],
    "naming": ["image"],
    "registry": ["harbor.local:5000/mirror"],
    "argsStyle": ["comma"],
    "defaultCpu": ["500"],
    "limits": ["memory"],
    "accessMode": ["ReadWriteMany", "ReadWriteOncePod"],
    "claims": ["per-mount"],
    "mountStore": ["hostPath:/data", "nfs:10.0.0.1:/data"],
    "config": ["omit"],
    "pullSecrets": ["a,b"],
    "nodeSelector": ["gpu=t4"],
    "tolerations": ["gpu=t4:NoSchedule,x"],
    "readiness": ["tcp"],
    "localtime": ["host"],
    "channels": ["100"],
    "closure": ["true"],
    "namespace": ["prod", "算法"],
}


def any_options() -> st.SearchStrategy[dict[str, str]]:
    """Any combination of valid options."""
    return st.fixed_dictionaries({}, optional={name: st.sampled_from(texts) for name, texts in CHOICES.items()})


def attempt(record: dict[str, Any], given_options: dict[str, str]) -> Rendered | None:
    """Render a record; return None if it is refused, after checking that each reason names a field or an option."""
    image = check(record, Rules()).image
    assert image is not None
    try:
        return render([Target(image, IMAGE_ID, 1)], parse_options(given_options, SHIPPED))
    except Refused as error:
        assert error.code == "-422"
        known = {*record, *CHOICES}
        assert all(fault.field in known and fault.message for fault in error.faults), error.faults
        return None


@settings(max_examples=EXAMPLES)
@given(image_records(), any_options())
def test_rendered_or_refused(record: dict[str, Any], given_options: dict[str, str]) -> None:
    """Rendered objects pass the strict schema and our own check, and PyYAML reads back the same objects."""
    found = attempt(record, given_options)
    if found is None:
        return
    for item in found.objects:
        validate(item)
    assert [verdict for verdict in admit(found.objects) if verdict.refused] == []
    assert list(found.addresses) == [f"{record['imageName']}:{record['imageTag']}"]
    assert list(yaml.load_all(b"".join(dump_yaml(found.objects)), yaml.CSafeLoader)) == found.objects


@settings(max_examples=400 if FULL else 10)
@given(st.lists(st.tuples(image_records(), any_options()), min_size=5, max_size=20))
def test_go_reads_every_text(drawn: list[tuple[dict[str, Any], dict[str, str]]]) -> None:
    """Go's reader returns annotations, variables, arguments and paths unchanged."""
    rendered = [found.objects for record, given_options in drawn if (found := attempt(record, given_options))]
    objects = [item for group in rendered for item in group]
    if not objects:
        return
    read = read_by_go(b"".join(dump_yaml(objects)))
    assert [list(texts(item)) for item in read] == [list(texts(item)) for item in objects]


def texts(item: dict[str, Any]) -> Iterator[str]:
    """Yield those texts of an object that come from the record."""
    yield from sorted(item["metadata"].get("annotations", {}).values())
    pod = item["spec"].get("template", {}).get("spec", {"containers": [{}]})
    [main] = pod["containers"]
    yield from (*main.get("command", ()), *main.get("args", ()), main.get("workingDir", ""))
    for variable in main.get("env", ()):
        yield from (variable["name"], variable.get("value", ""))
    for mount in main.get("volumeMounts", ()):
        yield from (mount["mountPath"], mount.get("subPath", ""))
    for volume in pod.get("volumes", ()):
        yield volume.get("hostPath", volume.get("nfs", {"path": ""}))["path"]


@pytest.mark.parametrize("version", VERSIONS)
def test_each_kubernetes_version(version: str) -> None:
    """The rendered sample registry is valid in every version, also with replicas, claims for each mount, and NFS."""
    for given_options in (options(), options(replicas=3, claims="per-mount"), options(mountStore="nfs:10.0.0.1:/a")):
        for item in render_all(given_options).objects:
            validate(item, version)


def test_the_schema_is_strict() -> None:
    """The schema refuses an unknown field; otherwise the tests above would prove nothing."""
    item = render_all(options()).objects[0]
    with pytest.raises(kubernetes_validate.ValidationError):
        validate({**item, "unknown": 1})
