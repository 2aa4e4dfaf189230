"""The columns of an image: which of them its record determines, and their values.

A new column beside the record is one line in storage/schema/tables.py, which names its fields, and one here,
which computes its value. All statements are built from these tuples.
"""

from collections.abc import Callable
from typing import Any, Final
from uuid import UUID

from algoplatform.domain.record.model import Image, render
from algoplatform.domain.search import fold_exact, search_text
from algoplatform.storage.schema import sql
from algoplatform.storage.schema.tables import image as table

_VALUES: Final[dict[str, Callable[[Image], Any]]] = {
    "image_name": lambda image: image.image_name.text,
    "image_tag": lambda image: image.image_tag.text,
    "namespace": lambda image: image.image_name.namespace,
    "factory": lambda image: fold_exact(image.factory),
    "algo_type": lambda image: image.algo_type,
    "event_type": lambda image: image.event_type,
    "incident_id": lambda image: fold_exact(image.incident_id),
    "useable_flag": lambda image: image.useable_flag,
    "search": search_text,
}
_NAME: Final = frozenset(["imageName", "imageTag"])

_DERIVED: Final = tuple(column for column in table.columns if "fields" in column.info)
# Name and tag of an image never change, nor do the columns computed only from them.
FIXED: Final = tuple(column for column in _DERIVED if _NAME.issuperset(column.info["fields"]))
CHANGING: Final = tuple(column for column in _DERIVED if column not in FIXED)
# The columns that a new image is written with: its id, those computed from its record, and the record.
STORED: Final = (table.c.image_id, *FIXED, *CHANGING, table.c.record)
CALLER: Final = (table.c.actor, table.c.request_id)

_VALUES_OF_FIXED: Final = tuple(_VALUES[column.name] for column in FIXED)
_VALUES_OF_CHANGING: Final = tuple(_VALUES[column.name] for column in CHANGING)


def fixed(image: Image) -> list[Any]:
    return [value(image) for value in _VALUES_OF_FIXED]


def changing(image: Image) -> list[Any]:
    return [value(image) for value in _VALUES_OF_CHANGING]


def stored(image: Image, image_id: UUID) -> tuple[Any, ...]:
    return image_id, *fixed(image), *changing(image), render(image, image_id.hex)


def changed(operation: str, caller: int) -> str:
    """Return the assignments that every change of an image makes; `caller` is the first of the caller's arguments."""
    # Time of the write rather than of BEGIN, as the transaction may have waited; never before the last change.
    return (
        "version = image.version + 1, updated_at = greatest(clock_timestamp(), image.updated_at),"
        f" operation = '{operation}', {sql.assigned(CALLER, sql.arguments(CALLER, caller))}"
    )
