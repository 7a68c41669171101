"""The texts of the sample model that a new project begins with, and of its tests."""

from modelwright.projects import scaffold
from modelwright.records import Function, Goal, Metric, Parameter

MODEL, METRICS, MODEL_FILE, LOADER = "model", "metrics", "model.joblib", "joblib"
PARAMETERS = (Parameter("test_size", 0.2), Parameter("random_state", 0), Parameter("alpha", 0.5))
MEASURES = (Metric("mse", Goal.MINIMIZE),)
# Two patients, as they are in the data.
REQUEST = (
    '{"data": [[0.0381, 0.0507, 0.0617, 0.0219, -0.0442, -0.0348, -0.0434, -0.0026, 0.0199, -0.0176], '
    "[-0.0019, -0.0446, -0.0515, -0.0263, -0.0084, -0.0192, 0.0744, -0.0395, -0.0683, -0.0922]]}"
)

IMPORTS = (
    "import os",
    "import joblib",
    "import pandas as pd",
    "from sklearn.datasets import load_diabetes",
    "from sklearn.linear_model import Ridge",
    "from sklearn.metrics import mean_squared_error",
    "from sklearn.model_selection import train_test_split",
)

_LOAD = '''
def load_data() -> pd.DataFrame:
    """Load the data: a row for each patient, `Y` is what is to be predicted."""
    diabetes = load_diabetes()
    df = pd.DataFrame(data=diabetes.data, columns=diabetes.feature_names)
    df["Y"] = diabetes.target
    return df
'''
_SPLIT = '''
def split_data(df: pd.DataFrame, test_size: float = 0.2, random_state: int = 0) -> dict:
    """Split the data into the rows to learn from and the rows to test with."""
    X = df.drop(columns="Y").values
    y = df["Y"].values
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, test_size=test_size, random_state=random_state
    )
    data = {"train": {"X": X_train, "y": y_train}, "test": {"X": X_test, "y": y_test}}
    return data
'''
_TRAIN = '''
def train_model(data: dict, alpha: float = 0.5) -> Ridge:
    """Train the model."""
    model = Ridge(alpha=alpha)
    model.fit(data["train"]["X"], data["train"]["y"])
    return model
'''
_EVALUATE = '''
def evaluate_model(model: Ridge, data: dict) -> dict[str, float]:
    """Measure the model on the test rows; return its metrics by name."""
    predictions = model.predict(data["test"]["X"])
    return {"mse": float(mean_squared_error(data["test"]["y"], predictions))}
'''
_SAVE = '''
def save_model(model: Ridge, output_folder: str) -> None:
    """Save the model in `output_folder`."""
    os.makedirs(output_folder, exist_ok=True)
    joblib.dump(model, os.path.join(output_folder, "model.joblib"))
'''

FUNCTIONS = (
    Function("load_data", (), ("df",), (), _LOAD, role="load"),
    Function("split_data", ("df",), ("data",), ("test_size", "random_state"), _SPLIT, role="split"),
    Function("train_model", ("data",), ("model",), ("alpha",), _TRAIN),
    Function("evaluate_model", ("model", "data"), ("metrics",), (), _EVALUATE, role="evaluate"),
    Function("save_model", ("model", "output_folder"), (), (), _SAVE, role="save"),
)

SCORE = '''"""Score rows with the trained model: `init()` once, then `run()` for each request."""

import json
import os
from typing import Any

import joblib
import numpy as np

model: Any


def model_folder() -> str:
    """Return the folder of the model's files: the one served, else the last one trained here."""
    return os.environ.get("AZUREML_MODEL_DIR", os.path.join(PROJECT, "outputs"))


def init() -> None:
    """Load the model."""
    global model
    model = joblib.load(os.path.join(model_folder(), "model.joblib"))


def run(raw_data: str, request_headers: dict) -> dict:
    """Answer a request, whose body is JSON text: a prediction for each row of its `data`."""
    data = np.array(json.loads(raw_data)["data"])
    return {"result": model.predict(data).tolist()}
'''

# What each part of the project is to become.
YOURS = {
    "load_data": "your data; files that it reads lie best in `data/`",
    "split_data": "the features that your model is given, and the rows that it is tested with",
    "train_model": "your model",
    "evaluate_model": "your metrics, numbers by name",
    "save_model": "how your model is saved",
}

# --- tests, by the function that they are of ---

CONFTEST = '''
@pytest.fixture
def data():
    """Return the data, split with the defaults."""
    return split_data(load_data())


@pytest.fixture
def model(data):
    """Return the model, trained with the defaults."""
    return train_model(data)


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch, tmp_path):
    """Run each test in a folder of its own: what is written, is written there."""
    monkeypatch.chdir(tmp_path)
'''

TESTS = {
    "load_data": """
def test_load_data_gives_numbers_without_gaps():
    df = load_data()

    assert len(df) > 0
    assert not df.isna().any(axis=None)
""",
    "split_data": """
def test_split_data_gives_every_row_to_one_side():
    df = load_data()

    data = split_data(df)

    rows = [tuple(row) for side in ("train", "test") for row in data[side]["X"]]
    assert sorted(rows) == sorted(map(tuple, df.drop(columns="Y").values))


def test_split_data_gives_the_same_again_and_leaves_its_inputs_alone():
    df = load_data()
    before = df.copy()

    first, second = split_data(df), split_data(df)

    assert np.array_equal(first["test"]["X"], second["test"]["X"])
    assert df.equals(before)


def test_split_data_heeds_test_size():
    df = load_data()

    data = split_data(df, test_size=0.5)

    assert len(data["test"]["y"]) == len(df) // 2


def test_split_data_heeds_random_state(data):
    other = split_data(load_data(), random_state=1)

    assert not np.array_equal(other["test"]["X"], data["test"]["X"])
""",
    "train_model": """
def test_train_model_learns_more_than_the_mean(model, data):
    rows, targets = data["test"]["X"], data["test"]["y"]

    predictions = model.predict(rows)

    assert np.mean((predictions - targets) ** 2) < np.var(targets)


def test_train_model_heeds_alpha(model, data):
    stronger = train_model(data, alpha=50.0)

    assert np.abs(stronger.coef_).sum() < np.abs(model.coef_).sum()
""",
    "evaluate_model": '''
class Perfect:
    """A model that knows the answers."""

    def __init__(self, answers):
        self.answers = answers

    def predict(self, rows):
        return self.answers


def test_evaluate_model_finds_no_error_in_a_perfect_model(data):
    model = Perfect(data["test"]["y"])

    metrics = evaluate_model(model, data)

    assert metrics == {"mse": 0.0}


def test_evaluate_model_finds_the_error_of_a_model_that_is_ten_off(data):
    model = Perfect(data["test"]["y"] + 10)

    metrics = evaluate_model(model, data)

    assert metrics == {"mse": pytest.approx(100.0)}
''',
    "save_model": """
def test_save_model_saves_what_predicts_the_same(model, data, tmp_path):
    save_model(model, tmp_path / "outputs")

    saved = joblib.load(tmp_path / "outputs" / "model.joblib")
    rows = data["test"]["X"]
    assert saved.predict(rows) == pytest.approx(model.predict(rows))
""",
    "main": """
def test_main_prints_the_metrics_and_saves_the_model(monkeypatch, capsys, tmp_path, data):
    folder = tmp_path / "outputs"
    monkeypatch.setattr(sys, "argv", ["train.py", "--alpha", "0.1", "--output-folder", str(folder)])

    main()

    printed = dict(line.split(": ") for line in capsys.readouterr().out.splitlines())
    saved = joblib.load(folder / "model.joblib")
    metrics = evaluate_model(saved, data)
    assert {name: float(value) for name, value in printed.items()} == pytest.approx(metrics)
    assert saved.alpha == 0.1
""",
    "pipeline": """
def test_pipeline_gives_and_saves_what_its_steps_give(model, data, tmp_path):
    result = pipeline(output_folder=str(tmp_path))

    assert result["metrics"] == pytest.approx(evaluate_model(model, data))
    assert (tmp_path / "model.joblib").stat().st_size > 0


def test_pipeline_heeds_its_parameters(tmp_path):
    result = pipeline(alpha=50.0, output_folder=str(tmp_path))

    assert result["model"].alpha == 50.0
""",
    "score": '''
PROJECT = pathlib.Path(__file__).resolve().parents[1]
REQUEST = (PROJECT / "sample.json").read_text(encoding="utf-8")


@pytest.fixture
def score(monkeypatch, model, tmp_path):
    """Return the scoring script as a server has it, with the model in AZUREML_MODEL_DIR."""
    save_model(model, tmp_path)
    monkeypatch.setenv("AZUREML_MODEL_DIR", str(tmp_path))
    monkeypatch.delitem(sys.modules, "{module}", raising=False)
    return importlib.import_module("{module}")


def test_answer_has_the_prediction_for_each_row(score, model):
    score.init()

    answer = score.run(REQUEST, {})

    rows = np.array(json.loads(REQUEST)["data"])
    assert json.loads(json.dumps(answer)) == {"result": pytest.approx(list(model.predict(rows)))}


def test_second_answer_is_the_same(score):
    score.init()
    first = score.run(REQUEST, {})

    assert score.run(REQUEST, {}) == first


def test_model_is_loaded_by_init_and_not_before(score):
    with pytest.raises(NameError):
        score.run(REQUEST, {})


def test_missing_model_is_found_by_init(score, monkeypatch, tmp_path):
    monkeypatch.setenv("AZUREML_MODEL_DIR", str(tmp_path / "nowhere"))

    with pytest.raises(FileNotFoundError):
        score.init()


def test_model_is_looked_for_in_the_project_when_nothing_is_served(score, monkeypatch):
    monkeypatch.delenv("AZUREML_MODEL_DIR")

    assert pathlib.Path(score.model_folder()) == PROJECT / "outputs"
''',
}

TEST_IMPORTS = tuple(
    f"import {each}" for each in ("importlib", "joblib", "json", "numpy as np", "pathlib", "pytest", "sys")
)

README = (
    """\
# {name}

A machine learning project with a sample model: ridge regression on scikit-learn's diabetes data. It trains, tests and
serves as it is; put your own model in its place, a part at a time. It was made by `wright new`, from no notebook.

"""
    + scaffold.SET_UP
    + """\

## Put your model in

{parts}
Run the tests after each part: they hold what is true of the sample, so change them with it.

- A function that is new, or takes other values, is called in `main()` of `{train_file}` and in `{pipeline_file}`.
- A parameter stands in the function, in both of these places, and in `{parameters_file}`.
- `[gate]` in `wright.toml` names the metric that a new model must be better in, and the direction: `minimize` or
  `maximize`.
- Other libraries go into `requirements.txt`, and `dependencies` of `pyproject.toml`. Lock them, with the Python that is
  named in `wright.toml`, and set `locked_from = "index"` there:
  `uv pip compile --generate-hashes --python-version {python} requirements.txt --output-file {lock_file}`

## Work with it

| | |
|---|---|
| train, and save the model in `outputs/` | `python -m {train}` |
| test | `pytest`; or `wright test` |
| check the code | `ruff check .`, `mypy` |
| train on the record; a gate compares with the best model so far | `wright run` |
| register what a run made, and serve it | `wright model register RUN`, `wright endpoint deploy {name}` |
"""
)
