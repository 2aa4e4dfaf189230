"""Images to render, and parts of the result."""

import json
from typing import Any

from algoplatform.domain.errors import Refused
from algoplatform.domain.record.check import Rules, check
from algoplatform.domain.record.model import Image
from algoplatform.manifests.gpu.profiles import SHIPPED
from algoplatform.manifests.image import Target
from algoplatform.manifests.options import Options, parse_options
from algoplatform.manifests.rendering import Rendered, render
from tests.support.images import minimal
from tests.support.programs import ROOT

IMAGE_ID = "c675e74e1bc211ea9f600242ac110002"


def image(name: str = "algo/x", tag: str = "1.0", **fields: Any) -> Image:
    """Return a valid image."""
    checked = check(minimal(name, tag, **fields), Rules())
    assert checked.image, checked.faults
    return checked.image


def target(name: str = "algo/x", tag: str = "1.0", **fields: Any) -> Target:
    """Return an image to render."""
    return Target(image(name, tag, **fields), IMAGE_ID, 1)


def target_of(record: dict[str, Any]) -> Target:
    """Return the image of a complete record, to be rendered."""
    return target(record["imageName"], record["imageTag"], **{**record, "imageId": None})


def options(**given: Any) -> Options:
    """Parse options by their names in the API."""
    return parse_options(given, SHIPPED)


def rendered(given: dict[str, Any] | None = None, /, **fields: Any) -> Rendered:
    """Render one image with the given options."""
    return render([target(**fields)], options(**(given or {})))


def sample() -> list[Target]:
    """Return the images of the sample registry."""
    records = json.loads((ROOT / "examples" / "image_list.json").read_text("utf-8"))["res"]
    return list(map(target_of, records.values()))


def render_all(given: Options) -> Rendered:
    """Render the sample registry."""
    return render(sample(), given)


def reasons(*targets: Target, **given: Any) -> list[tuple[str, str, str]]:
    """Return field, code and message of every reason why the images are refused."""
    try:
        render(targets, options(**given))
    except Refused as error:
        return [(fault.field, str(fault.code), fault.message) for fault in error.faults]
    return []


def only(found: Rendered, kind: str) -> Any:
    """Return the only object of a kind."""
    [item] = [item for item in found.objects if item["kind"] == kind]
    return item


def pod_of(found: Rendered) -> Any:
    """Return the pod spec of the only workload."""
    [item] = [item for item in found.objects if item["kind"] in ("Deployment", "StatefulSet")]
    return item["spec"]["template"]["spec"]


def main_of(found: Rendered) -> Any:
    """Return the only container."""
    [container] = pod_of(found)["containers"]
    return container
