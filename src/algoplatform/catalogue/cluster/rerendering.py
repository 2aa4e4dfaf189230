"""Renders a record as a live workload was rendered: what the options leave open is taken from the cluster."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from algoplatform.catalogue.cluster.graph import image_of
from algoplatform.catalogue.cluster.site import Site
from algoplatform.domain.grammar.paths import canonical
from algoplatform.domain.record.model import Image
from algoplatform.manifests.drift.live import config_keys_of, config_map_of
from algoplatform.manifests.image import Target
from algoplatform.manifests.names import GIVEN, config_keys, is_label_value, object_name
from algoplatform.manifests.options import Options
from algoplatform.manifests.parts import mapping
from algoplatform.manifests.rendering import render


@dataclass(frozen=True, slots=True)
class Rerendering:
    """How to render for comparison."""

    site: Site
    options: Options

    @property
    def compares_replicas(self) -> bool:
        """Whether the options say how many replicas there should be."""
        return self.options.replicas is not None or self.options.channels is not None

    def assumptions(self) -> list[str]:
        """Return what is taken from the cluster."""
        found = [] if self.compares_replicas else ["没有给出replicas或channels，没有比较副本数"]
        return found if self.options.namespace else [*found, "没有给出namespace，以集群中的命名空间为准"]

    def objects(
        self,
        record: str,
        version: int,
        live: dict[str, Any],
        config_map: dict[str, Any] | None,
        digest: str | None,
    ) -> list[dict[str, Any]]:
        """Return the objects of a record; raises Refused if it cannot be rendered.

        `config_map` is the live ConfigMap with the contents of configuration files, None if there is none.
        """
        data = json.loads(record)
        image = image_of(data)
        reference = str(image.reference)
        # Records have the paths of configuration files, not their contents.
        texts = mapping(config_map, "data") if config_map else dict.fromkeys(config_keys_of(live), "")
        rendered = render(
            [Target(image, data["imageId"], version)],
            self._options(image, live, is_pinned=digest is not None),
            profiles=self.site.profiles,
            config_files={reference: files} if (files := _files(image, texts)) else {},
            digests={reference: digest} if digest else {},
        ).objects
        if not config_map:
            _name_contents(rendered, config_map_of(live))
        if not self.compares_replicas:
            for item in rendered:
                item.get("spec", {}).pop("replicas", None)
        return rendered

    def _options(self, image: Image, live: dict[str, Any], *, is_pinned: bool) -> Options:
        given = self.options
        name, namespace = live["metadata"]["name"], live["metadata"].get("namespace")
        namings = (given.naming, "tag", "image")
        naming = next((each for each in namings if object_name(image.reference, each) == name), given.naming)
        if given.namespace is None and isinstance(namespace, str) and is_label_value(namespace):
            given = replace(given, namespace=namespace)
        if not self.compares_replicas:
            # A StatefulSet is rendered only for several replicas that need a claim each.
            given = replace(given, replicas=2 if live["kind"] == "StatefulSet" else 1)
        return replace(given, naming=naming, closure=False, pin=given.pin and is_pinned)


def _name_contents(objects: list[dict[str, Any]], name: str) -> None:
    """Give the ConfigMap of unknown contents its live name, as its rendered name is a hash of the contents."""
    for item in objects:
        if item["kind"] == "ConfigMap":
            item["metadata"]["name"] = name
        for volume in mapping(item, "spec", "template", "spec").get("volumes", ()):
            if volume["name"] == GIVEN:
                volume["configMap"]["name"] = name


def _files(image: Image, texts: Mapping[str, Any]) -> dict[str, str]:
    paths = list(map(canonical, image.config.items)) if image.config else []
    return {path: texts[key] for path, key in config_keys(paths).items() if isinstance(texts.get(key), str)}
