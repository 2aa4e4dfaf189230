"""The use case of drafts: turns an image's configuration into a record to start from.

An image may contain anything: values that are not valid in a record are left out, and listed in the message.
"""

import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from algoplatform.catalogue.cluster.artifacts import pulled_name
from algoplatform.catalogue.parsing import off_loop
from algoplatform.domain.errors import Refused, clip
from algoplatform.domain.faults import Code, Fault
from algoplatform.domain.grammar.environment import EnvironmentVariable
from algoplatform.domain.grammar.ports import CONTAINER_PORTS, ImagePort
from algoplatform.domain.grammar.reference import ImageReference
from algoplatform.domain.record.check import Rules, check
from algoplatform.domain.record.model import RECORD_FIELDS
from algoplatform.domain.requests import check_body, check_fields
from algoplatform.domain.search import check_reference
from algoplatform.registries.client import Registries
from algoplatform.registries.facts import NotPresent, Platform

# Placeholders for required fields that no image contains; without them the other fields could not be checked.
_FILLED: Final = {"factory": "-", "algoName": "-", "algoType": "1"}
# The most items of one list that are tried, and that a message names.
_MOST_ITEMS: Final = 200
_NAMED: Final = 3


@dataclass(frozen=True, slots=True)
class Draft:
    """A record, with None for fields that the image does not fill, and what was left out, in Chinese."""

    record: dict[str, Any]
    left_out: list[str]

    @property
    def message(self) -> str:
        if not self.left_out:
            return "起草成功"
        return f"起草成功；以下内容不符合记录的规则，没有采用：{'，'.join(self.left_out)}"


class Drafts:
    """Drafts records for images that need not be registered; `registry` and `platform` are the site's."""

    def __init__(self, registries: Registries, rules: Rules, registry: str | None, platform: str) -> None:
        self._registries = registries
        self._rules = rules
        self._registry = registry
        self._platform = platform

    async def draft(self, body: Any) -> Draft:
        """Return a draft for `{"image": "name:tag"}`; raises Refused, with the state of an image that is not there."""
        asked = check_fields(check_body(body), {"image": check_reference}, required=("image",))
        reference: ImageReference = asked["image"]
        try:
            name = pulled_name(reference.name, self._registry)
            facts = await self._registries.look(name, reference.tag.text)
            if not facts.platforms:
                raise NotPresent("unsupported", "镜像中没有任何平台")
        except NotPresent as reason:
            raise Refused([Fault("image", Code.IMPOSSIBLE, f"{reason.state}：{reason.message}")]) from None
        platform = preferred(facts.platforms, self._platform)
        return await off_loop(lambda: drafted(reference, platform, self._rules))


def preferred(platforms: Sequence[Platform], wanted: str) -> Platform:
    """Return the platform of the site's nodes, else the first."""
    return next((each for each in platforms if f"{each.os}/{each.architecture}" == wanted), platforms[0])


def drafted(reference: ImageReference, platform: Platform, rules: Rules) -> Draft:
    """Return a draft from one platform of an image, built field by field."""
    own: dict[str, Any] = {"imageName": reference.name.text, "imageTag": reference.tag.text}
    left_out: list[str] = []
    for field, items, join in _fields(platform):
        taken, refused = _divided(items, partial(_are_accepted, own | _FILLED, field, join, rules))
        if text := join(taken):
            own[field] = text
        if refused:
            named = "、".join(_shown(field, item) for item in refused[:_NAMED])
            more = f"等{len(refused)}项" if len(refused) > _NAMED else ""
            left_out.append(f"{field}的“{named}”{more}")
    return Draft({name: own.get(name) for name in RECORD_FIELDS}, left_out)


def _shown(field: str, item: str) -> str:
    """Return an item for a message; of an environment variable only the key, as values are often secrets."""
    text = clip(item.partition(":")[0] if field == "env" else item)
    return "".join(each if each.isprintable() else f"\\x{ord(each):02x}" for each in text)


def _fields(platform: Platform) -> Iterator[tuple[str, Iterable[str], Callable[[Sequence[str]], str]]]:
    """Yield each field, its items, and how they are joined; a command line is one item."""
    yield "imagePorts", map(_port, dict.fromkeys(platform.exposed_ports)), ",".join
    yield "imageMount", platform.volumes, ",".join
    yield "workingDir", filter(None, [platform.working_dir]), "".join
    yield "command", filter(None, [shlex.join(platform.entrypoint or ())]), "".join
    yield "args", filter(None, [shlex.join(platform.cmd or ())]), "".join
    # Only the last variable may end in a backslash, which would escape the comma after it.
    yield "env", sorted(map(_variable, platform.env), key=_is_last), ",".join


def _port(exposed: str) -> str:
    """Return a port in the syntax of a record; one of another protocol than TCP is unchanged, and refused later."""
    number, _, protocol = exposed.partition("/")
    if protocol not in ("", "tcp") or not number.isdecimal() or len(number) > 5 or int(number) not in CONTAINER_PORTS:
        return exposed
    return str(ImagePort(f"port-{int(number)}", int(number)))


def _variable(text: str) -> str:
    key, equals, value = text.partition("=")
    return str(EnvironmentVariable(key, value)) if equals else text


def _is_last(variable: str) -> bool:
    return variable.endswith("\\")


def _divided(items: Iterable[str], are_accepted: Callable[[Sequence[str]], bool]) -> tuple[list[str], list[str]]:
    """Divide items into those that are accepted together, and the others."""
    taken: list[str] = []
    refused: list[str] = []
    for number, item in enumerate(items):
        if item in taken:
            continue
        # Items are tried one by one, as they may repeat a key, or be too long together.
        is_taken = number < _MOST_ITEMS and are_accepted([*taken, item])
        (taken if is_taken else refused).append(item)
    return taken, refused


def _are_accepted(
    base: dict[str, Any], field: str, join: Callable[[Sequence[str]], str], rules: Rules, items: Sequence[str]
) -> bool:
    if field == "env" and any(map(_is_last, items[:-1])):
        return False
    return not check(base | {field: join(items)}, rules).faults
