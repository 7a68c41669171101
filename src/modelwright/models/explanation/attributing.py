"""Explains a model in its own environment: how much each column adds to what it puts out. Started by path.

`python attributing.py REQUEST RESULT VALUES` reads a request as JSON (see `explaining.py`, which writes it), and writes
what was found to RESULT, each row's values to VALUES, or to RESULT what it needs and has not, or what it refuses.
"""

from __future__ import annotations

import importlib.util
import json
import pickle
import sys
from pathlib import Path
from typing import Any

_BACKGROUND_ROWS = 50  # that a column's absence is averaged over when orders are sampled
_FEWEST_ROUNDS, _MOST_ROUNDS = 2, 20
_MOST_COLUMNS = 8  # of which every subset is asked for; with more it would be more to ask than when sampling
_MOST_ROWS = {"linear": 10_000, "trees": 500, "subsets": 50, "sampled": 50}
_FEWEST_ROWS = 5
_MOST_EVALUATIONS = 1_000_000  # of the model, for all rows together
_ORIGIN_ROWS = 500
_TOLERANCES = {"linear": 1e-9, "trees": 1e-6, "subsets": 1e-9, "sampled": 1e-9}  # of the largest number in the sum

_beside_modules: dict[str, Any] = {}


class RefusedError(Exception):
    """What cannot be explained; `code` says which kind of thing is in the way."""

    code = ""


class NoModelError(RefusedError):
    """None of the files is a model."""

    code = "model"


class NoRowsError(RefusedError):
    """The run kept no rows that the model takes."""

    code = "rows"

    def __init__(self, wanted: str) -> None:
        """Take which columns the model asks for."""
        super().__init__(f"its run kept no table with {wanted}")


class UnfitFileError(RefusedError):
    """A file of the user's has not what the model takes."""

    code = "file"

    def __init__(self, name: str, reason: Exception) -> None:
        """Take the file and what is wrong with it."""
        super().__init__(f'"{name}" does not fit the model: {reason}')


class MissingError(Exception):
    """The environment lacks shap, or numpy, which comes with it."""


def main() -> None:
    """Explain what the request asks for."""
    request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    # A model may be of a class that its package defines, and a module of ours must not hide one of its modules.
    sys.path[0] = request["source"]
    try:
        answer = explained(request)
    except RefusedError as error:
        answer = {"refused": error.code, "reason": str(error)}
    except MissingError:
        answer = {"needs": "shap"}
    rows = answer.pop("values", None)
    if rows is not None:
        with Path(sys.argv[3]).open("w", encoding="utf-8") as handle:
            head = {name: answer[name] for name in ("columns", "outputs", "base")}
            head.update(format="modelwright-explanation", format_version=1)
            handle.writelines(json.dumps(each) + "\n" for each in (head, *rows))
    Path(sys.argv[2]).write_text(json.dumps(answer), encoding="utf-8")


def _beside(name: str) -> Any:
    """Return the module of ours that lies beside this one."""
    if name not in _beside_modules:
        place = Path(__file__).with_name(f"{name}.py")
        _beside_modules[name] = _from_file(f"_wright_{name}", place)
    return _beside_modules[name]


def _from_file(name: str, place: Path) -> Any:
    specification = importlib.util.spec_from_file_location(name, str(place))
    if specification is None or specification.loader is None:
        raise ImportError(str(place))
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module
    specification.loader.exec_module(module)
    return module


def explained(request: dict[str, Any]) -> dict[str, Any]:
    """Return the answer to a request. Raises RefusedError, and MissingError when the environment lacks a library."""
    if importlib.util.find_spec("numpy") is None:
        raise MissingError
    model = _load(request["model_files"])
    notes: list[str] = []
    background, explained = _rows(request, model, notes)
    subject = explained.table
    if request["rows"]:
        subject = _asked(request["rows"], explained.table)
    work = _Work(model, background, subject, request, notes)
    answer = work.run()
    answer["model_class"] = f"{type(model).__module__}.{type(model).__qualname__}"
    answer["background"] = work.background_facts()
    answer["explained"] = {
        "place": request["rows"]["name"] if request["rows"] else explained.place,
        "rows": len(work.rows),
        "of": len(subject),
        "digest": work.rows.digest,
    }
    if not request["rows"]:
        measured = None
        if explained.labels is None:
            notes.append("no labels were found beside the rows, so there is no permutation importance; see --target")
        else:
            try:
                measured = _beside("shuffling").measured(
                    model,
                    explained,
                    classes=_beside("outputs").classes_of(model),
                    seed=request["seed"],
                    repeats=request["repeats"],
                )
            except (TypeError, ValueError) as error:
                notes.append(f"permutation importance with the labels {explained.labels_place} fails: {error}")
        answer["permutation"] = measured
    answer["notes"] = notes
    return answer


def _load(files: list[str]) -> Any:
    """Return the first object among the files that answers `predict`. Raises RefusedError."""
    told = "it has no file"
    for each in files:
        try:
            model = _unpickled(Path(each))
        except Exception as error:  # noqa: BLE001 - files beside the model may be anything
            told = f"{Path(each).name} cannot be loaded: {error}"
            continue
        if hasattr(model, "predict") or hasattr(model, "predict_proba"):
            return model
        told = f"{Path(each).name} holds a {type(model).__name__}, which has neither predict nor predict_proba"
    raise NoModelError(told)


def _unpickled(path: Path) -> Any:
    try:
        from joblib import load  # reads its own files and plain pickles
    except ImportError:
        with path.open("rb") as handle:
            return pickle.load(handle)  # noqa: S301 - a registered model, in its own environment
    return load(path)


# --- which rows ---


def _rows(request: dict[str, Any], model: Any, notes: list[str]) -> tuple[Any, Any]:
    """Return the background and the rows to explain. Raises RefusedError when there are none."""
    tables, known = _beside("row_tables"), _beside("known_rows")
    read = _from_file("_wright_values", Path(request["values_reader"])).read_value
    kept = [(each["name"], each["role"], read(each["path"])) for each in request["values"]]
    values = known.Values(tables, kept)
    target = request["target"]
    trained = values.find(model, is_test=False, target=target)
    if request["data"]:
        given = _given(request["data"], model, trained and trained.table, target=target)
        return given, given
    if trained is None:
        raise NoRowsError(_beside("given_rows").wanted_by(model))
    tested = values.find(model, is_test=True, target=target) or trained
    if trained.table.kinds is None:
        named = values.names_of(trained.table)
        if named:
            trained.table.names = tested.table.names = named[0]
            notes.append(f"the columns' names are those of {named[1]}, which has the same cells")
    return trained, tested


def _given(data: dict[str, str], model: Any, pattern: Any, *, target: str | None) -> Any:
    """Return the rows of a table that the user names, and the labels in it."""
    tables = _beside("row_tables")
    try:
        found = _beside("given_rows").table_and_labels(tables, Path(data["path"]), model, pattern, target=target)
    except tables.UnfitError as error:
        raise UnfitFileError(data["name"], error) from error
    table, labels, column = found
    return _beside("known_rows").Found(data["name"], table, labels, f"{data['name']}.{column}")


def _asked(rows: dict[str, str], pattern: Any) -> Any:
    """Return the rows of a request that the user names."""
    tables = _beside("row_tables")
    try:
        return _beside("given_rows").request_or_table(tables, Path(rows["path"]), pattern)
    except tables.UnfitError as error:
        raise UnfitFileError(rows["name"], error) from error


# --- the work itself ---


class _Work:
    """One model, the rows to explain, and the methods in the order in which they are tried."""

    def __init__(self, model: Any, background: Any, subject: Any, request: dict[str, Any], notes: list[str]) -> None:
        self.model = model
        self.trained = background
        self.subject = subject
        self.request = request
        self.notes = notes
        self.rows = subject
        self.background: Any = background.table
        self.method = ""

    def run(self) -> dict[str, Any]:
        """Return what the first method gives that can explain this model and adds up."""
        inner, prepare = _beside("raw_columns").last_model(self.model)
        shapley = _beside("shapley")
        form = shapley.linear_form(inner)
        if form is not None:
            answer = self._exactly("linear", inner, prepare, form)
            if answer:
                return answer
        if shapley.is_tree(inner):
            if self.request["shap_missing"]:
                self.notes.append(
                    f"shap cannot be had, so trees are explained by their outputs alone: {self.request['shap_missing']}"
                )
            elif importlib.util.find_spec("shap") is None:
                raise MissingError
            else:
                answer = self._exactly("trees", inner, prepare, None)
                if answer:
                    return answer
        return self._by_asking()

    def background_facts(self) -> dict[str, Any]:
        """Return which rows the base is the mean of."""
        if self.method == "trees":
            return {"place": "the rows that the trees were fitted with, as counted in their nodes"}
        table = self.background
        return {"place": self.trained.place, "rows": len(table), "of": len(self.trained.table), "digest": table.digest}

    def _exactly(self, method: str, inner: Any, prepare: Any, form: Any) -> dict[str, Any] | None:
        """Explain the last model by its inputs and give the shares to the user's columns; None when that cannot be."""
        import numpy as np

        raw = _beside("raw_columns")
        self.rows = self._some(self.subject, _MOST_ROWS[method])
        sample = self._some(self.trained.table, _ORIGIN_ROWS).joined(self._some(self.rows, _ORIGIN_ROWS))
        try:
            origin = raw.origins(sample, prepare)
            rows = raw.inputs_of(self.rows, prepare)
        except (raw.MixedError, ValueError, TypeError) as error:
            self.notes.append(f"{error}, so the whole pipeline is explained by its outputs alone")
            return None
        try:
            if method == "linear":
                values, base = _beside("shapley").linear(form, rows, raw.inputs_of(self.trained.table, prepare))
            else:
                values, base = _beside("shapley").trees(inner, rows)
        except Exception as error:  # noqa: BLE001 - shap's refusals have no common class
            who = "its coefficients are" if method == "linear" else "TreeExplainer is"
            self.notes.append(f"it is explained by its outputs alone, because {who} of no use: {error}")
            return None
        values = raw.summed(values, origin, len(self.rows.names))
        for kind, names, answer in _beside("outputs").kinds_of(self.model, self.rows.build()):
            put_out = answer(self.rows.build())
            if put_out.shape[1] == len(base) and _residual(base, values, put_out) <= _TOLERANCES[method]:
                return self._answer(method, kind, names, values, base, put_out)
        if method == "trees" or not np.isfinite(values).all():
            self.notes.append(
                "what TreeExplainer gives does not add up to an output, so it is explained by its outputs alone"
            )
        return None

    def _by_asking(self) -> dict[str, Any]:
        """Explain the model by its outputs alone: for every subset of few columns, else for orders drawn of many."""
        import numpy as np

        self.background = self._some(self.trained.table, _BACKGROUND_ROWS)
        width, shapley = len(self.background.names), _beside("shapley")
        method = "subsets" if width <= _MOST_COLUMNS else "sampled"
        a_row = len(self.background) * (2**width if method == "subsets" else 2 * _FEWEST_ROUNDS * (width + 1))
        self.rows = self._some(self.subject, max(_FEWEST_ROWS, min(_MOST_ROWS[method], _MOST_EVALUATIONS // a_row)))
        a_round = 2 * len(self.background) * (width + 1) * len(self.rows)
        rounds = max(_FEWEST_ROUNDS, min(_MOST_ROUNDS, _MOST_EVALUATIONS // a_round))
        kind, names, output = _beside("outputs").kinds_of(self.model, self.background.build())[0]

        def answer(table: Any) -> Any:
            return output(table.build())

        if method == "subsets":
            values, base = shapley.subsets(answer, self.rows, self.background)
            return self._answer(method, kind, names, values, base, answer(self.rows))
        values, base, errors = shapley.sampled(
            answer, self.rows, self.background, seed=self.request["seed"], rounds=rounds
        )
        found = self._answer(method, kind, names, values, base, answer(self.rows))
        found["standard_error"] = float(np.abs(errors).mean())
        found["orders"] = 2 * rounds * len(self.background)
        return found

    def _some(self, table: Any, most: int) -> Any:
        """Return a table of at most so many rows, drawn with the seed, in their order."""
        import numpy as np

        if len(table) <= most:
            return table
        drawn = np.random.default_rng(self.request["seed"]).choice(len(table), most, replace=False)
        return table.take(np.sort(drawn))

    def _answer(self, method: str, kind: str, names: list[str], values: Any, base: Any, put_out: Any) -> dict[str, Any]:
        import numpy as np

        self.method = method
        residual = _residual(base, values, put_out)
        tolerance = _TOLERANCES[method]
        source = "modelwright"
        if method == "trees":
            import shap

            source = f"shap {shap.__version__}"
        columns = self.rows.names
        mean = np.abs(values).mean(axis=0)
        order = np.argsort(-mean.sum(axis=1), kind="stable")
        return {
            "method": method,
            "source": source,
            "output": kind,
            "outputs": names,
            "columns": columns,
            "base": [float(each) for each in base],
            "importances": [
                {
                    "column": columns[number],
                    "rank": rank,
                    "mean": float(mean[number].mean()),
                    "by_output": [float(each) for each in mean[number]],
                }
                for rank, number in enumerate(order, start=1)
            ],
            "additivity": {"residual": residual, "tolerance": tolerance, "holds": residual <= tolerance},
            "values": self._rows_of(kind, values, put_out),
        }

    def _rows_of(self, kind: str, values: Any, put_out: Any) -> list[dict[str, Any]]:
        """Return each row with its values; where these are of a margin, the probabilities beside it."""
        found = [
            {"cells": self.rows.cells(number), "output": put_out[number].tolist(), "values": values[number].tolist()}
            for number in range(len(values))
        ]
        if kind == "margin" and hasattr(self.model, "predict_proba"):
            for row, each in zip(found, self.model.predict_proba(self.rows.build())):  # noqa: B905 - equally long
                row["probabilities"] = {
                    str(name): float(value)
                    for name, value in zip(self.model.classes_, each)  # noqa: B905 - as above
                }
        return found


def _residual(base: Any, values: Any, put_out: Any) -> float:
    """Return by how much base and values miss the output at most, as a part of the largest number among them."""
    import numpy as np

    scale = max(float(np.abs(each).max()) for each in (put_out, base, values)) or 1.0
    return float(np.abs(base + values.sum(axis=1) - put_out).max()) / scale


if __name__ == "__main__":
    main()
