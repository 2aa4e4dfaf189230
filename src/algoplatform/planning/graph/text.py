"""The graph as Mermaid and DOT. Names are escaped, so that none of their characters ends a string or starts markup."""

import re
from collections.abc import Callable, Sequence
from typing import Final

from algoplatform.planning.graph.model import Graph

_CYCLE: Final = "#c2410c"
_PLAIN: Final = re.compile(r"[^\w./:-]")


def mermaid(graph: Graph) -> str:
    """Return a Mermaid flowchart: dependents left, dependencies right."""
    node = {at: f"n{number}" for number, at in enumerate(graph.order)}
    lines = ["---", f'title: "{graph.caption()}"', "---", "flowchart LR"]
    lines += [f'  {node[at]}["{_entities(graph.references[at])}"]' for at in graph.order]
    lines += [f"  {node[source]} --> {node[target]}" for source, target in graph.sorted_edges]
    lines.append("  classDef root stroke-width:3px")
    lines.append(f"  class {node[graph.root]} root")
    if graph.cycles:
        lines.append(f"  classDef cycle stroke:{_CYCLE},stroke-dasharray:4 2")
        lines.append(f"  class {','.join(node[at] for ring in graph.cycles for at in ring)} cycle")
    return "\n".join(lines) + "\n"


def _entities(text: str) -> str:
    """Escape all but letters, digits and the punctuation of references as Mermaid's decimal entities."""
    return _PLAIN.sub(lambda found: f"#{ord(found[0])};", text)


def dot(graph: Graph, link: Callable[[str], str] | None = None) -> str:
    """Return a Graphviz digraph whose nodes are named by reference; `link` returns the URL of an image id."""
    cyclic = {at for ring in graph.cycles for at in ring}
    lines = [
        "digraph dependencies {",
        "  rankdir=LR;",
        f"  label={_quoted(graph.caption())};",
        '  node [shape=box, style=rounded, fontname="monospace"];',
    ]
    lines += [f"  {_quoted(graph.references[at])}{_attributes(graph, at, cyclic, link)};" for at in graph.order]
    lines += [
        f"  {_quoted(graph.references[source])} -> {_quoted(graph.references[target])}{_in_cycle(graph, source, target)};"
        for source, target in graph.sorted_edges
    ]
    return "\n".join(lines) + "\n}\n"


def _attributes(graph: Graph, at: int, cyclic: set[int], link: Callable[[str], str] | None) -> str:
    given = [f"URL={_quoted(link(graph.image_ids[at]))}"] if link else []
    given += ["penwidth=3"] * (at == graph.root) + [f'color="{_CYCLE}"'] * (at in cyclic)
    return _listed(given)


def _in_cycle(graph: Graph, source: int, target: int) -> str:
    return _listed([f'color="{_CYCLE}"'] * (source != target and graph.ring_of[source] == graph.ring_of[target]))


def _listed(attributes: Sequence[str]) -> str:
    return f" [{', '.join(attributes)}]" if attributes else ""


def _quoted(text: str) -> str:
    """Quote a string, so that Graphviz finds neither escape sequences nor HTML entities in a label."""
    escaped = text.replace("&", "&amp;").replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
