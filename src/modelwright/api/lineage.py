"""`/lineage` and `/impact`: what something came of, and what came of it."""

from dataclasses import dataclass
from typing import Any, Literal

from modelwright.api.acting import Reading
from modelwright.api.routing import Router
from modelwright.lifecycle import lineage
from modelwright.records import NodeKind

router = Router("", tag="lineage")

_Reasoned = Literal["model", "run", "endpoint", "deployment", "dataset", "environment", "pipeline", "prediction"]
_Used = Literal["dataset", "run", "environment", "snapshot", "commit", "notebook", "model", "pipeline"]


@dataclass(frozen=True)
class Graph:
    """Nodes and the edges between them, which name nodes by `key`; `gaps` tell what is not known."""

    root: str
    nodes: list[dict[str, Any]]
    edges: list[dict[str, Any]]
    gaps: list[dict[str, str]]


@dataclass(frozen=True)
class Impact(Graph):
    """The same, with the endpoints that have served any of it, and whether they do now."""

    endpoints: dict[str, bool]


@dataclass(frozen=True)
class Checked:
    """How many versions there are, and where the chain of one of them breaks."""

    versions: int
    gaps: list[dict[str, str]]


@router.get("/lineage")
def check_lineage(reading: Reading) -> Checked:
    """Follow the chains of all versions, and tell where one breaks."""
    count, gaps = lineage.check(reading)
    return Checked(count, [{"key": "/".join(each.node), "missing": each.missing} for each in gaps])


@router.get("/lineage/{kind}/{name:path}")
def show_lineage(kind: _Reasoned, name: str, reading: Reading) -> Graph:
    """Tell what something came of, to the notebook's cell and the data's digest; a prediction by its request's id."""
    return Graph(**lineage.as_json(lineage.why(reading, name, kind=NodeKind(kind))))


@router.get("/impact/{kind}/{name:path}")
def show_impact(kind: _Used, name: str, reading: Reading) -> Impact:
    """Tell what depends on something: runs, versions, aliases, endpoints live and stopped."""
    found = lineage.impact(reading, NodeKind(kind), name)
    return Impact(**lineage.as_json(found), endpoints=lineage.live_endpoints(found))
