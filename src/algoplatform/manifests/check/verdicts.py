"""Verdicts about objects, and the syntax of names and amounts that several rules use."""

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

DNS_LABEL: Final = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
# A Service's name becomes a DNS name; up to Kubernetes 1.35 it may not begin with a digit (RFC 1035).
SERVICE_NAME: Final = re.compile(r"[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?")
DNS_NAME: Final = re.compile(r"(?=.{1,253}\Z)[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*")
_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE]([-+]?[0-9]{1,3})|([numkMGTPE]|[KMGTPE]i)?)")
_DECIMAL: Final = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY: Final = "KMGTPE"
# In characters. A longer text is not a quantity, and takes long to parse; a million digits would overflow.
_MAX_QUANTITY: Final = 64


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is wrong with an object, at `path` within it, as a Chinese sentence.

    `refused` is set if the API server refuses the object. Otherwise it accepts the object, which then does
    not do what was meant.
    """

    refused: bool
    path: str
    message: str


def amount(quantity: object) -> Decimal | None:
    """Return the value of a resource quantity; None for anything else."""
    text = str(quantity)
    match = _QUANTITY.fullmatch(text) if len(text) <= _MAX_QUANTITY else None
    if match is None:
        return None
    number, exponent, suffix = Decimal(match[1]), match[2], match[3] or ""
    if suffix.endswith("i"):
        return number * Decimal(1024 ** (_BINARY.index(suffix[0]) + 1))
    return number.scaleb(int(exponent) if exponent else _DECIMAL[suffix])
