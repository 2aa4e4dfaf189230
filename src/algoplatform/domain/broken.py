"""What a record that is wrong elsewhere still tells: who it is, and what it depends on."""

from collections.abc import Mapping
from typing import Any

from algoplatform.domain import fields
from algoplatform.domain.dependencies import Dependencies
from algoplatform.domain.reference import ImageName, ImageReference, ImageTag


def id_of(value: object) -> str | None:
    """Read an id."""
    try:
        return fields.check_id(value)
    except ValueError:
        return None


def name_of(data: Mapping[str, Any]) -> ImageName | None:
    """Read the name."""
    try:
        return ImageName.parse(fields.check_text(data.get("imageName")))
    except ValueError:
        return None


def identity_of(data: Mapping[str, Any]) -> ImageReference | None:
    """Read name and tag."""
    try:
        name, tag = (fields.check_text(data.get(name)) for name in ("imageName", "imageTag"))
        return ImageReference(ImageName.parse(name), ImageTag.parse(tag))
    except ValueError:
        return None


def dependencies_of(data: Mapping[str, Any]) -> tuple[ImageReference, ...]:
    """Read the dependencies on other images."""
    try:
        listed = Dependencies.parse(fields.check_text(data.get("dependencyServiceId"))).items
    except ValueError:
        return ()
    own = identity_of(data)
    return tuple(item for item in listed if item != own)
