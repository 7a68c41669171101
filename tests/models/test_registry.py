"""The gate, packages and the registry, by way of training."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from modelwright.errors import (
    GateWithoutMetric,
    MetricMissing,
    ModelMissing,
    NameInvalid,
    NotBetter,
    RunNotRegistrable,
    SourceMissing,
)
from modelwright.lifecycle import training
from modelwright.lifecycle.sessions import Session
from modelwright.models import packages, registry
from modelwright.projects.manifest import read_manifest
from modelwright.records import BuiltEnvironment, ModelVersion, Status
from modelwright.store import audit, models, runs
from modelwright.store.database import Store


@pytest.fixture
def trainable(monkeypatch: pytest.MonkeyPatch, project: Path, environment: BuiltEnvironment) -> Path:
    """The small project, in the environment of the tests instead of a lock's own."""
    monkeypatch.setattr(training.manifests, "read_lock", lambda _manifest: environment.lock)
    monkeypatch.setattr(training, "environment_of", lambda *_arguments, **_options: environment)
    return project


def _train(store: Store, project: Path, **options: object) -> training.Trained:
    return training.train(Session(store, "ada"), read_manifest(project), **options)  # type: ignore[arg-type]


def _register(store: Store, project: Path, **options: object) -> ModelVersion:
    return training.register(Session(store, "ada"), _train(store, project, **options).run.id)


def test_the_first_model_passes_the_gate_and_becomes_champion(store: Store, trainable: Path) -> None:
    trained = _train(store, trainable)
    assert trained.verdict
    assert (trained.verdict.champion, trained.verdict.new) == (None, 1.5)
    version = training.register(Session(store, "ada"), trained.run.id, tags={"area": "test"})

    assert version.reference == "small:1"
    assert version.aliases == ("champion",)
    assert version.metrics == {"error": 1.5}
    assert version.tags["area"] == "test"
    assert version.tags["dataset"] == "small:1"
    assert version.run_id == trained.run.id
    assert [each.path for each in version.files] == [
        "expected.json",
        "fused.json",
        "manifest.json",
        "model/deep/model.pkl",
        "sample.json",
        "signature.json",
        "src/small/__init__.py",
        "src/small/score.py",
        "src/small/train.py",
    ]
    (record,) = audit.list_audit_records(store, subject="models/small:1")
    assert (record["actor"], record["action"]) == ("ada", "model.registered")
    assert audit.list_events(store, subject="models/small@champion")


def test_the_reason_of_a_registration_is_that_of_the_alias_too(store: Store, trainable: Path) -> None:
    trained = _train(store, trainable)
    training.register(Session(store, "ada", why="asked for"), trained.run.id)
    for subject in ("models/small:1", "models/small@champion"):
        assert [each["why"] for each in audit.list_audit_records(store, subject=subject)] == ["asked for"]


def test_an_equal_model_is_not_better_and_cancels_its_run(store: Store, trainable: Path) -> None:
    _register(store, trainable)
    with pytest.raises(NotBetter, match=r"not better than small:1, nothing registered: error is 1\.5"):
        _train(store, trainable)
    run = runs.list_runs(store)[0]
    assert run.status is Status.CANCELLED
    assert [each.reference for each in models.list_versions(store)] == ["small:1"]
    with pytest.raises(RunNotRegistrable, match="cancelled, not succeeded"):
        training.register(Session(store, "ada"), run.id)


def test_a_better_model_passes_and_takes_the_alias(store: Store, trainable: Path) -> None:
    _register(store, trainable)
    version = _register(store, trainable, overrides={"alpha": 0.9})
    assert version.reference == "small:2"
    assert models.find_version(store, "small@champion").reference == "small:2"
    assert models.find_version(store, "small:1").aliases == ()


def test_the_champion_is_judged_on_the_new_runs_data(store: Store, trainable: Path) -> None:
    """The champion's recorded error is 1.5; on the new data it is 98.5, which a model with error 97 beats."""
    _register(store, trainable)
    code = (trainable / "src" / "small" / "train.py").read_text()
    (trainable / "src" / "small" / "train.py").write_text(code.replace("2.0, 3.0]", "2.0, 100.0]"))
    trained = _train(store, trainable, overrides={"alpha": 1.0})
    assert trained.verdict
    assert (trained.verdict.new, trained.verdict.old) == (97.0, 98.5)


@pytest.mark.parametrize("value", ["float('nan')", "1.5", "2.0"])
def test_nan_equal_and_worse_are_not_better(store: Store, trainable: Path, value: str) -> None:
    _register(store, trainable)
    code = (trainable / "src" / "small" / "train.py").read_text()
    (trainable / "src" / "small" / "train.py").write_text(
        code.replace('{"error": abs(model - rows[0])}', f'{{"error": 1.5 if model == 1.5 else {value}}}')
    )
    with pytest.raises(NotBetter):
        _train(store, trainable, overrides={"alpha": 0.7})


def test_a_run_without_the_gates_metric_fails(store: Store, trainable: Path) -> None:
    code = (trainable / "src" / "small" / "train.py").read_text()
    (trainable / "src" / "small" / "train.py").write_text(code.replace('"error"', '"loss"'))
    with pytest.raises(MetricMissing, match='the gate compares "error"'):
        _train(store, trainable)
    assert runs.list_runs(store)[0].status is Status.FAILED


def test_a_project_without_a_metric_is_refused_by_the_gate_before_it_runs(store: Store, trainable: Path) -> None:
    manifest = replace(read_manifest(trainable), gate_metric=None)
    with pytest.raises(GateWithoutMetric, match="no metric to compare") as refused:
        training.train(Session(store, "ada"), manifest)
    assert "--no-gate" in refused.value.next_command
    assert runs.list_runs(store) == []
    assert training.train(Session(store, "ada"), manifest, is_gated=False).verdict is None


def test_the_gate_can_be_left_out(store: Store, trainable: Path) -> None:
    _register(store, trainable)
    assert _train(store, trainable, is_gated=False).verdict is None


def test_a_run_is_registered_once(store: Store, trainable: Path) -> None:
    trained = _train(store, trainable)
    first = training.register(Session(store, "ada"), trained.run.id)
    assert training.register(Session(store, "ada"), trained.run.id).reference == first.reference
    assert len(models.list_versions(store)) == 1


def test_files_of_a_run_are_chosen_and_another_name_is_another_model(store: Store, trainable: Path) -> None:
    code = (trainable / "src" / "small" / "train.py").read_text()
    notes = '    Path(output_folder, "notes.txt").write_text("not the model")\n'
    (trainable / "src" / "small" / "train.py").write_text(code.rstrip() + "\n" + notes)
    session, run = Session(store, "ada"), _train(store, trainable).run

    whole = training.register(session, run.id)
    assert {"model/deep/model.pkl", "model/notes.txt"} < {each.path for each in whole.files}
    chosen = training.register(session, run.id, paths=("deep",))
    assert [each.path for each in packages.model_files(chosen)] == ["model/deep/model.pkl"]
    assert [each.reference for each in (whole, chosen)] == ["small:1", "small:2"]
    assert training.register(session, run.id, paths=("deep",)).reference == "small:2"
    assert training.register(session, run.id, model="other").reference == "other:1"
    with pytest.raises(SourceMissing, match=f'"gone" cannot be registered: "{run.id}" has no such file'):
        training.register(session, run.id, paths=("gone",))


def test_a_run_that_wrote_no_model_is_not_registered(store: Store, trainable: Path) -> None:
    code = (trainable / "src" / "small" / "train.py").read_text()
    (trainable / "src" / "small" / "train.py").write_text(code[: code.index("    Path(output_folder")] + "    pass\n")
    with pytest.raises(RunNotRegistrable, match="wrote no model file"):
        _register(store, trainable)
    assert models.list_versions(store) == []


def test_a_scoring_script_that_fails_on_its_sample_is_not_registered(store: Store, trainable: Path) -> None:
    (trainable / "sample.json").write_text('{"rows": []}')
    with pytest.raises(RunNotRegistrable, match=r"fails on sample\.json: KeyError: 'data'"):
        _register(store, trainable)
    assert models.list_versions(store) == []


def test_a_project_without_a_sample_request_is_not_registered(store: Store, trainable: Path) -> None:
    (trainable / "sample.json").unlink()
    with pytest.raises(RunNotRegistrable, match=r"no sample\.json"):
        _register(store, trainable)


@pytest.mark.parametrize("name", ["", "-x", "a/b", "a b", "x" * 256, "ü"])
def test_model_names_have_a_rule(name: str) -> None:
    with pytest.raises(NameInvalid, match="letters, digits"):
        registry.check_name(name)


@pytest.mark.parametrize(
    "reference", ["small:1", "small", "small@champion", "models:/small/1", "models:/small@champion"]
)
def test_references_of_every_form_are_read(store: Store, trainable: Path, reference: str) -> None:
    _register(store, trainable)
    assert models.find_version(store, reference).reference == "small:1"


@pytest.mark.parametrize("reference", ["other", "small:2", "small@candidate", "small:x", ""])
def test_what_no_reference_names_is_missing(store: Store, trainable: Path, reference: str) -> None:
    _register(store, trainable)
    with pytest.raises(ModelMissing, match=f'no model "{reference}"'):
        models.find_version(store, reference)


def test_a_package_is_restored_as_it_was_registered(store: Store, trainable: Path) -> None:
    version = _register(store, trainable)
    folder = packages.restore(store, version)
    manifest = json.loads((folder / "manifest.json").read_text())

    assert manifest["format_version"] == 1
    assert packages.scoring_script(folder) == folder / "src" / "small" / "score.py"
    assert json.loads((folder / "expected.json").read_text()) == {"result": [1.5, 3.0]}
    where = packages.model_folder(folder, version)
    assert str(where).endswith("azureml-models/small/1")
    assert (where / "deep" / "model.pkl").is_file()

    shutil.rmtree(folder / "model")
    (folder / "manifest.json").unlink()
    assert (packages.restore(store, version) / "model" / "deep" / "model.pkl").is_file()


def test_a_flat_project_of_an_older_version_is_run_and_registered(
    store: Store, trainable: None, flat_project: Path
) -> None:
    version = _register(store, flat_project)
    assert version.metrics == {"error": 1.5}
    assert {"score.py", "train.py"} < {each.path for each in version.files}
    assert not any(each.path.startswith("src/") for each in version.files)
    assert packages.scoring_script(packages.restore(store, version)).name == "score.py"


def test_a_package_that_does_not_name_its_script_has_it_at_its_root(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"format": "modelwright-package", "format_version": 1}')
    assert packages.scoring_script(tmp_path) == tmp_path / "score.py"
