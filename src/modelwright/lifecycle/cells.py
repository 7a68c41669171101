"""Which cells of which notebook a run's steps came from, and whether the code is still what the conversion wrote.

A conversion records what its functions were made of. Which conversion wrote the code of a run is told by that code
itself: its manifest has the digests of the files as they were written.
"""

import contextlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from modelwright.errors import BlobDamaged, LineageMissing, ProjectInvalid
from modelwright.projects import manifest as manifests
from modelwright.projects.digesting import code_digest, definitions
from modelwright.projects.manifest import MANIFEST_FILE, Manifest
from modelwright.records import Conversion, Edge, Gap, Key, Node, NodeKind, Origin
from modelwright.runs import pipelines
from modelwright.store import descriptions, projects
from modelwright.store.database import Store

# A function is "unchanged" while its code does what the conversion wrote.
UNCHANGED, EDITED, ADDED, OWN = "unchanged", "edited since", "added by the conversion", "written by hand"
_UNKNOWN = "of a conversion that is not on record"


@dataclass
class Found:
    """What was found out about the code of runs, and where its chain breaks."""

    nodes: dict[Key, Node] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)

    def add(self, node: Node) -> Key:
        """Take a node in, unless it is known."""
        self.nodes.setdefault(node.key, node)
        return node.key


@dataclass(frozen=True)
class _Code:
    """The code that a run was started with, as far as it is asked for: files are restored to `folder` one by one."""

    store: Store
    files: Mapping[str, str]
    folder: Path

    def restore(self, path: str) -> Path:
        """Return where a file of the code lies. Raises BlobDamaged, and KeyError when the code has no such file."""
        target = self.folder / path
        if not target.exists():
            self.store.blobs.export(self.files[path], target)
        return target

    @cached_property
    def manifest(self) -> Manifest:
        """The project's manifest as it was."""
        return manifests.read_manifest(self.restore(MANIFEST_FILE).parent)

    def steps(self) -> dict[str, tuple[str, str]]:
        """Return the path and the name of the function behind each step."""
        layout = self.manifest.layout
        self.restore(layout.file(layout.pipeline))
        read = pipelines.read_pipeline(self.manifest.pipeline)
        return {each.name: (layout.file(each.module), each.function) for each in read.steps}

    def definition(self, path: str, name: str) -> str | None:
        """Return the digest of what a function of the code does; None when it is not there."""
        if path not in self.files:
            return None
        text = self.restore(path).read_text(encoding="utf-8")
        return next((code_digest(each) for each in definitions(text) if each.name == name), None)


def trace(store: Store, nodes: Mapping[Key, Node], edges: Sequence[Edge]) -> Found:
    """Return the functions behind the steps among `nodes`, the scoring functions of versions, and all their cells."""
    found = Found()
    steps: dict[str, list[Node]] = {}
    for each in nodes.values():
        if each.kind is NodeKind.STEP:
            steps.setdefault(each.facts["run_id"], []).append(each)
    versions: dict[str, list[Key]] = {}
    for edge in edges:
        if edge.source.kind is NodeKind.RUN and edge.target.kind is NodeKind.MODEL:
            versions.setdefault(edge.source.id, []).append(edge.target)
    alike: dict[tuple[str, str], list[Node]] = {}
    for each in sorted(nodes.values(), key=lambda node: node.id):
        if each.kind is NodeKind.RUN and each.facts["project_id"] and (each.id in steps or each.id in versions):
            alike.setdefault((each.facts["project_id"], each.facts["code_digest"]), []).append(each)
    for runs in alike.values():
        mine = [step for run in runs for step in steps.get(run.id, ())]
        scored = [version for run in runs for version in versions.get(run.id, ())]
        _trace_runs(store, runs[0], steps=mine, versions=scored, found=found)
    return found


def made_of(store: Store, notebook: str, *, cell: int | None) -> tuple[Key, Found]:
    """Return the functions that a notebook, or one cell of it, was made into, and the snapshots that have them.

    Raises LineageMissing when the notebook was never converted here.
    """
    path = Path(notebook).absolute()
    converted = projects.conversions_of(store, path)
    if not converted:
        reason = "no conversion of it is on record here"
        raise LineageMissing(kind=NodeKind.NOTEBOOK, name=notebook, reason=reason, next=f"wright convert {notebook}")
    found = Found()
    root = found.add(_notebook(str(path), converted[0][1].notebook(path.name)[1]))
    for project_id in dict.fromkeys(project_id for project_id, _ in converted):
        runs = [Key(NodeKind.RUN, each) for each in projects.runs_by_code(store, project_id)]
        for run in descriptions.describe(store, runs).values():
            _trace_snapshot(store, run, (str(path), cell), found)
    used = {edge.source for edge in found.edges} | {edge.target for edge in found.edges}
    found.nodes = {key: node for key, node in found.nodes.items() if key in used or key == root}
    return root, found


def _trace_snapshot(store: Store, run: Node, wanted: tuple[str, int | None], found: Found) -> None:
    """Take in the functions of a run's code that were made of a notebook, or of one cell, if it has any."""
    whole = Found()
    with _code_of(store, run, whole) as code:
        if code is None:
            found.gaps += whole.gaps
            return
        conversion = _conversion_of(store, run, code)
        snapshot = Node(NodeKind.SNAPSHOT, run.facts["code_digest"], run.facts["code_digest"][:12], {})
        for origin in conversion.functions if conversion else ():
            key = _function(run, code, conversion, (origin.path, origin.name), whole)
            made = [each for each in whole.edges if each.target == key and _is_wanted(whole.nodes[each.source], wanted)]
            if made:
                found.add(whole.nodes[key])
                found.edges += [*made, Edge(key, found.add(snapshot))]
                for edge in made:
                    cell = whole.nodes[edge.source]
                    if cell.key not in found.nodes:
                        found.add(cell)
                        found.edges.append(Edge(Key(NodeKind.NOTEBOOK, wanted[0]), cell.key))
    found.gaps += whole.gaps


def _is_wanted(cell: Node, wanted: tuple[str, int | None]) -> bool:
    path, number = wanted
    return cell.facts["notebook"] == path and number in {None, cell.facts["cell"]}


def _trace_runs(store: Store, run: Node, *, steps: Sequence[Node], versions: Sequence[Key], found: Found) -> None:
    """Take in the functions behind the steps and versions of all runs that have the code of this one, the first."""
    with _code_of(store, run, found) as code:
        if code is None:
            return
        behind = code.steps()
        conversion = _conversion_of(store, run, code)
        for step in steps:
            place = behind.get(step.name)
            if place:  # what the gate ran is no step of the pipeline
                found.edges.append(Edge(_function(run, code, conversion, place, found), step.key))
        score = code.manifest.layout.file(code.manifest.layout.score)
        for origin in conversion.functions if conversion else ():
            if origin.path == score:
                function = _function(run, code, conversion, (score, origin.name), found)
                found.edges += [Edge(function, version, "scores") for version in versions]


@contextlib.contextmanager
def _code_of(store: Store, run: Node, found: Found) -> Iterator[_Code | None]:
    """Give the code that a run was started with; None, and a gap in what is found, where it cannot be had."""
    files = projects.code_of(store, run.id)
    if not files:
        found.gaps.append(Gap(run.key, "its code was not kept"))
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="wright-lineage-") as temporary:
        try:
            yield _Code(store, files, Path(temporary))
        except (BlobDamaged, FileNotFoundError) as error:
            found.gaps.append(Gap(run.key, f"its code cannot be read: {error}"))
        except (KeyError, ProjectInvalid) as error:
            found.gaps.append(Gap(run.key, f"its code is no project that this release reads: {error}"))


def _conversion_of(store: Store, run: Node, code: _Code) -> Conversion | None:
    """Return the newest conversion before the run that wrote the files which the code's manifest tells of."""
    written, until = code.manifest.generated, run.facts["started_at"]
    return projects.conversion_that_wrote(store, run.facts["project_id"], until=until, written=written)


def _function(run: Node, code: _Code, conversion: Conversion | None, place: tuple[str, str], found: Found) -> Key:
    path, name = place
    known = [each for each in conversion.functions if (each.path, each.name) == place] if conversion else []
    origin = known[0] if known else None
    state = _state(code, conversion, origin, place)
    function = Node(
        NodeKind.FUNCTION,
        f"{run.facts['code_digest']}/{path}:{name}",
        f"{name}()",
        {"path": path, "function": name, "state": state, "conversion": conversion.id if conversion else None},
    )
    is_new = function.key not in found.nodes
    key = found.add(function)
    if not is_new:
        return key
    if origin and conversion:
        found.edges += [Edge(cell, key, role) for cell, role in _cells(conversion, origin, found)]
    elif code.manifest.training and state == _UNKNOWN:
        found.gaps.append(
            Gap(key, "which cells it was made of is not on record here: its conversion is older, or was elsewhere")
        )
    return key


def _state(code: _Code, conversion: Conversion | None, origin: Origin | None, place: tuple[str, str]) -> str:
    """Return what is true of a function: what became of it since the conversion wrote it, or where else it is from."""
    path, name = place
    if origin:
        is_same = code.files.get(path) == origin.file or code.definition(path, name) == origin.digest
        return UNCHANGED if is_same else EDITED
    if code.files.get(path) != code.manifest.generated.get(path):
        return OWN
    return ADDED if conversion else _UNKNOWN


def _cells(conversion: Conversion, origin: Origin, found: Found) -> Iterator[tuple[Key, str]]:
    for each in origin.cells:
        path, digest = conversion.notebook(each.notebook)
        notebook = _notebook(path, digest)
        cell = Node(
            NodeKind.CELL,
            f"{conversion.id}/{each.notebook}:{each.cell}",
            f"{each.notebook} cell {each.cell}",
            {"notebook": path, "cell": each.cell, "digest": each.digest, "conversion": conversion.id},
        )
        if cell.key not in found.nodes:
            found.edges.append(Edge(found.add(notebook), found.add(cell)))
        yield cell.key, _lines(each.lines)


def _notebook(path: str, digest: str) -> Node:
    return Node(NodeKind.NOTEBOOK, path, Path(path).name, {"path": path, "digest": digest})


def _lines(lines: Sequence[int]) -> str:
    first, last = min(lines), max(lines)
    return f"line {first}" if first == last else f"lines {first} to {last}"
