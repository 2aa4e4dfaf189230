"""Checks of the database in manifests: CloudNativePG's kinds, their Secrets, connections to the database."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from algoplatform.settings import PREFIX
from tests.support.manifest_parts import Document, each, named, of

_URL = PREFIX + "DATABASE_URL"
# The Secret that the administrator creates to install `small`.
_OWN_SECRET = ("algoplatform-database", {"url"})
# Keys that the operator writes to the Secret of the database owner.
_APP_KEYS = {"username", "user", "password", "dbname", "host", "port", "uri", "jdbc-uri", "pgpass"}
_ANY: dict[str, Any] = {}
_STORAGE = {"size": _ANY, "storageClass": _ANY}
# The parts of CloudNativePG's kinds that we use, as no other tool here knows them. `_ANY` allows anything.
_KEYS: dict[str, dict[str, Any]] = {
    "Cluster": {
        "instances": _ANY,
        "imageName": _ANY,
        "primaryUpdateStrategy": _ANY,
        "postgresql": {
            "synchronous": {"method": _ANY, "number": _ANY, "dataDurability": _ANY},
            "parameters": _ANY,
        },
        "bootstrap": {
            "initdb": {
                "database": _ANY,
                "owner": _ANY,
                "encoding": _ANY,
                "localeProvider": _ANY,
                "locale": _ANY,
                "builtinLocale": _ANY,
                "postInitSQL": _ANY,
            }
        },
        "storage": _STORAGE,
        "walStorage": _STORAGE,
        "resources": {"requests": _ANY, "limits": _ANY},
        "affinity": {"enablePodAntiAffinity": _ANY, "topologyKey": _ANY, "podAntiAffinityType": _ANY},
        "monitoring": {"enablePodMonitor": _ANY},
    },
    "Pooler": {
        "cluster": {"name": _ANY},
        "instances": _ANY,
        "type": _ANY,
        "pgbouncer": {"poolMode": _ANY, "parameters": _ANY},
    },
}


def keys(documents: list[Document]) -> Iterator[str]:
    """Report keys that the operator does not know, as it would ignore them."""
    for document in of(documents, *_KEYS):
        yield from (
            f"{document['kind']}: {path} is no key" for path in _unknown(document["spec"], _KEYS[document["kind"]])
        )


def _unknown(given: Document, known: Document, at: str = "spec") -> Iterator[str]:
    for key, value in given.items():
        if key not in known:
            yield f"{at}.{key}"
        elif known[key]:
            yield from _unknown(value, known[key], f"{at}.{key}")


def secrets(documents: list[Document]) -> Iterator[str]:
    """Report Secrets that nothing creates: the operator if there is a Cluster, else the administrator."""
    clusters = [cluster["metadata"]["name"] for cluster in of(documents, "Cluster")]
    made = {f"{name}-app": _APP_KEYS for name in clusters} or dict([_OWN_SECRET])
    for where, container, pod in each(documents):
        volumes = [volume["secret"] for volume in pod["volumes"] if "secret" in volume]
        used = [(volume["secretName"], item["key"]) for volume in volumes for item in volume["items"]]
        references = [entry.get("valueFrom", {}).get("secretKeyRef") for entry in container.get("env", [])]
        used += [(reference["name"], reference["key"]) for reference in references if reference]
        for name, key in used:
            if key not in made.get(name, ()):
                yield f"{where}: nobody makes the Secret {name} with {key}"


def database(documents: list[Document]) -> Iterator[str]:
    """Report a pooler that cannot work, and a database URL whose host does not exist."""
    poolers = {pooler["metadata"]["name"]: pooler["spec"] for pooler in of(documents, "Pooler")}
    for name, spec in poolers.items():
        if spec["pgbouncer"]["poolMode"] != "transaction":
            yield f"Pooler {name}: poolMode {spec['pgbouncer']['poolMode']}"
    for where, container, _ in each(documents):
        for entry in container.get("env", []):
            if entry["name"] == _URL:
                yield from (f"{where}: {wrong}" for wrong in _address(documents, poolers, urlsplit(entry["value"])))


def _address(documents: list[Document], poolers: Document, address: Any) -> Iterator[str]:
    if address.hostname not in poolers or address.port != 5432:
        yield f"no Pooler listens on {address.hostname}:{address.port}"
        return
    cluster = named(documents, "Cluster", poolers[address.hostname]["cluster"]["name"])
    if cluster and address.path[1:] != cluster["spec"]["bootstrap"]["initdb"]["database"]:
        yield f"there is no database {address.path[1:]}"
