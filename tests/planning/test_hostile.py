"""Linting a record takes time linear in the length of its texts, whatever they contain."""

from collections.abc import Callable
from typing import Any

import pytest

from algoplatform.domain.record.check import Rules, check
from algoplatform.domain.record.fields import MAX_TEXT
from tests.support.linting import record, run

VALID = {"factory": "a", "algoName": "b", "algoType": "1"}


def _listed(item: Callable[[int], str], separator: str, length: int) -> str:
    """Join items until the text reaches `length`."""
    parts: list[str] = []
    size = -len(separator)
    while (size := size + len(separator) + len(item(len(parts)))) <= length:
        parts.append(item(len(parts)))
    return separator.join(parts)


KINDS: dict[str, Callable[[int], dict[str, Any]]] = {
    "ports": lambda n: {"imagePorts": _listed(lambda i: f"p{i}:80", ",", n)},
    "short mounts": lambda n: {
        **{"imageMount": _listed(lambda i: f"/{i:x}", ",", n), "config": _listed(lambda i: f"/{i:x}/a", ",", n)},
        **{"hostPath": _listed(lambda i: f"/{i:x}:/{i:x}", ",", n), "command": "/0/x", "args": "/zz"},
    },
    "nested mounts": lambda n: {
        "imageMount": "/a" * (n // 2),
        "config": "/a" * (n // 2 - 1) + "b",
        "hostPath": "/a:/a",
    },
    "slashes": lambda n: {
        "imageMount": "/" * n,
        "hostPath": f"{'/.' * (n // 4)}:{'/' * (n // 4)}",
        "workingDir": "/." * (n // 2),
    },
    "driver libraries": lambda n: {"subPath": _listed(lambda i: f"/libnv{i:x}:/{i:x}", ",", n), "gpuRequests": 0},
    "variables": lambda n: {"env": _listed(lambda i: f"h{i:x}:80", ",", n)},
    "dollars": lambda n: {"env": "A:" + "$" * (n - 2)},
    "backslashes": lambda n: {
        "env": "A:" + "\\," * (n // 2 - 1),
        "command": "\\\\" * (n // 2),
        "args": "\\|" * (n // 2),
    },
    "keys": lambda n: {"env": "a" * (n - 3) + ":80"},
    "dots in a key": lambda n: {"env": "a." * (n // 2 - 2) + ":80"},
    "capitals": lambda n: {"env": "A_" * (n // 2 - 2) + "K:x"},
    "pipes": lambda n: {"command": "|" * n, "args": "$(" * (n // 2)},
    "quotes": lambda n: {"command": "'|'" * (n // 3), "args": '"|"' * (n // 3)},
    "quoted dollars": lambda n: {"command": '"' + "$(" * (n // 2 - 1) + '"', "args": '"\\$"' * (n // 4)},
    "blanks": lambda n: {"command": "a" + " " * (n - 4) + "| b", "args": " " * (n - 1) + "b"},
    "dependencies": lambda n: {"dependencyServiceId": _listed(lambda i: f"a{i:x}:latest", ",", n)},
}


@pytest.mark.parametrize("kind", KINDS)
def test_linear(kind: str, cost: Callable[[Callable[[], object]], float]) -> None:
    """Four times the text takes at most nine times as long; a quadratic rule would take sixteen times."""
    short, long = (record() | KINDS[kind](length) for length in (MAX_TEXT // 4, MAX_TEXT))
    assert check(long | VALID, Rules()).image, check(long | VALID, Rules()).faults
    few = cost(lambda: [run([short]) for _ in range(4)]) / 4
    assert cost(lambda: run([long])) < max(9 * few, 0.02)
    assert cost(lambda: run([long])) < 0.2
