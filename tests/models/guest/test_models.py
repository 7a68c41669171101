"""Models without a scoring script: what they take, what they say to the rest, and that no request touches another."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from models.guest.asking import JSON, call, model, plain, told
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestClassifier, VotingClassifier
from sklearn.linear_model import ElasticNet, Lasso, LinearRegression, LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC

from modelwright.models.guest.codes import Route
from modelwright.models.guest.frameworks import Fitted
from modelwright.models.guest.importing import ScriptUnfit
from modelwright.serving import control

X = np.arange(24.0).reshape(8, 3) ** 1.5 % 7
LINEAR = LinearRegression().fit(X, X.sum(axis=1))
PEOPLE = pd.DataFrame({"age": [20.0, 30, 40, 50], "sex": ["f", "m", "f", "m"]})
CHOICE = make_pipeline(
    make_column_transformer((OneHotEncoder(), ["sex"]), remainder="passthrough"), LogisticRegression()
).fit(PEOPLE, ["no", "no", "yes", "yes"])
INFER = "/v2/models/diabetes/infer"


def score(serving: Any, body: Any, **more: Any) -> Any:
    """Return the answer of a model to one request: its status, and its body read as JSON."""
    reply = serving.answer(call(body=body, **more))
    return reply.status, told(reply)


@pytest.fixture
def linear(tmp_path: Path) -> Any:
    """A model of three numbers, without names."""
    return model(LINEAR, tmp_path)


@pytest.fixture
def choice(tmp_path: Path) -> Any:
    """A classifier of columns with names and kinds."""
    return model(CHOICE, tmp_path)


@pytest.mark.parametrize(
    "body",
    [
        {"data": [[1, 2, 3]]},
        [[1, 2, 3]],
        {"columns": ["a", "b", "c"], "data": [[1, 2, 3]]},
        {"input_data": {"columns": ["a", "b", "c"], "index": [0], "data": [[1, 2, 3]]}},
        {"data": [{"a": 1, "b": 2, "c": 3}]},
    ],
)
def test_rows_come_in_the_forms_that_are_in_use(linear: Any, body: Any) -> None:
    status, answer = score(linear, body)
    assert (status, answer["result"]) == (200, pytest.approx([6.0]))


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"data": [[1, 2]]}, "Row 1 has 2 values, the model takes 3"),
        ({"data": [[1, 2, 3], [1, 2, 3, 4]]}, "Row 2 has 4 values, the model takes 3"),
        ({"data": [1, 2, 3]}, "Row 1 is 1, where a list of values is needed"),
        ({"data": [[1, None, 3]]}, "Row 1 has no value in column 2, which the model does not take"),
        ({"data": [[1, 2, 3], [1, "x", 3]]}, 'Row 2 has "x" in column 2, which the model does not take'),
        ({"data": [[1, 2, [3]]]}, "Row 1 has [3] in column 3"),
        ({"data": []}, "There are no rows in the request."),
        ({"rows": [[1, 2, 3]]}, "There are no rows in the request."),
        (3, "There are no rows in the request."),
        ("", "The body is empty."),
        ("{", "The body could not be decoded as JSON"),
        ({"data": [{"a": 1, "b": 2, "c": 3}, 4]}, "Row 2 is no record"),
        ({"inputs": {"a": [1], "b": [1, 2], "c": [1]}}, 'The column "b" has 2 values, "a" has 1'),
        ({"data": [[1, 2, 3]], "proba": True}, "The model gives no probabilities"),
    ],
)
def test_what_does_not_fit_is_named(linear: Any, body: Any, text: str) -> None:
    status, answer = score(linear, body)
    assert (status, answer["message"][: len(text)]) == (400, text)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"data": [{"age": 1}]}, 'Row 1 has no column "sex". The model takes 2: age, sex'),
        ({"data": [{"age": 1, "sex": "f", "x": 1}]}, 'Row 1 has a column "x" that the model does not know.'),
        ({"columns": ["sex"], "data": [["f"]]}, 'The request has no column "age". The model takes 2: age, sex'),
        ({"data": [[1, "q"]]}, 'Row 1 has "q" in "sex", which the model does not take: Found unknown categories'),
    ],
)
def test_columns_are_known_by_their_names(choice: Any, body: Any, text: str) -> None:
    status, answer = score(choice, body)
    assert (status, answer["message"][: len(text)]) == (400, text)
    assert score(choice, {"columns": ["sex", "age"], "data": [["f", 20]]}) == (200, {"result": ["no"]})


def test_kinds_of_a_signature_are_held_to(tmp_path: Path) -> None:
    kinds = {"sex": {"type": "string"}, "age": {"type": "number"}}
    rows = {"type": "array", "items": {"type": "object", "properties": kinds, "required": ["sex", "age"]}}
    serving = model(CHOICE, tmp_path, signature={"inputs": rows})
    assert score(serving, {"data": [[20, "f"]]}) == (200, {"result": ["no"]}), "in the order of the model"
    for row, text in ((["f", 20], '"f" in "age", where a number is'), ([20, 3], '3 in "sex", where a string is')):
        assert text in score(serving, {"data": [row]})[1]["message"]


@pytest.mark.parametrize(
    "asked",
    [
        {"query": "proba"},
        {"query": "proba=true"},
        {"body": {"proba": True}},
        {"body": {"params": {"predict_method": "predict_proba"}}},
        {"body": {"GlobalParameters": {"method": "predict_proba"}}},
    ],
)
def test_probabilities_are_given_to_who_asks(choice: Any, asked: dict[str, Any]) -> None:
    body = {"data": [[20, "f"]], **asked.get("body", {})}
    status, answer = score(choice, body, query=asked.get("query", ""))
    expected = CHOICE.predict_proba(PEOPLE.head(1)).tolist()
    assert (status, answer["result"]) == (200, [pytest.approx(expected[0])])


@pytest.mark.parametrize(
    ("inputs", "results"),
    [
        ([{"age": 20, "sex": "f"}], ["no"]),
        ({"data": [{"age": 20, "sex": "f"}]}, ["no"]),
        ({"WebServiceInput0": [{"age": 20, "sex": "f"}]}, {"WebServiceOutput0": ["no"]}),
    ],
)
def test_tools_of_reports_find_their_results(choice: Any, inputs: Any, results: Any) -> None:
    assert score(choice, {"Inputs": inputs, "GlobalParameters": {}}) == (200, {"Results": results})


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": {"columns": ["sex", "age"], "data": [["f", 20], ["m", 50]]}},
        {"dataframe_records": [{"sex": "f", "age": 20}, {"age": 50, "sex": "m"}]},
        {"instances": [[20, "f"], [50, "m"]]},
        {"inputs": {"sex": ["f", "m"], "age": [20, 50]}},
    ],
)
def test_mlflows_four_forms_and_csv_are_predicted(choice: Any, body: Any) -> None:
    expected = {"predictions": ["no", "yes"]}
    assert told(choice.answer(call(Route.INVOCATIONS, body))) == expected
    csv = call(Route.INVOCATIONS, "sex,age\nf,20\nm,50\n", headers={"Content-Type": "text/csv; charset=utf-8"})
    assert told(choice.answer(csv)) == expected


def test_csv_has_names_or_not(linear: Any) -> None:
    kind = {"headers": {"Content-Type": "text/csv"}}
    for body in ("1,2,3\n", "a,b,c\n1,2,3\n"):
        assert score(linear, body, **kind)[1]["result"] == pytest.approx([6.0])
    assert "Row 2 has 1 values" in score(linear, "1,2,3\n4\n", **kind)[1]["message"]
    assert score(linear, [[1, 2, 3]], headers={"Content-Type": "application/x-www-form-urlencoded"})[0] == 200, "curl"
    status, answer = score(linear, "x", headers={"Content-Type": "text/plain"})
    assert (status, answer["message"][:40]) == (415, 'Content-Type "text/plain" is not served ')


def test_columns_come_as_tensors_of_their_own_and_several_outputs_go(choice: Any) -> None:
    inputs = [
        {"name": "sex", "datatype": "BYTES", "shape": [2, 1], "data": ["f", "m"]},
        {"name": "age", "datatype": "FP32", "shape": [2], "data": [20, 50]},
    ]
    wanted = [{"name": "predict"}, {"name": "predict_proba"}]
    answer = told(choice.answer(call(Route.INFER, {"inputs": inputs, "outputs": wanted}, path=INFER)))
    assert [(each["name"], each["datatype"], each["shape"]) for each in answer["outputs"]] == [
        ("predict", "BYTES", [2]), ("predict_proba", "FP64", [2, 2]),
    ]  # fmt: skip
    metadata = told(choice.answer(call(Route.MODEL, path="/v2/models/diabetes")))
    assert [each["datatype"] for each in metadata["outputs"]] == ["BYTES", "FP64"]


@pytest.mark.parametrize(
    ("tensor", "text"),
    [
        ({"datatype": "FP64", "shape": [1, 3], "data": [1, 2]}, "has 2 values, its shape [1, 3] is of 3"),
        ({"datatype": "FP65", "shape": [1, 3], "data": [1, 2, 3]}, "has the datatype 'FP65'"),
        ({"datatype": "FP64", "shape": [1, -3], "data": [1, 2, 3]}, "has no shape of whole numbers"),
        ({"datatype": "FP64", "shape": [1, 3]}, "neither data nor a binary_data_size"),
        ({"datatype": "FP64", "shape": [1, 3], "data": ["x", 2, 3]}, "the values are not of FP64"),
        ({"datatype": "FP64", "shape": [1, 3], "parameters": {"binary_data_size": 24}}, "fewer bytes than"),
        ({"datatype": "FP64", "shape": [3], "data": [1, 2, 3]}, "Row 1 has 1 values, the model takes 3"),
    ],
)
def test_a_tensor_that_is_none_is_refused(linear: Any, tensor: dict[str, Any], text: str) -> None:
    reply = linear.answer(call(Route.INFER, {"inputs": [{"name": "x", **tensor}]}, path=INFER))
    assert (reply.status, text in told(reply)["error"]) == (400, True)


@pytest.mark.parametrize("dtype", ["<f8", "<f4", "<i8", "<i4", "u1"])
def test_tensors_come_and_go_as_bytes(linear: Any, dtype: str) -> None:
    names = {"<f8": "FP64", "<f4": "FP32", "<i8": "INT64", "<i4": "INT32", "u1": "UINT8"}
    data = np.array([[1, 2, 3], [4, 5, 6]], dtype=dtype)
    size = {"binary_data_size": data.nbytes}
    tensor = {"name": "x", "datatype": names[dtype], "shape": [2, 3], "parameters": size}
    wanted = [{"name": "predict", "parameters": {"binary_data": True}}]
    head = json.dumps({"inputs": [tensor], "outputs": wanted}).encode()
    headers = {**JSON, "Inference-Header-Content-Length": str(len(head))}
    reply = linear.answer(call(Route.INFER, head + data.tobytes(), headers=headers, path=INFER))
    ((_, length),) = reply.headers
    answer = json.loads(reply.body[: int(length)])
    assert answer["outputs"][0]["parameters"] == {"binary_data_size": 16}
    assert np.frombuffer(reply.body[int(length) :]).tolist() == pytest.approx([6.0, 15.0])


def test_requests_that_are_there_are_predicted_together_and_answered_apart(tmp_path: Path) -> None:
    trees = model(HistGradientBoostingRegressor(max_iter=3, min_samples_leaf=1).fit(X, X[:, 0]), tmp_path)
    bodies = [{"data": [[number, 2, 3]] * (number % 3 + 1)} for number in range(40)]
    bodies[7], bodies[23], bodies[31] = {"data": [[1, 2]]}, {"data": "], [["}, {"data": [[1, None, 3]]}
    calls = [plain(each) for each in bodies]
    together = [(each.status, each.body) for each in trees.answer_together(calls)]
    alone = [trees.answer(each) for each in calls]
    assert together == [(each.status, each.body) for each in alone]
    assert [number for number, (status, _) in enumerate(together) if status != 200] == [7, 23]


def test_no_answer_depends_on_who_else_asks(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(200, 10))
    linear = model(LinearRegression().fit(rows, rows @ np.arange(10.0)), tmp_path)
    calls = [plain({"data": [row.tolist()]}) for row in rows]
    assert [each.body for each in linear.answer_together(calls)] == [linear.answer(each).body for each in calls]


def test_answers_are_given_as_they_come(tmp_path: Path) -> None:
    class Counting(LinearRegression):
        asked = 0

        def predict(self, rows: Any) -> Any:
            self.asked += 1
            return rows[:, 0]

    counting = Counting().fit(X, X[:, 0])
    serving = model(LINEAR, tmp_path)
    serving._served._estimator = Fitted(counting)
    replies = serving.answer_together([plain({"data": [[number, 2, 3]]}) for number in range(3)])
    assert told(next(replies)) == {"result": [0]}
    assert counting.asked == 1
    assert [told(each) for each in replies] == [{"result": [1]}, {"result": [2]}]


@pytest.mark.parametrize("kind", [LinearRegression, Ridge, Lasso, ElasticNet])
@pytest.mark.parametrize("wide", [False, True])
def test_a_linear_model_answers_what_its_predict_says(kind: Any, wide: bool, tmp_path: Path) -> None:
    fitted = kind().fit(X, np.stack([X[:, 0], X.sum(axis=1)], axis=1) if wide else X[:, 1])
    serving = model(fitted, tmp_path)
    drawn = np.random.default_rng(1)
    for count in (1, 2, 5, 64, 300):
        rows = drawn.normal(size=(count, 3), scale=1e3).tolist()
        assert score(serving, {"data": rows}) == (200, {"result": fitted.predict(np.array(rows)).tolist()})
    for rows in ([[1, 2, 3]], [[1e300, -1e300, 1e300]], [[-0.0, 0.0, 5e-324]]):
        assert score(serving, {"data": rows}) == (200, {"result": fitted.predict(np.array(rows)).tolist()})
    for odd in (float("nan"), float("inf")):
        assert score(serving, {"data": [[1.5, odd, 3.5]]})[0] == 400


ROW = "0.1, -2.5e-3, 3.25"


@pytest.mark.parametrize(
    "body",
    [
        *(
            f'{{"data": [[{row}]]}}'
            for row in (ROW, "1, 2, 3", "1, 2, 3.0", "true, false, 1.5", "1.5, 2, 9" + "9" * 30)
        ),
        *(f'{{"data": [[{row}]]}}' for row in ("1e300, -1e300, 1.5e308", "-0.0, 0.0, 5e-324", "1.5, 2, 9" + "9" * 400)),
        *(
            f'{{"data": [[1.5, 2, {odd}]]}}'
            for odd in ("NaN", "-Infinity", "1e400", "null", '"3"', "[3]", "{}", "3, 4")
        ),
        *(
            f'{{"data": [[{ROW}]]{rest}'
            for rest in ("", "} ", "}x", "}}", ', "proba": true}', ', "data": [[1, 2, 3]]}')
        ),
        f' {{"data": [[{ROW}]]}}',
        f'{{"data": "x", "data": [[{ROW}]]}}',
        f'{{"columns": ["c", "b", "a"], "data": [[{ROW}]]}}',
        f'{{"data": [[{ROW}], [1, 2]]}}',
        f'{{"data": [[{ROW}], 1.5]}}',
        f'{{"data": [{ROW}]}}',
        f'{{"data": [[[{ROW}]]]}}',
        f'{{"database": [[{ROW}]]}}',
        '{"data"',
        '{"data": []}',
        '{"data": [[]]}',
        '{"data": ' + "[" * 5000 + "]" * 5000 + "}",
        f'{{"data": [[{ROW}]]}}'.encode("utf-16"),
        b'{"data": [["\xff", 2, 1.5]]}',
    ],
)
def test_the_short_ways_of_a_plain_request_lead_to_the_same_answer(linear: Any, body: Any) -> None:
    careful = call(body=body)
    replies = linear.answer(careful), linear.answer(careful._replace(head=b""))
    assert replies[0][:-1] == replies[1][:-1]


@pytest.mark.parametrize(
    "kind",
    [
        Ridge(),
        LogisticRegression(),
        RandomForestClassifier(n_estimators=5),
        make_pipeline(StandardScaler(), SVC()),
        make_pipeline(make_column_transformer((StandardScaler(), ["b"]), remainder="passthrough"), Ridge()),
        VotingClassifier([("a", LogisticRegression()), ("b", GaussianNB())]),
    ],
    ids=lambda kind: type(kind).__name__,
)
def test_a_model_of_a_table_with_names_answers_as_if_it_got_one(kind: Any, tmp_path: Path) -> None:
    names = ["a", "b", "c"]
    fitted = kind.fit(pd.DataFrame(X, columns=names), np.where(X[:, 0] > 2, 1, 0))
    serving = model(fitted, tmp_path)
    drawn = np.random.default_rng(2)
    for rows in (X, X[:1], drawn.normal(size=(50, 3), scale=9), drawn.integers(-9, 9, size=(5, 3))):
        said = fitted.predict(pd.DataFrame(rows, columns=names)).tolist()
        assert score(serving, {"data": rows.tolist()}) == (200, {"result": said})
        if hasattr(fitted, "predict_proba"):
            said = fitted.predict_proba(pd.DataFrame(rows, columns=names)).tolist()
            assert score(serving, {"data": rows.tolist(), "proba": True}) == (200, {"result": said})
    if not isinstance(kind, RandomForestClassifier):  # which takes missing values
        assert score(serving, {"data": [[1, None, 3]]})[1]["message"].startswith('Row 1 has no value in "b"')


def test_no_table_is_made_of_rows_that_a_model_takes_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    serving = model(Ridge().fit(pd.DataFrame(X, columns=["a", "b", "c"]), X[:, 1]), tmp_path)
    monkeypatch.delattr(pd, "DataFrame")
    assert score(serving, {"data": [{"c": 3, "b": 2, "a": 1.5}]})[0] == 200


def test_a_row_alone_is_summed_without_an_array_where_that_gives_the_same_bits() -> None:
    wide = np.random.default_rng(3).normal(size=(60, 40))
    fitted = Ridge().fit(wide, wide[:, 0])
    one = Fitted(fitted).one
    assert one is not None
    assert [one(row.tolist()) for row in wide] == [fitted.predict(row[np.newaxis])[0] for row in wide]
    # What does not agree is not used.
    fitted.predict = lambda rows: (rows * fitted.coef_).sum(axis=1) + fitted.intercept_ + 1e-9
    assert Fitted(fitted).one is None
    assert Fitted(Ridge().fit(wide, wide[:, :2])).one is None
    assert Fitted(LogisticRegression().fit(wide, wide[:, 0] > 0)).one is None


def test_missing_values_go_to_models_that_take_them(tmp_path: Path) -> None:
    serving = model(HistGradientBoostingRegressor(max_iter=2, min_samples_leaf=1).fit(X, X[:, 0]), tmp_path)
    assert score(serving, {"data": [[1, None, 3]]})[0] == 200


def test_a_number_that_json_does_not_have_is_null(tmp_path: Path) -> None:
    broken = LinearRegression().fit(X, X[:, 0])
    broken.intercept_ = float("nan")
    assert score(model(broken, tmp_path), {"data": [[1, 2, 3]]}) == (200, {"result": [None]})


@pytest.mark.parametrize(
    ("framework", "fitted", "text"),
    [
        ("custom", LINEAR, 'framework "custom" cannot be served without a scoring script'),
        ("sklearn", {"no": "model"}, "has no predict(), it is of builtins.dict"),
        ("onnx", LINEAR, "a model of onnx without a scoring script is one file that ends in .onnx; there is none"),
    ],
)
def test_what_is_no_model_is_not_served(tmp_path: Path, framework: str, fitted: object, text: str) -> None:
    with pytest.raises(ScriptUnfit) as refused:
        model(fitted, tmp_path, framework=framework)
    assert text in str(refused.value)


def test_a_version_without_a_script_answers_behind_an_endpoint(served: Any) -> None:
    served.start()
    spec = served.spec("")
    model(LINEAR, spec.script.parent)
    worker = replace(spec, script=None, framework="sklearn", package=spec.script.parent)
    worker = replace(worker, model_file=spec.script.parent / "model" / "model.pkl")
    control.deploy(served.name, runtime_folder=served.runtime_folder, worker=worker)
    given = served.ask(body=json.dumps({"data": [[1, 2, 3]]}), headers=JSON)
    assert json.loads(given.body)["result"] == pytest.approx([6.0])
    assert given.headers["x-ms-run-function-failed"] == "False"
    given = served.ask(body="1,2,3", headers={"Content-Type": "text/csv", "Accept": "application/x-npy"})
    assert given.headers["content-type"] == "application/x-npy"
    assert given.data.startswith(b"\x93NUMPY")
    assert served.ask(body="{}", headers=JSON).status == 400
    assert served.ask(path="/score?proba", body='{"data": [[1, 2, 3]]}', headers=JSON).status == 400
