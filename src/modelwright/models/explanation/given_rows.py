"""Rows that the user names instead of the run's, or besides them: a table with or without labels, or a request.

A guest, loaded by path in the model's own environment.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def table_and_labels(tables: Any, path: Path, model: Any, pattern: Any, *, target: str | None) -> tuple[Any, Any, str]:
    """Return a file's rows as the model takes them, the labels in it, and their column; None and "" without labels.

    `tables` is the module `row_tables`; the `pattern` are rows of the model's run, if there are any. Raises UnfitError.
    """
    value = tables.read_file(path)
    columns = list(value[0]) if isinstance(value, tuple) else [str(each) for each in value.columns]
    if target is not None and target not in columns:
        message = f'it has no column "{target}"'
        raise tables.UnfitError(message)
    names = _names(tables, model, pattern, columns, target=target)
    others = [each for each in columns if each not in set(names) and target in (None, each)]
    cells = dict(zip(columns, value[1].T)) if isinstance(value, tuple) else value  # noqa: B905 - equally long
    labels = list(cells[others[0]]) if len(others) == 1 else None
    if pattern is not None and pattern.kinds is not None:
        found = tables.like(value, pattern)
    elif isinstance(value, tuple):
        found = tables.from_memory(value[1][:, [columns.index(each) for each in names]], names)
    else:
        found = tables.from_memory(value, names)
    return _fitted(tables, model, found), labels, others[0] if labels else ""


def request_or_table(tables: Any, path: Path, pattern: Any) -> Any:
    """Return the rows of a request, or of a table file, as `pattern` has them. Raises UnfitError."""
    if path.suffix != ".json":
        return tables.like(tables.read_file(path), pattern)
    try:
        request = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        message = f"it is not JSON: {error}"
        raise tables.UnfitError(message) from error
    return tables.like(tables.rows_of_request(request), pattern)


def wanted_by(model: Any) -> str:
    """Say which columns a model takes, as far as it knows."""
    names, count = getattr(model, "feature_names_in_", None), getattr(model, "n_features_in_", None)
    return f"the columns {', '.join(names)}" if names is not None else f"{count or 'its'} columns"


def _names(tables: Any, model: Any, pattern: Any, columns: list[str], *, target: str | None) -> list[str]:
    """Return which of the file's columns are the model's."""
    known = getattr(model, "feature_names_in_", None)
    if known is None and pattern is not None:
        known = pattern.names
    if known is not None and set(known) <= set(columns):
        return [str(each) for each in known]
    names = [each for each in columns if each != target]
    count = getattr(model, "n_features_in_", None)
    if count and len(names) != count:
        has_one_more = target is None and len(names) == count + 1
        more = "; name the one to predict with --target" if has_one_more else ""
        message = f"it has {len(names)} columns, the model takes {wanted_by(model)}{more}"
        raise tables.UnfitError(message)
    return names


def _fitted(tables: Any, model: Any, table: Any) -> Any:
    """Return the table in the form that the model was fitted with: an array, unless it knows names or takes a frame."""
    if table.kinds is None or getattr(model, "feature_names_in_", None) is not None:
        return table
    is_array = bool(getattr(model, "n_features_in_", None))
    if not is_array:
        # As many rows as a frame never has columns: who goes through a frame goes through its columns.
        rows = table.take([0] * (len(table.names) + 1))
        try:
            is_array = len(model.predict(rows.build())) != len(rows)
        except Exception:  # noqa: BLE001 - whatever a user's own class raises, it takes no frame
            is_array = True
    return tables.Table(table.names, table.columns, None) if is_array else table
