"""The images behind the OpenAPI examples of rendering, graph and lint."""

from typing import Any

from algoplatform.api.docs.examples import LOADED
from tests.support.images import minimal

HELMET_ID = "2f0d1c9be1b211ea9f600242ac110002"


def known() -> list[dict[str, Any]]:
    """Return the image of the `_load` example with ports and channels, and one that depends on it."""
    base = LOADED | {"imagePorts": "http:8080:30080", "tvChannel": 16}
    needs = minimal("algo/helmet", "2.1.0", imageId=HELMET_ID, dependencyServiceId="algo/posterize:1.0")
    return [base, needs]
