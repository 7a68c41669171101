"""Versions from files, folders, MLflow's folders and tracked runs, as a user registers them."""

import json
import os
import pickle
import stat
from pathlib import Path

import pytest
from models.served import SCORE, Wright

import modelwright
from modelwright.environments import registration
from modelwright.environments.locking import read_lock
from modelwright.environments.resolving import Resolved
from modelwright.errors import (
    AlreadyRegistered,
    CommandMissing,
    DataNotRegular,
    DatasetMissing,
    FrameworkMissing,
    ModelFolderInvalid,
    ModelMissing,
    NameInvalid,
    RunNotRegistrable,
    SourceMissing,
    VersionIncomplete,
    VersionNotRegistrable,
)
from modelwright.lifecycle import reproduction
from modelwright.lifecycle.sessions import Session
from modelwright.models import packages
from modelwright.records import BuiltEnvironment, Specification
from modelwright.serving import deployments
from modelwright.store import models
from modelwright.store.database import Store

MLMODEL = """
artifact_path: model
flavors:
  python_function: {env: {conda: conda.yaml}, loader_module: mlflow.sklearn, python_version: 3.11.7}
  sklearn: {pickled_model: model.pkl, serialization_format: cloudpickle, sklearn_version: 1.5.0}
mlflow_version: 2.14.0
model_uuid: 0a1b2c3d
run_id: 1f2e3d
signature:
  inputs: '[{"type": "double", "name": "age", "required": true}, {"type": "long", "name": "bmi", "required": true}]'
  outputs: '[{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1]}}]'
"""


def _tree(folder: Path) -> dict[str, tuple[bytes, bool]]:
    return {
        path.relative_to(folder).as_posix(): (path.read_bytes(), bool(path.stat().st_mode & stat.S_IXUSR))
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def model(folder: Path) -> Path:
    """A folder with nesting, an executable, a hidden file and an empty folder."""
    (folder / "model" / "deep" / "empty").mkdir(parents=True)
    (folder / "model" / "deep" / "weights.bin").write_bytes(bytes(range(256)))
    (folder / "model" / ".hidden").write_text("seen")
    (folder / "model" / "tool.sh").write_text("#!/bin/sh\n")
    (folder / "model" / "tool.sh").chmod(0o755)
    return folder / "model"


@pytest.fixture
def servable(folder: Path, serving_environment: BuiltEnvironment) -> Path:
    """A model, its scoring script and a request that it answers."""
    (folder / "model.pkl").write_bytes(pickle.dumps(3.0))
    (folder / "score.py").write_text(SCORE)
    (folder / "sample.json").write_text('{"data": [[1.0, 2.0]]}')
    return folder


def test_files_and_folders_are_one_version_that_comes_back_as_it_was(folder: Path, model: Path, wright: Wright) -> None:
    (folder / "vocabulary.txt").write_text("a b")
    assert wright("register", "model", "vocabulary.txt", "--name", "churn").startswith("churn:1\n")
    wright("download", "churn:1", "out")

    before = {f"model/{name}": each for name, each in _tree(model).items()} | {"vocabulary.txt": (b"a b", False)}
    assert _tree(folder / "out") == before
    assert (folder / "out" / "model" / "deep" / "empty").is_dir()
    assert wright("verify", "churn:1").startswith("churn:1 is what was registered: 5 files")


def test_what_azure_calls_the_model_folder_holds_the_file_the_folder_or_several(
    folder: Path, model: Path, workspace: Store, wright: Wright
) -> None:
    """Trap: `…/azureml-models/NAME/VERSION`, in which each thing keeps its own name and not the model's."""
    (folder / "ridge.pkl").write_text("1")
    kept = {1: ["ridge.pkl"], 2: ["model"], 3: ["model", "ridge.pkl"]}
    for number, names in kept.items():
        wright("register", *names, "--name", "churn")
        version = models.find_version(workspace, f"churn:{number}")
        place = packages.model_folder(packages.restore(workspace, version), version)
        assert place.parts[-3:] == ("azureml-models", "churn", str(number))
        assert sorted(each.name for each in place.iterdir()) == names


def test_onnx_models_share_one_environment_when_they_are_given_none(
    folder: Path, workspace: Store, wright: Wright, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def resolve(specification: Specification, **_options: object) -> Resolved:
        asked.append([each.text for each in specification.wanted])
        return Resolved(read_lock("numpy==2.0\n", python_version="3.11.7", platform="here"), ())

    monkeypatch.setattr(registration, "resolve", resolve)
    for name in ("one", "two"):
        (folder / f"{name}.onnx").write_bytes(name.encode())
        wright("register", f"{name}.onnx", "--name", name)
    versions = [models.find_version(workspace, f"{name}:1") for name in ("one", "two")]
    assert {each.framework for each in versions} == {"onnx"}
    assert len({each.environment_digest for each in versions}) == 1
    assert asked == [["onnxruntime", "numpy"]]
    assert packages.lacks(versions[0]) == []


def test_an_onnx_model_is_registered_where_its_environment_cannot_be_had(
    folder: Path, workspace: Store, wright: Wright, monkeypatch: pytest.MonkeyPatch
) -> None:
    def resolve(_specification: Specification, **_options: object) -> Resolved:
        raise CommandMissing(command="uv", purpose="it locks", install="pip install uv")

    monkeypatch.setattr(registration, "resolve", resolve)
    (folder / "one.onnx").write_bytes(b"1")
    wright("register", "one.onnx", "--name", "one")
    assert packages.lacks(models.find_version(workspace, "one:1")) == ["an environment"]


def test_paths_choose_within_a_folder_and_keep_their_place(folder: Path, model: Path, wright: Wright) -> None:
    wright("register", "model", "--name", "churn", "--path", "deep/weights.bin", "--path", "tool.sh")
    wright("download", "churn", "out")
    assert sorted(_tree(folder / "out")) == ["model/deep/weights.bin", "model/tool.sh"]
    with pytest.raises(SourceMissing, match='"deep/other" cannot be registered: "model" has no such file'):
        wright("register", "model", "--name", "churn", "--path", "deep/other")


def test_what_is_said_of_a_version_is_shown(folder: Path, model: Path, wright: Wright) -> None:
    (folder / "data.csv").write_text("a\n1\n")
    from click.testing import CliRunner

    from modelwright.cli.program import program

    assert CliRunner().invoke(program, ["dataset", "add", "sales", "data.csv"]).exit_code == 0
    wright("register", "model", "--name", "churn")
    wright(
        "register", "model", "--name", "churn", "--tag", "area=eu", "--property", "built=ci",
        "--description", "the second",
        "--framework", "onnx", "--framework-version", "1.16", "--dataset", "training data=sales:1",
        "--parent", "churn:1", "--why", "asked for",
    )  # fmt: skip
    shown = wright("show", "churn:2", "--json")
    assert (shown["framework"], shown["framework_version"], shown["description"]) == ("onnx", "1.16", "the second")
    assert (shown["tags"], shown["properties"]) == ({"area": "eu"}, {"built": "ci"})
    assert [(each["role"], each["dataset"]) for each in shown["data"]] == [("training data", "sales:1")]
    assert (shown["parent"], shown["run"], shown["deployments"]) == ("churn:1", None, [])
    assert shown["lacks"] == []  # a graph is served by itself, in an environment of ours
    assert wright("show", "churn:1", "--json")["derived"] == ["churn:2"]
    assert wright("history", "churn", "--json")[-1]["why"] == "asked for"
    assert "churn:1" in wright("show", "churn:2")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("gone.pkl", "--name", "churn"), SourceMissing),
        (("model", "--name", "a b"), NameInvalid),
        (("model", "--name", "churn", "--framework-version", "3"), FrameworkMissing),
        (("model", "--name", "churn", "--parent", "other:1"), ModelMissing),
        (("model", "--name", "churn", "--dataset", "training=gone:1"), DatasetMissing),
        (("model", "./model", "--name", "churn"), VersionNotRegistrable),
        (("model", "--name", "churn", "--score", "gone.py"), SourceMissing),
        (("model/deep/empty", "--name", "churn"), SourceMissing),
        (("model/link", "--name", "churn"), DataNotRegular),
        (("model/linked", "--name", "churn"), DataNotRegular),
        (("model/pipe", "--name", "churn"), DataNotRegular),
    ],
)
def test_what_cannot_be_registered_is_refused_and_leaves_nothing(
    model: Path, workspace: Store, wright: Wright, arguments: tuple[str, ...], error: type[Exception]
) -> None:
    if "link" in arguments[0]:
        (model / "linked").mkdir()
        (model / "linked" / "deep").symlink_to(model / "deep")
        (model / "link").symlink_to(model / "tool.sh")
    if "pipe" in arguments[0]:
        os.mkfifo(model / "pipe")
    with pytest.raises(error):
        wright("register", *arguments)
    assert models.list_versions(workspace) == []
    assert workspace.blobs.digests() == set()


def test_files_without_a_name_are_a_fault_of_use(model: Path, wright: Wright) -> None:
    assert "add --name NAME" in wright("register", "model", code=2)
    assert "--tag BuildId=VALUE" in wright("register", "model", "--name", "churn", "--once-per", "BuildId", code=2)


def test_one_build_registers_once(model: Path, wright: Wright) -> None:
    once = ("--name", "churn", "--once-per", "BuildId")
    wright("register", "model", *once, "--tag", "BuildId=7")
    with pytest.raises(AlreadyRegistered, match="churn:1 was registered with the tag BuildId=7 already"):
        wright("register", "model", *once, "--tag", "BuildId=7")
    wright("register", "model", *once, "--tag", "BuildId=8")
    wright("register", "model", "--name", "other", "--once-per", "BuildId", "--tag", "BuildId=7")


def test_a_model_from_elsewhere_is_tried_and_its_signature_inferred(
    servable: Path, workspace: Store, wright: Wright
) -> None:
    wright(
        "register", "model.pkl", "--name", "churn", "--score", "score.py", "--sample", "sample.json",
        "--environment", "serving:1",
    )  # fmt: skip
    version = models.find_version(workspace, "churn")
    package = packages.restore(workspace, version)
    assert json.loads((package / packages.EXPECTED).read_text()) == {"result": [3.0, 6.0]}
    assert version.signature["inputs"] == {
        "type": "object",
        "properties": {"data": {"type": "array", "items": {"type": "array", "items": {"type": "number"}}}},
        "required": ["data"],
    }
    assert packages.scoring_script(package).read_text() == SCORE
    assert packages.lacks(version) == []


def test_a_script_that_does_not_answer_its_sample_is_refused(servable: Path, wright: Wright) -> None:
    (servable / "sample.json").write_text('{"rows": []}')
    given = ("--name", "churn", "--score", "score.py", "--sample", "sample.json", "--environment", "serving:1")
    with pytest.raises(VersionNotRegistrable, match="fails on the sample: KeyError: 'data'"):
        wright("register", "model.pkl", *given)
    (servable / "sample.json").write_text("no JSON")
    with pytest.raises(VersionNotRegistrable, match=r'the sample "sample\.json" is no JSON'):
        wright("register", "model.pkl", *given)


DECORATED = """
from azureml.core.model import Model
from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
from inference_schema.schema_decorators import input_schema

def init():
    global place
    place = Model.get_model_path("churn")

@input_schema("rows", StandardPythonParameterType([[1.0]]))
def run(rows, request_headers):
    return {"result": [sum(row) for row in rows], "asked": request_headers["X-Ms-Request-Id"]}
"""


def test_a_script_of_the_cloud_is_tried_as_it_is_served(servable: Path, workspace: Store, wright: Wright) -> None:
    (servable / "score.py").write_text(DECORATED)
    (servable / "sample.json").write_text('{"rows": [[1.0, 2.0]]}')
    given = ("--name", "churn", "--score", "score.py", "--sample", "sample.json", "--environment", "serving:1")
    wright("register", "model.pkl", *given)
    package = packages.restore(workspace, models.find_version(workspace, "churn"))
    assert json.loads((package / packages.EXPECTED).read_text()) == {"result": [3.0], "asked": "sample"}
    (servable / "sample.json").write_text('{"rows": 3}')
    with pytest.raises(VersionNotRegistrable, match="The value of 'rows' does not fit the schema"):
        wright("register", "model.pkl", *given)


OF_TWO = """
import json, os, pathlib
from azureml.core.model import Model

def init():
    global told
    paths = [Model.get_model_path("scaler"), Model.get_model_path("churn"), os.environ["AZUREML_MODEL_DIR"]]
    told = ["/".join(pathlib.Path(each).parts[-3:]) for each in paths[:2]] + [pathlib.Path(paths[2]).name]

def run(data):
    return told
"""


def test_a_script_of_several_models_is_tried_with_all_of_them(servable: Path, workspace: Store, wright: Wright) -> None:
    (servable / "score.py").write_text(OF_TWO)
    given = ("--name", "churn", "--score", "score.py", "--sample", "sample.json", "--environment", "serving:1")
    with pytest.raises(VersionNotRegistrable, match=r"Model scaler not found .* with --with scaler:VERSION it is"):
        wright("register", "model.pkl", *given)
    wright("register", "model.pkl", "--name", "scaler")
    wright("register", "model.pkl", "--name", "churn")
    wright("register", "model.pkl", *given, "--with", "scaler:1", "--with", "churn:1")
    package = packages.restore(workspace, models.find_version(workspace, "churn:2"))
    told = json.loads((package / packages.EXPECTED).read_text())
    assert told == ["scaler/1/model.pkl", "churn/2/model.pkl", "azureml-models"]


def test_a_version_that_cannot_be_served_says_what_it_lacks(servable: Path, workspace: Store, wright: Wright) -> None:
    wright("register", "model.pkl", "--name", "churn", "--score", "score.py")
    version = models.find_version(workspace, "churn")
    with (
        pytest.raises(VersionIncomplete, match="without a sample request and an environment") as refused,
        deployments.deploying(workspace, version, endpoint="churn", actor="ada"),
    ):
        pass
    assert "--parent churn:1" in refused.value.next_command
    assert wright("show", "churn", "--json")["deployments"] == []


@pytest.fixture
def mlflow(folder: Path) -> Path:
    """A folder as MLflow saves a model to."""
    (folder / "saved").mkdir()
    (folder / "saved" / "MLmodel").write_text(MLMODEL)
    (folder / "saved" / "model.pkl").write_bytes(pickle.dumps(3.0))
    (folder / "saved" / "requirements.txt").write_text("scikit-learn==1.5.0\n")
    return folder / "saved"


def test_what_mlflow_says_of_its_folder_is_understood(mlflow: Path, wright: Wright) -> None:
    told = wright("register", "saved", "--name", "churn")
    assert "MLflow model: python_function, sklearn; sklearn 1.5.0" in told
    assert "signature: rows of age, bmi; needs: requirements.txt" in told
    found = wright("show", "churn", "--json")
    assert (found["framework"], found["framework_version"]) == ("sklearn", "1.5.0")
    assert found["properties"]["mlflow.model_uuid"] == "0a1b2c3d"
    assert found["signature"]["inputs"]["items"]["properties"] == {"age": {"type": "number"}, "bmi": {"type": "number"}}
    wright("download", "churn", "out")
    assert _tree(mlflow.parent / "out" / "saved") == _tree(mlflow)


@pytest.mark.parametrize(
    ("sample", "reason"),
    [
        ({"data": [[1.0, 2.0]]}, None),
        ({"dataframe_split": {"columns": ["age", "bmi"], "data": [[1, 2]]}}, None),
        ({"dataframe_records": [{"age": 1, "bmi": 2}]}, None),
        ({"data": [[1.0]]}, "row 1 has 1 values, there are 2 columns"),
        ({"rows": [{"age": 1}]}, 'row 1 has no "bmi"'),
        ({"rows": [{"age": 1, "bmi": 2, "sex": 0}]}, 'row 1 has "sex", which is no column'),
        ({"data": [[1.0, "old"]]}, 'row 1 has in "bmi" "old", where a number is'),
        ({"data": 3}, "there are no rows in it"),
    ],
)
def test_a_sample_has_to_answer_to_the_signature_that_came_with_the_files(
    mlflow: Path, wright: Wright, sample: object, reason: str | None
) -> None:
    Path("sample.json").write_text(json.dumps(sample))
    arguments = ("register", "saved", "--name", "churn", "--sample", "sample.json")
    if reason is None:
        wright(*arguments)
    else:
        with pytest.raises(VersionNotRegistrable, match=reason):
            wright(*arguments)


@pytest.mark.parametrize(
    "text", ["flavors: [", "artifact_path: model", "[1]", "flavors: {sklearn: }\nsignature: {inputs: x}"]
)
def test_a_description_of_mlflow_that_cannot_be_read_is_refused(mlflow: Path, wright: Wright, text: str) -> None:
    (mlflow / "MLmodel").write_text(text)
    with pytest.raises(ModelFolderInvalid, match="does not describe a model"):
        wright("register", "saved", "--name", "churn")


def test_files_of_a_tracked_script_are_registered_with_its_run(folder: Path, workspace: Store, wright: Wright) -> None:
    (folder / "a.pkl").write_text("a")
    (folder / "b.pkl").write_text("b")
    with modelwright.start_run("search", tags={"kind": "ridge"}) as run:
        modelwright.log_metric("mse", 3.0)
        modelwright.log_artifact("a.pkl")
        modelwright.log_artifact("b.pkl")
    wright("register", run.id, "--name", "churn", "--path", "a.pkl")
    shown = wright("show", "churn", "--json")
    assert (shown["run_id"], shown["experiment"], shown["metrics"]) == (run.id, "search", {"mse": 3.0})
    assert [each["path"] for each in shown["files"]] == ["manifest.json", "model/a.pkl"]
    assert wright("register", run.id, "--name", "churn", "--path", "a.pkl").startswith("churn:1\n")
    assert wright("register", run.id, "--name", "churn", "--path", "b.pkl").startswith("churn:2\n")
    assert [each["version"] for each in wright("list", "--run", run.id, "--json")] == [2, 1]
    with pytest.raises(VersionIncomplete, match="there are no steps to repeat"):
        reproduction.reproduce(Session(workspace, "ada"), "churn:1")
    with pytest.raises(SourceMissing, match=r'"c\.pkl" cannot be registered'):
        wright("register", run.id, "--name", "churn", "--path", "c.pkl")


def test_a_run_that_failed_is_not_registered(folder: Path, wright: Wright) -> None:
    with pytest.raises(ValueError, match="no"), modelwright.start_run("search") as run:
        raise ValueError("no")
    with pytest.raises(RunNotRegistrable, match="it is failed, not succeeded"):
        wright("register", run.id, "--name", "churn")
