"""Lineage: what came of what, as a graph of all that a workspace knows."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePath
from typing import Any, NamedTuple


class NodeKind(StrEnum):
    """What a node is, in the order in which one comes of another."""

    NOTEBOOK = "notebook"
    CELL = "cell"
    FUNCTION = "function"
    COMMIT = "commit"
    SNAPSHOT = "snapshot"
    ENVIRONMENT = "environment"
    DATASET = "dataset"
    PIPELINE = "pipeline"
    STEP = "step"
    RUN = "run"
    PROOF = "proof"
    VERDICT = "verdict"
    MODEL = "model"
    ALIAS = "alias"
    DEPLOYMENT = "deployment"
    ENDPOINT = "endpoint"
    WINDOW = "window"
    PREDICTION = "prediction"


class Direction(StrEnum):
    """Which way a graph is walked: up to what a thing came of, or down to what came of it."""

    UP = "up"
    DOWN = "down"


class Key(NamedTuple):
    """By what a node is known: its kind and its id in the workspace."""

    kind: NodeKind
    id: str


class Edge(NamedTuple):
    """`target` came of `source`, which had the `role` in it."""

    source: Key
    target: Key
    role: str = ""


class Node(NamedTuple):
    """One thing. `name` is how people call it."""

    kind: NodeKind
    id: str
    name: str
    facts: Mapping[str, Any]

    @property
    def key(self) -> Key:
        """By what it is known."""
        return Key(self.kind, self.id)


@dataclass(frozen=True)
class Gap:
    """A place where a chain breaks: what is not known of a thing that ought to be."""

    node: Key
    missing: str


@dataclass(frozen=True)
class Lineage:
    """All that a thing came of, or all that came of it. `root` is the thing; edges lead from cause to result."""

    root: Key
    nodes: Mapping[Key, Node]
    edges: tuple[Edge, ...]
    gaps: tuple[Gap, ...] = ()

    def of_kind(self, kind: NodeKind) -> list[Node]:
        """Return the nodes of a kind but the root."""
        return [each for each in self.nodes.values() if each.kind is kind and each.key != self.root]

    def above(self) -> dict[Key, list[Edge]]:
        """Return the edges by what they lead to."""
        return _by(self.edges, is_up=True)

    def below(self) -> dict[Key, list[Edge]]:
        """Return the edges by what they come from."""
        return _by(self.edges, is_up=False)


@dataclass(frozen=True)
class OriginCell:
    """Lines of a notebook's cell; `digest` is the BLAKE3 of the cell's source."""

    notebook: str
    cell: int
    lines: tuple[int, ...]
    digest: str


@dataclass(frozen=True)
class Origin:
    """Which cells a function or class of a project was made of.

    `file` is the digest of its file as the conversion wrote it, `digest` that of its own code, without comments,
    docstrings and layout.
    """

    path: str
    name: str
    file: str
    digest: str
    cells: tuple[OriginCell, ...]


@dataclass(frozen=True)
class Conversion:
    """One conversion of notebooks, each given as its path and digest, and what its functions were made of."""

    id: str
    training: tuple[str, str]
    scoring: tuple[str, str] | None
    functions: tuple[Origin, ...]

    def notebook(self, name: str) -> tuple[str, str]:
        """Return path and digest of the notebook whose file is called `name`."""
        is_scoring = self.scoring is not None and PurePath(self.training[0]).name != name
        return self.scoring if is_scoring and self.scoring else self.training


def _by(edges: Iterable[Edge], *, is_up: bool) -> dict[Key, list[Edge]]:
    found: dict[Key, list[Edge]] = {}
    for each in edges:
        found.setdefault(each.target if is_up else each.source, []).append(each)
    return found
