"""Where the nodes of a graph are drawn: in columns from cause to result, so that lines cross little and bend little.

Source of the method: Sugiyama, Tagawa and Toda, Methods for Visual Understanding of Hierarchical System Structures,
1981; columns are filled by the mean place of the neighbours, and places are then the nearest that do not overlap.
"""

import itertools
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

_SWEEPS = 8
# A line that passes a column takes so much of the room that a node takes.
_BEND = 0.28


class _Bend(NamedTuple):
    """Where a line passes through a column."""

    edge: tuple[Hashable, Hashable]
    column: int


@dataclass(frozen=True)
class Placed:
    """A graph with the column of each node and the height of its middle; lines lead through `bends` between columns."""

    columns: Mapping[Hashable, int]
    heights: Mapping[Hashable, float]
    bends: Mapping[tuple[Hashable, Hashable], Sequence[tuple[int, float]]]


def place(edges: Sequence[tuple[Hashable, Hashable]], root: Hashable, *, is_last: bool, spacing: float) -> Placed:
    """Return places for all nodes that edges name, `spacing` apart; the root's column is the last or the first.

    A node's column is as far from the root's as the longest way there.
    """
    distances = _distances(edges, root, is_last=is_last)
    deepest = max(distances.values())
    columns = {node: deepest - each if is_last else each for node, each in distances.items()}
    bends = {edge: _bends(edge, columns) for edge in edges if columns[edge[0]] < columns[edge[1]]}
    layers: list[list[Hashable]] = [[] for _ in range(deepest + 1)]
    for node, column in columns.items():
        layers[column].append(node)
    neighbours: dict[Hashable, tuple[list[Hashable], list[Hashable]]] = {node: ([], []) for node in columns}
    for edge, some in bends.items():
        for bend in some:
            layers[bend.column].append(bend)
            neighbours[bend] = ([], [])
        chain = [edge[0], *some, edge[1]]
        for before, after in itertools.pairwise(chain):
            neighbours[before][1].append(after)
            neighbours[after][0].append(before)
    heights = _heights(layers, neighbours, spacing)
    return Placed(
        columns, heights, {edge: [(bend.column, heights[bend]) for bend in some] for edge, some in bends.items()}
    )


def _distances(edges: Sequence[tuple[Hashable, Hashable]], root: Hashable, *, is_last: bool) -> dict[Hashable, int]:
    """Return how long the longest way from the root to each node is; a way that goes in a circle ends there."""
    following: dict[Hashable, list[Hashable]] = {}
    for source, target in edges:
        near, far = (target, source) if is_last else (source, target)
        following.setdefault(near, []).append(far)
    order: list[Hashable] = []
    state: dict[Hashable, bool] = {}  # False while a node's own ways are being followed
    waiting = [(root, iter(following.get(root, ())))]
    state[root] = False
    while waiting:
        node, ahead = waiting[-1]
        for each in ahead:
            if each not in state:
                state[each] = False
                waiting.append((each, iter(following.get(each, ()))))
                break
        else:
            state[node] = True
            order.append(node)
            waiting.pop()
    distances = dict.fromkeys(reversed(order), 0)
    rank = {node: number for number, node in enumerate(distances)}
    for node in distances:
        for each in following.get(node, ()):
            if rank[each] > rank[node]:
                distances[each] = max(distances[each], distances[node] + 1)
    return distances


def _bends(edge: tuple[Hashable, Hashable], columns: Mapping[Hashable, int]) -> list[_Bend]:
    """Return a bend in every column that an edge passes."""
    return [_Bend(edge, column) for column in range(columns[edge[0]] + 1, columns[edge[1]])]


def _heights(
    layers: Sequence[list[Hashable]],
    neighbours: Mapping[Hashable, tuple[list[Hashable], list[Hashable]]],
    spacing: float,
) -> dict[Hashable, float]:
    heights = {node: number * spacing for layer in layers for number, node in enumerate(layer)}
    for sweep in range(_SWEEPS):
        is_forth = sweep % 2 == 0
        for layer in layers if is_forth else reversed(layers):
            wanted = {}
            for node in layer:
                near = [heights[each] for each in neighbours[node][0 if is_forth else 1]]
                wanted[node] = sum(near) / len(near) if near else heights[node]
            layer.sort(key=lambda node: wanted[node])
            heights |= _apart(layer, wanted, spacing)
    lowest = min(heights.values())
    return {node: each - lowest for node, each in heights.items()}


def _apart(layer: Sequence[Hashable], wanted: Mapping[Hashable, float], spacing: float) -> dict[Hashable, float]:
    """Return the places nearest to those wanted where nothing overlaps, in the layer's order: isotonic regression."""
    rooms = [spacing * (_BEND if isinstance(node, _Bend) else 1) for node in layer]
    offsets = [0.0]
    for before, after in itertools.pairwise(rooms):
        offsets.append(offsets[-1] + (before + after) / 2)
    blocks: list[tuple[float, int]] = []
    for node, offset in zip(layer, offsets, strict=True):
        total, count = wanted[node] - offset, 1
        while blocks and blocks[-1][0] / blocks[-1][1] >= total / count:
            before_total, before_count = blocks.pop()
            total, count = total + before_total, count + before_count
        blocks.append((total, count))
    flat = [total / count for total, count in blocks for _ in range(count)]
    return {node: each + offset for node, each, offset in zip(layer, flat, offsets, strict=True)}
