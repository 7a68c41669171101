"""A model's signature: what its scoring script takes and gives, read off a sample that was really scored."""

import json
from collections.abc import Mapping
from typing import Any


def infer(described: dict[str, object], sample: object) -> dict[str, object]:
    """Return `{"inputs": schema, "outputs": schema}`, both JSON Schema, for a model as `worker.py` described it.

    The number and names of columns come from the fitted model, the types from the sample request and its answer.
    """
    inputs = _schema_of(sample)
    rows, columns = _first_table(inputs), described["columns"]
    if rows is not None and described["column_count"] is not None:
        rows["minItems"] = rows["maxItems"] = described["column_count"]
        if isinstance(columns, list) and columns:
            rows["description"] = ", ".join(map(str, columns))
    return {"inputs": inputs, "outputs": _schema_of(described["sample_answer"])}


def _schema_of(value: object) -> dict[str, object]:
    match value:
        case dict():
            return {
                "type": "object",
                "properties": {str(key): _schema_of(each) for key, each in value.items()},
                "required": [str(key) for key in value],
            }
        case list():
            kinds = {str(schema["type"]): schema for schema in map(_schema_of, value)}
            if kinds.keys() == {"integer", "number"}:
                kinds = {"number": {"type": "number"}}
            return {"type": "array", "items": next(iter(kinds.values())) if len(kinds) == 1 else {}}
        case bool():
            return {"type": "boolean"}
        case int() | float():
            # A sample of whole numbers says nothing against fractions.
            return {"type": "number"}
        case None:
            return {"type": "null"}
        case _:
            return {"type": "string"}


def _first_table(schema: dict[str, object]) -> dict[str, object] | None:
    """Return the schema of one row in the first array of arrays inside `schema`."""
    items = schema.get("items")
    if isinstance(items, dict):
        return items if items.get("type") == "array" else _first_table(items)
    properties = schema.get("properties")
    for each in properties.values() if isinstance(properties, dict) else ():
        found = _first_table(each)
        if found is not None:
            return found
    return None


def disagreement(signature: Mapping[str, object], sample: object) -> str | None:
    """Return in what a sample request does not answer to the inputs of a signature; None when it does.

    A request may wrap its rows as it likes, and give a row as a list or as an object: what counts is that the first
    table in it has rows like those of the signature.
    """
    inputs = signature.get("inputs")
    wanted = inputs.get("items") if isinstance(inputs, Mapping) else None
    if not isinstance(wanted, Mapping):
        return None
    rows = _first_rows(sample)
    if rows is None:
        return "there are no rows in it"
    for number, row in enumerate(rows, start=1):
        found = _differs(wanted, row)
        if found:
            return f"row {number} {found}"
    return None


def _first_rows(value: object) -> list[object] | None:
    """Return the first list of lists or of objects inside a request."""
    if isinstance(value, list) and value and all(isinstance(each, list | dict) for each in value):
        return value
    inside = value.values() if isinstance(value, dict) else ()
    return next((found for each in inside if (found := _first_rows(each)) is not None), None)


def _differs(schema: Mapping[str, Any], value: object) -> str | None:
    """Return what of a value is not as its schema says. An object's schema takes a list in the order of its names."""
    if isinstance(value, list) and schema.get("type") == "object":
        properties = list(schema["properties"].items())
        if len(value) != len(properties):
            return f"has {len(value)} values, there are {len(properties)} columns"
        value = {name: each for (name, _), each in zip(properties, value, strict=True)}
    match schema.get("type"), value:
        case "object", dict():
            missing = [name for name in schema["required"] if name not in value]
            unknown = [name for name in value if name not in schema["properties"]]
            if missing or unknown:
                return f'has no "{missing[0]}"' if missing else f'has "{unknown[0]}", which is no column'
            parts = ((f'has in "{name}"', schema["properties"][name], each) for name, each in value.items())
        case "array", list():
            if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
                return f"has {len(value)} values, there are {schema['maxItems']} columns"
            parts = ((f"has as value {number}", schema.get("items", {}), each) for number, each in enumerate(value, 1))
        case kind, _ if kind is None or value is None or kind == _schema_of(value)["type"]:
            return None
        case kind, _:
            return f"{json.dumps(value)}, where a {kind} is"
    return next((f"{where} {found}" for where, inner, each in parts if (found := _differs(inner, each))), None)
