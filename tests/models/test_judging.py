"""How two models are measured on the same rows, whatever the evaluation is."""

import pickle
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import mean_squared_error, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from modelwright.models.gate import chance, judging, origins, rows, standins
from modelwright.models.gate.judging import Contest, Evaluation

N = 50
GUESTS = types.SimpleNamespace(chance=chance, origins=origins, rows=rows, standins=standins)


class Worker:
    """What a guest needs of the module that runs steps."""

    @staticmethod
    def random_states() -> bytes:
        return pickle.dumps(np.random.get_state())  # noqa: NPY002 - what steps draw from

    @staticmethod
    def set_random(states: Any) -> None:
        np.random.set_state(states)  # noqa: NPY002 - as above

    @staticmethod
    def load(name: str, file: Path) -> Any:
        found = spec_from_file_location(name, file)
        assert found
        assert found.loader
        module = module_from_spec(found)
        found.loader.exec_module(module)
        return module


Judged = Callable[..., Contest]


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer resamples, and as much time for them as the machine needs."""
    monkeypatch.setattr(judging, "_RESAMPLES", 60)
    monkeypatch.setattr(judging, "_RESAMPLING_SECONDS", 600.0)


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> Judged:
    """What makes a contest of an evaluation, its values and two models."""

    def made(
        evaluate: Callable[..., Any], values: dict[str, Any], candidate: Any, champion: Any, goal: str = "minimize"
    ) -> Contest:
        module = types.ModuleType("judged_project")
        module.evaluate = evaluate  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "judged_project", module)
        names = ["model", *values]
        plan = {
            "metric": "value",
            "goal": goal,
            "model": "model",
            "steps": [
                {
                    "module": "judged_project",
                    "function": "evaluate",
                    "arguments": [{"keyword": None, "name": name, "value": None} for name in names],
                    "outputs": ["metrics"],
                    "is_unpacked": False,
                    "metrics": "metrics",
                }
            ],
        }
        evaluation = Evaluation(Worker, plan, values)
        return Contest(evaluation, {"candidate": candidate, "champion": champion}, GUESTS)

    return made


@pytest.fixture(scope="module")
def data() -> dict[str, Any]:
    draws = np.random.default_rng(0)
    x = draws.normal(size=(3 * N, 3))
    y = x @ [1.0, -2.0, 0.5] + draws.normal(size=3 * N)
    return {"train": {"X": x[N:], "y": y[N:]}, "test": {"X": x[:N], "y": y[:N]}}


def _mse(model: Any, data: Any) -> dict[str, float]:
    return {"value": float(mean_squared_error(data["test"]["y"], model.predict(data["test"]["X"])))}


def _fitted(data: dict[str, Any], alpha: float) -> Any:
    return Ridge(alpha=alpha).fit(data["train"]["X"], data["train"]["y"])


def test_remembered_predictions_give_the_interval_of_the_paired_bootstrap(
    judged: Judged, data: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judging, "_RESAMPLES", 300)
    models = _fitted(data, 1.0), _fitted(data, 200.0)
    contest = judged(_mse, {"data": data}, *models)
    metrics = contest.measure()
    found = contest.resample(seed=3, level=0.9)
    assert found["is_remembered"]
    assert (found["rows"], found["resamples"], found["failed"]) == (N, 300, 0)

    errors = [(each.predict(data["test"]["X"]) - data["test"]["y"]) ** 2 for each in models]
    assert metrics["candidate"]["value"] == pytest.approx(errors[0].mean())
    difference = errors[1] - errors[0]
    draws = np.random.default_rng(3)
    draws.integers(0, N, N)  # the draw on which remembered answers are tried
    means = [difference[draws.integers(0, N, N)].mean() for _ in range(300)]
    assert (found["low"], found["high"]) == pytest.approx(tuple(np.quantile(means, [0.05, 0.95])))


def test_few_resamples_give_the_interval_by_their_standard_error(judged: Judged, data: dict[str, Any]) -> None:
    models = _fitted(data, 1.0), _fitted(data, 200.0)
    found = _resampled(judged(_mse, {"data": data}, *models))
    assert (found["resamples"], found["is_percentile"]) == (60, False)
    errors = [(each.predict(data["test"]["X"]) - data["test"]["y"]) ** 2 for each in models]
    difference = errors[1] - errors[0]
    draws = np.random.default_rng(0)
    draws.integers(0, N, N)  # the draw on which remembered answers are tried
    spread = np.std([difference[draws.integers(0, N, N)].mean() for _ in range(60)], ddof=1)
    student = 2.0010  # of 59 degrees of freedom, as tables have it
    low, high = difference.mean() - student * spread, difference.mean() + student * spread
    assert (found["low"], found["high"]) == pytest.approx((low, high), rel=1e-3)


@dataclass
class Split:
    x: Any
    y: Any


def _in(shape: str, data: dict[str, Any]) -> tuple[Any, Callable[[Any], Any]]:
    """Return the test rows in some shape, and what gives features and target of it."""
    x, y = data["test"]["X"], data["test"]["y"]
    frame = pd.DataFrame(x, columns=list("abc"), index=range(1000, 1000 + N))
    records = [{"x": list(row), "y": target} for row, target in zip(x, y, strict=True)]
    shapes: dict[str, tuple[Any, Callable[[Any], Any]]] = {
        "dataclass": (Split(x, y), lambda value: (value.x, value.y)),
        "tuple": ((x, y), tuple),
        "list of arrays": ([x, y], tuple),
        "frame": (frame.assign(y=y), lambda value: (value[list("abc")].to_numpy(), value["y"])),
        "frame and series": (
            {"X": frame, "y": pd.Series(y, index=frame.index)},
            lambda value: (value["X"].to_numpy(), value["y"]),
        ),
        "sparse": ((sparse.coo_matrix(x), y), tuple),
        "records": (records, lambda value: ([each["x"] for each in value], [each["y"] for each in value])),
    }
    return shapes[shape]


@pytest.mark.parametrize(
    "shape", ["dataclass", "tuple", "list of arrays", "frame", "frame and series", "sparse", "records"]
)
def test_rows_are_drawn_whatever_holds_them(judged: Judged, data: dict[str, Any], shape: str) -> None:
    value, parts = _in(shape, data)

    def evaluate(model: Any, value: Any) -> dict[str, float]:
        x, y = parts(value)
        return {"value": float(mean_squared_error(y, model.predict(x)))}

    found = _resampled(judged(evaluate, {"value": value}, _fitted(data, 1.0), _fitted(data, 200.0)))
    assert (found["rows"], found["is_remembered"]) == (N, True)
    expected = _resampled(judged(_mse, {"data": data}, _fitted(data, 1.0), _fitted(data, 200.0)))
    assert (found["low"], found["high"]) == pytest.approx((expected["low"], expected["high"]))


def _resampled(contest: Contest) -> dict[str, Any]:
    contest.measure()
    return contest.resample(seed=0, level=0.95)


def test_the_rows_that_the_metric_depends_on_are_those_that_count(judged: Judged, data: dict[str, Any]) -> None:
    def evaluate(model: Any, data: Any) -> dict[str, float]:
        fit = mean_squared_error(data["train"]["y"], model.predict(data["train"]["X"]))
        return {"fit": float(fit), **_mse(model, data)}

    found = _resampled(judged(evaluate, {"data": data}, _fitted(data, 1.0), _fitted(data, 200.0)))
    assert (found["rows"], found["is_remembered"]) == (N, True)


@pytest.mark.parametrize("kind", ["of its own rows", "of what it is", "of its score"])
def test_a_model_whose_answers_cannot_be_remembered_is_asked_anew(
    judged: Judged, data: dict[str, Any], kind: str
) -> None:
    def evaluate(model: Any, data: Any) -> dict[str, float]:
        x, y = data["test"]["X"], data["test"]["y"]
        match kind:
            case "of its own rows":
                some = x[:, 0] > np.median(x[:, 0])
                return {"value": float(mean_squared_error(y[some], model.predict(x[some])))}
            case "of what it is":
                return {"value": float(np.mean((model[-1].predict(model[0].transform(x)) - y) ** 2))}
            case _:
                return {"value": -model.score(x, y)}

    def fitted(alpha: float) -> Any:
        return make_pipeline(StandardScaler(), Ridge(alpha=alpha)).fit(data["train"]["X"], data["train"]["y"])

    found = _resampled(judged(evaluate, {"data": data}, fitted(1.0), fitted(200.0)))
    assert not found["is_remembered"]
    assert found["rows"] == N
    assert found["low"] < found["high"]


def test_models_in_a_container_answer_from_memory(judged: Judged, data: dict[str, Any]) -> None:
    scaler = StandardScaler().fit(data["train"]["X"])

    def made(alpha: float) -> dict[str, Any]:
        return {
            "scaler": scaler,
            "model": Ridge(alpha=alpha).fit(scaler.transform(data["train"]["X"]), data["train"]["y"]),
        }

    def evaluate(model: Any, data: Any) -> dict[str, float]:
        predictions = model["model"].predict(model["scaler"].transform(data["test"]["X"]))
        predictions[predictions > 3] = 3  # in place
        return {"value": float(mean_squared_error(data["test"]["y"], predictions))}

    assert _resampled(judged(evaluate, {"data": data}, made(1.0), made(200.0)))["is_remembered"]


def test_an_evaluation_that_changes_its_input_measures_both_models_on_the_same(
    judged: Judged, data: dict[str, Any]
) -> None:
    def evaluate(model: Any, data: Any) -> dict[str, float]:
        data["test"]["y"] += 1
        return _mse(model, data)

    contest = judged(evaluate, {"data": data}, _fitted(data, 1.0), _fitted(data, 1.0))
    metrics = contest.measure()
    assert metrics["candidate"] == metrics["champion"]
    assert contest.resample(seed=0, level=0.95)["high"] == 0


def test_both_models_meet_the_same_random_draws(judged: Judged, data: dict[str, Any]) -> None:
    def evaluate(model: Any, data: Any) -> dict[str, float]:
        return {"value": _mse(model, data)["value"] + np.random.random()}  # noqa: NPY002 - as notebooks do

    contest = judged(evaluate, {"data": data}, _fitted(data, 1.0), _fitted(data, 1.0))
    metrics = contest.measure()
    assert metrics["candidate"] == metrics["champion"]


@pytest.fixture(scope="module")
def people() -> pd.DataFrame:
    draws = np.random.default_rng(1)
    frame = pd.DataFrame(draws.normal(size=(200, 2)), columns=["a", "b"])
    frame["age"] = draws.integers(18, 80, 200)
    frame["region"] = ["isle"] * 4 + list(draws.choice(["north", "south", None], size=196))
    frame["label"] = (frame["a"] + frame["b"] + draws.normal(size=200) > 0).astype(int)
    frame.loc[:3, "label"] = 1
    return frame


def _auc(model: Any, people: pd.DataFrame) -> dict[str, float]:
    chances = model.predict_proba(people[["a", "b"]])[:, 1]
    if people["label"].nunique() < 2:
        raise ValueError("only one class")
    return {"value": float(roc_auc_score(people["label"], chances))}


def test_slices_of_a_classifier_have_the_metric_of_each_group(judged: Judged, people: pd.DataFrame) -> None:
    good = LogisticRegression().fit(people[["a", "b"]], people["label"])
    poor = LogisticRegression().fit(people[["a", "b"]] * [1, 0], people["label"])
    contest = judged(_auc, {"people": people}, good, poor, "maximize")
    contest.measure()
    assert contest.resample(seed=0, level=0.95)["low"] > 0

    regions = {each["group"]: each for each in contest.slices("region")}
    assert regions.keys() == {"isle", "none", "north", "south"}
    assert (regions["isle"]["rows"], regions["isle"]["candidate"]) == (4, None)
    north = people[people["region"] == "north"]
    assert regions["north"]["candidate"] == pytest.approx(_auc(good, north)["value"])
    assert regions["north"]["champion"] == pytest.approx(_auc(poor, north)["value"])

    ages = contest.slices("age")
    assert len(ages) == 4
    assert ages[0]["group"].startswith("lowest to ")
    assert sum(each["rows"] for each in ages) == 200
    with pytest.raises(LookupError, match=r'no column "sex" .* they have a, age, b, label, region'):
        contest.slices("sex")


def test_a_part_under_a_name_is_a_column(judged: Judged, data: dict[str, Any]) -> None:
    sexes = np.array(["f", "m"] * (N // 2))
    values = {"data": data | {"test": data["test"] | {"sex": sexes}}}
    contest = judged(_mse, values, _fitted(data, 1.0), _fitted(data, 200.0))
    contest.measure()
    assert [(each["group"], each["rows"]) for each in contest.slices("sex")] == [("f", N // 2), ("m", N // 2)]


def test_the_columns_of_an_array_are_named_by_the_table_that_its_rows_come_from() -> None:
    draws = np.random.default_rng(0)
    table = pd.DataFrame(draws.normal(size=(90, 3)), columns=["a", "b", "target"])
    table.insert(1, "sex", draws.choice([0, 1], size=90))
    table.insert(2, "smokes", draws.choice([0, 1], size=90))
    table.loc[3, "a"] = np.nan
    some = table.sample(40, random_state=0)
    assert origins.names(some.drop(columns="target").to_numpy(), [table]) == ["a", "sex", "smokes", "b"]
    assert origins.names(some[["a", "smokes"]].to_numpy(), [table[["b"]], table]) == ["a", "smokes"]
    assert origins.names(some[["smokes"]].to_numpy(), [table]) is None  # or is it the other?
    assert origins.names(some[["a", "b"]].to_numpy() * 2, [table]) is None


@pytest.mark.parametrize(
    ("values", "reason"), [({"path": "data.csv"}, "they hold no rows"), ({"rows": [1.0]}, "1 row only")]
)
def test_what_cannot_be_resampled_says_why(judged: Judged, values: dict[str, Any], reason: str) -> None:
    contest = judged(lambda model, _: {"value": model}, values, 1.0, 2.0)
    contest.measure()
    assert contest.resample(seed=0, level=0.95)["reason"] == reason


def test_a_metric_that_is_not_defined_on_most_draws_gives_no_interval(judged: Judged) -> None:
    def evaluate(model: float, rows: list[int]) -> dict[str, float]:
        return {"value": model if len(set(rows)) == len(rows) else float("nan")}

    found = _resampled(judged(evaluate, {"rows": list(range(20))}, 1.0, 2.0))
    assert "low" not in found
    assert (found["reason"], found["failed"]) == ("value is not a number", 60)


def test_latency_is_measured_of_both_models(
    judged: Judged, data: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow(Ridge):  # type: ignore[misc]
        def predict(self, x: Any) -> Any:
            asked.append(len(x))
            return super().predict(x)

    asked: list[int] = []
    monkeypatch.setattr(judging, "_MOST_ASKED", 5)
    slow = Slow().fit(data["train"]["X"], data["train"]["y"])
    contest = judged(_mse, {"data": data}, slow, _fitted(data, 1.0))
    assert contest.latencies()["reason"] == "the evaluation asks the model for no predictions"
    contest.measure()
    asked.clear()
    found = contest.latencies()
    assert found.keys() == {"candidate", "champion"}
    assert asked == [1] * 5 + [N] * 10
    for each in found.values():
        assert 0 < each["row_p50"] <= each["row_p95"]
        assert each["asked"] == 4


def test_a_champion_of_several_files_is_the_one_that_is_like_the_candidate(tmp_path: Path) -> None:
    files = {"a.pkl": StandardScaler(), "b.pkl": Ridge(), "c.pkl": {}}
    for name, value in files.items():
        (tmp_path / name).write_bytes(pickle.dumps(value))
    (tmp_path / "notes.txt").write_text("no pickle")

    class Reader(Worker):
        @staticmethod
        def read_value(file: str) -> Any:
            return pickle.loads(Path(file).read_bytes())

    paths = [str(tmp_path / each) for each in ("notes.txt", *files)]
    assert isinstance(judging._loaded(Reader, paths, Ridge()), Ridge)
    assert isinstance(judging._loaded(Reader, paths, 3.0), StandardScaler)
    with pytest.raises(TypeError, match=r"no file of the champion can be read .*: notes\.txt"):
        judging._loaded(Reader, paths[:1], 3.0)
