"""The guest that explains, with real models: what it gives is what the formula says, and it always adds up."""

import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_diabetes, load_wine
from sklearn.decomposition import PCA
from sklearn.ensemble import GradientBoostingClassifier, RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import (
    ElasticNet,
    Lasso,
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    Ridge,
    RidgeClassifier,
    SGDRegressor,
)
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, PolynomialFeatures, StandardScaler
from sklearn.svm import SVC, SVR, LinearSVC

import modelwright.models.explanation.explaining
import modelwright.runs.worker

X, Y = load_diabetes(return_X_y=True)
WINE, CULTIVARS = load_wine(return_X_y=True)
FRAME = load_diabetes(as_frame=True).frame
SHIPS = pd.DataFrame(
    {
        "age": [22.0, 38.0, None, 35.0, 54.0, 2.0, 27.0, 14.0, 58.0, 20.0] * 6,
        "port": ["S", "C", "S", "Q", "S", "S", "C", "Q", "S", "C"] * 6,
        "fare": np.linspace(5, 90, 60) ** 1.2,
        "survived": ([0, 1, 1, 1, 0, 0, 1, 0, 1, 0] * 6),
    }
)


class Half:
    """A model of somebody's own, with nothing but predict."""

    def predict(self, rows: Any) -> Any:
        return np.maximum(np.asarray(rows)[:, 0], 0) * 0.5 + 1


class Sorter:
    """A model of somebody's own that answers with names."""

    def predict(self, rows: Any) -> list[str]:
        return ["many" if each[0] > 0 else "few" for each in np.asarray(rows)]


@pytest.fixture(scope="session")
def guest() -> ModuleType:
    """The guest, as it is loaded in a model's environment."""
    place = Path(modelwright.models.explanation.explaining.__file__).with_name("attributing.py")
    specification = importlib.util.spec_from_file_location("attributing", place)
    assert specification
    assert specification.loader
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


class Asking:
    """Asks the guest about a model and the values of a run."""

    def __init__(self, guest: ModuleType, folder: Path) -> None:
        self.guest = guest
        self.folder = folder

    def __call__(self, model: object, values: Mapping[str, object] | None = None, **asked: Any) -> dict[str, Any]:
        joblib.dump(model, self.folder / "model.pkl")
        request: dict[str, Any] = {
            "source": "",
            "model_files": [str(self.folder / "model.pkl")],
            "values_reader": modelwright.runs.worker.__file__,
            "values": [],
            "data": None,
            "rows": None,
            "target": None,
            "seed": 0,
            "repeats": 3,
            "shap_missing": "no index here",
        }
        for name, value in (values or {}).items():
            path = self.folder / f"{name}.value"
            modelwright.runs.worker.write_value(value, path, name)
            role = "evaluation" if "test" in name else "training"
            request["values"].append({"name": name, "path": str(path), "role": role})
        answer: dict[str, Any] = self.guest.explained(request | asked)
        assert json.loads(json.dumps(answer, allow_nan=False)) == answer
        return answer

    def refused(self, *arguments: Any, **asked: Any) -> str:
        with pytest.raises(self.guest.RefusedError) as refused:
            self(*arguments, **asked)
        return f"{refused.value.code}: {refused.value}"


@pytest.fixture
def ask(guest: ModuleType, tmp_path: Path) -> Asking:
    return Asking(guest, tmp_path)


def values_of(answer: Mapping[str, Any]) -> Any:
    return np.array([each["values"] for each in answer["values"]])


def outputs_of(answer: Mapping[str, Any]) -> Any:
    return np.array([each["output"] for each in answer["values"]])


def assert_adds_up(answer: Mapping[str, Any], tolerance: float = 1e-9) -> None:
    outputs = outputs_of(answer)
    sums = np.array(answer["base"]) + values_of(answer).sum(axis=1)
    assert np.abs(sums - outputs).max() <= tolerance * np.abs(outputs).max()
    assert answer["additivity"]["holds"]


SPLIT = {"data": {"train": {"X": X[:300], "y": Y[:300]}, "test": {"X": X[300:], "y": Y[300:]}}}


def test_a_ridge_is_coefficient_times_distance_from_the_mean(ask: Asking) -> None:
    model = Ridge(alpha=0.5).fit(X[:300], Y[:300])
    answer = ask(model, SPLIT)

    assert (answer["method"], answer["source"], answer["output"]) == ("linear", "modelwright", "prediction")
    expected = (X[300:] - X[:300].mean(axis=0)) * model.coef_
    np.testing.assert_allclose(values_of(answer)[:, :, 0], expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(answer["base"], model.predict(X[:300]).mean())
    np.testing.assert_allclose(outputs_of(answer)[:, 0], model.predict(X[300:]))
    assert_adds_up(answer)
    assert (answer["background"]["place"], answer["background"]["rows"]) == ("data.train.X", 300)
    assert (answer["explained"]["place"], answer["explained"]["rows"]) == ("data.test.X", len(X) - 300)
    assert answer["permutation"]["labels"] == "data.test.y"
    assert answer["permutation"]["value"] == pytest.approx(model.score(X[300:], Y[300:]))


@pytest.mark.parametrize(
    "model",
    [LinearRegression(), Lasso(0.1), ElasticNet(0.01), SGDRegressor(tol=None, max_iter=50), SVR(kernel="linear")],
)
def test_linear_regressors_are_explained_exactly(ask: Asking, model: Any) -> None:
    answer = ask(model.fit(X, Y), SPLIT)
    assert answer["method"] == "linear"
    assert_adds_up(answer)


@pytest.mark.parametrize("model", [LogisticRegression(C=0.01), RidgeClassifier(), LinearSVC(C=0.01)])
def test_linear_classifiers_are_explained_by_the_margin_of_each_class(ask: Asking, model: Any) -> None:
    rows = StandardScaler().fit_transform(WINE)
    answer = ask(model.fit(rows, CULTIVARS), {"X_train": rows, "y_train": CULTIVARS})
    assert (answer["method"], answer["output"], answer["outputs"]) == ("linear", "margin", ["0", "1", "2"])
    np.testing.assert_allclose(outputs_of(answer), model.decision_function(rows))
    assert_adds_up(answer)
    assert answer["permutation"]["score"] == "accuracy"
    assert answer["permutation"]["labels"] == "y_train"


def test_the_margin_of_two_classes_is_that_of_the_second(ask: Asking) -> None:
    model = LogisticRegression().fit(X, np.where(Y > 140, "ill", "well"))
    answer = ask(model, {"X": X})
    assert (answer["output"], answer["outputs"]) == ("margin", ["well"])


def test_a_model_with_coefficients_that_is_not_linear_is_not_taken_for_one(ask: Asking) -> None:
    answer = ask(PoissonRegressor().fit(X, Y), {"X": X[:60]})
    assert answer["background"] | {"rows": 50, "of": 60} == answer["background"]
    assert answer["explained"] | {"rows": 50, "of": 60} == answer["explained"]
    assert answer["method"] == "sampled"
    assert_adds_up(answer)


def test_searches_and_scalers_are_seen_through(ask: Asking) -> None:
    search = GridSearchCV(make_pipeline(StandardScaler(), Ridge()), {"ridge__alpha": [0.1, 1.0]}, cv=2).fit(X, Y)
    answer = ask(search, SPLIT)
    assert answer["method"] == "linear"
    assert_adds_up(answer)


def prepared(model: Any) -> Any:
    columns = ColumnTransformer(
        [
            ("number", Pipeline([("fill", SimpleImputer()), ("scale", StandardScaler())]), ["age"]),
            ("kind", OneHotEncoder(handle_unknown="ignore"), ["port"]),
            ("rest", "passthrough", ["fare"]),
        ]
    )
    return Pipeline([("columns", columns), ("model", model)])


def test_a_pipelines_inputs_are_summed_to_the_columns_that_they_come_from(ask: Asking) -> None:
    columns = SHIPS.drop(columns="survived")
    model = prepared(Ridge()).fit(columns, SHIPS["survived"])
    answer = ask(model, {"train": SHIPS})

    assert answer["columns"] == ["age", "port", "fare"]
    assert answer["method"] == "linear"
    assert_adds_up(answer)
    inputs = model[0].transform(columns)
    each = (inputs - inputs.mean(axis=0)) * model[1].coef_
    np.testing.assert_allclose(values_of(answer)[:, 1, 0], each[:, 1:4].sum(axis=1), atol=1e-12)
    assert answer["permutation"]["labels"] == "train.survived"


def test_a_pipeline_that_mixes_columns_is_explained_by_them_all_the_same(ask: Asking) -> None:
    model = make_pipeline(PolynomialFeatures(2), PCA(5), Ridge()).fit(X[:, :4], Y)
    answer = ask(model, {"X_train": X[:60, :4], "y_train": Y[:60]})
    assert answer["method"] == "subsets"
    assert 'makes one input of "column 1" and "column 2"' in answer["notes"][0]
    assert_adds_up(answer)


def test_text_columns_are_taken_as_they_are(ask: Asking) -> None:
    model = prepared(KNeighborsClassifier(3)).fit(SHIPS.drop(columns="survived"), SHIPS["survived"])
    answer = ask(model, {"train": SHIPS})
    assert (answer["method"], answer["output"], answer["outputs"]) == ("subsets", "probability", ["0", "1"])
    np.testing.assert_allclose(values_of(answer)[:, :, 0], -values_of(answer)[:, :, 1], atol=1e-12)
    assert_adds_up(answer)


def test_sampling_finds_what_is_known_exactly(ask: Asking, guest: ModuleType) -> None:
    model = Ridge(alpha=0.5).fit(X, Y)
    linear = ask(model, SPLIT)
    row_tables, shapley = guest._beside("row_tables"), guest._beside("shapley")
    rows, background = (row_tables.from_memory(each, None) for each in (X[300:303], X[:300]))
    values, base, _ = shapley.sampled(
        lambda table: model.predict(table.build())[:, None], rows, background, seed=0, rounds=1
    )
    np.testing.assert_allclose(values[:, :, 0], values_of(linear)[:3, :, 0], atol=1e-9)
    np.testing.assert_allclose(base, linear["base"])


def test_values_of_a_sampled_model_are_within_their_errors_of_the_exact_ones(guest: ModuleType) -> None:
    """The product of two columns: each has half of what is exact for every pair of rows."""
    draws = np.random.default_rng(1)
    row_tables = guest._beside("row_tables")
    background = row_tables.from_memory(draws.random((40, 3)), None)
    row = row_tables.from_memory(np.array([[2.0, 3.0, 1.0]]), None)
    first, second, _ = background.columns
    exact = ((2 - first) * (second + 3) / 2).mean()

    def product(table: Any) -> Any:
        return (table.columns[0] * table.columns[1])[:, None]

    shapley = guest._beside("shapley")
    values, base, errors = shapley.sampled(product, row, background, seed=0, rounds=10)
    assert abs(values[0, 0, 0] - exact) < 4 * errors[0, 0, 0] + 1e-9
    assert values[0, 2, 0] == 0
    values, same_base = shapley.subsets(product, row, background)
    assert values[0, 0, 0] == pytest.approx(exact, rel=1e-12)
    assert same_base == base


@pytest.mark.parametrize(
    ("model", "output"),
    [
        (SVC(), "margin"),
        (KNeighborsClassifier(), "probability"),
        (GradientBoostingClassifier(n_estimators=5), "probability"),
    ],
)
def test_any_classifier_is_explained_and_adds_up(ask: Asking, model: Any, output: str) -> None:
    rows = StandardScaler().fit_transform(WINE)[:, :5]
    answer = ask(model.fit(rows, CULTIVARS), {"X_train": rows[::6], "y_train": CULTIVARS[::6]})
    assert (answer["method"], answer["output"], len(answer["outputs"])) == ("subsets", output, 3)
    assert_adds_up(answer)


def test_trees_need_shap_and_say_so_when_it_cannot_be_had(ask: Asking, guest: ModuleType) -> None:
    model = RandomForestRegressor(5).fit(X[:, :3], Y)
    with pytest.raises(guest.MissingError):
        ask(model, {"X": X[:6, :3]}, shap_missing="")
    answer = ask(model, {"X": X[:6, :3]})
    assert answer["method"] == "subsets"
    assert answer["notes"][0] == "shap cannot be had, so trees are explained by their outputs alone: no index here"
    assert_adds_up(answer)


def test_a_class_with_nothing_but_predict_is_explained(ask: Asking) -> None:
    answer = ask(Half(), {"X_train": X[:30, :2], "y_train": Y[:30]})
    assert answer["outputs"] == ["prediction"]
    assert np.abs(values_of(answer)[:, 1]).max() == 0
    assert_adds_up(answer)
    assert answer["permutation"]["source"] == "modelwright"
    assert answer["permutation"]["columns"]["column 2"]["mean"] == 0


def test_a_class_that_answers_with_names_is_explained_by_each_name(ask: Asking) -> None:
    answer = ask(Sorter(), {"X": X[:30, :2]})
    assert (answer["output"], answer["outputs"]) == ("label", ["few", "many"])
    assert_adds_up(answer)


def test_the_same_seed_gives_the_same_values_and_another_one_others(ask: Asking) -> None:
    model = SVR().fit(X[:60], Y[:60])
    answers = [ask(model, {"X_train": X[:8], "y_train": Y[:8]}, seed=seed) for seed in (0, 0, 1)]
    assert answers[0]["method"] == "sampled"
    assert answers[0]["standard_error"] > 0
    assert answers[0] == answers[1]
    assert answers[0]["importances"] != answers[2]["importances"]
    assert answers[0]["permutation"]["columns"] != answers[2]["permutation"]["columns"]
    assert answers[0]["background"] | {"rows": 8, "of": 8} == answers[0]["background"]


def test_permutation_importance_is_that_of_scikit_learn(ask: Asking) -> None:
    from sklearn.inspection import permutation_importance

    model = Ridge().fit(X[:300], Y[:300])
    measured = ask(model, SPLIT)["permutation"]
    expected = permutation_importance(model, X[300:], Y[300:], n_repeats=3, random_state=0)
    np.testing.assert_allclose([each["mean"] for each in measured["columns"].values()], expected.importances_mean)
    np.testing.assert_allclose([each["deviation"] for each in measured["columns"].values()], expected.importances_std)


def test_columns_without_names_get_those_of_the_frame_that_has_their_cells(ask: Asking) -> None:
    model = Ridge().fit(X[:300], Y[:300])
    answer = ask(model, {"frame": FRAME} | SPLIT)
    assert answer["columns"][:3] == ["age", "sex", "bmi"]
    assert "the columns' names are those of frame" in answer["notes"][0]


def test_a_frame_with_the_target_in_it_is_told_apart(ask: Asking) -> None:
    model = Ridge().fit(FRAME.drop(columns="target"), FRAME["target"])
    answer = ask(model, {"frame": FRAME})
    assert answer["permutation"]["labels"] == "frame.target"
    wider = FRAME.assign(weight=1.0)
    assert ask(model, {"frame": wider})["permutation"] is None
    assert ask(model, {"frame": wider}, target="target")["permutation"]["labels"] == "frame.target"


def test_tuples_and_nested_parts_are_looked_through(ask: Asking) -> None:
    model = Ridge().fit(X[:300], Y[:300])
    answer = ask(model, {"parts": (X[:300], [1, 2, 3], {"more": "text"})})
    assert answer["background"]["place"] == "parts.0"
    assert answer["permutation"] is None
    assert "no labels were found" in answer["notes"][-1]


def named(path: Path, name: str = "") -> dict[str, str]:
    return {"name": name or path.name, "path": str(path)}


def test_rows_of_a_request_are_explained_in_every_form(ask: Asking, tmp_path: Path) -> None:
    model = Ridge().fit(FRAME.drop(columns="target"), FRAME["target"])
    rows = FRAME.drop(columns="target").iloc[:2]
    forms = {
        "lists.json": json.dumps({"data": rows.to_numpy().tolist()}),
        "records.json": json.dumps({"Inputs": {"rows": rows.to_dict(orient="records")}}),
        "turned.json": json.dumps(rows[rows.columns[::-1]].to_dict(orient="records")),
        "rows.csv": rows.to_csv(index=False),
    }
    found = []
    for name, text in forms.items():
        (tmp_path / name).write_text(text)
        answer = ask(model, {"frame": FRAME}, rows=named(tmp_path / name))
        assert answer["explained"]["rows"] == 2
        np.testing.assert_allclose(outputs_of(answer)[:, 0], model.predict(rows))
        found.append(values_of(answer))
    for each in found[1:]:
        np.testing.assert_allclose(each, found[0])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"data": [[1, 2, 3]]}', "its rows have 3 cells, the model takes 10 columns"),
        ('{"data": []}', "it holds no rows"),
        ('{"age": 1}', 'it has no column "sex"'),
        ("nonsense", "it is not JSON"),
        ('{"data": [["a", 2, 3, 4, 5, 6, 7, 8, 9, 10]]}', "not of the columns' types"),
    ],
)
def test_rows_that_do_not_fit_are_refused_with_the_reason(ask: Asking, tmp_path: Path, text: str, said: str) -> None:
    model = Ridge().fit(FRAME.drop(columns="target"), FRAME["target"])
    (tmp_path / "row.json").write_text(text)
    told = ask.refused(model, {"frame": FRAME}, rows=named(tmp_path / "row.json"))
    assert told.startswith("file: ")
    assert said in told


def test_a_row_may_lack_what_the_pipeline_fills(ask: Asking, tmp_path: Path) -> None:
    model = prepared(Ridge()).fit(SHIPS.drop(columns="survived"), SHIPS["survived"])
    (tmp_path / "row.json").write_text('{"age": null, "port": "X", "fare": 7}')
    answer = ask(model, {"train": SHIPS}, rows=named(tmp_path / "row.json"))
    assert answer["values"][0]["cells"] == [None, "X", 7.0]
    assert_adds_up(answer)


def test_data_of_a_file_takes_the_place_of_the_runs(ask: Asking, tmp_path: Path) -> None:
    FRAME.to_csv(tmp_path / "table.csv", index=False)
    for model in (Ridge().fit(X, Y), Ridge().fit(FRAME.drop(columns="target"), Y)):
        answer = ask(model, data=named(tmp_path / "table.csv", "sales:3"), target="target")
        assert answer["background"]["place"] == "sales:3"
        assert answer["permutation"]["labels"] == "sales:3.target"
        assert answer["columns"][0] == "age"
        assert_adds_up(answer)


def test_data_with_one_column_too_many_is_refused_unless_the_target_is_named(ask: Asking, tmp_path: Path) -> None:
    FRAME.to_csv(tmp_path / "table.csv", index=False)
    told = ask.refused(Ridge().fit(X, Y), data=named(tmp_path / "table.csv"))
    assert told.endswith("it has 11 columns, the model takes 10 columns; name the one to predict with --target")
    told = ask.refused(Ridge().fit(X, Y), data=named(tmp_path / "table.csv"), target="price")
    assert told.endswith('it has no column "price"')


def test_what_cannot_be_explained_is_refused(ask: Asking) -> None:
    assert ask.refused(Ridge().fit(X, Y), {"other": X[:, :3]}) == "rows: its run kept no table with 10 columns"
    assert "holds a dict, which has neither predict" in ask.refused({"model": 1})
    assert KMeans(2, n_init=1).fit(X[:20, :2]).predict(X[:2, :2]).shape == (2,)
