"""Each rule finds its fault, and nothing in a near miss."""

import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from algoplatform.domain.record.check import Rules, check
from algoplatform.planning.lint.policy import Policy
from algoplatform.planning.lint.rules import RULES
from algoplatform.planning.lint.single import check_image
from tests.support.linting import found_in, record, run

DATA = Path(__file__).parents[1] / "data" / "lint" / "one_fault_each.json"
SAMPLE = Path(__file__).parents[2] / "examples" / "image_list.json"
# Reported only when an image is rendered with several replicas.
RENDERING = {"pvc-rwo"}
# Tested in tests/planning/test_artifact_rules.py, as their facts are not part of a record.
ARTIFACTS = {rule for rule in RULES if rule.startswith("artifact-")}


def in_gib(mebibytes: int) -> int:
    """Round up to whole GiB, as a GPU profile does."""
    return -(-mebibytes // 1024) * 1024


def test_one_fault_each() -> None:
    """Each record of the file has exactly the faults that its algoName lists; all records together cover all rules."""
    records = json.loads(DATA.read_text("utf-8"))
    policy = Policy(node_ports=range(30000, 30017), cards=[15109], rounded=in_gib)
    expected = {f"{item['imageName']}:{item['imageTag']}": item["algoName"] for item in records}
    rules = defaultdict(set)
    found, linter = run(records, policy)
    for finding in found:
        for image in finding.images:
            rules[image].add(finding.flaw.rule)
    assert {image: ",".join(sorted(rules[image])) or "-" for image in expected} == expected
    assert set(linter.counts) == set(RULES) - RENDERING - ARTIFACTS
    assert {rule for rule, count in linter.counts.items() if count != 1} == {"hostpath-psa"}
    assert all(check(item, Rules()).image for item in records)


def test_sample_has_no_error() -> None:
    """The sample registry has warnings, but no error."""
    records = list(json.loads(SAMPLE.read_text("utf-8"))["res"].values())
    found, linter = run(records)
    assert linter.total == len(found) > 20
    assert not run(records, severity="error")[0]


def test_document_example() -> None:
    """In the example of the API document, the host path hides the command, the argument and the working directory."""
    found = found_in(
        record(hostPath="/home:/home", workingDir="/home", command="/home/t/restart.sh", args="/home/t/start.sh")
    )
    assert [value for rule, value in found if rule == "hostpath-hides-command"] == [
        *("/home/t/restart.sh", "/home/t/start.sh", "/home")
    ]


DRIVER = "/usr/lib64/libnvcuvid.so:/opt/libnvcuvid.so.1"

# Rule, fields with a fault, the value found, and fields without a fault.
CASES: list[tuple[str, dict[str, Any], Any, dict[str, Any]]] = [
    ("node-port-dynamic", {"imagePorts": "a:80:30086"}, 30086, {"imagePorts": "a:80:30085,b:81:30000"}),
    ("port-duplicate", {"imagePorts": "a:80:30000,b:80:30001"}, 80, {"imagePorts": "a:80:30000,b:81:30080"}),
    ("port-name-long", {"imagePorts": f"{'a' * 16}:80"}, "a" * 16, {"imagePorts": f"{'a' * 15}:80"}),
    ("port-name-digits", {"imagePorts": "8-0:80"}, "8-0", {"imagePorts": "8a:80"}),
    (
        "mount-collision",
        {"imageMount": "/a/b/", "hostPath": "/x:/a//b"},
        "/a/b",
        {"imageMount": "/a", "subPath": "/x/y:/ab"},
    ),
    (
        "mount-collision",
        {"config": "/a/c", "subPath": "/x/y:/a/./c"},
        "/a/c",
        {"hostPath": "/a:/b", "imageMount": "/a"},
    ),
    ("mount-nested", {"imageMount": "/a,/a/b/c"}, "/a/b/c", {"imageMount": "/a,/ab,/a-b"}),
    (
        "mount-nested",
        {"imageMount": "/a-b,/a/c", "config": "/a/c/x"},
        "/a/c/x",
        {"imageMount": "/a/c", "config": "/a/cx"},
    ),
    ("mount-root", {"imageMount": "/etc/"}, "/etc", {"imageMount": "/etc/app"}),
    ("mount-root", {"hostPath": "/data:/"}, "/", {"hostPath": "/data:/devices"}),
    ("hostpath-dangerous", {"hostPath": "/etc//:/x"}, "/etc", {"hostPath": "/etc/localtime:/etc/localtime"}),
    *(
        ("hostpath-dangerous", {"hostPath": f"{path}:/x"}, path, {"hostPath": f"{path.rstrip('/')}/x1:/x"})
        for path in (
            "/",
            "/root",
            "/proc",
            "/var/lib/kubelet",
            "/var/run/docker.sock",
            "/run/containerd/containerd.sock",
        )
    ),
    ("hostpath-hides-command", {"hostPath": "/x:/", "command": "/a"}, "/a", {"hostPath": "/x:/a", "command": "/ab"}),
    (
        "hostpath-hides-command",
        {"hostPath": "/x:/a", "args": "'/a/b c' d"},
        "/a/b c",
        {"hostPath": "/x:/a", "args": "b /a/c"},
    ),
    (
        "hostpath-hides-command",
        {"hostPath": "/x:/a", "workingDir": "/a/"},
        "/a",
        {"hostPath": "/a:/x", "workingDir": "/a"},
    ),
    ("hostpath-psa", {"hostPath": "/x:/a"}, "/x", {"imageMount": "/x"}),
    ("hostpath-psa", {"subPath": "/x/y:/a"}, "/x/y", {"config": "/x"}),
    ("driver-lib-mount", {"subPath": DRIVER}, "/usr/lib64/libnvcuvid.so", {"subPath": "/lib/libnutil.so:/a/libc.so"}),
    ("driver-lib-mount", {"subPath": "/l/a.so:/l/libcuda.so.1"}, "/l/a.so", {"hostPath": "/l/libcuda.so.1:/a"}),
    ("driver-lib-mount", {"subPath": "/libnv/a:/libnvx"}, "/libnv/a", {"subPath": "/libnv/a:/libnv/b"}),
    (
        *("arch-path", {"subPath": "/a:/usr/lib/x86_64-linux-gnu/a.so"}, "/usr/lib/x86_64-linux-gnu/a.so"),
        {"subPath": "/a:/usr/lib/aarch64-linux-gnu/a.so"},
    ),
    ("tag-latest", {"imageTag": "latest"}, "latest", {"imageTag": "latest-1"}),
    ("no-registry", {"imageName": "algo/a"}, "algo/a", {"imageName": "localhost/a"}),
    ("no-registry", {"imageName": "a"}, "a", {"imageName": "h:5000/a"}),
    ("no-requests", {"cpuRequests": None}, None, {"cpuRequests": 50}),
    ("no-requests", {"memRequests": 0}, None, {"memRequests": 64}),
    ("unit-suspect", {"cpuRequests": 49}, 49, {"cpuRequests": 50}),
    ("unit-suspect", {"memRequests": 63}, 63, {"memRequests": 64}),
    ("unit-suspect", {"gpuRequests": 255}, 255, {"gpuRequests": 256}),
    ("unit-suspect", {"gpuRequests": 1}, 1, {"gpuRequests": 0}),
    ("gpu-exceeds-card", {"gpuRequests": 15110}, 15110, {"gpuRequests": 15109}),
    ("gpu-rounding", {"gpuRequests": 1535}, 1535, {"gpuRequests": 1536}),
    ("gpu-whole-card", {"gpuRequests": 0, "subPath": DRIVER}, None, {"subPath": DRIVER}),
    (
        "gpu-whole-card",
        {"gpuRequests": None, "env": "A:b,NVIDIA_X:1"},
        None,
        {"gpuRequests": 0, "env": "A:CUDA_X,X_CUDA_:1"},
    ),
    (
        "gpu-whole-card",
        {"gpuRequests": None, "env": r"A:b\,c,CUDA_X:1"},
        None,
        {"gpuRequests": 0, "env": r"A:b\,CUDA_X:1"},
    ),
    ("channels-unknown", {"tvChannel": None}, None, {"tvChannel": 1}),
    ("pvc-missing", {"imageMount": "/a", "pvcSize": 0}, None, {"imageMount": "/a", "pvcSize": 1}),
    ("shell-syntax", {"command": "a && b"}, "&&", {"command": "sh", "args": "-c 'a && b'"}),
    ("shell-syntax", {"args": "a | b"}, "|", {"args": "--match 'a|b' \"c|d\" e\\|f"}),
    ("shell-syntax", {"command": 'echo "$(date)"'}, "$(", {"command": "echo '$(date)' $HOME"}),
    (
        "shell-syntax",
        {"command": "/bin/bash -x", "args": "a && b"},
        "&&",
        {"command": "/bin/bash -ec", "args": "'a && b'"},
    ),
    ("env-dollar", {"env": "A:x$y"}, "A", {"env": "A:x"}),
    ("env-secret", {"env": "DB_PASSWORD:x"}, "DB_PASSWORD", {"env": "DB_PASSWORD:"}),
    ("env-secret", {"env": "accessToken:x"}, "accessToken", {"env": "TOKENIZER:bert"}),
    ("env-secret", {"env": "OSS_AK:x"}, "OSS_AK", {"env": "TASK:x,MASK_ID:y"}),
    ("env-secret", {"env": "SK:x"}, "SK", {"env": "SKIP:x"}),
    ("env-reserved", {"env": "A:b,LD_PRELOAD:x"}, "LD_PRELOAD", {"env": "LD_LIBRARY_PATH:x"}),
    ("env-reserved", {"env": "NVIDIA_VISIBLE_DEVICES:all"}, "NVIDIA_VISIBLE_DEVICES", {"env": "NVIDIA_VISIBLE:all"}),
    ("env-split", {"env": "DB:mongodb://h1:27017,h2:27017"}, "h2", {"env": "DB:mongodb://h1:27017\\,h2:27017"}),
    ("env-split", {"env": "B:kafka:9092,zoo:9092/db"}, "zoo", {"env": "CVSIP:172.38.90.52,CVSPORT:11112,port:8080"}),
    ("env-split", {"env": "A:甲，乙"}, "A", {"env": "A:甲、乙"}),
    ("env-split", {"env": "A:b,C:h：80"}, "C", {"env": "A:甲"}),
]


@pytest.mark.parametrize(("rule", "fields", "value", "near"), CASES)
def test_rule(rule: str, fields: dict[str, Any], value: Any, near: dict[str, Any]) -> None:
    """A rule finds its fault once, and nothing in a near miss; a record alone has the same findings as in a list."""
    policy = Policy(cards=[8192, 15109], rounded=in_gib)
    faulty = record() | fields
    assert [found for found in found_in(faulty, policy=policy) if found[0] == rule] == [(rule, value)]
    assert rule not in dict(found_in(record() | near, policy=policy))
    valid = {"factory": "a", "algoName": "b", "algoType": "1"}
    image = check({name: value for name, value in (faulty | valid).items() if value is not None}, Rules()).image
    assert image
    assert check_image(image, policy) == run([faulty], policy)[0]


def test_every_rule_has_a_case() -> None:
    """Every rule over one record has a case."""
    across = {
        "node-port-clash",
        "node-ports-exhausted",
        "hostpath-conflict",
        *(rule for rule in RULES if "dependency-" in rule),
    }
    assert {case[0] for case in CASES} == set(RULES) - across - RENDERING - ARTIFACTS


def test_secrets_stay_unnamed() -> None:
    """No finding contains a variable's value."""
    found, _ = run([record(env="DB_PASSWORD:hunter2$，,LD_PRELOAD:hunter2,h2:27017")])
    assert {finding.flaw.rule for finding in found} == {"env-secret", "env-dollar", "env-split", "env-reserved"}
    assert "hunter2" not in str(found)


def test_dependency_on_latest() -> None:
    """A dependency on `latest` is a finding of this rule; the image's own tag is not."""
    own = record("h:1/a", "latest", dependencyServiceId="h:1/a:latest,h:1/b:latest")
    found = found_in(own, record("h:1/b", "latest"), rule="dependency-latest")
    assert found == [("dependency-latest", "h:1/b:latest")]


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.id)
def test_rules_are_described(rule: Any) -> None:
    """Each rule says in Chinese what it finds and what to do."""
    assert not rule.summary.isascii()
    assert not rule.advice.isascii()


DOCUMENT = Path(__file__).parents[2] / "docs" / "cluster.md"


def test_document_lists_the_rules() -> None:
    """The table of the document lists every rule, in order and with its severity."""
    rows = re.findall(r"^\| `([a-z-]+)` \| (error|warning|info) \|", DOCUMENT.read_text("utf-8"), re.MULTILINE)
    assert rows == [(rule.id, rule.severity) for rule in RULES.values()]
