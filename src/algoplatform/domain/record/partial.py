"""Reads name, tag and dependencies of an invalid record, so that checks against other records still apply."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from algoplatform.domain.grammar.dependencies import Dependencies
from algoplatform.domain.grammar.reference import MAX_NAME, MAX_TAG, ImageName, ImageReference, ImageTag
from algoplatform.domain.record import fields

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Readable:
    """The readable parts of a record; None for a part that is missing or invalid."""

    name: ImageName | None
    identity: ImageReference | None
    dependencies: Dependencies | None

    @property
    def needs(self) -> list[tuple[int, ImageReference]]:
        """The dependencies except the image itself, each with its position in the field, counted from 1."""
        return self.dependencies.others(self.identity) if self.dependencies else []


def read(data: Mapping[str, Any]) -> Readable:
    """Parse name, tag and dependencies independently of each other."""
    name = _parsed(ImageName.parse, data.get("imageName"), MAX_NAME)
    tag = _parsed(ImageTag.parse, data.get("imageTag"), MAX_TAG)
    identity = ImageReference(name, tag) if name and tag else None
    listed = _parsed(Dependencies.parse, data.get("dependencyServiceId"))
    return Readable(name, identity, listed)


def id_of(value: object) -> str | None:
    """Return the value if it is a valid image id, else None."""
    return _parsed(fields.check_id, value)


def image_named(text: str) -> ImageReference | None:
    """Return the image that a text names, None if it is no reference."""
    return _parsed(ImageReference.parse, text)


def _parsed(parse: Callable[[str], T], value: object, limit: int = fields.MAX_TEXT) -> T | None:
    try:
        return parse(fields.check_text(value, limit=limit))
    except ValueError:
        return None
