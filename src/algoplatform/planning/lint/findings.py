"""What the rules find: a flaw is what is wrong with a record, a finding says of which images it is true."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple, TypeAlias

import orjson

from algoplatform.domain.errors import clip_reference
from algoplatform.planning.lint.rules import Severity

Value: TypeAlias = str | int | None

# Flaws of equal fields are equal: their texts are cached, short ones only.
_REMEMBERED: Final = 1024
_SHORT: Final = 256
# References that a message names.
_NAMED: Final = 3


class Flaw(NamedTuple):
    """A flaw of a record, which does not name the image, so that equal fields share it."""

    rule: str
    field: str
    value: Value
    message: str


class Finding(NamedTuple):
    """A flaw with its severity, and the references of its images; `image` is the first of them."""

    flaw: Flaw
    severity: Severity
    images: Sequence[str]

    def as_dict(self) -> dict[str, Any]:
        """Return the finding with the names of the interface."""
        flaw, severity, images = self
        return {
            "rule": flaw.rule,
            "severity": severity,
            "image": images[0],
            "images": images,
            "field": flaw.field,
            "value": flaw.value,
            "message": flaw.message,
        }


def as_json(findings: Iterable[Finding]) -> bytes:
    """Return the findings as members of a JSON array, without its brackets."""
    return ",".join([_text(*finding) for finding in findings]).encode()


def _text(flaw: Flaw, severity: Severity, images: Sequence[str]) -> str:
    # References contain nothing that JSON escapes (domain/grammar/reference.py).
    names = '","'.join(images)
    rest = _rest(flaw) if len(flaw.message) <= _SHORT else _rest.__wrapped__(flaw)
    return f'{{"rule":"{flaw[0]}","severity":"{severity}","image":"{images[0]}","images":["{names}"],{rest}'


@lru_cache(_REMEMBERED)
def _rest(flaw: Flaw) -> str:
    _, field, value, message = flaw
    return orjson.dumps({"field": field, "value": value, "message": message}).decode()[1:]


def named(references: Sequence[str]) -> str:
    """Return the first references for a message, and how many there are."""
    shown = "、".join(map(clip_reference, references[:_NAMED]))
    return f"{shown}等{len(references)}个镜像" if len(references) > _NAMED else shown
