"""Draws the graph as SVG without scripts or fonts, in light and dark colours; images link to their records.

If a Content-Security-Policy blocks the style sheet, the drawing keeps its light colours, which are attributes as
well. `STYLE` is the whole content of the style element, so that a policy can allow it by hash.
"""

import re
from collections.abc import Callable, Iterator
from html import escape
from typing import Final

from algoplatform.planning.graph.layers import Layers, Link
from algoplatform.planning.graph.model import Graph
from algoplatform.planning.graph.placement import BOX, HEAD, MARGIN, ROW, place

MOST_NODES: Final = 150
_NAME, _TAG = 30, 14
_CHARACTER: Final = 7.25  # width in px, in a monospaced font of 12 px
_PADDING: Final = 12

STYLE: Final = """
.ground{fill:#fff}.caption{fill:#334155}.layer{fill:#7b8aa0}
.edge{stroke:#a3b1c6}.tip{fill:#8796ad}.edge.near{stroke:#3b82f6}.tip.near{fill:#3b82f6}
.edge.ring{stroke:#ea580c}.tip.ring{fill:#ea580c}.knot{fill:#fff7ed;stroke:#fdba74}
.image rect{fill:#f8fafc;stroke:#94a3b8}.image text{fill:#0f172a}.image .tag{fill:#64748b}
.image.ring rect{stroke:#ea580c}.image.root rect{fill:#1d4ed8;stroke:#1d4ed8}
.image.root text,.image.root .tag{fill:#fff}
.image:hover rect,.image:focus rect{stroke:#2563eb;stroke-width:2.5}.edge:hover{stroke:#2563eb;stroke-width:3}
@media(prefers-color-scheme:dark){
.ground{fill:#0b1220}.caption{fill:#cbd5e1}.layer{fill:#7b8aa0}
.edge{stroke:#566b8c}.tip{fill:#7087ab}.edge.near{stroke:#60a5fa}.tip.near{fill:#60a5fa}
.edge.ring{stroke:#fb923c}.tip.ring{fill:#fb923c}.knot{fill:#2a1a0e;stroke:#9a3412}
.image rect{fill:#162033;stroke:#52658a}.image text{fill:#e2e8f0}.image .tag{fill:#94a3b8}
.image.ring rect{stroke:#fb923c}.image.root rect{fill:#2563eb;stroke:#60a5fa}
.image:hover rect,.image:focus rect{stroke:#93c5fd}.edge:hover{stroke:#93c5fd}
}
"""
_KINDS: Final = {"": ("#a3b1c6", "#8796ad"), "near": ("#3b82f6", "#3b82f6"), "ring": ("#ea580c", "#ea580c")}


_NOT_XML: Final = re.compile("[^\\t\\n\\r\\u0020-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")


class TooManyNodes(ValueError):
    """The graph has more images than a readable drawing holds."""


def svg(graph: Graph, link: Callable[[str], str] | None = None) -> bytes:
    """Return the drawing in UTF-8; `link`, if given, returns the URL of the record of an image id.

    Raises TooManyNodes.
    """
    if len(graph.references) > MOST_NODES:
        raise TooManyNodes
    return "\n".join(_Drawing(graph, link).lines()).encode("utf-8", "replace")


class _Drawing:
    def __init__(self, graph: Graph, link: Callable[[str], str] | None) -> None:
        self._graph = graph
        self._link = link
        self._layers = Layers.of(graph)
        self._label = {at: _label(reference) for at, reference in enumerate(graph.references)}
        widths, arcs = [0.0] * len(self._layers.rows), [0.0] * len(self._layers.rows)
        for at, level in enumerate(graph.levels):
            widths[level] = max(widths[level], sum(map(len, self._label[at])) * _CHARACTER + 2 * _PADDING)
        self._slot = {at: slot for block in self._layers.blocks for slot, at in enumerate(block.members)}
        for source, target in graph.edges:
            if graph.ring_of[source] == graph.ring_of[target]:
                level = graph.levels[source]
                arcs[level] = max(arcs[level], self._bulge(source, target))
        self._placed = place(self._layers, widths, arcs)

    def lines(self) -> Iterator[str]:
        """Yield the elements from back to front."""
        placed = self._placed
        caption = self._graph.caption()
        width, height = max(placed.width, 2 * MARGIN + 13 * len(caption)), placed.height
        yield (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
            f'height="{height:.0f}" role="img" font-family="ui-monospace,Menlo,Consolas,DejaVu Sans Mono,monospace" '
            'font-size="12">'
        )
        yield f"<title>{_text(self._graph.references[self._graph.root])}的依赖图</title><style>{STYLE}</style>"
        yield from self._markers()
        yield f'<rect class="ground" width="{width:.0f}" height="{height:.0f}" fill="#fff"/>'
        yield f'<text class="caption" x="{MARGIN}" y="26" font-family="sans-serif" font-size="13" fill="#334155">'
        yield f"{caption}</text>"
        for layer, left in enumerate(placed.x):
            middle = left + placed.widths[layer] / 2
            yield f'<text class="layer" x="{middle:.1f}" y="{HEAD - 14}" text-anchor="middle" fill="#94a3b8">第{layer}层</text>'
        yield from self._knots()
        yield '<g fill="none" stroke-width="1.4">'
        yield from self._edges()
        yield "</g>"
        for at in self._graph.order:
            yield self._image(at)
        yield "</svg>"

    def _markers(self) -> Iterator[str]:
        yield "<defs>"
        for kind, (_, fill) in _KINDS.items():
            yield (
                f'<marker id="tip{kind}" viewBox="0 0 8 8" refX="7.5" refY="4" markerWidth="8" markerHeight="8" '
                f'markerUnits="userSpaceOnUse" orient="auto"><path class="{f"tip {kind}".strip()}" d="M0 .5 8 4 0 7.5z" '
                f'fill="{fill}"/></marker>'
            )
        yield "</defs>"

    def _knots(self) -> Iterator[str]:
        for at, block in enumerate(self._layers.blocks):
            if len(block.members) > 1:
                left, top = self._placed.x[block.layer] - 8, self._placed.y[at] - BOX / 2 - 8
                width, height = self._placed.widths[block.layer] + 16, (len(block.members) - 1) * ROW + BOX + 16
                yield (
                    f'<rect class="knot" x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}" rx="12" '
                    'fill="#fff7ed" stroke="#fdba74" stroke-dasharray="5 4"/>'
                )

    def _edges(self) -> Iterator[str]:
        """Yield the lines that long edges share, then each edge, up to its first joint if it has any."""
        graph, names = self._graph, self._graph.references
        for link in self._layers.links:
            target = self._layers.blocks[link.source].target
            if target is not None:
                yield self._path(
                    self._curve(link), self._kind_of_joint(link, target), f"→ {names[target]}", self._ends(link)
                )
        for source, target in graph.sorted_edges:
            begun = self._layers.first.get((source, target))
            line = self._curve(begun) if begun else self._arc(source, target)
            ends = f' data-from="{_text(names[source])}" data-to="{_text(names[target])}"'
            title = f"{names[source]} → {names[target]}"
            yield self._path(line, self._kind(source, target), title, begun is None or self._ends(begun), ends)

    def _kind(self, source: int, target: int) -> str:
        if source != target and self._graph.ring_of[source] == self._graph.ring_of[target]:
            return "ring"
        return "near" if self._graph.root in (source, target) else ""

    def _kind_of_joint(self, link: Link, target: int) -> str:
        root = self._graph.root
        passes = self._layers.blocks[link.source].layer < self._graph.levels[root]
        return "near" if target == root or (passes and target in self._graph.needs[root]) else ""

    def _ends(self, link: Link) -> bool:
        return self._layers.blocks[link.target].target is None

    def _path(self, line: str, kind: str, title: str, ends: bool, named: str = "") -> str:
        tip = f' marker-end="url(#tip{kind})"' if ends else ""
        shown = f'class="{f"edge {kind}".strip()}" stroke="{_KINDS[kind][0]}"'
        return f'<path {shown} d="{line}"{tip}{named}><title>{_text(title)}</title></path>'

    def _curve(self, link: Link) -> str:
        """Return the line from one layer to the next; if it ends at a joint, it goes on across the joint's layer."""
        placed, blocks = self._placed, self._layers.blocks
        source, target = blocks[link.source].layer, blocks[link.target].layer
        x1, y1 = placed.x[source] + placed.widths[source], placed.y[link.source] + ROW * link.source_slot
        x2, y2 = placed.x[target], placed.y[link.target] + ROW * link.target_slot
        x1 = self._right(link) if blocks[link.source].target is None else x1
        bend = (x2 - x1) / 2
        line = f"M{x1:.1f} {y1:.1f}C{x1 + bend:.1f} {y1:.1f} {x2 - bend:.1f} {y2:.1f} {x2:.1f} {y2:.1f}"
        return line if self._ends(link) else f"{line}H{x2 + placed.widths[target]:.1f}"

    def _right(self, link: Link) -> float:
        block = self._layers.blocks[link.source]
        return self._placed.x[block.layer] + self._width(block.members[link.source_slot])

    def _arc(self, source: int, target: int) -> str:
        """Return the line of an edge within a cycle, or from an image to itself, as an arc right of the boxes."""
        at, layer = self._graph.ring_of[source], self._graph.levels[source]
        x1, x2 = (self._placed.x[layer] + self._width(end) for end in (source, target))
        y1, y2 = (self._placed.y[at] + ROW * self._slot[end] for end in (source, target))
        # Upward edges pass outside of downward ones, so that two images that depend on each other show two lines.
        apart = -7 if source == target else 7
        y1, y2 = y1 + apart, y2 - apart
        out = max(x1, x2) + self._bulge(source, target)
        return f"M{x1:.1f} {y1:.1f}C{out:.1f} {y1:.1f} {out:.1f} {y2:.1f} {x2:.1f} {y2:.1f}"

    def _bulge(self, source: int, target: int) -> float:
        distance = self._slot[target] - self._slot[source]
        return 34 + 10 * min(abs(distance), 12) + (14 if distance < 0 else 0)

    def _width(self, at: int) -> float:
        return sum(map(len, self._label[at])) * _CHARACTER + 2 * _PADDING

    def _image(self, at: int) -> str:
        graph, placed = self._graph, self._placed
        block, layer = graph.ring_of[at], graph.levels[at]
        x, y, width = placed.x[layer], placed.y[block] + ROW * self._slot[at], self._width(at)
        in_ring = len(graph.components[block]) > 1
        kind = "image" + " ring" * in_ring + " root" * (at == graph.root)
        fill, ink = ("#1d4ed8", "#fff") if at == graph.root else ("#f8fafc", "#0f172a")
        name, tag = map(_text, self._label[at])
        href = f' href="{_text(self._link(graph.image_ids[at]))}"' if self._link else ""
        return (
            f'<a class="{kind}"{href}><title>{_text(graph.references[at])}</title>'
            f'<rect x="{x:.1f}" y="{y - BOX / 2:.1f}" width="{width:.1f}" height="{BOX}" rx="6" fill="{fill}" '
            f'stroke="{"#ea580c" if in_ring else "#94a3b8"}"/>'
            f'<text x="{x + _PADDING:.1f}" y="{y + 4:.1f}" fill="{ink}">{name}<tspan class="tag">{tag}</tspan></text></a>'
        )


def _label(reference: str) -> tuple[str, str]:
    """Return name and tag as the box shows them, shortened; its title is the whole reference."""
    name, colon, tag = reference.rpartition(":")
    if not colon:
        name, tag = reference, ""
    return _shortened(name, _NAME), _shortened(colon + tag, _TAG)


def _shortened(text: str, most: int) -> str:
    """Replace the middle of a long text by an ellipsis: the end of a name says most."""
    if len(text) <= most:
        return text
    tail = most * 2 // 3
    return f"{text[: most - tail - 1]}…{text[-tail:]}"


def _text(text: str) -> str:
    """Escape text for XML, and replace the characters that XML does not allow."""
    return escape(_NOT_XML.sub("\ufffd", text))
