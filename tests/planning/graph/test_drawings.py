"""SVG, Mermaid and DOT show every image and edge of the JSON, whatever the names contain."""

import re
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable
from itertools import combinations, pairwise
from typing import Any

import pytest

from algoplatform.planning.graph.layers import Layers, crossings
from algoplatform.planning.graph.model import Graph
from algoplatform.planning.graph.svg import MOST_NODES, STYLE, TooManyNodes, svg
from algoplatform.planning.graph.text import dot, mermaid
from tests.support.graphs import graph_of, ladder, random_graph

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = (
    '<script>alert(1)</script>"]:1',
    'a"--> b;\\"\\N]|#quot;&lt;\'%%{init}%%\n  x --> y:2',
    "</title><image href='x' onerror='alert(1)'/>:3",
    "back\\:4",
    "name\x00\ud800\x1b:5",
    "算法/<b>&amp;:6",
)

Shown = tuple[set[str], set[tuple[str, str]]]


def link(image_id: str) -> str:
    """Return the address of a record."""
    return f"../{image_id}"


def of_json(graph: Graph) -> Shown:
    """Return images and edges of the JSON."""
    document = graph.document()
    name = {node["imageId"]: node["reference"] for node in document["nodes"]}
    return set(name.values()), {(name[source], name[target]) for source, target in document["edges"]}


def of_svg(graph: Graph) -> Shown:
    """Return what the drawing shows: boxes by their titles, and lines by their ends."""
    root = ET.fromstring(svg(graph, link))
    boxes = root.findall(f"{SVG}a")
    assert {box.get("href") for box in boxes} == {link(image_id) for image_id in graph.image_ids}
    lines = [line for line in root.iter(f"{SVG}path") if line.get("data-from")]
    names = {str(box.findtext(f"{SVG}title")) for box in boxes}
    return names, {(str(line.get("data-from")), str(line.get("data-to"))) for line in lines}


def of_mermaid(graph: Graph) -> Shown:
    """Return the nodes and edges of a flowchart as Mermaid parses it."""
    lines = mermaid(graph).split("\n")
    found = [re.fullmatch(r'  (n\d+)\["([^"\]<>]*)"\]', line) for line in lines]
    nodes = {each[1]: each[2] for each in found if each}
    name = {node: re.sub(r"#(\d+);", lambda entity: chr(int(entity[1])), text) for node, text in nodes.items()}
    edges = [(each[1], each[2]) for line in lines if (each := re.fullmatch(r"  (n\d+) --> (n\d+)", line))]
    assert len(lines) == len(nodes) + len(edges) + 7 + 2 * bool(graph.cycles)
    return set(name.values()), {(name[source], name[target]) for source, target in edges}


def of_dot(graph: Graph) -> Shown:
    """Return the nodes and edges of a digraph as Graphviz parses its quoted strings."""
    string = r'"((?:[^"\\\n]|\\.)*)"'
    attributes = r"(?: \[[^\n]*\])?;"
    lines = dot(graph, link).split("\n")[4:-2]
    nodes, edges = set(), set()
    for line in lines:
        edge = re.fullmatch(f"  {string} -> {string}{attributes}", line)
        node = re.fullmatch(f"  {string}{attributes}", line)
        assert edge or node, line
        if edge:
            edges.add((unquoted(edge[1]), unquoted(edge[2])))
        elif node:
            nodes.add(unquoted(node[1]))
    return nodes, edges


def unquoted(text: str) -> str:
    """Undo the escapes of a label."""
    text = re.sub(r"\\(.)", lambda found: {"n": "\n"}.get(found[1], found[1]), text)
    return text.replace("&amp;", "&")


@pytest.mark.parametrize("shown", [of_svg, of_mermaid, of_dot])
def test_every_image_and_edge_of_a_hundred(shown: Callable[[Graph], Shown]) -> None:
    """No image or edge is missing, even with cycles, self-dependencies and long edges."""
    for seed in range(3):
        graph = random_graph(100, seed)
        assert shown(graph) == of_json(graph)


@pytest.mark.parametrize("shown", [of_svg, of_mermaid, of_dot])
def test_names_are_data(shown: Callable[[Graph], Shown]) -> None:
    """No character of a name ends a string, opens an element or starts a line."""
    graph = graph_of([*pairwise(HOSTILE), (HOSTILE[-1], HOSTILE[-3]), (HOSTILE[0], HOSTILE[0])])
    nodes, edges = of_json(graph)
    if shown is of_svg:
        xml = str.maketrans("\x00\ud800\x1b", "\ufffd" * 3)
        nodes = {name.translate(xml) for name in nodes}
        # XML replaces line breaks in attributes by spaces.
        flat = xml | str.maketrans("\n", " ")
        edges = {(source.translate(flat), target.translate(flat)) for source, target in edges}
    assert shown(graph) == (nodes, edges)


def test_the_drawing_has_no_script_and_loads_nothing() -> None:
    """No element or attribute of the drawing runs or loads anything."""
    drawn = svg(graph_of([(HOSTILE[0], HOSTILE[2])]), link)
    elements = list(ET.fromstring(drawn).iter())
    assert {each.tag.removeprefix(SVG) for each in elements} <= {
        *("svg", "title", "style", "defs", "marker", "path", "rect", "text", "tspan", "g", "a")
    }
    assert not [name for each in elements for name in each.attrib if name.startswith("on") or name == "style"]
    assert "url(" not in STYLE and "@import" not in STYLE


def test_cycles_and_limits_are_marked() -> None:
    """Cycles are highlighted in every format, and a truncated graph is labelled as such."""
    ring = [("a:1", "b:1"), ("b:1", "a:1"), ("b:1", "c:1")]
    whole = graph_of(ring)
    part = Graph(0, whole.image_ids, whole.references, whole.edges, truncated=True, total=None)
    for text in (svg(whole, link).decode(), mermaid(whole), dot(whole)):
        assert "1个循环依赖" in text
        assert "未显示" not in text
    assert svg(whole, link).decode().count('class="edge ring"') == 2
    assert "class n1,n2 cycle" in mermaid(whole)
    assert dot(whole).count('color="#c2410c"') == 4
    for text in (svg(part, link).decode(), mermaid(part), dot(part)):
        assert "未显示全部" in text


def test_at_most_so_many() -> None:
    """150 images are drawn; 151 are refused."""
    names = [f"algo/{at}:1.0" for at in range(MOST_NODES)]
    graph = graph_of(pairwise(names))
    assert of_svg(graph) == of_json(graph)
    with pytest.raises(TooManyNodes):
        svg(graph_of([*pairwise(names), (names[0], "one/more:1")]), link)


@pytest.mark.parametrize(
    "edges",
    [
        list(combinations([f"a/{at}:1" for at in range(MOST_NODES)], 2)),
        [(f"a/{at}:1", f"a/{other}:1") for at in range(MOST_NODES) for other in range(MOST_NODES)],
        ladder(74),
    ],
    ids=["each needs all behind it", "each needs all", "ladder"],
)
def test_the_worst_is_drawn_in_bounded_time(edges: list[tuple[str, str]]) -> None:
    """Even 150 images with all possible dependencies are drawn, in bounded time and less than 16 MB."""
    graph = graph_of(edges)
    began = time.process_time()
    drawn = svg(graph, link)
    assert time.process_time() - began < 60
    assert len(drawn) < 16_000_000
    assert len(set(re.findall(rb'data-from="(\S+)" data-to="(\S+)"', drawn))) == len(set(edges))


def test_boxes_do_not_overlap() -> None:
    """Boxes overlap neither each other within a layer nor the border of the picture."""
    for seed in range(5):
        root = ET.fromstring(svg(random_graph(50, seed), link))
        boxes: dict[float, list[float]] = {}
        for box in root.iterfind(f"{SVG}a/{SVG}rect"):
            boxes.setdefault(float(box.attrib["x"]), []).append(float(box.attrib["y"]))
            assert float(box.attrib["x"]) + float(box.attrib["width"]) < float(root.attrib["width"])
            assert 0 < float(box.attrib["y"]) < float(root.attrib["height"]) - float(box.attrib["height"])
        for tops in boxes.values():
            tops.sort()
            assert all(after - before >= 28 for before, after in pairwise(tops))


def test_a_tree_has_no_crossings() -> None:
    """A tree is drawn without crossings, in whatever order its edges are listed."""
    edges = [(f"t/{at}:1", f"t/{2 * at + side}:1") for at in range(1, 16) for side in (1, 0)]
    assert crossings(Layers.of(graph_of(edges[::-1], "t/1:1"))) == 0


def test_equal_graphs_are_drawn_alike() -> None:
    """The drawing does not depend on the order of images and edges."""
    graph = random_graph(40, 1)
    turned: list[Any] = list(range(39, -1, -1))
    other = Graph(
        39 - graph.root,
        [graph.image_ids[at] for at in turned],
        [graph.references[at] for at in turned],
        [(39 - source, 39 - target) for source, target in reversed(graph.edges)],
        total=graph.total,
    )
    assert svg(other, link) == svg(graph, link)
    assert (mermaid(other), dot(other), other.document()) == (mermaid(graph), dot(graph), graph.document())
