"""Signatures read off a scored sample."""

from modelwright.models.signature import infer


def _described(**changed: object) -> dict[str, object]:
    return {"columns": [], "column_count": None, "sample_answer": {"result": [1.5, 2]}} | changed


def test_types_come_from_the_sample_and_its_answer() -> None:
    found = infer(_described(), {"data": [[1, 2.5]], "ids": ["a"], "flag": True, "note": None})
    inputs = found["inputs"]
    assert isinstance(inputs, dict)
    assert inputs["required"] == ["data", "ids", "flag", "note"]
    assert inputs["properties"] == {
        "data": {"type": "array", "items": {"type": "array", "items": {"type": "number"}}},
        "ids": {"type": "array", "items": {"type": "string"}},
        "flag": {"type": "boolean"},
        "note": {"type": "null"},
    }
    assert found["outputs"] == {
        "type": "object",
        "properties": {"result": {"type": "array", "items": {"type": "number"}}},
        "required": ["result"],
    }


def test_the_number_and_names_of_columns_come_from_the_fitted_model() -> None:
    found = infer(_described(column_count=2, columns=["age", "bmi"]), {"data": [[1, 2]]})
    inputs = found["inputs"]
    assert isinstance(inputs, dict)
    assert inputs["properties"]["data"]["items"] == {
        "type": "array",
        "items": {"type": "number"},
        "minItems": 2,
        "maxItems": 2,
        "description": "age, bmi",
    }


def test_rows_of_mixed_types_are_left_open() -> None:
    found = infer(_described(column_count=2), [[1, "a"]])
    assert found["inputs"] == {
        "type": "array",
        "items": {"type": "array", "items": {}, "minItems": 2, "maxItems": 2},
    }
