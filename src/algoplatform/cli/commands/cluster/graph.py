"""`graph`: the dependencies of an image, as a table or a drawing."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, Literal

import typer
from rich.cells import cell_len

from algoplatform.catalogue.cluster.graph import drawing
from algoplatform.cli.commands.common import AsJson, Url, use_registry
from algoplatform.cli.commands.options import Offered, chosen, offering, usage
from algoplatform.cli.output import print_json, print_line, reported, say
from algoplatform.domain.graph_options import MAX_IMAGES, check_graph_options
from algoplatform.planning.graph.model import Graph
from algoplatform.planning.graph.text import dot, mermaid

_OPTIONS: Final = (
    Offered("direction", "down|up|both", "方向：它依赖的（down），依赖它的（up），或两者"),
    Offered("depth", "整数", "最多经过几层依赖；不填则不限"),
    Offered("limit", "整数", f"最多几个镜像，1至{MAX_IMAGES}"),
)


@offering(*_OPTIONS)
def graph(
    image: Annotated[str, typer.Argument(metavar="REF", help="镜像名:标签名或imageId")],
    *,
    form: Annotated[
        Literal["json", "svg", "mermaid", "dot"] | None, typer.Option("--format", help="输出的格式；不填则为表格")
    ] = None,
    url: Url = None,
    as_json: AsJson = False,
    given: Mapping[str, str],
) -> None:
    """列出镜像的依赖，按层：每一层只依赖前面各层。"""
    form = chosen(form, as_json=as_json)  # type: ignore[assignment]  # returns `form` or "json"
    with usage():
        check_graph_options(given)
    with reported():
        document = use_registry(url, lambda registry: registry.graph(image, given))
        drawn = _graph(document, image)
        text = _drawn(drawn, form)
    if form == "json":
        print_json(document)
    elif text is not None:
        # In UTF-8, whatever the encoding of stdout.
        typer.echo(text, nl=False)
    else:
        for line, style in _lines(drawn):
            print_line(line, style)
        say(drawn.caption())


def _graph(document: Mapping[str, Any], image: str) -> Graph:
    """Return the graph that the answer describes, around the image asked about."""
    nodes = document["nodes"]
    at = {node["imageId"]: position for position, node in enumerate(nodes)}
    root = next(position for position, node in enumerate(nodes) if image in (node["imageId"], node["reference"]))
    edges = [(at[source], at[target]) for source, target in document["edges"]]
    references = [node["reference"] for node in nodes]
    return Graph(root, list(at), references, edges, document["truncated"], document["total"])


def _drawn(drawn: Graph, form: str | None) -> bytes | None:
    if form == "svg":
        return drawing(drawn) + b"\n"
    return {"mermaid": mermaid, "dot": dot}[form](drawn).encode() if form in ("mermaid", "dot") else None


def _lines(drawn: Graph) -> Iterator[tuple[str, str | None]]:
    """Yield a line for each image, below it a line for each image that it needs, and at the end the cycles."""
    name = drawn.references
    needs: dict[int, list[str]] = {at: [] for at in drawn.order}
    for source, target in drawn.sorted_edges:
        needs[source].append(name[target])
    width = max(cell_len("层"), len(str(max(drawn.levels))))
    yield f"{'层':<{width - 1}}  镜像", "bold"
    for at in drawn.order:
        yield f"{drawn.levels[at]:<{width}}  {name[at]}", "bold cyan" if at == drawn.root else None
        for needed in needs[at]:
            yield f"{'':{width}}    → {needed}", None
    for ring in drawn.cycles:
        yield f"循环依赖：{' → '.join(name[at] for at in [*ring, ring[0]])}", "yellow"
