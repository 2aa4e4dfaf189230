"""The list of images that an image depends on.

    dependencies    = reference {"," reference}                   (* each reference once *)

`reference` is defined in `algoplatform.domain.grammar.reference`; neither names nor tags contain commas.
"""

from typing import Final

from algoplatform.domain.grammar import reference
from algoplatform.domain.grammar.items import Items, Key, ListGrammar
from algoplatform.domain.grammar.reference import ImageName, ImageReference, ImageTag, reference_faults

# The lookahead rejects names of more than 255 characters: a colon follows the first 256 characters of the item.
_ITEM: Final = f"(?![^,]{{{reference.MAX_NAME + 1}}}[^,:]*+:){reference.NAME_PATTERN}:{reference.TAG_PATTERN}"


def _built(item: str) -> ImageReference:
    name, _, tag = item.rpartition(":")
    return ImageReference(ImageName(name), ImageTag(tag))


class Dependencies(Items[ImageReference]):
    """References to other images: `algo/posterize:1.0,algo/structure:latest`."""

    __slots__ = ()
    grammar = ListGrammar(_ITEM, _built, reference_faults, Key("", str))

    def others(self, own: ImageReference | None) -> list[tuple[int, ImageReference]]:
        """Return the references except to the image itself, each with its position, counted from 1."""
        return [(position, item) for position, item in enumerate(self.items, 1) if item != own]
