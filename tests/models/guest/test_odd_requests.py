"""Whatever is sent to a model without a script is answered or refused, and never taken for a fault of the server."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from models.guest.asking import call, model, plain, told
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from modelwright.models.guest.codes import Route

EXAMPLES = settings(max_examples=40, deadline=None)
ROWS = np.arange(16.0).reshape(8, 2)
TEXTS = pd.DataFrame({"a": ["f", "m"], "b": ["x", "y"]})

leaves = some.none() | some.booleans() | some.integers() | some.floats() | some.sampled_from(["f", "x", "é", 1, 2.5])
names = some.sampled_from(["a", "b", "data", "columns", "x"])
values = some.recursive(
    leaves, lambda inner: some.lists(inner, max_size=3) | some.dictionaries(names, inner, max_size=3)
)
keys = some.sampled_from(
    ["data", "instances", "inputs", "Inputs", "input_data", "dataframe_split", "dataframe_records"]
)
rows = some.lists(some.lists(leaves, min_size=2, max_size=2), max_size=3)
bodies = values | some.dictionaries(keys, values | rows, max_size=2) | rows.map(lambda found: {"data": found})
tensors = some.fixed_dictionaries(
    {
        "name": names,
        "datatype": some.sampled_from(["FP64", "INT64", "BYTES", "BOOL", "FP16", "Q"]),
        "shape": some.lists(some.integers(-1, 3), max_size=3),
        "data": values,
    },
    optional={"parameters": values},
)
inferences = values | some.fixed_dictionaries(
    {"inputs": some.lists(tensors, max_size=3)}, optional={"outputs": values, "parameters": values, "id": values}
)
kinds = some.sampled_from(["text/csv", "application/x-npy", "application/json", "application/vnd.apache.arrow.stream"])


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """A model of numbers, and one of texts in named columns."""
    encoding = make_pipeline(OneHotEncoder(), LinearRegression()).fit(TEXTS, [0, 1])
    fitted = (LinearRegression().fit(ROWS, ROWS.sum(axis=1)), encoding)
    return [model(each, tmp_path_factory.mktemp("package")) for each in fitted]


def is_fair(reply: Any) -> bool:
    """Return whether an answer is a prediction or the client's own fault, in JSON."""
    json.loads(reply.body)
    return reply.status in {200, 400, 413, 415}


@EXAMPLES
@given(body=bodies)
def test_json_of_any_shape(serving: list[Any], body: Any) -> None:
    for each in serving:
        assert is_fair(each.answer(call(body=body)))
        assert is_fair(each.answer(call(Route.INVOCATIONS, body)))


@EXAMPLES
@given(body=inferences)
def test_tensors_of_any_shape(serving: list[Any], body: Any) -> None:
    for each in serving:
        assert is_fair(each.answer(call(Route.INFER, body, path="/v2/models/diabetes/infer")))


@EXAMPLES
@given(data=some.binary(max_size=60) | some.text(alphabet='ab12.,\n"fx', max_size=20).map(str.encode), kind=kinds)
def test_bytes_of_any_kind(serving: list[Any], data: bytes, kind: str) -> None:
    for each in serving:
        assert is_fair(each.answer(call(body=data, headers={"Content-Type": kind})))


@EXAMPLES
@given(sent=some.lists(bodies, max_size=6))
def test_together_is_as_alone(serving: list[Any], sent: list[Any]) -> None:
    calls = [plain(each) for each in sent]
    for each in serving:
        for found, one in zip(each.answer_together(calls), calls, strict=True):
            alone = each.answer(one)
            assert found.status == alone.status
            assert told(found) == told(alone)


def test_the_row_that_a_model_does_not_take_is_named(tmp_path: Path) -> None:
    encoding = make_pipeline(OneHotEncoder(), LinearRegression()).fit(TEXTS[["a"]], [0, 1])
    serving = model(encoding, tmp_path)
    answer = told(serving.answer(call(body={"data": [["f"], ["m"], ["q"], ["z"]]})))
    assert answer["message"].startswith('Row 3 has "q" in "a", which the model does not take: Found unknown categories')
    answer = told(serving.answer(call(body={"data": [["f"], [3]]})))
    assert answer["message"].startswith("The model does not take row 2: ")
    answer = told(serving.answer(call(body={"data": [["f"]] * 1000 + [["q"]] + [["f"]] * 1000})))
    assert answer["message"].startswith('Row 1001 has "q" in "a"')
