"""YAML that Go's parser reads back unchanged: every key and string value is in double quotes."""

import json
from collections.abc import Iterable, Iterator
from functools import lru_cache
from io import BytesIO
from typing import Any, Final

import yaml

# Long texts stay on one line.
_WIDTH: Final = 2**31 - 1
_BEGIN: Final = (yaml.StreamStartEvent(encoding="utf-8"), yaml.DocumentStartEvent(explicit=True))
_END: Final = (yaml.DocumentEndEvent(explicit=False), yaml.StreamEndEvent())
_MAPPING: Final = yaml.MappingStartEvent(None, None, True, flow_style=False)
_MAPPING_END: Final = yaml.MappingEndEvent()
_EMPTY_MAPPING: Final = yaml.MappingStartEvent(None, None, True, flow_style=True)
_SEQUENCE: Final = yaml.SequenceStartEvent(None, None, True, flow_style=False)
_SEQUENCE_END: Final = yaml.SequenceEndEvent()


def dump_yaml(objects: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    """Yield each object as one document of a YAML stream, in UTF-8."""
    for item in objects:
        stream = BytesIO()
        dumper = yaml.CSafeDumper(stream, encoding="utf-8", allow_unicode=True, width=_WIDTH)
        # PyYAML's usual way, through a tree of nodes, takes three times as long.
        for event in (*_BEGIN, *_events(item), *_END):
            dumper.emit(event)
        dumper.dispose()
        yield stream.getvalue()


def _events(value: object) -> Iterator[yaml.Event]:
    if isinstance(value, str):
        yield _text(value)
    elif isinstance(value, dict):
        yield _MAPPING if value else _EMPTY_MAPPING
        for key, content in value.items():
            yield _text(key)
            yield from _events(content)
        yield _MAPPING_END
    elif isinstance(value, list):
        yield _SEQUENCE
        for content in value:
            yield from _events(content)
        yield _SEQUENCE_END
    else:
        yield _plain(json.dumps(value))


@lru_cache(1024)
def _plain(text: str) -> yaml.ScalarEvent:
    return yaml.ScalarEvent(None, None, (True, False), text)


def _text(text: str) -> yaml.ScalarEvent:
    return _known_text(text) if len(text) <= 64 else _quoted(text)


def _quoted(text: str) -> yaml.ScalarEvent:
    # Unquoted `on`, `1.0` and `012` would become other types, also as keys. In quotes, libyaml escapes what
    # is not printable, and the line breaks U+0085, U+2028 and U+2029, which readers would normalise.
    return yaml.ScalarEvent(None, None, (False, True), text, style='"')


_known_text = lru_cache(4096)(_quoted)
