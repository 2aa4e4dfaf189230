"""Pages of the cluster: the graph of an image, its manifests, and what lint finds in the registry."""

import re
from typing import Final

import orjson
from markupsafe import Markup
from starlette.responses import Response

from algoplatform.api.http.representation import YAML, attachment, content_type
from algoplatform.api.routes.dependencies import drawn
from algoplatform.api.routes.manifests import slot_for
from algoplatform.catalogue.cluster.manifests import yaml_of
from algoplatform.catalogue.parsing import off_loop
from algoplatform.console.pages.images import CONDITIONS
from algoplatform.console.pages.record import IMAGE, shown
from algoplatform.console.visit import Visit, page
from algoplatform.domain.errors import Refused
from algoplatform.domain.graph_options import check_graph_options
from algoplatform.manifests.options import OPTIONS
from algoplatform.planning.graph.components import adjacency, distances
from algoplatform.planning.graph.model import Graph
from algoplatform.planning.graph.svg import MOST_NODES
from algoplatform.planning.lint.asked import check_asked
from algoplatform.planning.lint.rules import RULES, SEVERITIES

_MOST: Final = 200
_DEPTH: Final = "2"
# The CSP allows no style inside of a page; graph.css has the drawing's colours. An image would hide its links.
_STYLE: Final = re.compile(rb"<style>.*?</style>", re.DOTALL)
_PAGE: Final = 50
_OPTIONS: Final = tuple(option.name for option in OPTIONS)


@page(f"{IMAGE}/graph")
async def graph(visit: Visit) -> Response:
    """Show what an image needs and what needs it, drawn and as lists."""
    image = await shown(visit)
    depth = visit.asked("depth").get("depth", _DEPTH)
    try:
        options = check_graph_options({"direction": "both", "depth": depth, "limit": str(_MOST)})
    except Refused as error:
        return visit.render("image/graph.html", 422, image=image, depth=depth, graph=None, faults=error.faults)
    found = await visit.runtime.graphs.dependencies(image.id, options)
    is_drawn = len(found.references) <= MOST_NODES
    svg = await drawn(visit, found, lambda other: visit.to(f"/images/{other}")) if is_drawn else b""
    return visit.render(
        "image/graph.html",
        image=image,
        depth=depth,
        graph=found,
        drawing=Markup(_STYLE.sub(b"", svg).replace(b'role="img"', b'role="group"', 1).decode()),  # noqa: S704 - made and escaped by our own drawing
        needs=_steps(found, found.needs),
        users=_steps(found, adjacency(len(found.references), [(target, source) for source, target in found.edges])),
    )


def _steps(graph: Graph, ways: list[list[int]]) -> list[tuple[int, str, str]]:
    """Return the images that are reached, each with its shortest number of steps, id and reference."""
    return sorted((step, graph.references[at], graph.image_ids[at]) for at, step in distances(ways, graph.root).items())


@page(f"{IMAGE}/manifests")
async def manifests(visit: Visit) -> Response:
    """Show the manifests of an image by the options of a form."""
    image = await shown(visit)
    given = visit.asked(*_OPTIONS)
    context = {"image": image, "given": given, "options": OPTIONS, "profiles": visit.runtime.site.profiles}
    try:
        options = visit.runtime.site.options(given)
        with slot_for(visit, options):
            rendered = await visit.runtime.manifests.render([image.id], options)
            text = (await yaml_of(rendered)).decode()
    except Refused as error:
        return visit.render("image/manifests.html", 422, **context, faults=error.faults, rendered=None, text="")
    return visit.render("image/manifests.html", **context, rendered=rendered, text=text)


@page(f"{IMAGE}/manifests.yaml")
async def download(visit: Visit) -> Response:
    """Send the manifests as a file, with the bytes of the API."""
    options = visit.runtime.site.options(visit.asked(*_OPTIONS))
    with slot_for(visit, options):
        prepared = await visit.runtime.manifests.prepare([visit.image_id], options)
        body = await yaml_of(await prepared.rendered())
    headers = {"content-disposition": attachment(f"{prepared.name}.yaml"), "x-content-type-options": "nosniff"}
    return Response(body, media_type=content_type(YAML), headers=headers)


@page("/lint")
async def lint(visit: Visit) -> Response:
    """Show what the rules find in the images that meet the conditions, with links to the fields."""
    asked = visit.asked(*CONDITIONS, "rule", "severity", "page", "pageSize")
    context = {"asked": asked, "rules": RULES, "severities": SEVERITIES}
    try:
        wanted = check_asked({"pageSize": str(_PAGE)} | asked)
    except Refused as error:
        return visit.render("lint.html", 422, **context, faults=error.faults, found=None)
    body = bytearray()

    async def write(data: bytes) -> None:
        body.extend(data)

    with visit.app.state.lints.taken():
        await visit.runtime.lint.registry(wanted, write)
    found = await off_loop(lambda: orjson.loads(body))
    ids = await visit.runtime.images.identify([finding["image"] for finding in found["findings"]])
    size, number = int(asked.get("pageSize", _PAGE)), int(asked.get("page", 1))
    return visit.render("lint.html", **context, found=found, ids=ids, size=size, page=number)
