"""Models that are only arrays: taken apart, compared byte for byte, and evaluated without scikit-learn."""

import json
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from models.served import SCORE, Wright

from modelwright.errors import ArraysInvalid
from modelwright.models import packages
from modelwright.models.fusing import asking, checking, compiled, exporting, fusing, scripts, trees, verdicts
from modelwright.models.fusing.arrays import Arrays, read_arrays
from modelwright.models.fusing.evaluating import ArrayModel, Manner
from modelwright.notebooks import scoring
from modelwright.records import BuiltEnvironment
from modelwright.store import models
from modelwright.store.database import Store

np = pytest.importorskip("numpy")
pytest.importorskip("sklearn")

pytestmark = pytest.mark.filterwarnings("ignore")


def _model(text: str, data: str = "numbers") -> Any:
    """Return the fitted model that `text` makes."""
    from sklearn import (
        datasets,
        discriminant_analysis,
        ensemble,
        impute,
        linear_model,
        pipeline,
        preprocessing,
        svm,
        tree,
    )

    names: dict[str, Any] = {}
    for module in (discriminant_analysis, ensemble, impute, linear_model, pipeline, preprocessing, svm, tree):
        names |= vars(module)
    found = eval(text, names)
    if data == "labels":
        return found.fit(*datasets.load_iris(return_X_y=True))
    x, y = datasets.load_diabetes(return_X_y=True)
    if data == "gaps":
        x = x.copy()
        x[np.random.default_rng(0).random(x.shape) < 0.1] = np.nan
    if data == "two":
        y = np.where(y > 150, "über", "below")
    return found.fit(x, y)


def _arrays(model: Any, folder: Path) -> Arrays:
    exporting.parts_of(model).write(str(folder / "arrays.bin"))
    return read_arrays(folder / "arrays.bin")


def _answers(model: Any, folder: Path, *, is_frame: bool = False) -> list[checking.Answered]:
    """Return what the model answers to all kinds of requests, as the scoring script of a new project does."""

    def run(body: str) -> Any:
        import pandas as pd

        data = json.loads(body)["data"]
        return {"result": model.predict(pd.DataFrame(data) if is_frame else np.array(data)).tolist()}

    parts = exporting.parts_of(model)
    columns = parts.header["columns"]
    sample = json.dumps({"data": [[0.25] * columns, [1.5] * columns]})
    asking.write_answers(
        str(folder / "answers.jsonl"), answer=asking.answering(run), parts=parts, sample=sample, key="data"
    )
    return checking.read_answers(folder / "answers.jsonl")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Sums in one order, as in a registration, and no team of threads for ten rows."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        yield


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer requests than at a registration."""
    monkeypatch.setattr(asking, "_SINGLES", 60)
    monkeypatch.setattr(asking, "_BATCHES", (2, 3, 8, 64))


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("Ridge()", "numbers"),
        ("LinearRegression()", "numbers"),
        ("Lasso()", "numbers"),
        ("ElasticNet()", "numbers"),
        ("LogisticRegression()", "two"),
        ("LogisticRegression()", "labels"),
        ("RidgeClassifier()", "two"),
        ("LinearDiscriminantAnalysis()", "labels"),
        ("DecisionTreeRegressor()", "numbers"),
        ("DecisionTreeRegressor(max_depth=4)", "gaps"),
        ("DecisionTreeClassifier()", "labels"),
        ("RandomForestRegressor(3, n_jobs=-1)", "numbers"),
        ("RandomForestRegressor(3, max_leaf_nodes=9)", "gaps"),
        ("RandomForestClassifier(4)", "two"),
        ("ExtraTreesRegressor(3)", "numbers"),
        ("ExtraTreesClassifier(3)", "labels"),
        ("GradientBoostingRegressor(n_estimators=5)", "numbers"),
        ("GradientBoostingRegressor(n_estimators=5, loss='huber', init='zero')", "numbers"),
        ("GradientBoostingClassifier(n_estimators=5)", "two"),
        ("GradientBoostingClassifier(n_estimators=5)", "labels"),
        ("HistGradientBoostingRegressor(max_iter=5)", "numbers"),
        ("HistGradientBoostingRegressor(max_iter=5)", "gaps"),
        ("HistGradientBoostingClassifier(max_iter=5)", "two"),
        ("HistGradientBoostingClassifier(max_iter=5)", "labels"),
        ("make_pipeline(StandardScaler(), Ridge())", "numbers"),
        ("make_pipeline(SimpleImputer(), StandardScaler(), Ridge())", "gaps"),
        ("make_pipeline(SimpleImputer(strategy='constant', fill_value=0.0), LinearRegression())", "gaps"),
        ("make_pipeline(MinMaxScaler(clip=True), LogisticRegression())", "labels"),
        ("make_pipeline('passthrough', RobustScaler(), MaxAbsScaler(), DecisionTreeRegressor())", "numbers"),
        ("make_pipeline(StandardScaler(), HistGradientBoostingClassifier(max_iter=5))", "two"),
    ],
)
def test_the_arrays_answer_every_request_byte_for_byte_as_the_model_or_not_at_all(
    text: str, data: str, tmp_path: Path, few: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = _model(text, data)
    arrays, answers = _arrays(model, tmp_path), _answers(model, tmp_path)
    for is_compiled in (True, False):
        if not is_compiled:
            monkeypatch.setattr(compiled, "native", None)
        found, comparison = checking.proven(arrays, answers, Manner())
        assert (found is not None, comparison.difference) == (True, "")
        assert comparison.rows >= 100


@pytest.mark.parametrize("text", ["Ridge()", "make_pipeline(StandardScaler(), Lasso())"])
def test_a_table_made_by_pandas_is_summed_in_its_own_order(text: str, tmp_path: Path, few: None) -> None:
    model = _model(text)
    answers = _answers(model, tmp_path, is_frame=True)
    found, _ = checking.proven(_arrays(model, tmp_path), answers, Manner())
    assert found is not None
    assert found.manner.is_by_column


def test_a_batch_is_answered_as_the_model_answers_that_batch(tmp_path: Path) -> None:
    """Half of a linear model's rows differ in their last bit from the same rows asked for alone."""
    model = _model("Ridge()")
    arrays = ArrayModel(_arrays(model, tmp_path), Manner())
    rows = np.random.default_rng(1).normal(size=(64, 10))
    alone = [arrays.answer_rows([row]) for row in rows.tolist()]
    assert alone == [json.dumps({"result": model.predict(row.reshape(1, -1)).tolist()}).encode() for row in rows]
    assert arrays.answer_rows(rows.tolist()) == json.dumps({"result": model.predict(rows).tolist()}).encode()


def test_trees_too_large_to_be_compiled_are_walked(tmp_path: Path, few: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "native", None)
    monkeypatch.setattr(trees, "_MOST_COMPILED_NODES", 10)
    for text, data in (("HistGradientBoostingRegressor(max_iter=3)", "gaps"), ("RandomForestClassifier(3)", "labels")):
        model = _model(text, data)
        found, _ = checking.proven(_arrays(model, tmp_path), _answers(model, tmp_path), Manner())
        assert found is not None


def test_the_last_bit_of_one_number_is_a_difference(tmp_path: Path, few: None) -> None:
    for text, name in (("Ridge()", "coefficients"), ("HistGradientBoostingRegressor(max_iter=5)", "value")):
        model = _model(text)
        given, answers = _arrays(model, tmp_path), _answers(model, tmp_path)
        for index, value in enumerate(given.arrays[name]):
            given.arrays[name][index] = float(np.nextafter(value, np.inf))
        found, comparison = checking.proven(given, answers, Manner())
        assert found is None
        assert "its arrays" in comparison.difference


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("make_pipeline(PolynomialFeatures(2), Ridge())", "its step is of the class PolynomialFeatures"),
        ("SVR()", "it is of the class SVR"),
        ("HistGradientBoostingRegressor(loss='poisson', max_iter=2)", "its loss 'poisson' has a link function"),
        ("make_pipeline(SimpleImputer(add_indicator=True), Ridge())", "its SimpleImputer adds or drops columns"),
        ("type('Mine', (Ridge,), {'__module__': 'mine'})()", "it is of the class Mine"),
    ],
)
def test_what_is_more_than_arrays_is_told(text: str, reason: str) -> None:
    with pytest.raises(exporting.NotArraysError, match=reason):
        exporting.parts_of(_model(text))


def test_several_outputs_are_left_to_the_model() -> None:
    from sklearn.linear_model import Ridge
    from sklearn.tree import DecisionTreeRegressor

    for model in (Ridge(), DecisionTreeRegressor()):
        with pytest.raises(exporting.NotArraysError, match="several numbers"):
            exporting.parts_of(model.fit([[1.0], [2.0]], [[1.0, 2.0], [3.0, 4.0]]))


@pytest.mark.parametrize(
    "change",
    [
        lambda arrays: arrays["left"].__setitem__(0, 0),
        lambda arrays: arrays["right"].__setitem__(0, arrays["left"][0]),
        lambda arrays: arrays["left"].__setitem__(0, 10**6),
        lambda arrays: arrays["feature"].__setitem__(0, 99),
        lambda arrays: arrays["value"].pop(),
        lambda arrays: arrays["roots"].append(1),
        lambda arrays: arrays["start"].pop(),
    ],
)
def test_tables_that_are_no_trees_are_refused_not_walked(change: Callable[[Any], None], tmp_path: Path) -> None:
    given = _arrays(_model("DecisionTreeRegressor(max_depth=3)"), tmp_path)
    change(given.arrays)
    with pytest.raises(ArraysInvalid, match="no trees"):
        ArrayModel(given, Manner())


@pytest.mark.parametrize("damage", [lambda data: data[:-3], lambda data: b"x" + data, lambda data: b""])
def test_a_damaged_file_is_refused(damage: Callable[[bytes], bytes], tmp_path: Path) -> None:
    _arrays(_model("Ridge()"), tmp_path)
    (tmp_path / "arrays.bin").write_bytes(damage((tmp_path / "arrays.bin").read_bytes()))
    with pytest.raises(ArraysInvalid):
        read_arrays(tmp_path / "arrays.bin")


def test_numbers_are_written_as_python_writes_them(tmp_path: Path) -> None:
    arrays = ArrayModel(_arrays(_model("Ridge()"), tmp_path), Manner())
    values = [1e16, 1e15, 1e-5, 9.9e-5, 1e-4, -0.0, 0.1, 1 / 3, 123456789.123, 5e-324, 1.7976931348623157e308, 100.0]
    for each in [[value, 1.5] for value in values]:
        assert arrays.answer_of(each) == json.dumps({"result": each}).encode()


def test_where_the_rows_must_stand_alone_another_key_is_for_the_model(tmp_path: Path) -> None:
    given, body = _arrays(_model("Ridge()"), tmp_path), json.dumps({"data": [[0.5] * 10], "proba": True}).encode()
    assert ArrayModel(given, Manner()).answer(body) is not None
    assert ArrayModel(given, Manner(is_alone=True)).answer(body) is None


# --- scoring scripts ---


@pytest.mark.parametrize("loader", ["pickle", "joblib"])
@pytest.mark.parametrize("has_frames", [True, False])
def test_the_scoring_script_of_a_new_project_is_recognised(loader: str, has_frames: bool) -> None:
    code = scoring.default("model.pkl", loader, has_frames=has_frames).code
    assert scripts.form_of(code.encode()) == scripts.Form("data", "result", "model")


PLAIN = """
import json, os, pickle
import numpy as np

PROJECT = os.path.dirname(os.path.abspath(__file__))

def init():
    global model
    path = os.path.join(os.environ["AZUREML_MODEL_DIR"], "model.pkl")
    with open(path, "rb") as file:
        model = pickle.load(file)

def run(raw_data, request_headers):
    data = np.array(json.loads(raw_data)["data"])
    return {"result": model.predict(data).tolist()}
"""


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("    return", "    print(data)\n    return"),
        ("    return", "    data = data * 2\n    return"),
        ("    return", "    model = None\n    return"),
        ('["data"])', '["data"], dtype=float)'),
        ("model.predict(data)", "model.predict_proba(data)"),
        ("model.predict(data)", "model.predict(data, 1)"),
        (".tolist()}", ".tolist(), 'at': 1}"),
        ("import json, os", "import json, os, mine"),
        ("import numpy as np", "import mine as np"),
        ("import numpy as np", "from mine import *"),
        ("import numpy as np", "import numpy as np\nprint(1)"),
        ("import numpy as np", "import numpy as np\nnp.array = len"),
        ("import numpy as np", "import numpy as np\njson = 1"),
        ("    global model", "    global model, count"),
        ("    global model", "    global model\n    print('loaded')"),
        ("pickle.load(file)", "mine(file)"),
        ("AZUREML_MODEL_DIR", "ELSEWHERE"),
        ("os.path.dirname(os.path.abspath(__file__))", "print(1)"),
        ("data = np.array", "getattr = np.array"),
        ("def run", "@decorated\ndef run"),
        ("def run", "async def run"),
        ("def run", "class json: pass\ndef run"),
        ("def run(raw_data, request_headers)", "def run(raw_data, request_headers, *rest)"),
        ("def run(raw_data, request_headers)", "def run(raw_data, other)"),
        ("json.loads(raw_data)", "json.loads(request_headers)"),
        ("def run", "def (run"),
    ],
)
def test_a_script_that_does_anything_else_is_opaque(before: str, after: str) -> None:
    assert scripts.form_of(PLAIN.encode()) is not None
    assert before in PLAIN
    assert scripts.form_of(PLAIN.replace(before, after).encode()) is None


# --- at registration ---


@pytest.fixture
def fusable(folder: Path, serving_environment: BuiltEnvironment) -> Path:
    """A linear model, the scoring script of a new project, and a request."""
    model = _model("make_pipeline(StandardScaler(), Ridge())")
    (folder / "model.pkl").write_bytes(pickle.dumps(model))
    (folder / "score.py").write_text(PLAIN)
    (folder / "sample.json").write_text(json.dumps({"data": [[0.5] * 10]}))
    return folder


REGISTER = ("register", "model.pkl", "--name", "m", "--score", "score.py", "--sample", "sample.json")


def test_a_registered_version_says_that_it_is_fused_and_is_compared_again_where_it_serves(
    fusable: Path, workspace: Store, wright: Wright
) -> None:
    wright(*REGISTER, "--environment", "serving:1")
    version = models.find_version(workspace, "m:1")
    package = packages.restore(workspace, version)
    verdict = verdicts.read_verdict(package / fusing.VERDICT)
    assert (verdict.is_fused, verdict.model) == (True, "Ridge")
    assert verdict.rows > 1000
    assert f"fused        yes: {verdict.rows:,} rows" in wright("show", "m:1")
    expected = json.loads((package / packages.EXPECTED).read_text())
    assert (
        json.loads(fusing.load(package).answer(b'{"data": [[0.5,0.5,0.5,0.5,0.5,0.5,0.5,0.5,0.5,0.5]]}') or b"")
        == expected
    )
    lines = (package / "fused" / "answers.jsonl").read_text().replace('{\\"result\\": [1', '{\\"result\\": [2')
    (package / "fused" / "answers.jsonl").write_text(lines)
    with pytest.raises(ArraysInvalid, match="its arrays"):
        fusing.load(package)


def test_a_version_with_a_script_of_its_own_says_why_it_is_not_fused(
    folder: Path, serving_environment: BuiltEnvironment, workspace: Store, wright: Wright
) -> None:
    (folder / "model.pkl").write_bytes(pickle.dumps(3.0))
    (folder / "score.py").write_text(SCORE)
    (folder / "sample.json").write_text('{"data": [[1.0, 2.0]]}')
    wright(*REGISTER, "--name", "churn", "--environment", "serving:1")
    assert f"fused        no: {fusing.OPAQUE}" in wright("show", "churn:1")
    assert not verdicts.is_fused(packages.restore(workspace, models.find_version(workspace, "churn:1")))


def test_a_model_without_a_script_is_fused_as_the_server_answers_for_it(
    fusable: Path, workspace: Store, wright: Wright
) -> None:
    wright("register", "model.pkl", "--name", "bare", "--framework", "sklearn", "--environment", "serving:1")
    package = packages.restore(workspace, models.find_version(workspace, "bare:1"))
    verdict = verdicts.read_verdict(package / fusing.VERDICT)
    assert (verdict.is_fused, verdict.reason) == (True, "")
    model = fusing.load(package)
    assert model.manner.is_alone
    answer = {"result": _load(fusable / "model.pkl").predict([[0.5] * 10]).tolist()}
    assert model.answer(json.dumps({"data": [[0.5] * 10]}).encode()) == json.dumps(answer).encode()


def _load(path: Path) -> Any:
    return pickle.loads(path.read_bytes())
