"""Random value objects, small enough for records made of them to stay within all length limits."""

from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from algoplatform.domain.grammar.dependencies import Dependencies
from algoplatform.domain.grammar.environment import Environment, EnvironmentVariable
from algoplatform.domain.grammar.paths import AbsolutePath, PathList, PathPair, PathPairs
from algoplatform.domain.grammar.ports import CONTAINER_PORTS, NODE_PORTS, ImagePort, ImagePorts
from algoplatform.domain.grammar.reference import ImageName, ImageReference, ImageTag
from algoplatform.domain.grammar.shell_words import ShellWords

LOWER_ALNUM = "abcxyz0189"
ALNUM = LOWER_ALNUM + "ABXYZ"


def printable(forbidden: str = "") -> SearchStrategy[str]:
    """One character that a record may contain."""
    return st.characters(exclude_categories=["Cc", "Cs"], exclude_characters=forbidden)


def image_names() -> SearchStrategy[ImageName]:
    """Image names, with and without a registry host and a namespace."""
    run = st.text(LOWER_ALNUM, min_size=1, max_size=6)
    separator = st.sampled_from([".", "_", "__", "-", "--", "---"])
    # A first component with a dot would be parsed as a host, and `x_y.z` is not a valid one.
    first = st.tuples(run, st.sampled_from(["_", "__", "-"]), run).map("".join) | run
    component = st.tuples(run, separator, run).map("".join) | run
    path = st.builds(lambda head, rest: "/".join([head, *rest]), first, st.lists(component, max_size=3))
    label = st.text(ALNUM, min_size=1, max_size=6) | st.sampled_from(["a-b", "A--1"])
    domain = st.lists(label, min_size=2, max_size=4).map(".".join) | st.sampled_from(
        ["localhost", "[::1]", "[fe80::A]"]
    )
    port = st.integers(0, 99999).map(":{}".format)
    host = st.tuples(domain, port | st.just("")).map("".join) | st.tuples(label, port).map("".join)
    hosted = st.tuples(host, path).map("/".join)
    return (path | hosted | component).map(ImageName)


def image_tags() -> SearchStrategy[ImageTag]:
    """Image tags."""
    return st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,20}", fullmatch=True).map(ImageTag)


def references() -> SearchStrategy[ImageReference]:
    """Image references."""
    return st.builds(ImageReference, image_names(), image_tags())


def dependencies() -> SearchStrategy[Dependencies]:
    """Lists of references."""
    return st.lists(references(), min_size=1, max_size=4, unique=True).map(tuple).map(Dependencies)


def image_ports(node_ports: range = NODE_PORTS) -> SearchStrategy[ImagePorts]:
    """Lists of ports with unique names and node ports."""
    name = st.from_regex(r"[a-z0-9](?:[a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
    container = st.integers(CONTAINER_PORTS.start, CONTAINER_PORTS.stop - 1)
    node = st.none() | st.integers(node_ports.start, node_ports.stop - 1)
    ports = st.lists(
        st.builds(ImagePort, name, container, node),
        min_size=1,
        max_size=5,
        unique_by=(lambda port: port.name, lambda port: port.node_port or port.name),
    )
    return ports.map(tuple).map(ImagePorts)


def absolute_paths() -> SearchStrategy[AbsolutePath]:
    """Single paths, which may contain commas and colons."""
    return _paths(forbidden="/").map(AbsolutePath)


def path_lists() -> SearchStrategy[PathList]:
    """Lists of different paths."""
    return st.lists(_paths(), min_size=1, max_size=5, unique_by=_place).map(tuple).map(PathList)


def path_pairs() -> SearchStrategy[PathPairs]:
    """Lists of pairs with different targets."""
    pair = st.builds(PathPair, _paths(), _paths())
    pairs = st.lists(pair, min_size=1, max_size=4, unique_by=lambda item: _place(item.target))
    return pairs.map(tuple).map(PathPairs)


def environments() -> SearchStrategy[Environment]:
    """Lists of variables with many commas and backslashes; only the last value may end in a backslash."""
    key = st.from_regex(r"[-._a-zA-Z][-._a-zA-Z0-9]{0,15}", fullmatch=True).filter(
        lambda text: text != "." and not text.startswith("..")
    )
    value = st.text(st.sampled_from("\\,:=") | printable(), max_size=30).map(str.strip)
    variables = st.lists(
        st.builds(EnvironmentVariable, key, value), min_size=1, max_size=5, unique_by=lambda item: item.key
    )
    return variables.map(_only_last_ends_in_backslash).map(tuple).map(Environment)


def shell_words() -> SearchStrategy[ShellWords]:
    """Command lines of bare, escaped and quoted parts."""
    bare = st.text(printable("'\"\\ "), min_size=1, max_size=8)
    single = st.text(printable("'"), max_size=8).map("'{}'".format)
    quoted = st.lists(st.sampled_from(["\\\\", '\\"', "\\x"]) | printable('"\\'), max_size=8).map("".join)
    double = quoted.map('"{}"'.format)
    escaped = printable().map("\\{}".format)
    word = st.lists(bare | single | double | escaped, min_size=1, max_size=3).map("".join)
    line = st.builds(str.join, st.sampled_from([" ", "  "]), st.lists(word, min_size=1, max_size=5))
    return line.filter(lambda text: bool(text.strip())).map(ShellWords)


def _paths(forbidden: str = "/,:") -> SearchStrategy[str]:
    # Full-width separators are allowed in some paths only.
    segment = st.text(printable(forbidden + "，：；、"), max_size=8).filter(lambda text: text != "..")
    path = st.lists(segment, min_size=1, max_size=4).map(lambda segments: "/" + "/".join(segments))
    return path.map(str.rstrip).filter(lambda text: ".." not in text.split("/"))


def _place(path: str) -> tuple[str, ...]:
    return tuple(segment for segment in path.split("/") if segment not in ("", "."))


def _only_last_ends_in_backslash(items: list[EnvironmentVariable]) -> list[EnvironmentVariable]:
    return [*(EnvironmentVariable(item.key, item.value.rstrip("\\").rstrip()) for item in items[:-1]), items[-1]]


def lines(extra: str = "") -> SearchStrategy[str]:
    """Non-blank text of a record; `extra` lists control characters that its field allows."""
    character = printable() | st.sampled_from(extra) if extra else printable()
    return st.text(character, min_size=1, max_size=20).filter(lambda text: bool(text.strip()))


def image_records() -> SearchStrategy[dict[str, Any]]:
    """Complete records as a client may send them: the required fields, and any of the others."""
    number = st.integers(0, 2**31 - 1) | st.sampled_from([0, 2**31 - 1])
    required = {
        "imageName": image_names().map(str),
        "imageTag": image_tags().map(str),
        "factory": lines(),
        "algoName": lines(),
        "algoType": st.sampled_from("012"),
    }
    optional: dict[str, SearchStrategy[Any]] = {
        "imagePorts": image_ports().map(str),
        "imageMount": path_lists().map(str),
        "algoDesc": lines("\t\n"),
        "config": path_lists().map(str),
        "subPath": path_pairs().map(str),
        "hostPath": path_pairs().map(str),
        "workingDir": absolute_paths().map(str),
        "command": shell_words().map(str),
        "args": shell_words().map(str),
        "dependencyServiceId": dependencies().map(str),
        "incidentId": lines(),
        "useableFlag": st.sampled_from("01"),
        "env": environments().map(str),
        **dict.fromkeys(("pvcSize", "tvChannel", "pics", "cpuRequests", "gpuRequests", "memRequests"), number),
        **dict.fromkeys(("eventType", "frameInterval", "frameNumber"), number),
    }
    return st.fixed_dictionaries(required, optional=optional).map(_with_frames)


def _with_frames(record: dict[str, Any]) -> dict[str, Any]:
    return {"frameInterval": 1000, "frameNumber": 1} | record if record["algoType"] == "0" else record
