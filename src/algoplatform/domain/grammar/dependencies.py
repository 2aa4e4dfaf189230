"""The list of images that an image depends on.

    dependencies    = reference {"," reference}                   (* each reference once *)

`reference` is defined in `algoplatform.domain.grammar.reference`; neither names nor tags contain commas.
"""

import re
from dataclasses import dataclass
from itertools import chain
from typing import Self

from algoplatform.domain.errors import Malformed
from algoplatform.domain.grammar.items import item_faults, repeat_faults
from algoplatform.domain.grammar.reference import (
    MAX_NAME,
    NAME_PATTERN,
    TAG_PATTERN,
    ImageName,
    ImageReference,
    ImageTag,
    reference_faults,
)

_ITEM = f"({NAME_PATTERN}):({TAG_PATTERN})"
_ITEM_RE = re.compile(_ITEM)
# Atomic: `localhost/x` matches in two ways, so hostile text would cause exponential backtracking.
_LIST_RE = re.compile(f"(?>{_ITEM})(?:,(?>{_ITEM}))*")


@dataclass(frozen=True, slots=True)
class Dependencies:
    """References to other images: `algo/posterize:1.0,algo/structure:latest`."""

    items: tuple[ImageReference, ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse comma-separated references; raises Malformed."""
        if _LIST_RE.fullmatch(text):
            pairs = _ITEM_RE.findall(text)
            if len(set(pairs)) == len(pairs) and (
                len(text) <= MAX_NAME or all(len(name) <= MAX_NAME for name, _ in pairs)
            ):
                return cls(tuple([ImageReference(ImageName(name), ImageTag(tag)) for name, tag in pairs]))
        items = text.split(",")
        raise Malformed.first(chain(item_faults(items, reference_faults), repeat_faults(items, "", str)))

    def others(self, own: ImageReference | None) -> list[tuple[int, ImageReference]]:
        """Return the references except to the image itself, each with its position, counted from 1."""
        return [(position, item) for position, item in enumerate(self.items, 1) if item != own]

    def __str__(self) -> str:
        return ",".join(map(str, self.items))
