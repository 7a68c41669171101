"""A version with its lineage goes to another workspace as one file, which is believed in nothing."""

import json
import random
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from models.served import Wright

import modelwright
from modelwright.errors import ExportInvalid, ExportTooNew, FileInTheWay, FolderNotWritable, NameInvalid, VersionDamaged
from modelwright.lifecycle import reproduction, training
from modelwright.lifecycle.sessions import Session
from modelwright.models import exporting, importing, packages
from modelwright.projects.manifest import read_manifest
from modelwright.records import Sameness
from modelwright.serving import deployments
from modelwright.store import audit, database, models, runs
from modelwright.store.database import Store

FORMATS = Path(__file__).parents[1] / "formats" / "exports"


@pytest.fixture
def elsewhere(tmp_path: Path, empty_workspace: Path) -> Any:
    """Another workspace."""
    shutil.copytree(empty_workspace, tmp_path / "elsewhere" / ".wright")
    opened = database.open_store(tmp_path / "elsewhere" / ".wright")
    yield opened
    opened.close()


@pytest.fixture
def exported(folder: Path, wright: Wright) -> Path:
    """The export of a version of a tracked run's file."""
    (folder / "model.pkl").write_text("the model")
    with modelwright.start_run("search", parameters={"alpha": 0.5}, tags={"kind": "ridge"}) as run:
        modelwright.log_metrics({"mse": 3.0, "loss": float("inf"), "nothing": float("nan")})
        modelwright.log_artifact("model.pkl")
    wright("register", run.id, "--name", "churn", "--tag", "area=eu", "--property", "built=ci")
    wright("export", "churn:1", "churn.zip")
    return folder / "churn.zip"


def _import(store: Store, path: Path, **options: Any) -> importing.Imported:
    return importing.import_version(store, path, changing=Session(store, "eve", why="moved").change, **options)


def test_a_version_arrives_with_its_lineage(workspace: Store, elsewhere: Store, exported: Path) -> None:
    before = models.find_version(workspace, "churn:1")
    imported = _import(elsewhere, exported)

    assert imported.is_new
    found = imported.version
    assert found.reference == "churn:1"
    assert (found.files, found.digest, found.tags, found.run_id) == (
        before.files, before.digest, before.tags, before.run_id,
    )  # fmt: skip
    assert found.created_by == "eve"
    assert found.properties["built"] == "ci"
    assert found.properties["origin.id"] == before.id
    assert found.properties["origin.version"] == "churn:1"
    assert packages.verify(elsewhere, found) == []
    there, here = runs.get_run(elsewhere, str(found.run_id)), runs.get_run(workspace, str(found.run_id))
    assert repr(there) == repr(here)
    assert runs.list_code(elsewhere, there) == runs.list_code(workspace, here)
    (record,) = audit.list_audit_records(elsewhere, subject="models/churn:1")
    assert (record["actor"], record["why"]) == ("eve", "moved")


def test_the_same_file_again_is_there_already(workspace: Store, elsewhere: Store, exported: Path) -> None:
    _import(elsewhere, exported)
    assert not _import(elsewhere, exported).is_new
    assert not _import(workspace, exported).is_new
    assert [each.reference for each in models.list_versions(elsewhere)] == ["churn:1"]
    assert _import(elsewhere, exported, name="other").version.reference == "other:1"
    # And what was imported and exported again is known where it came from.
    exporting.export(elsewhere, "churn:1", exported.with_name("again.zip"))
    assert _import(workspace, exported.with_name("again.zip")).version.reference == "churn:1"


def test_one_version_gives_one_file(workspace: Store, exported: Path) -> None:
    exporting.export(workspace, "churn:1", exported.with_name("second.zip"))
    assert exported.read_bytes() == exported.with_name("second.zip").read_bytes()
    with pytest.raises(FileInTheWay):
        exporting.export(workspace, "churn:1", exported)
    with pytest.raises(FolderNotWritable):
        exporting.export(workspace, "churn:1", exported.parent / "gone" / "churn.zip")
    assert not list(exported.parent.glob(".churn.zip*"))


def test_commands_say_what_came_of_it(exported: Path, wright: Wright) -> None:
    assert wright("import", "churn.zip") == "churn.zip is there already: churn:1\n"
    assert wright("import", "churn.zip", "--name", "copy", "--why", "to try").startswith("copy:1\n")
    assert wright("show", "copy:1", "--json")["properties"]["origin.version"] == "churn:1"


def test_a_derived_version_finds_its_parent(elsewhere: Store, exported: Path, wright: Wright) -> None:
    wright("register", "model.pkl", "--name", "churn", "--parent", "churn:1")
    wright("export", "churn:2", "derived.zip")
    alone = _import(elsewhere, exported.with_name("derived.zip"), name="alone").version
    assert alone.parent_id is None
    parent = _import(elsewhere, exported).version
    assert alone.properties["origin.parent"] == parent.properties["origin.id"]
    assert _import(elsewhere, exported.with_name("derived.zip")).version.parent_id == parent.id


def test_a_damaged_version_is_not_exported(workspace: Store, exported: Path) -> None:
    version = models.find_version(workspace, "churn:1")
    blob = workspace.blobs.path(next(each.digest for each in version.files if each.path.endswith("model.pkl")))
    blob.chmod(0o644)
    blob.write_text("other one")
    with pytest.raises(VersionDamaged, match=r'file "model/model\.pkl" is now of digest'):
        exporting.export(workspace, "churn:1", exported.with_name("damaged.zip"))
    assert list(exported.parent.glob("*damaged*")) == []


# --- files that nobody honest wrote ---


def _rewritten(path: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    """Write the export again with an edited manifest."""
    with zipfile.ZipFile(path) as archive:
        parts = {each.filename: archive.read(each) for each in archive.infolist()}
    told = json.loads(parts["manifest.json"])
    edit(told)
    parts["manifest.json"] = json.dumps(told).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)


def _file(told: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = told["bundle"]["version"]["files"][1]
    return found


EDITS: dict[str, Callable[[dict[str, Any]], object]] = {
    "climbs": lambda told: _file(told).update(path="../../model.pkl"),
    "absolute": lambda told: _file(told).update(path="/etc/passwd"),
    "backslash": lambda told: _file(told).update(path="..\\model.pkl"),
    "artifact climbs": lambda told: told["bundle"]["run"]["artifacts"][0].update(path="outputs/../../../x"),
    "run is a path": lambda told: told["bundle"]["run"].update(id="../../x"),
    "run is another": lambda told: told["bundle"]["version"].update(run_id="run_01M8B5EX483D5HE02ZDWGGE9T0"),
    "model is a path": lambda told: told["bundle"]["version"].update(model="../x"),
    "digest": lambda told: told["bundle"]["version"].update(digest="0" * 64),
    "size": lambda told: told["blobs"].update({next(iter(told["blobs"])): 10**12}),
    "blob that is not there": lambda told: told["blobs"].update({"0" * 64: 3}),
    "file of another version": lambda told: _file(told).update(path="model/other.pkl"),
    "no version": lambda told: told["bundle"].pop("version"),
    "unknown part": lambda told: told["bundle"].update(more=1),
    "wrong type": lambda told: told["bundle"]["version"].update(tags=["a"]),
    "no time": lambda told: told["bundle"]["version"].update(created_at="today"),
    "another format": lambda told: told.update(format="something"),
    "deep": lambda told: told["bundle"].update(version=[[[[]]]]),
}


def _took_nothing(store: Store) -> None:
    assert models.list_versions(store) == []
    assert runs.list_runs(store) == []
    assert store.blobs.digests() == set()
    assert audit.list_audit_records(store) == []
    assert not list((store.folder / "scratch").glob("*"))


@pytest.mark.parametrize("edit", EDITS)
def test_a_manifest_that_lies_is_refused_before_anything_is_taken(elsewhere: Store, exported: Path, edit: str) -> None:
    _rewritten(exported, EDITS[edit])
    with pytest.raises((ExportInvalid, NameInvalid)):
        _import(elsewhere, exported)
    _took_nothing(elsewhere)


def test_a_newer_format_is_refused_as_that(elsewhere: Store, exported: Path) -> None:
    _rewritten(exported, lambda told: told.update(format_version=2, bundle={"shape": "unknown"}))
    with pytest.raises(ExportTooNew, match="its format is 2, this release reads up to 1"):
        _import(elsewhere, exported)


def _add(
    path: Path, name: str, content: bytes = b"x", *, mode: int = 0o100644, method: int = zipfile.ZIP_STORED
) -> None:
    with zipfile.ZipFile(path, "a", method) as archive:
        entry = zipfile.ZipInfo(name)
        entry.external_attr = mode << 16
        archive.writestr(entry, content, compress_type=method)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("../evil", {}),
        ("/etc/evil", {}),
        ("blobs/evil", {}),
        ("blobs/" + "a" * 64, {"mode": 0o120777}),
        ("blobs/" + "a" * 64, {"mode": 0o020644}),
        ("blobs/" + "a" * 64, {}),
        ("blobs/" + "a" * 64, {"content": b"0" * 10_000_000, "method": zipfile.ZIP_DEFLATED}),
    ],
)
def test_an_archive_with_anything_else_in_it_is_refused(
    elsewhere: Store, exported: Path, name: str, options: dict[str, Any]
) -> None:
    _add(exported, name, **options)
    with pytest.raises(ExportInvalid):
        _import(elsewhere, exported)
    _took_nothing(elsewhere)


def test_a_changed_or_cut_file_is_refused(elsewhere: Store, exported: Path) -> None:
    whole = exported.read_bytes()
    place = whole.index(b"the model")
    for content in (whole[:place] + b"The" + whole[place + 3 :], whole[:-100], whole[: len(whole) // 2], b"", b"PK"):
        exported.write_bytes(content)
        with pytest.raises(ExportInvalid):
            _import(elsewhere, exported)
    _took_nothing(elsewhere)


def test_whatever_is_changed_in_a_file_it_is_refused_or_the_same(elsewhere: Store, exported: Path) -> None:
    whole, chance = exported.read_bytes(), random.Random(0)
    for _ in range(150):
        content = bytearray(whole)
        content[chance.randrange(len(whole))] ^= 1 << chance.randrange(8)
        exported.write_bytes(content)
        try:
            found = _import(elsewhere, exported).version
        except (ExportInvalid, ExportTooNew):
            continue
        assert packages.verify(elsewhere, found) == []
        assert found.metrics["mse"] == 3.0


# --- a version that was trained: it is deployed and made again where it arrives ---


def test_a_trained_version_is_served_and_reproduced_where_it_arrives(
    workspace: Store, elsewhere: Store, locked: Path, tmp_path: Path
) -> None:
    session = Session(workspace, "ada")
    trained = training.train(session, replace(read_manifest(locked), gate_metric=None), is_gated=False)
    training.register(session, trained.run.id)
    exporting.export(workspace, "small:1", tmp_path / "whole.zip", has_data=True)
    exporting.export(workspace, "small:1", tmp_path / "bare.zip")
    for path in sorted(locked.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()

    bare = _import(elsewhere, tmp_path / "bare.zip", name="bare").version
    made = reproduction.reproduce(Session(elsewhere, "eve"), "bare:1")
    assert (made.sameness, made.kind) == (Sameness.DIFFERS, "data")
    assert "not exported/" in made.cause

    found = _import(elsewhere, tmp_path / "whole.zip").version
    assert (found.reference, found.run_id, bare.run_id) == ("small:1", trained.run.id, trained.run.id)
    made = reproduction.reproduce(Session(elsewhere, "eve"), "small:1")
    assert (made.sameness, made.cause) == (Sameness.IDENTICAL, "")
    with deployments.deploying(elsewhere, found, endpoint="small", actor="eve") as deployment:
        answer = deployments.smoke_test(elsewhere, deployment)
    deployments.stop(elsewhere, "small", actor="eve")
    assert json.loads(answer.body) == {"result": [1.5, 3.0]}


@pytest.mark.parametrize("path", sorted(FORMATS.glob("*.zip")), ids=lambda path: path.stem)
def test_exports_of_every_release_can_be_imported(elsewhere: Store, path: Path) -> None:
    imported = _import(elsewhere, path).version
    assert imported.reference == "small:1"
    assert packages.verify(elsewhere, imported) == []
    assert runs.get_run(elsewhere, str(imported.run_id)).metrics == {"error": 1.5}


def test_there_are_exports_of_a_release() -> None:
    assert list(FORMATS.glob("*.zip"))
