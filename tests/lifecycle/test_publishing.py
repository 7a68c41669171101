"""Published pipelines."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from modelwright.errors import (
    CodeMissing,
    FolderNotEmpty,
    InUse,
    PipelineDisabled,
    PipelineMissing,
    ProjectInvalid,
    PublishedParameterUnknown,
)
from modelwright.lifecycle import comparing, deletion, publishing, recovery, training
from modelwright.lifecycle.sessions import Session
from modelwright.projects.code import code_digest
from modelwright.projects.manifest import Manifest, read_manifest, read_parameters
from modelwright.store import audit, pipelines, projects, runs


def _edit(folder: Path, old: str, new: str, *, file: str = "src/small/train.py") -> None:
    path = folder / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def test_a_published_version_runs_the_code_it_was_published_with(session: Session, manifest: Manifest) -> None:
    version = publishing.publish(session, manifest)
    assert (version.reference, version.parameters) == ("small:1", {"alpha": 0.5})
    _edit(manifest.folder, "sum(rows) * alpha", "1_000.0")
    (manifest.folder / "parameters.toml").unlink()

    run = publishing.run_published(session, "small:1", is_gated=False).run
    assert run.metrics == {"error": 1.5}
    assert run.pipeline_version_id == version.id
    assert run.code_digest == version.code_digest != code_digest(manifest.folder)
    assert training.train(session, manifest, is_gated=False).run.metrics == {"error": 997.0}


def test_it_runs_after_the_project_is_gone(session: Session, manifest: Manifest) -> None:
    import shutil

    publishing.publish(session, manifest)
    shutil.rmtree(manifest.folder)
    recovery.recover(session)
    run = publishing.run_published(session, "small", overrides={"alpha": 1.0}, is_gated=False).run
    assert run.metrics == {"error": 0.0}
    assert run.parameters == {"alpha": 1.0}
    assert list((session.store.folder / "scratch").iterdir()) == []


def test_a_run_of_a_published_version_does_not_move_the_project(session: Session, manifest: Manifest) -> None:
    publishing.publish(session, manifest)
    publishing.run_published(session, "small", is_gated=False)
    found = projects.find_project(session.store, "small")
    assert found
    assert found.folder == manifest.folder


def test_identical_content_is_the_same_version(session: Session, manifest: Manifest) -> None:
    first = publishing.publish(session, manifest, description="first")
    (manifest.folder / "src" / "small" / "train.py").touch()
    assert publishing.publish(session, manifest, description="again").id == first.id
    _edit(manifest.folder, "alpha = 0.5", "alpha = 0.25", file="parameters.toml")
    second = publishing.publish(session, manifest)
    assert (second.reference, second.parameters) == ("small:2", {"alpha": 0.25})
    _edit(manifest.folder, "alpha = 0.25", "alpha = 0.5", file="parameters.toml")
    assert publishing.publish(session, manifest).reference == "small:1"
    assert [each.reference for each in pipelines.list_versions(session.store)] == ["small:2", "small:1"]


def test_another_lock_is_another_version(session: Session, manifest: Manifest) -> None:
    first = publishing.publish(session, manifest)
    (manifest.folder / "requirements.lock").write_text("blake3==1.0.0\n")
    second = publishing.publish(session, manifest)
    assert (second.version, second.environment_digest != first.environment_digest) == (2, True)
    assert [each.name for each in comparing.compare(session.store, "small:1", "small:2").environment] == ["blake3"]


def test_a_project_whose_pipeline_cannot_be_read_is_not_published(session: Session, manifest: Manifest) -> None:
    _edit(manifest.folder, "model = fit(train, alpha)", "model = fit(trian, alpha)", file="src/small/pipeline.py")
    with pytest.raises(ProjectInvalid, match="trian"):
        publishing.publish(session, manifest)
    assert pipelines.list_versions(session.store) == []


def test_unknown_parameters_are_refused_before_anything_runs(session: Session, manifest: Manifest) -> None:
    publishing.publish(session, manifest)
    with pytest.raises(PublishedParameterUnknown, match=r'"alfa" is no parameter.*it has alpha'):
        publishing.run_published(session, "small:1", overrides={"alfa": 1.0})
    assert runs.list_runs(session.store) == []


@pytest.mark.parametrize("reference", ["small:2", "small:x", "small:99999999999999999999", "other", ""])
def test_what_was_never_published_is_missing(session: Session, manifest: Manifest, reference: str) -> None:
    publishing.publish(session, manifest)
    with pytest.raises(PipelineMissing, match=f'"{reference}"'):
        publishing.run_published(session, reference)


def test_a_disabled_version_does_not_run_and_the_one_before_takes_its_place(
    session: Session, manifest: Manifest
) -> None:
    publishing.publish(session, manifest)
    _edit(manifest.folder, "alpha = 0.5", "alpha = 1.0", file="parameters.toml")
    publishing.publish(session, manifest)
    publishing.set_enabled(session, "small:2", is_enabled=False)
    with pytest.raises(PipelineDisabled) as refused:
        publishing.run_published(session, "small:2")
    assert refused.value.next_command == "wright pipeline enable small:2"
    assert publishing.run_published(session, "small", is_gated=False).run.parameters == {"alpha": 0.5}

    publishing.set_enabled(session, "small", is_enabled=False)
    with pytest.raises(PipelineDisabled) as refused:
        publishing.run_published(session, "small:1")
    assert refused.value.next_command == "wright pipeline enable small"
    publishing.set_enabled(session, "small", is_enabled=True)
    assert pipelines.find_version(session.store, "small").reference == "small:1"


def test_a_clone_can_be_edited_and_published_and_knows_its_parent(
    session: Session, manifest: Manifest, tmp_path: Path
) -> None:
    first = publishing.publish(session, manifest)
    publishing.clone(session, "small:1", into=tmp_path / "clone")
    clone = read_manifest(tmp_path / "clone")
    assert code_digest(clone.folder) == first.code_digest
    assert publishing.publish(session, clone).id == first.id

    _edit(clone.folder, "sum(rows) * alpha", "sum(rows) * alpha * 2")
    second = publishing.publish(session, clone)
    assert (second.reference, second.parent_id) == ("small:2", first.id)
    assert publishing.run_published(session, "small:1", is_gated=False).run.metrics == {"error": 1.5}
    with pytest.raises(FolderNotEmpty):
        publishing.clone(session, "small:1", into=tmp_path / "clone")


def test_a_clone_of_a_run_has_the_parameters_of_the_run(session: Session, manifest: Manifest, tmp_path: Path) -> None:
    first = publishing.publish(session, manifest)
    run = publishing.run_published(session, "small", overrides={"alpha": 0.75}, is_gated=False).run
    parent = publishing.clone(session, run.id, into=tmp_path / "clone")
    assert (parent.pipeline, parent.run) == ("small:1", run.id)
    assert (tmp_path / "clone" / "parameters.toml").read_text() == "# how much\nalpha = 0.75\n"
    assert read_parameters(tmp_path / "clone") == {"alpha": 0.75}
    second = publishing.publish(session, read_manifest(tmp_path / "clone"))
    assert (second.version, second.parent_id) == (2, first.id)
    (told,) = audit.list_audit_records(session.store, subject="pipelines/small:2")
    assert (told["actor"], told["action"], told["after"]["cloned_from"]) == ("ada", "pipeline.published", run.id)


def test_a_run_that_kept_no_code_cannot_be_cloned(session: Session, manifest: Manifest, tmp_path: Path) -> None:
    run = replace(training.train(session, manifest, is_gated=False).run, artifacts=())
    with pytest.raises(CodeMissing, match=run.id):
        publishing.code_of_run(run)


def test_a_parent_that_this_workspace_does_not_have_is_none(session: Session, manifest: Manifest) -> None:
    (manifest.folder / ".parent.toml").write_text('format_version = 1\ncode_digest = "1"\npipeline = "other:7"\n')
    assert publishing.publish(session, manifest).parent_id is None
    (manifest.folder / ".parent.toml").write_text("format_version = 2\n")
    with pytest.raises(ProjectInvalid, match="its format is 2"):
        publishing.publish(session, manifest)


def test_a_script_of_the_project_stays_executable(session: Session, manifest: Manifest, tmp_path: Path) -> None:
    script = manifest.folder / "clean.sh"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    publishing.publish(session, manifest)
    publishing.clone(session, "small", into=tmp_path / "clone")
    assert os.access(tmp_path / "clone" / "clean.sh", os.X_OK)
    assert not os.access(tmp_path / "clone" / "wright.toml", os.X_OK)


def test_versions_are_compared_in_all_that_they_hold(session: Session, manifest: Manifest) -> None:
    publishing.publish(session, manifest)
    _edit(manifest.folder, "alpha = 0.5", "alpha = 2", file="parameters.toml")
    _edit(manifest.folder, "sum(rows) * alpha", "max(rows) * alpha")
    (manifest.folder / "data.bin").write_bytes(b"\xff\xfe\x00")
    (manifest.folder / "sample.json").unlink()
    publishing.publish(session, manifest)
    found = comparing.compare(session.store, "small:1", "small:2")
    assert [(each.name, each.before, each.after) for each in found.parameters] == [("alpha", 0.5, 2)]
    assert {each.path: each.change for each in found.files} == {
        "data.bin": "added",
        "parameters.toml": "changed",
        "sample.json": "removed",
        "src/small/train.py": "changed",
    }
    (train,) = [each for each in found.files if each.path.endswith("train.py")]
    assert "-    return sum(rows) * alpha\n+    return max(rows) * alpha\n" in train.diff
    same = comparing.compare(session.store, "small:1", "small:1")
    assert (same.parameters, same.environment, same.files) == ((), (), ())


def test_a_version_that_a_run_used_cannot_be_deleted(session: Session, manifest: Manifest) -> None:
    version = publishing.publish(session, manifest)
    publishing.run_published(session, "small", is_gated=False)

    with pytest.raises(InUse):
        deletion.delete_pipeline(session, version.reference)
    assert publishing.run_published(session, "small", is_gated=False).run.status == "succeeded"
