"""Why something is as it is: all that it came of, as far as the notebook's cell. And what depends on it."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC
from typing import Any

from modelwright.errors import LineageMissing, RequestMissing
from modelwright.lifecycle import cells
from modelwright.records import Captured, DeploymentStatus, Direction, Edge, Gap, Key, Lineage, Node, NodeKind
from modelwright.records.plain import plain
from modelwright.serving.capture import reading
from modelwright.settings import scoring_timeout_ms
from modelwright.store import descriptions, lineage, naming
from modelwright.store.database import Store
from modelwright.store.descriptions import Said

_VERSIONS_AT_ONCE = 100
_SHOWN_DIGITS = 12


def _unheard(_done: int, _all: int) -> None:
    """Tell nobody."""


def why(
    store: Store, name: str, *, kind: NodeKind | None = None, on_file: Callable[[int, int], None] = _unheard
) -> Lineage:
    """Return all that something came of: a model version, a run, what an endpoint serves now, or an answered request.

    Without a `kind` it is told by the name; what is neither a run nor a reference is the id of a request. `on_file`
    hears how many bytes of how many were searched where its id does not tell when a request was answered. Raises
    LineageMissing, RequestMissing and CaptureDamaged.
    """
    kind = kind or _kind_of(name)
    if kind is NodeKind.PREDICTION:
        return _why_prediction(store, name, on_file)
    start = lineage.find(store, kind, name)
    return _explained(store, start, start)


def impact(store: Store, kind: NodeKind, name: str) -> Lineage:
    """Return all that came of something. Raises LineageMissing."""
    if kind is NodeKind.NOTEBOOK:
        return _impact_of_notebook(store, name)
    start = lineage.find(store, kind, name)
    edges, nodes = lineage.walk(store, [start], Direction.DOWN)
    return Lineage(start, nodes, tuple(edges))


def live_endpoints(found: Lineage) -> dict[str, bool]:
    """Return the endpoints that have served any of it, and whether they do now."""
    live: dict[str, bool] = {}
    for each in found.of_kind(NodeKind.DEPLOYMENT):
        endpoint = each.facts["endpoint"]
        live[endpoint] = live.get(endpoint, False) or each.facts["status"] == DeploymentStatus.HEALTHY
    return dict(sorted(live.items()))


def check(store: Store, *, on_version: Callable[[int, int], None] = _unheard) -> tuple[int, list[Gap]]:
    """Return how many versions there are, and every place where the chain of one of them breaks."""
    keys = lineage.versions(store)
    gaps: dict[Gap, None] = {}
    for start in range(0, len(keys), _VERSIONS_AT_ONCE):
        some = keys[start : start + _VERSIONS_AT_ONCE]
        edges, nodes = lineage.walk(store, some, Direction.UP)
        traced = cells.trace(store, nodes, edges)
        gaps |= dict.fromkeys([*_gaps(nodes.values()), *traced.gaps])
        on_version(start + len(some), len(keys))
    return len(keys), list(gaps)


def as_json(found: Lineage) -> dict[str, Any]:
    """Return a graph as JSON can hold it: nodes and edges, which name nodes by kind and id."""
    return {
        "root": _joined(found.root),
        "nodes": [
            {"key": _joined(each.key), "kind": each.kind, "id": each.id, "name": each.name, "facts": plain(each.facts)}
            for each in found.nodes.values()
        ],
        "edges": [
            {"source": _joined(each.source), "target": _joined(each.target), "role": each.role} for each in found.edges
        ],
        "gaps": [{"key": _joined(each.node), "missing": each.missing} for each in found.gaps],
    }


def _joined(key: Key) -> str:
    return f"{key.kind}/{key.id}"


def _kind_of(name: str) -> NodeKind:
    for kind in (NodeKind.RUN, NodeKind.DEPLOYMENT):
        if name.startswith(f"{kind}_"):
            return kind
    return NodeKind.MODEL if ":" in name or "@" in name else NodeKind.PREDICTION


def _explained(
    store: Store, root: Key, start: Key | None, *, nodes: Sequence[Node] = (), edges: Sequence[Edge] = ()
) -> Lineage:
    """Return what `start` came of, with `nodes` and `edges` that lead from it to the root, and all that is known."""
    known: dict[Key, Node] = {}
    found: list[Edge] = []
    if start is not None:
        found, known = lineage.walk(store, [start], Direction.UP)
        known = _told(store, known)
        published = _published(known.values())
        found += [edge for edge, _ in published]
        known |= {commit.key: commit for _, commit in published if commit.key not in known}
    traced = cells.trace(store, known, found)
    gaps = [*_gaps([*known.values(), *nodes]), *traced.gaps]
    every = {each.key: each for each in nodes} | known | traced.nodes
    return Lineage(root, every, (*edges, *found, *traced.edges), tuple(gaps))


# --- answered requests ---


def _why_prediction(store: Store, request_id: str, on_file: Callable[[int, int], None]) -> Lineage:
    from modelwright.serving import deployments  # it starts endpoints, and takes as long to load as all else here

    folder = deployments.capture_folder(store)
    longest_seconds = scoring_timeout_ms() / 1000
    captured = reading.find(folder, request_id, longest_seconds=longest_seconds, on_file=on_file)
    if not captured:
        places = [each.name for each in sorted(folder.glob("*/"))]
        looked = f"looked at what was captured of {', '.join(places)}" if places else "nothing was ever captured"
        raise RequestMissing(request=request_id, looked=looked)
    last = captured[-1]
    record, day = last.record, f"{last.record.received_at:%Y-%m-%d}"
    facts = plain(record) | {"endpoint": last.endpoint, "file": last.file, "same_id": len(captured)}
    prediction = Node(NodeKind.PREDICTION, request_id, request_id, facts)
    window = Node(
        NodeKind.WINDOW,
        f"{last.endpoint}/{day}/{record.version}",
        f"{last.endpoint} on {day}",
        {"endpoint": last.endpoint, "day": day, "version": record.version, "file": last.file},
    )
    start, endpoint, missing = _serving(store, last)
    edges = [Edge(endpoint.key, window.key), Edge(window.key, prediction.key)]
    if start is not None:
        edges.insert(0, Edge(start, endpoint.key, "served" if start.kind is NodeKind.DEPLOYMENT else "answered"))
    explained = _explained(store, prediction.key, start, nodes=[prediction, window, endpoint], edges=edges)
    return replace(explained, gaps=(*missing, *explained.gaps))


def _serving(store: Store, found: Captured) -> tuple[Key | None, Node, list[Gap]]:
    """Return the deployment that answered a request, or at least its version, the endpoint, and what is not known."""
    name, reference = found.endpoint, found.record.version
    prediction = Key(NodeKind.PREDICTION, found.record.request_id)
    endpoint = Node(NodeKind.ENDPOINT, name, name, {"is_deleted": True})
    gaps = []
    try:
        key = lineage.find(store, NodeKind.ENDPOINT, name)
        endpoint = descriptions.describe(store, [key])[key]
    except LineageMissing:
        gaps.append(Gap(endpoint.key, "the endpoint was deleted; the audit records keep what it served and when"))
    if reference is None:  # there was none, and the answer says so: nothing is missing
        return None, endpoint, gaps
    try:
        version = lineage.find(store, NodeKind.MODEL, naming.reference_now(store, reference))
    except LineageMissing:
        return None, endpoint, [*gaps, Gap(prediction, f"{reference}, which answered it, is not in the registry")]
    at = found.record.received_at.astimezone(UTC).isoformat(timespec="microseconds")
    deployment = lineage.deployment_of(store, name, version_id=version.id, at=at)
    if deployment is None:
        if not gaps:
            gaps.append(Gap(prediction, f"no deployment of {reference} to {name} is on record for its time"))
        return version, endpoint, gaps
    return Key(NodeKind.DEPLOYMENT, deployment), endpoint, gaps


# --- notebooks ---


def _impact_of_notebook(store: Store, name: str) -> Lineage:
    """Return what came of a notebook, given as its path, or of one of its cells, as `training.ipynb:3`."""
    path, _, cell = name.rpartition(":") if name.rpartition(":")[2].isdecimal() else (name, "", "")
    root, traced = cells.made_of(store, path, cell=int(cell) if cell else None)
    starts = [each.target for each in traced.edges if each.target.kind is NodeKind.SNAPSHOT]
    edges, nodes = lineage.walk(store, starts, Direction.DOWN)
    return Lineage(root, traced.nodes | nodes, (*traced.edges, *edges), tuple(traced.gaps))


# --- who, when, why, with what ---


def _told(store: Store, nodes: Mapping[Key, Node]) -> dict[Key, Node]:
    """Return the nodes with their named values, and with who made them, when and why."""
    values = descriptions.values(store, nodes)
    aliases = {
        f"models/{each.name.partition(':')[0]}@{alias}": alias
        for each in nodes.values()
        for alias in values.get(each.key, {}).get("aliases", {})
    }
    subjects = {each.key: subject for each in nodes.values() if (subject := _subject(each))}
    said = descriptions.said(store, [*subjects.values(), *aliases])
    told = {}
    for key, node in nodes.items():
        facts = dict(node.facts) | values.get(key, {})
        if key in subjects:
            facts |= _who(node, said.get(subjects[key], []))
        if key.kind is NodeKind.MODEL:
            facts["aliases"] = {
                alias: _moved(said.get(f"models/{node.name.partition(':')[0]}@{alias}", []))
                for alias in facts.get("aliases", {})
            }
        told[key] = node._replace(facts=facts)
    return told


def _subject(node: Node) -> str:
    """Return what the audit records call the thing that a node is; empty where they do not speak of it."""
    names = {
        NodeKind.RUN: node.id,
        NodeKind.MODEL: node.name,
        NodeKind.DATASET: node.name,
        NodeKind.ENVIRONMENT: node.id,
        NodeKind.PIPELINE: node.name,
        NodeKind.DEPLOYMENT: node.facts.get("endpoint"),
    }
    folder = NodeKind.ENDPOINT if node.kind is NodeKind.DEPLOYMENT else node.kind
    return f"{folder}s/{names[node.kind]}" if node.kind in names else ""


def _who(node: Node, said: Sequence[Said]) -> dict[str, Any]:
    """Return who made a thing, when and why: the first that is said of it, of a deployment what it began with."""
    if node.kind is NodeKind.DEPLOYMENT:
        said = [each for each in said if each.action == "deployment.started" and each.at == node.facts["created_at"]]
    if not said:
        return {}
    who = {"by": said[0].actor, "at": said[0].at, "why": said[0].why}
    if node.kind is NodeKind.PIPELINE:  # the commit that it was published at is on record there alone
        after = json.loads(said[0].after)
        who |= {name: after[name] for name in ("git_commit", "git_is_dirty") if name in after}
    return who


def _published(nodes: Iterable[Node]) -> list[tuple[Edge, Node]]:
    """Return the commits that pipelines were published at, with the edges to their code."""
    found = []
    for each in nodes:
        if each.kind is NodeKind.PIPELINE and "git_commit" in each.facts:
            name = each.facts["git_commit"]
            commit = Node(NodeKind.COMMIT, name, name[:_SHOWN_DIGITS], {})
            role = "with changes" if each.facts["git_is_dirty"] else ""
            found.append((Edge(commit.key, Key(NodeKind.SNAPSHOT, each.facts["code_digest"]), role), commit))
    return found


def _moved(said: Sequence[Said]) -> dict[str, str]:
    return {"by": said[-1].actor, "at": said[-1].at, "why": said[-1].why} if said else {}


def _gaps(nodes: Iterable[Node]) -> Iterator[Gap]:
    for each in nodes:
        if each.kind is NodeKind.MODEL and each.facts["run_id"] is None and not each.facts["source"]:
            yield Gap(each.key, "neither a run nor a source is recorded")
        if each.kind is NodeKind.RUN and each.facts["code_digest"] is None:
            yield Gap(each.key, "its code is not known")
