"""The types that a scoring script can give its parameters, each made from a sample."""

from __future__ import annotations

import base64
import datetime as dt
import json
from typing import Any

from .results import plain

_FORMATS = {bool: ("boolean", ""), int: ("integer", "int64"), float: ("number", "double"), str: ("string", "")}
_KINDS = {
    "b": ("boolean", ""),
    "i": ("integer", "int64"),
    "u": ("integer", "int64"),
    "f": ("number", "double"),
    "M": ("string", "date-time"),
    "m": ("string", "timedelta"),
}


class ParameterType:
    """A type that a value of a request is made into."""

    def __init__(self, sample_input: Any) -> None:
        """Take the type of `sample_input`."""
        if sample_input is None:
            told = "Sample input cannot be None"
            raise ValueError(told)
        self.sample_input = sample_input
        self.sample_data_type = type(sample_input)

    def deserialize_input(self, input_data: Any) -> Any:
        """Return a value of the request as one of this type. Raises ValueError or TypeError."""
        raise NotImplementedError

    def input_to_swagger(self) -> dict[str, Any]:
        """Return the schema of this type, with the sample as its example."""
        raise NotImplementedError


class NumpyParameterType(ParameterType):
    """An array of NumPy with the sample's type and, but for its rows, its shape."""

    def __init__(self, sample_input: Any, enforce_column_type: bool = True, enforce_shape: bool = True) -> None:  # noqa: FBT001, FBT002
        """Convert to the sample's type and compare shapes unless told otherwise."""
        super().__init__(sample_input)
        self.enforce_column_type = enforce_column_type
        self.enforce_shape = enforce_shape

    def deserialize_input(self, input_data: Any) -> Any:
        """Return nested lists as an array."""
        import numpy as np

        if isinstance(input_data, np.ndarray):
            found = input_data.astype(self.sample_input.dtype) if self.enforce_column_type else input_data
        else:
            if not isinstance(input_data, list):
                told = "Invalid input format: expected an array of items."
                raise ValueError(told)  # noqa: TRY004 - as the original says it
            wanted = self.sample_input.dtype
            rows = input_data
            if wanted.names:
                rows = [
                    tuple(each[name] for name in wanted.names) if isinstance(each, dict) else tuple(each)
                    for each in rows
                ]
            found = np.array(rows, dtype=wanted if self.enforce_column_type else None)
        if self.enforce_shape:
            _check_shape(self.sample_input.shape, found.shape, "array")
        return found

    def input_to_swagger(self) -> dict[str, Any]:
        """Return the schema of nested lists."""
        dtype = self.sample_input.dtype
        if dtype.names:
            item: dict[str, Any] = {
                "type": "object",
                "required": list(dtype.names),
                "properties": {name: _schema_of_dtype(dtype[name]) for name in dtype.names},
            }
            example: Any = [dict(zip(dtype.names, plain(each))) for each in self.sample_input]
        else:
            item, example = _schema_of_dtype(dtype), _as_json(self.sample_input)
        for _ in self.sample_input.shape:
            item = {"type": "array", "items": item}
        return {**item, "format": "numpy.ndarray", "example": example}


class PandasParameterType(ParameterType):
    """A table of pandas with the sample's columns and their types."""

    def __init__(
        self,
        sample_input: Any,
        enforce_column_type: bool = True,  # noqa: FBT001, FBT002 - the original's signature
        enforce_shape: bool = True,  # noqa: FBT001, FBT002
        apply_column_names: bool = False,  # noqa: FBT001, FBT002
        orient: str = "records",
    ) -> None:
        """Convert columns to the sample's types and count them unless told otherwise; `orient` is pandas' own word."""
        super().__init__(sample_input)
        self.enforce_column_type = enforce_column_type
        self.enforce_shape = enforce_shape
        self.apply_column_names = apply_column_names
        self.orient = orient

    def deserialize_input(self, input_data: Any) -> Any:
        """Return rows as a table."""
        import pandas as pd

        if isinstance(input_data, pd.DataFrame):
            found = input_data
        elif self.orient == "split" and isinstance(input_data, dict):
            found = pd.DataFrame(input_data["data"], columns=input_data.get("columns"), index=input_data.get("index"))
        elif self.orient == "index" and isinstance(input_data, dict):
            found = pd.DataFrame.from_dict(input_data, orient="index")
        elif isinstance(input_data, (list, dict)):
            found = pd.DataFrame(input_data)
        else:
            told = f"Error, unable to convert input of type {type(input_data)} into Pandas Dataframe"
            raise TypeError(told)
        wanted = self.sample_input
        if self.enforce_shape:
            missing = [str(name) for name in wanted.columns if name not in found.columns]
            if found.shape[1] != wanted.shape[1] and missing and not self.apply_column_names:
                told = f"there is no column '{missing[0]}'"
                raise ValueError(told)
            _check_shape(wanted.shape, found.shape, "data frame")
        if self.apply_column_names:
            found.columns = wanted.columns.copy()
        return self._typed(found) if self.enforce_column_type else found

    def _typed(self, found: Any) -> Any:
        import pandas as pd

        for name, dtype in self.sample_input.dtypes.items():
            if name not in found.columns:
                continue
            try:
                if dtype.kind == "M":
                    found[name] = pd.to_datetime(found[name]).astype(dtype)
                else:
                    found[name] = found[name].astype(dtype)
            except (ValueError, TypeError) as error:
                told = f"{error}: Error while type casting for column '{name}'"
                raise ValueError(told) from error
        return found

    def input_to_swagger(self) -> dict[str, Any]:
        """Return the schema of the rows."""
        columns = {str(name): _schema_of_dtype(dtype) for name, dtype in self.sample_input.dtypes.items()}
        told = {"format": f"pandas.DataFrame:{self.orient}"}
        if self.orient == "split":
            index = {"type": "array", "items": {}}
            properties = {each: dict(index) for each in ("columns", "index", "data")}
            schema: dict[str, Any] = {"type": "object", "properties": properties}
        elif self.orient == "records":
            row = {"type": "object", "required": list(columns), "properties": columns}
            schema = {"type": "array", "items": row}
        else:
            schema = {"type": "array", "items": {}} if self.orient == "values" else {"type": "object"}
        example = json.loads(self.sample_input.to_json(orient=self.orient, date_format="iso"))
        return {**schema, **told, "example": example}


class SparkParameterType(ParameterType):
    """A table of Spark with the sample's columns and their types."""

    def __init__(self, sample_input: Any) -> None:
        """Take the sample's schema."""
        super().__init__(sample_input)
        self._pandas = PandasParameterType(sample_input.toPandas())

    def deserialize_input(self, input_data: Any) -> Any:
        """Return rows as a table of the sample's session."""
        rows = self._pandas.deserialize_input(input_data)
        return self.sample_input.sparkSession.createDataFrame(rows, schema=self.sample_input.schema)

    def input_to_swagger(self) -> dict[str, Any]:
        """Return the schema of the rows."""
        return {**self._pandas.input_to_swagger(), "format": "pyspark.sql.DataFrame"}


class StandardPythonParameterType(ParameterType):
    """A value of Python's own types. Types nested in a list or a dictionary convert what stands at their place."""

    def deserialize_input(self, input_data: Any) -> Any:  # noqa: PLR0911 - a line for each kind of type
        """Return the value. Raises ValueError for one of another type."""
        sample = self.sample_input
        if isinstance(sample, dict) and any(isinstance(each, ParameterType) for each in sample.values()):
            return self._dictionary(input_data)
        if isinstance(sample, (list, tuple)) and any(isinstance(each, ParameterType) for each in sample):
            return self._sequence(input_data)
        if isinstance(sample, (dt.date, dt.time)) and isinstance(input_data, str):
            # Older Pythons do not read the letter that stands for no offset.
            return type(sample).fromisoformat(input_data[:-1] + "+00:00" if input_data.endswith("Z") else input_data)
        if isinstance(sample, (bytes, bytearray)) and isinstance(input_data, str):
            return type(sample)(base64.b64decode(input_data.encode(), validate=True))
        if isinstance(sample, (tuple, set, frozenset, range)) and isinstance(input_data, list):
            return tuple(input_data) if isinstance(sample, range) else type(sample)(input_data)
        if type(sample) is float and type(input_data) is int:
            return float(input_data)
        if isinstance(input_data, bool) and not isinstance(sample, bool) and isinstance(sample, (int, float)):
            self._refuse(input_data)
        if not isinstance(input_data, self.sample_data_type):
            self._refuse(input_data)
        return input_data

    def input_to_swagger(self) -> dict[str, Any]:
        """Return the schema of the value."""
        return {**_schema_of_value(self.sample_input), "example": _example_of(self.sample_input)}

    def _dictionary(self, value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            self._refuse(value)
        found = dict(value)
        for name, wanted in self.sample_input.items():
            if name not in value:
                told = f"there is no value for '{name}'"
                raise ValueError(told)
            if isinstance(wanted, ParameterType):
                found[name] = wanted.deserialize_input(value[name])
        return found

    def _sequence(self, value: Any) -> Any:
        if not isinstance(value, list):
            self._refuse(value)
        kinds = self.sample_input
        if len(kinds) == 1:
            kinds = [kinds[0]] * len(value)
        if len(kinds) != len(value):
            told = f"there are {len(value)} values, {len(kinds)} are expected"
            raise ValueError(told)
        pairs = zip(kinds, value)
        return self.sample_data_type(
            wanted.deserialize_input(each) if isinstance(wanted, ParameterType) else each for wanted, each in pairs
        )

    def _refuse(self, value: Any) -> None:
        told = f"Invalid input data type to parse. Expected: {self.sample_data_type} but got {type(value)}"
        raise ValueError(told)


def _check_shape(wanted: tuple[int, ...], found: tuple[int, ...], what: str) -> None:
    """Compare all dimensions but the first, which counts rows. Raises ValueError."""
    if len(wanted) != len(found):
        told = f"Invalid input {what}: an {what} with {len(wanted)} dimensions is expected; input has {len(found)}"
        raise ValueError(told)
    for number, (expected, size) in enumerate(zip(wanted[1:], found[1:]), start=1):
        if expected != size:
            told = f"Invalid input {what}: {what} has size {size} on dimension #{number}, while expected value is "
            told += str(expected)
            raise ValueError(told)


def _typed(kind: str, told: str) -> dict[str, Any]:
    return {"type": kind, "format": told} if told else {"type": kind}


def _schema_of_dtype(dtype: Any) -> dict[str, Any]:
    kind, told = _KINDS.get(dtype.kind, ("string", ""))
    return _typed(kind, "float" if (dtype.kind, getattr(dtype, "itemsize", 0)) == ("f", 4) else told)


def _schema_of_value(value: Any) -> dict[str, Any]:  # noqa: PLR0911 - a line for each kind of value
    if isinstance(value, ParameterType):
        schema = dict(value.input_to_swagger())
        schema.pop("example", None)
        return schema
    if type(value) in _FORMATS:
        return _typed(*_FORMATS[type(value)])
    if isinstance(value, (bytes, bytearray)):
        return _typed("string", "byte")
    if isinstance(value, dt.datetime):
        return _typed("string", "date-time")
    if isinstance(value, dt.date):
        return _typed("string", "date")
    if isinstance(value, dt.time):
        return _typed("string", "time")
    if isinstance(value, dict):
        properties = {str(name): _schema_of_value(each) for name, each in value.items()}
        return {"type": "object", **({"required": list(properties)} if properties else {}), "properties": properties}
    if isinstance(value, (list, tuple, set, frozenset, range)):
        first = next(iter(value), None)
        return {"type": "array", "items": {} if first is None else _schema_of_value(first)}
    return {"type": "object"}


def _example_of(value: Any) -> Any:
    if isinstance(value, ParameterType):
        return value.input_to_swagger().get("example")
    if isinstance(value, dict):
        return {str(name): _example_of(each) for name, each in value.items()}
    if isinstance(value, (list, tuple, set, frozenset, range)):
        return [_example_of(each) for each in value]
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(value).decode()
    if isinstance(value, (dt.date, dt.time)):
        return value.isoformat()
    return plain(value)


def _as_json(array: Any) -> Any:
    return array.astype(str).tolist() if array.dtype.kind in "Mm" else array.tolist()
