"""Building blocks of JSON Schemas: texts, numbers, lists, and objects of requests and of responses."""

from typing import Any, Final

Schema = dict[str, Any]

TEXT: Final[Schema] = {"type": "string"}
TEXT_OR_NULL: Final[Schema] = {"type": ["string", "null"]}
COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
NULL: Final[Schema] = {"type": "null"}
IMAGE_ID: Final[Schema] = {"type": "string", "pattern": "^[0-9a-f]{32}$"}
# An image by its id or as name:tag.
IMAGE: Final[Schema] = {"type": "string", "minLength": 1, "maxLength": 384}


def integer(description: str = "", first: int = 1, last: int = 2**31 - 1) -> Schema:
    return _described({"type": "integer", "minimum": first, "maximum": last}, description)


def rows(item: Schema, description: str = "", **bounds: int) -> Schema:
    return _described({"type": "array", "items": item, **bounds}, description)


def keyed(item: Schema, description: str = "") -> Schema:
    """Describe an object whose keys are data."""
    return _described({"type": "object", "additionalProperties": item}, description)


def given(properties: dict[str, Schema], *required: str, description: str = "") -> Schema:
    """Describe an object of a request."""
    named = {"required": list(required)} if required else {}
    return _described({"type": "object", "properties": properties, **named}, description)


def answered(properties: dict[str, Schema], description: str = "") -> Schema:
    """Describe an object of a response: it has all of these properties, and no others."""
    return given(properties, *properties, description=description) | {"additionalProperties": False}


def _described(schema: Schema, description: str) -> Schema:
    return schema | {"description": description} if description else schema
