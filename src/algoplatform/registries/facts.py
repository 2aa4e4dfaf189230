"""Facts about an image in a registry, or the reason why there are none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, get_args

from pydantic.alias_generators import to_camel

State: TypeAlias = Literal["present", "missing", "denied", "unreachable", "not-configured", "unsupported"]
_ANSWERED: Final = ("os", "architecture", "size", "entrypoint", "cmd", "exposed_ports", "user", "created")
STATES: Final[tuple[State, ...]] = get_args(State)


class NotPresent(Exception):
    """The image could not be read from its registry: its state, and a Chinese message that says why."""

    def __init__(self, state: State, message: str) -> None:
        super().__init__(message)
        self.state: State = state
        self.message = message


@dataclass(frozen=True, slots=True)
class Platform:
    """The image for one platform; `size` is the sum of its layers in bytes, the rest comes from its configuration."""

    os: str
    architecture: str
    size: int
    entrypoint: Sequence[str] | None
    cmd: Sequence[str] | None
    exposed_ports: Sequence[str]
    user: str
    created: str | None
    env: Sequence[str] = ()
    working_dir: str = ""
    volumes: Sequence[str] = ()

    def document(self) -> dict[str, Any]:
        """Return the platform as the API answers it."""
        return {to_camel(name): getattr(self, name) for name in _ANSWERED}


@dataclass(frozen=True, slots=True)
class Facts:
    """An image that was found; `platforms` is None if its digest is the one that was known."""

    digest: str
    media_type: str | None = None
    platforms: Sequence[Platform] | None = None


def codes_of(document: object) -> list[str]:
    """Return the printable error codes of a registry's JSON response; none if it has another shape."""
    errors = document.get("errors") if isinstance(document, Mapping) else None
    listed = errors if isinstance(errors, list) else []
    return [
        each["code"]
        for each in listed
        if isinstance(each, dict) and isinstance(each.get("code"), str) and each["code"] and each["code"].isprintable()
    ]
