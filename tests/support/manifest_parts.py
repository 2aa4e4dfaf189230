"""Parts of manifests for the checks: documents by kind and name, pods, containers, quantities."""

import re
from collections.abc import Iterator
from typing import Any

Document = dict[str, Any]

_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?)(m|k|Ki|M|Mi|G|Gi|T|Ti)?")
_FACTOR = {
    "": 1,
    "m": 1e-3,
    "k": 1e3,
    "M": 1e6,
    "G": 1e9,
    "T": 1e12,
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
}


def amount(quantity: Any) -> float:
    """Parse a quantity; raise ValueError if it is invalid."""
    match = _QUANTITY.fullmatch(str(quantity))
    if match is None:
        raise ValueError(quantity)
    return float(match[1]) * _FACTOR[match[2] or ""]


def pods(documents: list[Document]) -> Iterator[tuple[str, Document]]:
    """Yield each pod template with the name of its owner."""
    for document in documents:
        if document["kind"] in ("Deployment", "Job"):
            yield document["metadata"]["name"], document["spec"]["template"]


def of(documents: list[Document], *kinds: str) -> list[Document]:
    """Return the documents of these kinds."""
    return [document for document in documents if document["kind"] in kinds]


def named(documents: list[Document], kind: str, name: str) -> Document | None:
    """Return the document with this name; None if there is none."""
    return next((document for document in of(documents, kind) if document["metadata"]["name"] == name), None)


def each(documents: list[Document]) -> Iterator[tuple[str, Document, Document]]:
    """Yield each container with its location and its pod."""
    for owner, pod in pods(documents):
        for container in pod["spec"]["containers"]:
            yield f"{owner}/{container['name']}", container, pod["spec"]
