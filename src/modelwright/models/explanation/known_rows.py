"""Finds the rows that a model was trained and tested with among what the steps of its run passed on to one another.

A guest, loaded by path in the model's own environment. Candidates are tables with the model's columns; which step took
them and what they are called decides between them. Labels are the vector beside a table whose name goes with its name.
"""

from __future__ import annotations

import re
from typing import Any

_TRAIN = re.compile(r"train|fit", re.IGNORECASE)
_TEST = re.compile(r"test|valid|(?<![a-z])val(?![a-z])|eval|hold_?out", re.IGNORECASE)
_TABLE_WORDS = re.compile(r"(?:(?<=_)|(?<=\.)|^)(x|features|inputs)(?=$|_|\.|\d)", re.IGNORECASE)
_LABEL_WORDS = re.compile(r"(?:(?<=_)|(?<=\.)|^)(y|targets?|labels?)(?=$|_|\.|\d)", re.IGNORECASE)
_DEEPEST = 4


class Found:
    """Rows and where they were found; labels with their place when there are any."""

    def __init__(self, place: str, table: Any, labels: Any, labels_place: str) -> None:
        """Take a table and its labels."""
        self.place = place
        self.table = table
        self.labels = labels
        self.labels_place = labels_place


class Values:
    """All tables and vectors inside a run's values, by their places, such as `data.train.X`."""

    def __init__(self, tables: Any, values: list[tuple[str, str, Any]]) -> None:
        """Take the module `row_tables`, and the values, each with its name and the role of the step that took it."""
        self._tables = tables
        self.tables: list[tuple[str, str, Any]] = []
        self.vectors: list[tuple[str, Any]] = []
        for name, role, value in values:
            self._gather(name, role, value, 0)

    def _gather(self, place: str, role: str, value: Any, depth: int) -> None:
        if isinstance(value, dict) and depth < _DEEPEST:
            for name, each in value.items():
                self._gather(f"{place}.{name}", role, each, depth + 1)
            return
        width = self._tables.width_of(value)
        if width is not None and width > 1:
            self.tables.append((place, role, value))
        elif width == 1 or _is_vector(value):
            self.vectors.append((place, value))
            if width == 1:
                self.tables.append((place, role, value))
        elif isinstance(value, (list, tuple)) and depth < _DEEPEST:
            for number, each in enumerate(value):
                self._gather(f"{place}.{number}", role, each, depth + 1)

    def find(self, model: Any, *, is_test: bool, target: str | None) -> Found | None:
        """Return the rows that the model was tested or trained with; None when no table is fit."""
        best = None
        for place, role, value in self.tables:
            columns = fitting_columns(model, value, self._tables)
            if columns is None:
                continue
            wanted, other = (_TEST, _TRAIN) if is_test else (_TRAIN, _TEST)
            rank = (
                bool(wanted.search(place)) - 2 * bool(other.search(place)),
                role == ("evaluation" if is_test else "training"),
                columns is True or len(columns) == self._tables.width_of(value),
            )
            if best is None or rank > best[0]:
                best = (rank, place, value, columns)
        if best is None:
            return None
        _, place, value, columns = best
        labels, labels_place = self._labels(place, value, columns, target=target)
        names = list(columns) if self._tables.is_frame(value) and columns is not True else None
        return Found(place, self._tables.from_memory(value, names), labels, labels_place)

    def _labels(self, place: str, value: Any, columns: Any, *, target: str | None) -> tuple[Any, str]:
        if self._tables.is_frame(value):
            others = [each for each in value.columns if columns is not True and each not in columns]
            chosen = [each for each in others if target in (None, str(each))]
            if len(chosen) == 1:
                return value[chosen[0]].to_numpy(), f"{place}.{chosen[0]}"
        count = value.shape[0] if hasattr(value, "shape") else len(value)
        equally_long = [(where, each) for where, each in self.vectors if _length(each) == count and where != place]
        key = _TABLE_WORDS.sub("", place)
        named = [(where, each) for where, each in equally_long if _LABEL_WORDS.sub("", where) == key and where != key]
        chosen_ones = named or (equally_long if len(equally_long) == 1 else [])
        if target is not None or not chosen_ones:
            return None, ""
        where, labels = chosen_ones[0]
        return _flat(labels), where

    def names_of(self, table: Any) -> tuple[list[str], str] | None:
        """Return the names of an array's columns, and the frame that tells them; None when none does for certain.

        A column has a frame's name when all its cells are found in that one column of the frame and in no other.
        """
        import numpy as np

        some = table.take(np.linspace(0, len(table) - 1, min(len(table), 200)).astype(int))
        for place, _, value in self.tables:
            if not self._tables.is_frame(value):
                continue
            known = {str(name): value[name].to_numpy() for name in value.columns if value[name].dtype.kind in "iuf"}
            named = [[name for name, cells in known.items() if np.isin(each, cells).all()] for each in some.columns]
            if all(len(each) == 1 for each in named) and len({each[0] for each in named}) == len(named):
                return [each[0] for each in named], place
        return None


def fitting_columns(model: Any, value: Any, tables: Any) -> Any:
    """Return the columns of a table that the model takes, True for all of it as it is; None when it is not fit."""
    names = getattr(model, "feature_names_in_", None)
    width, count = tables.width_of(value), getattr(model, "n_features_in_", None)
    if names is not None and tables.is_frame(value):
        return list(names) if set(names) <= set(value.columns) else None
    if count:  # a library may have forgotten it, and says 0
        return True if width == int(count) else None
    try:
        answer = model.predict(value[:2])
    except Exception:  # noqa: BLE001 - whatever a user's own class raises, it does not take this
        return None
    return True if _length(answer) == 2 else None  # noqa: PLR2004 - the two rows


def _is_vector(value: Any) -> bool:
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple):
        return len(shape) == 1
    return isinstance(value, list) and bool(value) and all(isinstance(each, (int, float, str)) for each in value)


def _length(value: Any) -> int:
    return int(value.shape[0]) if getattr(value, "shape", ()) else len(value) if hasattr(value, "__len__") else -1


def _flat(labels: Any) -> Any:
    import numpy as np

    return np.asarray(labels).ravel()
