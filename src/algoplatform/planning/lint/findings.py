"""The results of rules: a flaw says what is wrong with a record, a finding adds its severity and its images."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from typing import Any, Final, NamedTuple, TypeAlias

import orjson

from algoplatform.domain.errors import first_of
from algoplatform.planning.lint.rules import Severity

Value: TypeAlias = str | int | None

# Equal fields have equal flaws, so the JSON of flaws is cached, if their message has at most _SHORT characters.
_REMEMBERED: Final = 512
_SHORT: Final = 256
# Stands for the images in a template; JSON contains no NUL, as it is escaped.
_PLACE: Final = b"\0"
_images_of: Final = itemgetter(2)
# References that a message lists at most.
_NAMED: Final = 3


class Flaw(NamedTuple):
    """A flaw of a record. It does not name the image, so that records with equal fields share it."""

    rule: str
    field: str
    value: Value
    message: str


class Finding(NamedTuple):
    """A flaw with its severity and the references of its images."""

    flaw: Flaw
    severity: Severity
    images: Sequence[str]

    def as_dict(self) -> dict[str, Any]:
        """Return the finding as in a response, where `image` is the first of `images`."""
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
    # Findings of the same images are adjacent, and share one list of references.
    groups = groupby(findings, key=_images_of)
    return b",".join([_rendered(images, group) for images, group in groups])


def _rendered(images: Sequence[str], findings: Iterable[Finding]) -> bytes:
    """Return findings of the same images as JSON: fills the images into cached templates."""
    templates = [
        _template(flaw, severity) if len(flaw[3]) <= _SHORT else _template.__wrapped__(flaw, severity)
        for flaw, severity, _ in findings
    ]
    # References contain nothing that JSON escapes (domain/grammar/reference.py).
    listed = '","'.join(images)
    names = f'"image":"{images[0]}","images":["{listed}"]'
    return b",".join(templates).replace(_PLACE, names.encode())


@lru_cache(_REMEMBERED)
def _template(flaw: Flaw, severity: Severity) -> bytes:
    rule, field, value, message = flaw
    rest = orjson.dumps({"field": field, "value": value, "message": message})
    return b'{"rule":"%b","severity":"%b",%b,%b' % (rule.encode(), severity.encode(), _PLACE, rest[1:])


def named(references: Sequence[str]) -> str:
    """Return the first references for a message, and how many there are."""
    return first_of(references, _NAMED, "个镜像")
