"""Draws a graph of lineage: a picture of its own, or a page with all that is known of each thing.

Neither needs a network or another file. What is shown was written by others, so all of it is escaped, and the page's
policy lets no script run but its own.
"""

import base64
import hashlib
import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelwright.lifecycle import describing, layering
from modelwright.lifecycle.layering import Placed
from modelwright.notebooks import credentials
from modelwright.projects.highlighting import escaped
from modelwright.records import Key, Lineage, Node, NodeKind
from modelwright.records.plain import plain

_STYLE = Path(__file__).with_name("chart_style.css")
_PAGE_STYLE = Path(__file__).with_name("chart_page_style.css")
_SCRIPT = Path(__file__).with_name("chart_script.js")
_WIDTH, _HEIGHT, _GAP, _SPACING, _MARGIN = 178, 50, 46, 64, 24
# Sizes of letters; wide ones take about this much of their height, others less.
_NAME_SIZE, _LINE_SIZE, _WIDE, _NARROW = 12.5, 10.5, 0.74, 0.6
# Where so many things of a kind would stand in one column, they are drawn as one.
_MOST_OF_A_KIND = 12
# These are told of by what they lead to: a cell names its notebook, an answered request its day.
_FOLDED = frozenset({NodeKind.NOTEBOOK, NodeKind.WINDOW})


@dataclass(frozen=True)
class _Drawn:
    """One box: a thing, or many things of a kind that stand for one another."""

    kind: NodeKind
    name: str
    line: str
    nodes: tuple[Node, ...]


@dataclass(frozen=True)
class _Chart:
    boxes: Mapping[Key, _Drawn]
    edges: Mapping[tuple[Key, Key], str]
    root: Key
    placed: Placed


def picture(found: Lineage) -> str:
    """Return the graph as an SVG file."""
    return _svg(_chart(found), style=_STYLE.read_text(encoding="utf-8"))


def page(found: Lineage) -> str:
    """Return the graph as an HTML page."""
    chart = _chart(found)
    root = found.nodes[found.root]
    title = f"{root.kind} {root.name}: {'what came of it' if _is_root_first(found) else 'what it came of'}"
    style = _STYLE.read_text(encoding="utf-8") + _PAGE_STYLE.read_text(encoding="utf-8")
    script = _SCRIPT.read_text(encoding="utf-8")
    policy = f"default-src 'none'; style-src {_digest(style)}; script-src {_digest(script)}; base-uri 'none'"
    gaps = "".join(
        f"<li>{_shown(each.node.kind)} {_shown(found.nodes[each.node].name)}: {_shown(each.missing)}</li>"
        for each in found.gaps
    )
    body = [
        f"<h1>{_shown(f'{root.kind} {root.name}')} <span>{_shown(describing.described(root))}</span></h1>",
        f'<ul class="gaps">{gaps}</ul>' if gaps else "",
        f'<div class="chart" tabindex="0" role="group" aria-label="{_shown(title)}">{_svg(chart)}</div>',
        '<main class="facts">',
        *(_facts(number, key, box) for number, (key, box) in enumerate(chart.boxes.items())),
        "</main>",
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}; form-action \'none\'">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_shown(title)}</title>\n<style>{style}</style>\n</head>\n<body>\n"
        + "\n".join(each for each in body if each)
        + f"\n<script>{script}</script>\n</body>\n</html>\n"
    )


def _is_root_first(found: Lineage) -> bool:
    return any(each.source == found.root for each in found.edges)


# --- what is drawn ---


def _chart(found: Lineage) -> _Chart:
    edges = _unfolded(found)
    is_last = not _is_root_first(found)
    ends = [key for edge in edges for key in edge]
    keys = dict.fromkeys([found.root, *ends])
    columns = layering.place(list(edges), found.root, is_last=is_last, spacing=_SPACING).columns
    keys = {key: None for key in keys if key in columns}
    boxes, homes = _boxes(found, keys, columns)
    joined: dict[tuple[Key, Key], str] = {}
    for (source, target), role in edges.items():
        if source in homes and target in homes and homes[source] != homes[target]:
            joined.setdefault((homes[source], homes[target]), role)
    root = homes[found.root]
    placed = layering.place(list(joined), root, is_last=is_last, spacing=_SPACING)
    return _Chart(boxes, joined, root, placed)


def _unfolded(found: Lineage) -> dict[tuple[Key, Key], str]:
    """Return the edges with their roles, past the nodes that are not drawn."""
    past = {edge.target: edge.source for edge in found.edges if edge.target.kind in _FOLDED}
    edges = {}
    for source, target, role in found.edges:
        start = past.get(source, source)
        if target.kind not in _FOLDED and (start.kind not in _FOLDED or start == found.root):
            edges[start, target] = role
    return edges


def _boxes(
    found: Lineage, keys: Mapping[Key, None], columns: Mapping[Any, int]
) -> tuple[dict[Key, _Drawn], dict[Key, Key]]:
    """Return what is drawn, and in which box each node is."""
    alike: dict[tuple[NodeKind, int], list[Key]] = {}
    for key in keys:
        alike.setdefault((key.kind, columns[key]), []).append(key)
    boxes, homes = {}, {}
    for (kind, column), some in alike.items():
        if len(some) <= _MOST_OF_A_KIND:
            for key in some:
                node = found.nodes[key]
                boxes[key], homes[key] = _Drawn(kind, node.name, _line(node), (node,)), key
            continue
        home = Key(kind, f"{column} together")
        nodes = tuple(found.nodes[key] for key in some)
        boxes[home] = _Drawn(kind, f"{len(some):,} together", f"{nodes[0].name} to {nodes[-1].name}", nodes)
        homes |= dict.fromkeys(some, home)
    return boxes, homes


def _line(node: Node) -> str:
    """Return the little that a box has room for beside kind and name."""
    return _LINES[node.kind](node.facts) if node.kind in _LINES else describing.described(node)


def _result(facts: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value:.6g}" for name, value in facts.get("metrics", {}).items()) or str(facts["status"])


_LINES: dict[NodeKind, Callable[[Mapping[str, Any]], str]] = {
    NodeKind.CELL: lambda facts: str(facts["digest"])[:12],
    NodeKind.FUNCTION: lambda facts: str(facts["state"]),
    NodeKind.DATASET: lambda facts: str(facts["digest"])[:12],
    NodeKind.STEP: lambda facts: "reused" if facts["reused_from"] else str(facts["status"]),
    NodeKind.RUN: _result,
    NodeKind.MODEL: lambda facts: ", ".join([facts["framework"], *facts.get("aliases", {})]),
    NodeKind.DEPLOYMENT: lambda facts: str(facts["status"]),
    NodeKind.PREDICTION: lambda facts: f"{facts['status']} in {facts['duration_ms']:g} ms",
}


# --- the picture ---


def _svg(chart: _Chart, *, style: str = "") -> str:
    placed = chart.placed
    columns = [placed.columns[key] for key in chart.boxes if key in placed.columns]
    width = 2 * _MARGIN + (max(columns, default=0) + 1) * (_WIDTH + _GAP) - _GAP
    height = 2 * _MARGIN + max(placed.heights.values(), default=0) + _HEIGHT
    numbers = {key: number for number, key in enumerate(chart.boxes)}
    size = f'width="{width}" height="{height:.0f}"'
    tip = '<marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {width} {height:.0f}" class="lineage">',
        f"<style>{style}</style>" if style else "",
        f'<defs>{tip}<path d="M0 0 8 4 0 8z" class="tip"/></marker></defs>',
        f'<rect class="paper" {size}/>' if style else "",
        *(_edge(chart, edge, role, numbers) for edge, role in chart.edges.items()),
        *(_box(chart, key, number) for key, number in numbers.items()),
        "</svg>",
    ]
    return "\n".join(each for each in parts if each)


def _corner(placed: Placed, key: Key) -> tuple[float, float]:
    """Return the left upper corner of a box."""
    return _MARGIN + placed.columns.get(key, 0) * (_WIDTH + _GAP), _MARGIN + placed.heights.get(key, 0)


def _edge(chart: _Chart, edge: tuple[Key, Key], role: str, numbers: Mapping[Key, int]) -> str:
    (left, top), (end, bottom) = (_corner(chart.placed, key) for key in edge)
    points = [(left + _WIDTH, top + _HEIGHT / 2)]
    for column, height in chart.placed.bends.get(edge, ()):
        start, middle = _MARGIN + column * (_WIDTH + _GAP), _MARGIN + height + _HEIGHT / 2
        points += [(start, middle), (start + _WIDTH, middle)]
    points.append((end - 2, bottom + _HEIGHT / 2))
    path = f"M{points[0][0]:.0f} {points[0][1]:.1f}"
    for (x, y), (to_x, to_y) in itertools.pairwise(points):
        bend = (to_x - x) / 2
        path += f"C{x + bend:.0f} {y:.1f} {to_x - bend:.0f} {to_y:.1f} {to_x:.0f} {to_y:.1f}"
    title = f"<title>{_shown(role)}</title>" if role else ""
    source, target = (numbers[key] for key in edge)
    return f'<path class="edge" d="{path}" marker-end="url(#tip)" data-s="{source}" data-t="{target}">{title}</path>'


def _box(chart: _Chart, key: Key, number: int) -> str:
    box = chart.boxes[key]
    x, y = _corner(chart.placed, key)
    root = " root" if key == chart.root else ""
    stack = (
        f'<rect class="behind" x="4" y="-4" width="{_WIDTH}" height="{_HEIGHT}" rx="7"/>' if len(box.nodes) > 1 else ""
    )
    return (
        f'<a class="node {box.kind}{root}" href="#f{number}" data-n="{number}" transform="translate({x:.0f} {y:.1f})">'
        f"<title>{_shown(f'{box.kind} {box.name}')}</title>{stack}"
        f'<rect class="box" width="{_WIDTH}" height="{_HEIGHT}" rx="7"/>'
        f'<rect class="mark" y="8" width="4" height="{_HEIGHT - 16}" rx="2"/>'
        f'<text class="kind" x="13" y="14">{box.kind}</text>'
        f'<text class="name" x="13" y="29">{_shown(_cut(box.name, _NAME_SIZE))}</text>'
        f'<text class="line" x="13" y="43">{_shown(_cut(box.line, _LINE_SIZE))}</text></a>'
    )


def _cut(text: str, size: float) -> str:
    """Return as much of a text as a box has room for: a picture cannot measure its letters.

    The middle goes: of "training.ipynb cell 6" the end tells as much as the beginning.
    """
    room = (_WIDTH - 22) / size
    widths = [_WIDE if letter.isupper() or letter.isdigit() or letter in "mwMW_" else _NARROW for letter in text]
    if sum(widths) <= room:
        return text
    middle = len(text) // 2
    gone = 0
    while sum(widths[: middle - gone] + widths[middle + gone :]) + _WIDE > room:
        gone += 1
    return f"{text[: middle - gone].rstrip()}…{text[middle + gone :].lstrip()}"


# --- what is known ---


def _facts(number: int, key: Key, box: _Drawn) -> str:
    if len(box.nodes) > 1:
        items = "".join(
            f"<li>{_shown(each.name)} <span>{_shown(describing.described(each))}</span></li>" for each in box.nodes
        )
        inner = f"<ul>{items}</ul>"
    else:
        inner = f"<p>{_shown(describing.described(box.nodes[0]))}</p><dl>{''.join(_rows(box.nodes[0].facts))}</dl>"
    return f'<section id="f{number}" class="{key.kind}"><h2><i>{key.kind}</i> {_shown(box.name)}</h2>{inner}</section>'


def _rows(facts: Mapping[str, Any]) -> Iterator[str]:
    for name, value in plain(dict(facts)).items():
        if value not in (None, "", {}, []):
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            yield f"<div><dt>{_shown(name.replace('_', ' '))}</dt><dd>{_shown(text)}</dd></div>"


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _shown(text: str) -> str:
    return escaped(credentials.masked(text))
