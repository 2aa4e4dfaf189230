"""The drawing in a real browser: names execute nothing, boxes link to their records, both themes are readable."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page

from algoplatform.planning.graph.model import Graph
from algoplatform.planning.graph.svg import svg
from tests.support.browsing import PICTURES, chromium, needs_chromium
from tests.support.graphs import graph_of, random_graph

HOSTILE = (
    "<script>window.ran = 1</script>:1",
    '"><image href="x:" onerror="window.ran = 1"/>:2',
    "</text></svg><script>window.ran = 1</script>]]>:3",
    "</style><style>*{display:none}</style>:4",
    "&lt;script&gt;:5",
)
POLICY = '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'">'

Opened = Callable[..., Page]

pytestmark = [pytest.mark.slow, needs_chromium]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium that resolves no host."""
    with chromium() as launched:
        yield launched


@pytest.fixture
def opened(browser: Browser, tmp_path: Path) -> Iterator[Opened]:
    """Open a drawing as a document of its own, or inside a page with `head`."""
    pages: list[Page] = []

    def open_drawing(graph: Graph, scheme: Literal["light", "dark"] = "light", head: str | None = None) -> Page:
        drawn = svg(graph, lambda image_id: f"../{image_id}")
        file = tmp_path / f"{len(pages)}.{'svg' if head is None else 'html'}"
        within = b"" if head is None else f"<!doctype html><html><head>{head}</head><body>".encode()
        file.write_bytes(within + drawn)
        page = browser.new_page(color_scheme=scheme, viewport={"width": 1600, "height": 900})
        page.set_default_timeout(120_000)
        page.goto(file.as_uri())
        pages.append(page)
        return page

    yield open_drawing
    for page in pages:
        page.close()


@pytest.mark.parametrize("head", [None, "<title>page</title>"], ids=["as a document", "within a page"])
def test_hostile_names_are_inert(opened: Opened, head: str | None) -> None:
    """Markup in a name is shown as text: no script runs, no element is created, nothing is loaded."""
    page = opened(graph_of([(HOSTILE[0], name) for name in HOSTILE]), head=head)
    assert page.evaluate("window.ran") is None
    assert page.locator("svg script, svg image, svg foreignObject").count() == 0
    assert page.locator("svg style").count() == 1
    titles = page.evaluate("Array.from(document.querySelectorAll('svg a > title'), each => each.textContent)")
    assert sorted(titles) == sorted(HOSTILE)
    shown = page.evaluate("Array.from(document.querySelectorAll('svg a > text'), each => each.textContent)")
    assert any("</script>" in text for text in shown)


def test_boxes_lead_to_records(opened: Opened) -> None:
    """Each box links to the record of its image, relative to the image that the graph is about."""
    graph = random_graph(20, 1)
    page = opened(graph)
    found = page.evaluate("Array.from(document.querySelectorAll('a'), each => each.href.baseVal)")
    assert sorted(found) == sorted(f"../{image_id}" for image_id in graph.image_ids)


def test_text_fits_its_box(opened: Opened) -> None:
    """No text is wider than its box in the browser's font."""
    page = opened(random_graph(50, 1))
    room = page.evaluate(
        "Array.from(document.querySelectorAll('a'), each =>"
        " each.querySelector('rect').getBBox().width - each.querySelector('text').getBBox().width)"
    )
    assert len(room) == 50
    assert min(room) > 8


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [5, 20, 50])
def test_both_themes_have_contrast(opened: Opened, scheme: Literal["light", "dark"], size: int) -> None:
    """Names have enough contrast to their boxes, and the background follows the system's colour scheme."""
    page = opened(random_graph(size, 1), scheme)
    boxes = page.evaluate(
        "Array.from(document.querySelectorAll('a'), each => ['rect', 'text', '.tag'].map(part =>"
        " getComputedStyle(each.querySelector(part)).fill.match(/[0-9]+/g).map(Number)))"
    )
    for box, *inks in boxes:
        assert all(contrast(box, ink) >= 4.5 for ink in inks), (box, inks)
    [ground] = page.evaluate("[getComputedStyle(document.querySelector('.ground')).fill.match(/[0-9]+/g).map(Number)]")
    assert (luminance(ground) > 0.5) == (scheme == "light")
    if PICTURES:
        page.locator("svg").screenshot(path=Path(PICTURES) / f"graph-{size}-{scheme}.png")


def test_without_its_style_sheet(opened: Opened) -> None:
    """Under a policy that blocks style sheets, the drawing has its light colours."""
    page = opened(random_graph(20, 1), "dark", POLICY)
    for part, expected in ((".ground", 255), (".image:not(.root) rect", 248)):
        fill = page.evaluate(f"getComputedStyle(document.querySelector('{part}')).fill.match(/[0-9]+/g).map(Number)")
        assert fill[0] == expected
    assert page.evaluate("getComputedStyle(document.querySelector('path.edge')).stroke") != "none"


def luminance(color: list[int]) -> float:
    """Return the relative luminance of WCAG 2."""
    parts = [part / 255 for part in color[:3]]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: list[int], other: list[int]) -> float:
    """Return the contrast ratio of WCAG 2."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)
