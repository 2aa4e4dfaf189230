"""The parts of `kustomize build` that our overlays use, for machines without it."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

Document = dict[str, Any]


def build(folder: Path) -> list[Document]:
    """Return the documents of an overlay with its changes applied."""
    overlay = yaml.safe_load((folder / "kustomization.yaml").read_text())
    documents: list[Document] = []
    for resource in overlay.pop("resources"):
        path = folder / resource
        documents += build(path) if path.is_dir() else list(yaml.safe_load_all(path.read_text()))
    for patch in overlay.pop("patches", []):
        _patch(documents, patch, folder)
    for image in overlay.pop("images", []):
        _set_image(documents, image)
    for replicas in overlay.pop("replicas", []):
        _find(documents, {"kind": "Deployment", "name": replicas["name"]})["spec"]["replicas"] = replicas["count"]
    rest = set(overlay) - {"apiVersion", "kind"}
    assert not rest, f"{folder}: {rest} is not known here"
    return documents


def _patch(documents: list[Document], patch: Document, folder: Path) -> None:
    content = yaml.safe_load(patch["patch"] if "patch" in patch else (folder / patch["path"]).read_text())
    if isinstance(content, list):
        for operation in content:
            _operate(_find(documents, patch["target"]), operation)
        return
    found = _find(documents, {"kind": content["kind"], "name": content["metadata"]["name"]})
    found.update(_merged(found, content))


def _find(documents: list[Document], target: Document) -> Document:
    [found] = [
        document
        for document in documents
        if (document["kind"], document["metadata"]["name"]) == (target["kind"], target["name"])
    ]
    return found


def _operate(document: Document, operation: Document) -> None:
    """Apply one operation of a JSON patch; lists support only appending."""
    *parents, last = operation["path"].strip("/").split("/")
    place: Any = document
    for parent in parents:
        place = place[int(parent) if isinstance(place, list) else parent]
    if isinstance(place, list):
        assert (last, operation["op"]) == ("-", "add"), operation
        place.append(operation["value"])
        return
    assert (last in place) == (operation["op"] != "add"), operation
    if operation["op"] == "remove":
        del place[last]
    else:
        place[last] = operation["value"]


def _merged(old: Any, new: Any) -> Any:
    """Merge like Kubernetes: objects by key, named lists by name (new items first); replace all else."""
    if isinstance(old, dict) and isinstance(new, dict):
        return old | {key: _merged(old.get(key), value) for key, value in new.items()}
    if not (_named(old) and _named(new)):
        return deepcopy(new)
    theirs = {item["name"]: item for item in new}
    kept = [_merged(item, theirs.pop(item["name"], {})) for item in old]
    return [*deepcopy(list(theirs.values())), *kept]


def _named(items: Any) -> bool:
    return isinstance(items, list) and all(isinstance(item, dict) and "name" in item for item in items)


def _set_image(documents: list[Document], image: Document) -> None:
    for document in documents:
        pod = document.get("spec", {}).get("template", {}).get("spec", {})
        for container in pod.get("containers", []):
            if container["image"] == image["name"]:
                container["image"] = f"{image['newName']}:{image['newTag']}"
