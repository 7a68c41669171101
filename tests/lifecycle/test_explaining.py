"""Explanations of registered versions, in the versions' own environments."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import modelwright.models.explanation.explaining
from modelwright import processes, records
from modelwright.cli.program import program
from modelwright.environments import building, overlaying
from modelwright.environments.inspection import inspect
from modelwright.environments.locking import lock, pins
from modelwright.errors import (
    EnvironmentNotLocked,
    EnvironmentNotResolved,
    ExplanationFailed,
    ExplanationWithoutRows,
    FileNotReadable,
    ModelNotExplainable,
    RowsUnfit,
    VersionIncomplete,
)
from modelwright.lifecycle import explaining, training
from modelwright.lifecycle.explaining import Wish
from modelwright.lifecycle.sessions import Session, Stage
from modelwright.projects.manifest import read_manifest
from modelwright.records import BuiltEnvironment, ModelVersion, PackageFile, Requirement
from modelwright.runs import worker
from modelwright.settings import child_environment
from modelwright.store import audit, environments, explanations, models, references
from modelwright.store.changes import change
from modelwright.store.database import Store

TRAIN = """
import pickle
from pathlib import Path

import pandas as pd
from sklearn.linear_model import Ridge


def load():
    first = [float(each % 7) for each in range(40)]
    second = [float(each * each % 11) for each in range(40)]
    return pd.DataFrame({"first": first, "second": second, "y": [a - 2 * b for a, b in zip(first, second)]})


def split(rows, size=1):
    return {"train": {"X": rows[["first", "second"]].values[:30], "y": rows["y"].values[:30]},
            "test": {"X": rows[["first", "second"]].values[30:], "y": rows["y"].values[30:]}}


def fit(data, alpha):
    return Ridge(alpha=alpha).fit(data["train"]["X"], data["train"]["y"])


def evaluate(model, data):
    return {"error": float(abs(model.predict(data["test"]["X"]) - data["test"]["y"]).mean())}


def save(model, output_folder):
    Path(output_folder, "model.pkl").write_bytes(pickle.dumps(model))
"""
PIPELINE = """
from small.train import evaluate, fit, load, save, split


def pipeline(alpha=0.5, output_folder="outputs"):
    rows = load()
    data = split(rows)
    model = fit(data, alpha)
    metrics = evaluate(model, data)
    save(model, output_folder)
    return {"model": model, "metrics": metrics}
"""
SCORE = """
import json
import os
import pickle
from pathlib import Path


def init():
    global model
    model = pickle.loads(Path(os.environ["AZUREML_MODEL_DIR"], "model.pkl").read_bytes())


def run(raw_data, request_headers):
    return {"result": model.predict(json.loads(raw_data)["data"]).tolist()}
"""


@pytest.fixture
def version(
    monkeypatch: pytest.MonkeyPatch, session: Session, project: Path, environment: BuiltEnvironment
) -> ModelVersion:
    """A ridge regression that a run made, in the Python that runs the tests."""
    monkeypatch.setattr(training.manifests, "read_lock", lambda _manifest: environment.lock)
    monkeypatch.setattr(training, "environment_of", lambda *_arguments, **_options: environment)
    for name, text in {"train": TRAIN, "pipeline": PIPELINE, "score": SCORE}.items():
        (project / "src" / "small" / f"{name}.py").write_text(text)
    (project / "sample.json").write_text('{"data": [[1, 2], [3, 4]]}')
    run = training.train(session, read_manifest(project), is_gated=False).run
    return training.register(session, run.id)


def test_a_version_is_explained_once_and_the_answer_kept_with_it(session: Session, version: ModelVersion) -> None:
    found = explaining.explain(session, "small:1", Wish())
    result = found.result
    assert (found.method, found.holds, found.is_local) == ("linear", True, False)
    assert [each["column"] for each in result["importances"]] == ["second", "first"]
    assert result["background"] | {"place": "data.train.X", "rows": 30, "of": 30} == result["background"]
    assert result["explained"] | {"place": "data.test.X", "rows": 10} == result["explained"]
    assert result["permutation"]["labels"] == "data.test.y"
    assert (result["run"], result["environment"]) == (version.run_id, version.environment_digest)
    assert len(explaining.values_of(session.store, found)) == 10

    def told_nothing(stage: Stage) -> None:
        raise AssertionError(stage)

    at_once = Session(session.store, "ben", told_nothing)
    assert explaining.explain(at_once, "small@champion", Wish()) == found
    fresh = explaining.explain(session, "small", Wish(is_fresh=True))
    assert fresh.id != found.id
    assert fresh.result == result

    actions = [each["action"] for each in audit.list_audit_records(session.store, subject="models/small:1")]
    assert actions.count("model.explained") == 2
    with session.store.reader.connect() as connection:
        assert found.digest in references.blob_digests(connection)


def wright(session: Session, *arguments: str) -> Result:
    """Run a command in the session's workspace; what it raises is raised."""
    return CliRunner().invoke(
        program,
        ["--workspace", str(session.store.folder), "model", *arguments],
        catch_exceptions=False,
        standalone_mode=False,
    )


def elsewhere(store: Store, environment: BuiltEnvironment, folder: Path, *, is_built: bool = True) -> ModelVersion:
    """Register what lies in `folder` as the files of a version without a run."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    with store.blobs.batch() as batch, change(store, actor="ada") as opened:
        environments.ensure_environment(opened, environment.lock)
        return models.add_version(
            opened,
            ModelVersion(
                id=records.new_id("version"),
                model="other",
                version=0,
                digest=batch.add(folder / "manifest.json"),
                framework="ours",
                signature={},
                run_id=None,
                proof_id=None,
                environment_digest=environment.lock.digest if is_built else None,
                created_at=records.now(),
                files=tuple(
                    PackageFile(str(each.relative_to(folder)), batch.add(each), each.stat().st_size) for each in files
                ),
            ),
        )


OWN = """
import random


class Coin:
    def predict(self, rows):
        return [random.random() for _ in rows]


class Wall:
    def predict(self, rows):
        raise ZeroDivisionError("no way through")
"""


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch, environment: BuiltEnvironment, tmp_path: Path) -> Path:
    """A package with classes of its own, and no model yet."""
    monkeypatch.setattr(training, "environment_of", lambda *_arguments, **_options: environment)
    folder = tmp_path / "package"
    (folder / "model").mkdir(parents=True)
    (folder / "manifest.json").write_text('{"format_version": 1}')
    (folder / "own.py").write_text(OWN)
    (tmp_path / "rows.csv").write_text("a,b\n" + "1,2\n3,4\n" * 4)
    return folder


def test_rows_are_explained_by_command_and_the_model_shown_on_a_page(
    session: Session, environment: BuiltEnvironment, package: Path, tmp_path: Path
) -> None:
    import joblib
    from sklearn.linear_model import Ridge

    joblib.dump(Ridge().fit([[1, 2], [3, 4], [5, 5]], [0, 1, 3]), package / "model" / "model.pkl")
    version = elsewhere(session.store, environment, package)
    data = str(tmp_path / "rows.csv")
    (tmp_path / "sample.json").write_text('{"data": [[1, 2], [3, 4]]}')
    asked = ["explain", "other:1", "--data", data, "--row", str(tmp_path / "sample.json")]
    told = wright(session, *asked, "--json")
    answer = json.loads(told.stdout)
    assert told.return_value == 0
    assert [each["cells"] for each in answer["rows"]] == [[1.0, 2.0], [3.0, 4.0]]
    for row in answer["rows"]:
        sums = answer["explanation"]["result"]["base"][0] + sum(each[0] for each in row["values"])
        assert sums == pytest.approx(row["output"][0], rel=1e-12)
    assert explanations.latest_explanation(session.store, version) is None
    assert "row 1: prediction" in wright(session, *asked).stdout

    (tmp_path / "wrong.json").write_text('{"data": [[1, 2, 3]]}')
    with pytest.raises(RowsUnfit, match=r'"wrong\.json" does not fit the model: its rows have 3 cells'):
        explaining.explain(session, "other:1", Wish(data=data, rows=tmp_path / "wrong.json"))
    with pytest.raises(FileNotReadable, match=r"missing\.csv"):
        explaining.explain(session, "other:1", Wish(data="missing.csv"))

    page = tmp_path / "page.html"
    shown = wright(session, "explain", "other:1", "--data", data, "--why", "review", "--html", str(page)).stdout
    assert "█" in shown
    assert f"page: {page}" in shown
    assert "<th>a</th>" in page.read_text()
    assert "<script" not in page.read_text()
    assert "count most (linear)" in wright(session, "show", "other:1").stdout
    last = audit.list_audit_records(session.store, subject="models/other:1")[-1]
    assert (last["action"], last["why"]) == ("model.explained", "review")


def test_what_does_not_add_up_is_an_error_that_is_kept_and_shown(
    session: Session, environment: BuiltEnvironment, package: Path, tmp_path: Path
) -> None:
    (package / "model" / "model.pkl").write_bytes(b"cown\nCoin\n)\x81.")  # an object of a class made without arguments
    elsewhere(session.store, environment, package)
    told = wright(session, "explain", "other:1", "--data", str(tmp_path / "rows.csv"))
    assert told.return_value == 1
    assert "adds up      NO: only to" in told.stdout
    (found,) = explanations.list_explanations(session.store, models.find_version(session.store, "other:1"))
    assert not found.holds


def test_what_cannot_be_explained_is_refused_with_its_reason(
    session: Session, environment: BuiltEnvironment, package: Path, tmp_path: Path
) -> None:
    (package / "model" / "model.pkl").write_bytes(b"cown\nWall\n)\x81.")
    elsewhere(session.store, environment, package)
    with pytest.raises(ExplanationWithoutRows, match='no rows to explain "other:1"') as without:
        explaining.explain(session, "other:1", Wish())
    assert without.value.next_command.startswith("wright model explain other:1 --data")
    with pytest.raises(ExplanationFailed, match="ZeroDivisionError: no way through"):
        explaining.explain(session, "other:1", Wish(data=str(tmp_path / "rows.csv")))
    (package / "model" / "model.pkl").write_bytes(b"}.")
    elsewhere(session.store, environment, package)
    with pytest.raises(ModelNotExplainable, match=r"model\.pkl holds a dict"):
        explaining.explain(session, "other:2", Wish())
    elsewhere(session.store, environment, package, is_built=False)
    with pytest.raises(VersionIncomplete, match="other:3 has no environment"):
        explaining.explain(session, "other:3", Wish())


def test_without_an_index_trees_are_explained_all_the_same_and_the_reason_told(
    monkeypatch: pytest.MonkeyPatch, session: Session, environment: BuiltEnvironment, package: Path, tmp_path: Path
) -> None:
    import joblib
    from sklearn.tree import DecisionTreeRegressor

    joblib.dump(DecisionTreeRegressor().fit([[1, 2], [3, 4]], [0, 1]), package / "model" / "model.pkl")
    elsewhere(session.store, environment, package)

    def unreached(*_arguments: Any) -> BuiltEnvironment:
        raise EnvironmentNotResolved(
            file="shap", python_version="3", platform="here", reason="the index cannot be reached", fix="connect"
        )

    monkeypatch.setattr(overlaying, "build_overlay", unreached)
    found = explaining.explain(session, "other:1", Wish(data=str(tmp_path / "rows.csv")))
    assert (found.method, found.holds) == ("subsets", True)
    assert "the index cannot be reached" in found.result["notes"][0]


MODELS = """
import importlib.util, json, pickle, sys
from pathlib import Path
import numpy as np, pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (GradientBoostingClassifier, HistGradientBoostingClassifier, RandomForestClassifier,
                              RandomForestRegressor)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

guest, reader = sys.argv[1:]
specification = importlib.util.spec_from_file_location("attributing", guest)
attributing = importlib.util.module_from_spec(specification)
specification.loader.exec_module(attributing)
draws = np.random.default_rng(0)
frame = pd.DataFrame({"a": draws.random(60), "b": draws.random(60), "kind": draws.choice(["x", "y", "z"], 60)})
numbers, text = frame[["a", "b"]], frame
y = frame["a"] + (frame["kind"] == "x")
classes = (2 * y).astype(int)
first = ColumnTransformer([("kind", OneHotEncoder(), ["kind"])], remainder="passthrough")
made = {
    "regressor": RandomForestRegressor(5).fit(numbers, y),
    "classifier": RandomForestClassifier(5).fit(numbers, classes),
    "boosted": HistGradientBoostingClassifier(max_iter=3).fit(numbers, classes > 1),
    "pipeline": make_pipeline(first, RandomForestRegressor(5)).fit(text, y),
    "unknown": GradientBoostingClassifier(n_estimators=2).fit(numbers, classes),
}
frame.to_csv("rows.csv", index=False)
for name, model in made.items():
    Path("model.pkl").write_bytes(pickle.dumps(model))
    request = {"source": "", "model_files": ["model.pkl"], "values_reader": reader, "values": [], "rows": None,
               "data": {"name": "rows", "path": "rows.csv"}, "target": None, "seed": 0, "repeats": 1,
               "shap_missing": ""}
    answer = attributing.explained(request)
    answer["sums"] = [each["output"][0] - answer["base"][0] - sum(part[0] for part in each["values"])
                      for each in answer.pop("values")]
    print(json.dumps([name, answer]))
"""


@pytest.mark.slow
def test_trees_are_explained_exactly_in_the_versions_environment_with_shap_added(
    session: Session, tmp_path: Path
) -> None:
    """The overlay is made for real, from the index, and used by the command and by several models."""
    store = session.store
    installed = inspect(Path(sys.executable)).distributions
    wanted = [Requirement(name, installed[name].version) for name in ("joblib", "pandas", "scikit-learn")]
    try:
        locked = lock(wanted, python=Path(sys.executable), wheels=None)
        overlay = overlaying.build_overlay(store, locked, "shap")
    except (EnvironmentNotLocked, EnvironmentNotResolved) as error:
        pytest.skip(f"there is no package index here: {error}")
    assert pins(locked).items() < pins(overlay.lock).items()
    assert overlaying.find_overlay(store, locked, "shap") == overlay

    (tmp_path / "models.py").write_text(MODELS)
    guest = Path(modelwright.models.explanation.explaining.__file__).with_name("attributing.py")
    done = processes.run(
        [overlay.python, tmp_path / "models.py", guest, worker.__file__],
        folder=tmp_path,
        environment=child_environment(building.variables(overlay, tmp_path)),
    )
    assert done.returncode == 0, done.stderr
    found = dict(json.loads(line) for line in done.stdout.splitlines())
    methods = {name: (each["method"], each["output"], each["columns"]) for name, each in found.items()}
    assert methods == {
        "regressor": ("trees", "prediction", ["a", "b"]),
        "classifier": ("trees", "probability", ["a", "b"]),
        "boosted": ("trees", "margin", ["a", "b"]),
        "pipeline": ("trees", "prediction", ["a", "b", "kind"]),
        "unknown": ("subsets", "probability", ["a", "b"]),
    }
    for name, each in found.items():
        assert each["additivity"]["holds"], name
        assert max(map(abs, each["sums"])) < 1e-9, name
    assert "only supported for binary classification" in found["unknown"]["notes"][0]
    assert found["pipeline"]["importances"][0]["column"] == "kind"
