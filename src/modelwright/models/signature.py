"""A model's signature: what its scoring script takes and gives, read off a sample that was really scored."""


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
