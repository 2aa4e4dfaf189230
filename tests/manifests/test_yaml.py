"""Go's YAML reader returns every string unchanged."""

import re
import string
from typing import Any

import yaml

from algoplatform.manifests.rendering import render
from algoplatform.manifests.yaml import dump_yaml
from tests.support.cluster_tools import read_by_go
from tests.support.rendering import main_of, options, target

TRAPS = [
    *(
        "on",
        "off",
        "yes",
        "n",
        "y",
        "true",
        "null",
        "~",
        "1.0",
        "012",
        "0o14",
        "0x1F",
        "1e3",
        ".inf",
        "1_000",
        "12:30:45",
    ),
    *(
        "2026-11-25",
        "=",
        "<<",
        "!!str",
        "&a",
        "*a",
        "- a",
        "a: b",
        "a #b",
        "'",
        '"',
        "\\",
        "\\n",
        "%",
        "@",
        "`",
        "{}",
        "[]",
    ),
    *("", " ", " a ", "a\n", "\n", "a\tb", "\t", "a\r\nb", "\r", "x" * 3000, "长" * 500, " 长 " * 300),
    *(
        "\x85",
        "a\x85b",
        "\u2028",
        "a\u2029",
        "\ufeff",
        "\xa0",
        "\u200b",
        "\ue000",
        "\ufffd",
        "😀",
        "\U0010ffff",
        "\x7f",
        "\x00",
    ),
    *("$$x", "$(A)", "价$价", "${X}", "{{ .Values.x }}", "---", "--- a", "...", "? a", "| a", "> a", "\u3000"),
]


def config_map(data: dict[str, str]) -> dict[str, Any]:
    """Return a ConfigMap with this data."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data}


def test_go_reads_what_was_written() -> None:
    """Go reads every text unchanged, both as a value and as a key."""
    values = config_map({f"k{number}": text for number, text in enumerate(TRAPS)})
    keys = config_map(dict.fromkeys(TRAPS, "x"))
    characters = config_map({f"k{number}": f"a{chr(number)}b" for number in [*range(0x100), *range(0x2000, 0x2100)]})
    for item in (values, keys, characters):
        [read] = read_by_go(b"".join(dump_yaml([item])))
        assert read["data"] == item["data"]


def test_go_reads_a_rendered_record() -> None:
    """Go also keeps the types: numbers and booleans are not read as strings."""
    env = ",".join(f"K{number}:{text}" for number, text in enumerate(TRAPS) if is_value(text))
    image = target(
        env=env, imagePorts="n:80:30080", imageMount="/on,/012", pvcSize=1, algoDesc="\u2028on", gpuRequests=1
    )
    found = render([image], options())
    read = read_by_go(b"".join(dump_yaml(found.objects)))
    for item in read:
        del item["metadata"]["labels"]["read"]
        item.pop("status", None)
    assert without_defaults(read) == without_defaults(found.objects)
    assert len(main_of(found)["env"]) > 40


def is_value(text: str) -> bool:
    """Return whether a record accepts this text as the value of a variable."""
    return text == text.strip() and not re.search(r"[\x00-\x1f\x7f-\x9f,]|\\\Z", text) and len(text) < 600


def without_defaults(value: Any) -> Any:
    """Drop what kubectl adds while it reads: empty fields and `creationTimestamp: null`; quantities as it writes them."""
    if isinstance(value, dict):
        made = {key: without_defaults(content) for key, content in value.items()}
        if set(made) == {"requests", "limits"}:
            made = {kind: {key: str(amount) for key, amount in amounts.items()} for kind, amounts in made.items()}
        return {key: content for key, content in made.items() if content not in (None, {}, "") or key == "value"}
    return list(map(without_defaults, value)) if isinstance(value, list) else value


def test_quotes() -> None:
    """Every key and string is in double quotes, and unprintable characters are escaped."""
    item = config_map({"on": "012", "键": "值\x85\u2028\x1b"})
    [text] = dump_yaml([item])
    assert text.decode().endswith('"data":\n  "on": "012"\n  "键": "值\\N\\L\\e"\n')
    printable = set(string.printable) - set("\x0b\x0c\r\t")
    assert set(text.decode()) <= printable | set("键值")


def test_stream() -> None:
    """Each object is a document; shared parts are written out without anchors, and empty lists and objects are kept."""
    shared = {"a": ["x", "x"], "b": {}, "c": [], "d": True, "e": None, "f": 0}
    stream = b"".join(dump_yaml([{"one": shared, "two": shared}, {"three": shared}]))
    assert stream.count(b"---\n") == 2
    assert b"&" not in stream
    assert list(yaml.safe_load_all(stream)) == [{"one": shared, "two": shared}, {"three": shared}]
    assert list(dump_yaml([])) == []
