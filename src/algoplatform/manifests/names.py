"""Names of the rendered objects, and their labels and annotations.

    object name     = plain | cut "-" hash                        (* at most 46 characters *)
    plain           = part {"-" part} "-" version                 (* only where this is injective *)
    cut             = the slug of path and tag, at most 39 characters
    hash            = 6 hexadecimal digits of SHA-256 of `name:tag` as registered
    slug            = [a-z][a-z0-9-]*                             (* runs of other characters become one "-" *)

46 characters leave room for the suffixes of ReplicaSet and pod within a label of 63 (RFC 1035).
"""

import re
from collections import Counter
from collections.abc import Iterable
from hashlib import sha256
from typing import Any, Final

from algoplatform.domain.grammar.reference import ImageReference
from algoplatform.domain.record.model import Image

MANAGER: Final = "algoplatform"
# To be raised whenever the same record renders differently: annotations and entity tags contain it.
RENDERER: Final = "1"
MAX_NAME: Final = 46
MAX_LABEL: Final = 63
MAX_KEY: Final = 253
INSTANCE: Final = "app.kubernetes.io/instance"
MANAGED_BY: Final = "app.kubernetes.io/managed-by"
# The container of an image, and the volume of configuration files whose contents were given.
MAIN: Final = "main"
GIVEN: Final = "config-given"

_CUT: Final = 39
_PLAIN_PATH = re.compile(r"[a-z][a-z0-9]*+(?:/[a-z][a-z0-9]*+)*")
_PLAIN_TAG = re.compile(r"[0-9]++(?:\.[0-9]++)*")
_NOT_IN_SLUG = re.compile(r"[^a-z0-9]+")
_NOT_IN_KEY = re.compile(r"[^-._A-Za-z0-9]+")
_DNS_LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
_LABEL_VALUE = re.compile(r"[A-Za-z0-9](?:[-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?")

# Fields that become annotations: they describe the algorithm, and have no effect in the cluster.
_DESCRIBED: Final = (
    *("factory", "algo_name", "algo_type", "algo_desc", "tv_channel", "pics"),
    *("event_type", "frame_interval", "frame_number", "incident_id", "useable_flag"),
)


def short_hash(text: str, digits: int = 6) -> str:
    """Return the first hexadecimal digits of a text's SHA-256."""
    return sha256(text.encode()).hexdigest()[:digits]


def slug(text: str) -> str:
    """Return a text as lower-case words joined by "-", beginning with a letter."""
    joined = _NOT_IN_SLUG.sub("-", text.lower()).strip("-")
    return joined if joined[:1].isalpha() else f"a-{joined}".rstrip("-")


def object_name(reference: ImageReference, naming: str = "tag") -> str:
    """Return the name of an image's objects; `naming` "image" leaves the tag out."""
    name, tag = reference.name, reference.tag.text
    by_tag = naming == "tag"
    found = slug(f"{name.path}-{tag}" if by_tag else name.path)
    plain = name.host is None and _PLAIN_PATH.fullmatch(name.text) and (not by_tag or _PLAIN_TAG.fullmatch(tag))
    if plain and len(found) <= MAX_NAME:
        return found
    return hashed(found, str(reference) if by_tag else name.text)


def hashed(found: str, text: str) -> str:
    """Return a slug, cut to 39 characters, with the hash of the text that it stands for."""
    return f"{found[:_CUT].rstrip('-')}-{short_hash(text)}"


def namespace_of(image: Image, wanted: str | None) -> str:
    """Return the namespace of an image's objects: `wanted`, or else its own, or else `default`."""
    namespace = wanted or image.image_name.namespace or "default"
    return namespace if _DNS_LABEL.fullmatch(namespace) else hashed(slug(namespace), namespace)


def is_label_value(text: str) -> bool:
    """Return whether Kubernetes accepts a text as the value of a label."""
    return _LABEL_VALUE.fullmatch(text) is not None


def labels(reference: ImageReference, name: str) -> dict[str, str]:
    """Return the labels of every object of an image."""
    last = slug(reference.name.path.rpartition("/")[2])[:MAX_LABEL].rstrip("-")
    found = {"app.kubernetes.io/name": last, INSTANCE: name, MANAGED_BY: MANAGER}
    if is_label_value(reference.tag.text):
        found["app.kubernetes.io/version"] = reference.tag.text
    return found


def annotations(image: Image, image_id: str, version: int) -> dict[str, str]:
    """Return the annotations of an image's workload; those of empty fields are absent."""
    found: dict[str, Any] = {
        "image-id": image_id,
        "record-version": version,
        "reference": image.reference,
        "renderer": RENDERER,
        **{name.replace("_", "-"): getattr(image, name) for name in _DESCRIBED},
    }
    return {f"{MANAGER}/{key}": str(value) for key, value in found.items() if value is not None}


def config_keys(paths: Iterable[str]) -> dict[str, str]:
    """Return the key of each normalised path in a ConfigMap; paths with the same key get a hash each."""
    plain = {path: _config_key(path) for path in paths}
    times = Counter(plain.values())
    return {path: key if times[key] == 1 else _key_with_hash(key, path) for path, key in plain.items()}


def _config_key(path: str) -> str:
    joined = path.lstrip("/").replace("/", "_")
    key = _NOT_IN_KEY.sub("-", joined)
    if key == "." or key.startswith(".."):
        # Kubernetes refuses these.
        key = key.lstrip(".")
    return joined if key == joined and key and len(key) <= MAX_KEY else _key_with_hash(key, path)


def _key_with_hash(key: str, path: str) -> str:
    return f"{key[: MAX_KEY - 7]}-{short_hash(path)}"
