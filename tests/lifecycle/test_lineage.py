"""Why something is as it is, and what depends on it, in a workspace where everything has happened."""

import json
import subprocess
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from blake3 import blake3

import modelwright
from modelwright import records
from modelwright.errors import LineageMissing, RequestMissing
from modelwright.lifecycle import charting, lineage, publishing, reproduction, sweeps, training
from modelwright.lifecycle.sessions import Session
from modelwright.models import exporting, importing
from modelwright.projects import digesting
from modelwright.projects.manifest import manifest_text, read_manifest
from modelwright.records import (
    CaptureLimits,
    Deployment,
    DeploymentStatus,
    Exchange,
    Key,
    Lineage,
    Node,
    NodeKind,
    Origin,
    OriginCell,
    Sameness,
    Sampler,
)
from modelwright.runs import workspaces
from modelwright.serving import deployments
from modelwright.serving.capture.encoding import encoded
from modelwright.serving.capture.journal import Journal
from modelwright.store import database, endpoints, models, projects, runs
from modelwright.store.blobs import digest_of
from modelwright.store.changes import change
from modelwright.store.database import Store

CELL = blake3(b"model.fit()").hexdigest()


def _converted(session: Session, folder: Path) -> None:
    """Record the small project as if it had just been converted from a notebook with a cell for each function."""
    paths = [f"src/small/{name}.py" for name in ("train", "pipeline", "score")]
    written = {path: digest_of(folder / path) for path in paths}
    manifest = replace(read_manifest(folder), generated=written)
    (folder / "wright.toml").write_text(manifest_text(manifest))
    assert manifest.training
    functions = [
        Origin(
            path,
            each.name,
            written[path],
            digesting.code_digest(each),
            (OriginCell(manifest.training.name, number, (1, 2), CELL),),
        )
        for path in (paths[0], paths[2])
        for number, each in enumerate(digesting.definitions((folder / path).read_text()), start=1)
    ]
    with session.change() as opened:
        projects.add_conversion(
            opened,
            "small",
            project_id=projects.ensure_project(opened, "small", folder=folder),
            training=(manifest.training, "a" * 64),
            scoring=None,
            removals=[],
            findings=[],
            functions=functions,
        )


def _edit(folder: Path, old: str, new: str) -> None:
    path = folder / "src" / "small" / "train.py"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def _trained(session: Session, folder: Path, **overrides: object) -> str:
    run = training.train(session, read_manifest(folder), overrides=overrides, is_gated=False).run
    return training.register(session, run.id).reference


def _deployed(session: Session, reference: str, *, endpoint: str = "small") -> Deployment:
    """Record that a version serves an endpoint from now on, as deploying it does."""
    with session.change() as opened:
        place = endpoints.ensure_endpoint(opened, endpoint, host="127.0.0.1")
        for each in endpoints.list_deployments(session.store, endpoint=endpoint, status=DeploymentStatus.HEALTHY):
            endpoints.set_deployment_status(opened, each, status=DeploymentStatus.REPLACED)
        version = models.find_version(session.store, reference)
        deployment = endpoints.add_deployment(opened, place, version=version)
        endpoints.set_deployment_status(opened, deployment, status=DeploymentStatus.HEALTHY)
    return deployment


def _asked(session: Session, deployment: Deployment, *, version: str | None = None, request_id: str = "") -> str:
    """Capture an answered request of a deployment's time; return its id."""
    at = deployment.created_at + timedelta(milliseconds=1)
    request_id = request_id or records.new_request_id(milliseconds=int(at.timestamp() * 1000))
    folder, reference = deployments.capture_folder(session.store) / deployment.endpoint, version or deployment.version
    asked = Exchange(request_id, at.timestamp(), reference, reference, "/score", 200, 1.5, {}, b"[1]", b"[2]")
    journal = Journal(folder, CaptureLimits())
    journal.append([encoded(asked, {})], is_flushed=False)
    journal.seal()
    return request_id


@pytest.fixture
def folder(session: Session, locked: Path) -> Path:
    """The small project, converted on the record, in a repository."""
    _converted(session, locked)
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"]):
        who = ["-c", "user.name=ada", "-c", "user.email=ada@example.com"]
        subprocess.run(["git", *who, *command], cwd=locked, check=True, capture_output=True)
    return locked


def _node(found: Lineage, kind: NodeKind, name: str = "") -> Node:
    (node,) = [each for each in found.nodes.values() if each.kind is kind and name in each.name]
    return node


def _is_above(found: Lineage, high: Key, low: Key) -> bool:
    """Whether a way leads from `high` to `low`."""
    below, waiting, seen = found.below(), [high], {high}
    while waiting:
        for edge in below.get(waiting.pop(), ()):
            if edge.target not in seen:
                seen.add(edge.target)
                waiting.append(edge.target)
    return low in seen


def _made_elsewhere(store: Store, parent: str) -> None:
    """Register a version without a run, derived from another."""
    version = models.find_version(store, parent)
    made = replace(
        version, id=records.new_id("version"), run_id=None, parent_id=version.id, files=(), source={"kind": "file"}
    )
    with change(store, actor="eve", why="from the other team") as opened:
        models.add_version(opened, made)


def test_no_chain_is_broken_whatever_a_version_came_from(
    session: Session, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = session.store
    first = _trained(session, folder)
    served = [_deployed(session, first)]
    _edit(folder, "sum(rows) * alpha", "sum(rows) * alpha + 1")
    second = _trained(session, folder, alpha=0.25)
    served.append(_deployed(session, second))
    publishing.publish(session, read_manifest(folder))
    training.register(session, publishing.run_published(session, "small:1", is_gated=False).run.id)
    searched = sweeps.specify(read_manifest(folder), tried={"alpha": "[0.5, 1]"}, sampler=Sampler.GRID, metric="error")
    training.register(session, sweeps.start(session, read_manifest(folder), searched).run_id)
    made = reproduction.reproduce(session, second)
    assert made.sameness is Sameness.IDENTICAL
    training.register(session, str(made.run_id), model="again")
    _made_elsewhere(store, second)
    served += [
        _deployed(session, "again:1"),
        _deployed(session, f"small:{models.find_version(store, 'small').version}"),
    ]

    assert lineage.check(store) == (6, [])
    requests = {_asked(session, each): each for each in served for _ in range(3)}
    requests[_asked(session, served[0], request_id="order-1")] = served[0]
    for request, deployment in requests.items():
        found = lineage.why(store, request)
        assert found.gaps == ()
        assert _node(found, NodeKind.DEPLOYMENT).id == deployment.id
        cell, prediction = found.of_kind(NodeKind.CELL)[0], Key(NodeKind.PREDICTION, request)
        assert _is_above(found, cell.key, prediction)
        assert _is_above(found, _node(found, NodeKind.DATASET).key, prediction)
        assert charting.page(found).startswith("<!doctype html>")
        assert {each["key"] for each in lineage.as_json(found)["nodes"]} >= {
            each[end] for each in lineage.as_json(found)["edges"] for end in ("source", "target")
        }


def test_a_version_from_another_workspace_brings_its_cells_along(
    session: Session, folder: Path, tmp_path: Path
) -> None:
    exporting.export(session.store, _trained(session, folder), tmp_path / "small.zip")
    elsewhere = Session(database.open_store(tmp_path / "elsewhere"), "eve")
    importing.import_version(elsewhere.store, tmp_path / "small.zip", changing=elsewhere.change)
    assert lineage.check(elsewhere.store) == (1, [])
    ours, theirs = lineage.why(session.store, "small:1"), lineage.why(elsewhere.store, "small:1")
    cells = [sorted(each.id for each in found.nodes.values() if each.kind is NodeKind.CELL) for found in (ours, theirs)]
    assert cells[0]
    assert cells[0] == cells[1]
    elsewhere.store.close()


def test_a_version_tells_who_when_why_and_from_what(session: Session, folder: Path) -> None:
    reference = _trained(session, folder)
    _edit(folder, "sum(rows) * alpha", "sum(rows) * alpha + 1")
    edited = _trained(session, folder)
    found = lineage.why(session.store, reference)
    run = _node(found, NodeKind.RUN)
    model = found.nodes[found.root]
    assert (model.name, model.facts["by"], model.facts["metrics"]) == ("small:1", "ada", {"error": 1.5})
    assert run.facts["parameters"] == {"alpha": 0.5}
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=folder, check=True, capture_output=True, text=True)
    assert _node(found, NodeKind.COMMIT).id == commit.stdout.strip()
    assert [each.role for each in found.edges if each.source.kind is NodeKind.COMMIT] == [""]
    assert _node(found, NodeKind.SNAPSHOT).id == run.facts["code_digest"]
    assert _node(found, NodeKind.ENVIRONMENT).id == run.facts["environment_digest"]
    (dataset,) = runs.get_run(session.store, run.id).datasets
    assert _node(found, NodeKind.DATASET).facts["digest"] == dataset.digest
    assert {each.name: each.facts["state"] for each in found.of_kind(NodeKind.FUNCTION)} == dict.fromkeys(
        ["load()", "split()", "fit()", "evaluate()", "save()", "init()", "run()"], "unchanged"
    )
    fit = _node(found, NodeKind.CELL, "training.ipynb cell 3")
    assert (fit.facts["digest"], _is_above(found, fit.key, found.root)) == (CELL, True)

    found = lineage.why(session.store, edited)
    states = {each.name: each.facts["state"] for each in found.of_kind(NodeKind.FUNCTION)}
    assert [name for name, state in states.items() if state != "unchanged"] == ["fit()"]
    assert states["fit()"] == "edited since"
    assert [each.role for each in found.edges if each.source.kind is NodeKind.COMMIT] == ["with changes"]
    assert [each.name for each in found.of_kind(NodeKind.STEP) if each.facts["reused_from"]] == ["load", "split"]
    assert {each.source.id for each in found.edges if each.role == "reused"} == {run.id}


def test_what_depends_on_data_code_and_notebook_is_found(session: Session, folder: Path) -> None:
    store = session.store
    first = _trained(session, folder)
    _edit(folder, "sum(rows) * alpha", "sum(rows) * alpha + 1")
    second = _trained(session, folder)
    _deployed(session, first, endpoint="old")
    _deployed(session, first)
    _deployed(session, second)
    _deployed(session, second, endpoint="old")
    version = models.find_version(store, second)
    run = runs.get_run(store, str(version.run_id))

    def names(kind: NodeKind, name: str, wanted: NodeKind = NodeKind.MODEL) -> set[str]:
        return {each.name for each in lineage.impact(store, kind, name).of_kind(wanted)}

    found = lineage.impact(store, NodeKind.DATASET, "small:1")
    assert {each.name for each in found.of_kind(NodeKind.MODEL)} == {first, second}
    assert {each.name for each in found.of_kind(NodeKind.ALIAS)} == {"small@champion"}
    assert lineage.live_endpoints(found) == {"old": True, "small": True}
    assert lineage.live_endpoints(lineage.impact(store, NodeKind.MODEL, first)) == {"old": False, "small": False}
    assert names(NodeKind.ENVIRONMENT, run.environment_digest[:20]) == {first, second}
    assert names(NodeKind.SNAPSHOT, run.code_digest[:20]) == {second}
    assert run.git
    assert names(NodeKind.COMMIT, run.git.commit[:10]) == {first, second}
    training_notebook = str(read_manifest(folder).training)
    assert names(NodeKind.NOTEBOOK, training_notebook) == {first, second}
    assert names(NodeKind.NOTEBOOK, f"{training_notebook}:3", NodeKind.FUNCTION) == {"fit()"}
    assert names(NodeKind.NOTEBOOK, f"{training_notebook}:99") == set()
    assert names(NodeKind.RUN, run.id) == {second}
    assert names(NodeKind.MODEL, second) == set()
    with pytest.raises(LineageMissing, match="no conversion of it is on record here"):
        lineage.impact(store, NodeKind.NOTEBOOK, "other.ipynb")


def test_a_chain_that_breaks_is_told(session: Session, folder: Path) -> None:
    store = session.store
    reference = _trained(session, folder)
    deployment = _deployed(session, reference)
    gone = _asked(session, deployment, version="small:9")
    assert [each.missing for each in lineage.why(store, gone).gaps] == [
        "small:9, which answered it, is not in the registry"
    ]
    unserved = _asked(session, replace(deployment, created_at=deployment.created_at - timedelta(days=1)))
    assert [each.missing for each in lineage.why(store, unserved).gaps] == [
        "no deployment of small:1 to small is on record for its time"
    ]
    with pytest.raises(RequestMissing, match="looked at what was captured of small"):
        lineage.why(store, "no-such-request")

    request = _asked(session, deployment)
    with session.change() as opened:
        place = endpoints.get_endpoint(store, "small")
        endpoints.delete_endpoint(opened, place)
    (gap,) = lineage.why(store, request).gaps
    assert gap.missing == "the endpoint was deleted; the audit records keep what it served and when"

    run_id = str(models.find_version(store, reference).run_id)
    kept = projects.code_of(store, run_id)
    blob = store.blobs.path(kept["src/small/pipeline.py"])
    blob.chmod(0o600)
    blob.write_text("another")
    count, (gap,) = lineage.check(store)
    assert (count, gap.node) == (1, Key(NodeKind.RUN, run_id))
    assert gap.missing.startswith("its code cannot be read: stored file")


def test_what_a_notebook_never_had_is_said_to_be_written_by_hand(session: Session, folder: Path) -> None:
    _edit(folder, "def save(", "def check(rows):\n    return rows\n\n\ndef save(")
    pipeline = folder / "src" / "small" / "pipeline.py"
    text = pipeline.read_text().replace("evaluate, fit", "check, evaluate, fit").replace("fit(train", "fit(checked")
    pipeline.write_text(text.replace("    model =", "    checked = check(train)\n    model ="))
    found = lineage.why(session.store, _trained(session, folder))
    assert _node(found, NodeKind.FUNCTION, "check").facts["state"] == "written by hand"
    assert found.gaps == ()


def test_a_tracked_script_is_a_chain_of_its_own(
    store: Store, session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WRIGHT_WORKSPACE", str(store.folder))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").write_text("alpha = 1\n")
    with modelwright.start_run("first", parameters={"alpha": 1}) as run:
        run.log_metrics({"mse": 3.0})
    workspaces.close_workspaces()
    found = lineage.why(store, run.id)
    assert found.gaps == ()
    assert _node(found, NodeKind.SNAPSHOT).id == found.nodes[found.root].facts["code_digest"]
    assert json.dumps(lineage.as_json(found))


def test_a_thousand_things_are_drawn_as_one(session: Session, folder: Path) -> None:
    reference = _trained(session, folder)
    version = models.find_version(session.store, reference)
    with session.change() as opened:
        for _ in range(20):
            models.add_version(
                opened, replace(version, id=records.new_id("version"), run_id=None, parent_id=version.id, files=())
            )
    found = lineage.impact(session.store, NodeKind.MODEL, reference)
    drawn = charting.picture(found)
    assert "20 together" in drawn
    assert drawn.count('class="node model') == 2
    assert "small:21" in charting.page(found)
