"""The reasons for a demand are bounded in number, whatever the request."""

import time

from algoplatform.catalogue.cluster.capacity.demand import needs
from algoplatform.catalogue.cluster.graph import Closure, Member
from algoplatform.domain.plan.model import Cameras, PlanRequest
from algoplatform.domain.record.check import Rules, check
from algoplatform.domain.record.model import Image
from tests.support.images import minimal


def made(name: str, needed: str | None = None) -> Image:
    """Return an image with one channel that depends on at most one other."""
    image = check(minimal(name, tvChannel=1) | ({"dependencyServiceId": needed} if needed else {}), Rules()).image
    assert image is not None
    return image


def test_many_groups_of_many_images() -> None:
    """A dependency of 1,000 images in 1,000 groups lists the first 20 of each and says so, in less than 30 s."""
    images = [made(f"algo/a{n:03}", "algo/base:1.0") for n in range(1000)]
    names = [str(image.reference) for image in images]
    closure = Closure(
        [Member(made("algo/base"), 1, 0), *(Member(image, 1, 1) for image in images)], frozenset(names), []
    )
    groups = tuple(Cameras(f"g{n}", tuple(names[n % 10 : n % 10 + 30]), 1) for n in range(1000))
    began = time.monotonic()
    found = needs(closure, PlanRequest(groups))
    assert time.monotonic() - began < 30
    base = found.listed[0]
    assert (base.channels, base.replicas, len(base.because)) == (1000, 1000, 20)
    assert base.because[0] == {"cameras": "g0", "images": names[:20]}
    assert found.assumptions == ["because只列出前20组摄像头，每组前20个镜像"]
