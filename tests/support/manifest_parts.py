"""What the checks of manifests look at: documents by kind and name, pods, containers, quantities."""

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
    """Read a quantity; ValueError where it is none."""
    match = _QUANTITY.fullmatch(str(quantity))
    if match is None:
        raise ValueError(quantity)
    return float(match[1]) * _FACTOR[match[2] or ""]


def pods(documents: list[Document]) -> Iterator[tuple[str, Document]]:
    """Give each pod template with the name of its owner."""
    for document in documents:
        if document["kind"] in ("Deployment", "Job"):
            yield document["metadata"]["name"], document["spec"]["template"]


def of(documents: list[Document], *kinds: str) -> list[Document]:
    """Take the documents of these kinds."""
    return [document for document in documents if document["kind"] in kinds]


def named(documents: list[Document], kind: str, name: str) -> Document | None:
    """Find a document; None where there is none of that name."""
    return next((document for document in of(documents, kind) if document["metadata"]["name"] == name), None)


def each(documents: list[Document]) -> Iterator[tuple[str, Document, Document]]:
    """Give each container, where it is, and its pod."""
    for owner, pod in pods(documents):
        for container in pod["spec"]["containers"]:
            yield f"{owner}/{container['name']}", container, pod["spec"]
