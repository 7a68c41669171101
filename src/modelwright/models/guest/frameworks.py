"""Loads a model by its framework, with the libraries that the version's environment has."""

from __future__ import annotations

import json
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Optional

from .importing import ScriptUnfit
from .shortcuts import PLAIN_TYPES, arithmetic_of, sum_of, without_names

_NAMES = {
    "sklearn": "sklearn",
    "scikit-learn": "sklearn",
    "scikitlearn": "sklearn",
    "xgboost": "xgboost",
    "lightgbm": "lightgbm",
    "onnx": "onnx",
    "torchscript": "torchscript",
    "torch": "torchscript",
    "pytorch": "torchscript",
}
_PICKLES = (".pkl", ".pickle", ".joblib")
_SKOPS = ".skops"
_ENDINGS = {
    "sklearn": (*_PICKLES, _SKOPS),
    "xgboost": (".json", ".ubj", ".xgb", ".model", ".bin", *_PICKLES),
    "lightgbm": (".txt", ".lgb", ".model", *_PICKLES),
    "onnx": (".onnx",),
    "torchscript": (".pt", ".pth", ".ts"),
}
# What MLflow and others put beside a model.
_BESIDE = {"requirements.txt", "input_example.json", "serving_input_example.json", "conda.yaml", "python_env.yaml"}
# Of ONNX -> of NumPy.
_DTYPES = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(float16)": "float16",
    "tensor(int64)": "int64",
    "tensor(int32)": "int32",
    "tensor(bool)": "bool",
    "tensor(string)": "object",
}
# Of scikit-learn: what answers for a row as it would for the row alone, to the last bit. Products of matrices do not.
_BY_ROW = {
    *("MinMaxScaler", "MaxAbsScaler", "RobustScaler", "SimpleImputer", "StandardScaler"),
    *(
        kind + ending
        for kind in (
            "DecisionTree",
            "ExtraTree",
            "ExtraTrees",
            "GradientBoosting",
            "HistGradientBoosting",
            "RandomForest",
        )
        for ending in ("Classifier", "Regressor")
    ),
}
_NOT_ONE = "a model of {framework} without a scoring script is one file that ends in {endings}; there {are}"
_UNKNOWN = 'framework "{framework}" cannot be served without a scoring script; these can: {known}'
_ONE_VALUE = "it takes one value for each of its inputs"
_NO_PREDICT = "what is in {file} has no predict(), it is of {kind}"


class Estimator:
    """A fitted model that predicts rows of an array. `names` and `count` are of its columns, as far as it knows."""

    names: tuple[str, ...] = ()
    count: Optional[int] = None
    classes: Optional[list[Any]] = None
    # Whether a row's prediction is the same, to the last bit, whatever other rows are predicted with it.
    is_by_row = False
    # What predicts one row, a list of numbers with a fraction among them, where there is a shorter way. It gives None,
    # or raises TypeError or struct.error, for what is no such row or is one that the model itself must see.
    one: Optional[Callable[[Any], Optional[float]]] = None

    def predict(self, rows: Any) -> Any:
        """Return a prediction for each row."""
        raise NotImplementedError

    def probabilities(self, rows: Any) -> Any:
        """Return the probability of each class for each row. Raises NotImplementedError for a model without."""
        raise NotImplementedError


class Fitted(Estimator):
    """Anything with the interface of scikit-learn."""

    def __init__(self, model: Any) -> None:
        """Serve `model`."""
        self.model = model
        self.names = tuple(str(name) for name in getattr(model, "feature_names_in_", ()))
        count = getattr(model, "n_features_in_", None)
        self.count = None if count is None else int(count)
        classes: Any = getattr(model, "classes_", None)
        self.classes = classes.tolist() if hasattr(classes, "tolist") else None
        steps = [each for _, each in model.steps] if hasattr(model, "steps") else [model]
        self.is_by_row = all(
            type(each).__module__.startswith("sklearn.") and type(each).__name__ in _BY_ROW for each in steps
        )
        # What is asked with numbers in place of the model, where it is the same, and how they lie in memory for it.
        self._bare, self._order = without_names(model, self._framed) if self.names else (model, None)
        self._arithmetic = arithmetic_of(self._bare)
        self.one = None if self._arithmetic is None else sum_of(self._bare)

    def predict(self, rows: Any) -> Any:
        """Return a prediction for each row."""
        model, table = self._asked(rows)
        found = self._arithmetic(table) if self._arithmetic is not None and model is self._bare else None
        return model.predict(table) if found is None else found

    def probabilities(self, rows: Any) -> Any:
        """Return the probability of each class for each row."""
        if not hasattr(self.model, "predict_proba"):
            raise NotImplementedError
        model, table = self._asked(rows)
        return model.predict_proba(table)

    def _asked(self, rows: Any) -> tuple[Any, Any]:
        """Return who is asked, and with what."""
        if not self.names:
            return self.model, rows
        is_plain = rows.ndim == 2 and rows.flags.c_contiguous and rows.dtype.name in PLAIN_TYPES  # noqa: PLR2004
        if self._bare is None or not is_plain:
            return self.model, self._framed(rows)
        return self._bare, rows if self._order == "C" else rows.copy(self._order)

    def _framed(self, rows: Any) -> Any:
        """Return rows as the kind of table that the model was fitted on."""
        if not self.names or rows.ndim != 2:  # noqa: PLR2004
            return rows
        import pandas as pd

        frame = pd.DataFrame(rows, columns=list(self.names))
        return frame.infer_objects() if rows.dtype.kind == "O" else frame


class XGBoost(Estimator):
    """A booster of XGBoost."""

    def __init__(self, booster: Any) -> None:
        """Serve `booster` on one thread."""
        booster.set_param({"nthread": 1})
        self._booster = booster
        self.names = tuple(booster.feature_names or ())
        self.count = int(booster.num_features())

    def predict(self, rows: Any) -> Any:
        """Return what the booster puts out for each row."""
        import xgboost

        names = list(self.names) or None
        return self._booster.predict(xgboost.DMatrix(rows.astype(float), feature_names=names, nthread=1))


class LightGBM(Estimator):
    """A booster of LightGBM."""

    def __init__(self, booster: Any) -> None:
        """Serve `booster` on one thread."""
        self._booster = booster
        names = booster.feature_name()
        # What it makes up for columns that had no names.
        self.names = () if names == [f"Column_{index}" for index in range(len(names))] else tuple(names)
        self.count = int(booster.num_feature())

    def predict(self, rows: Any) -> Any:
        """Return what the booster puts out for each row."""
        return self._booster.predict(rows, num_threads=1)


class Onnx(Estimator):
    """A graph of ONNX: rows go to its one input, or each column to its own."""

    def __init__(self, path: Path) -> None:
        """Load the graph; it runs on one thread, since other workers want the cores too."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._inputs = self._session.get_inputs()
        self._outputs = [each.name for each in self._session.get_outputs()]
        if len(self._inputs) > 1:
            self.names = tuple(each.name for each in self._inputs)
            self.count = len(self.names)
        else:
            shape = self._inputs[0].shape
            self.count = shape[1] if len(shape) == 2 and isinstance(shape[1], int) else None  # noqa: PLR2004

    def predict(self, rows: Any) -> Any:
        """Return the first output, a column of one value per row as a list of values."""
        found = self._run(self._outputs[:1], rows)
        return found[:, 0] if found.ndim == 2 and found.shape[1] == 1 else found  # noqa: PLR2004

    def probabilities(self, rows: Any) -> Any:
        """Return the second output: of classifiers it has the probabilities."""
        import numpy as np

        if len(self._outputs) < 2:  # noqa: PLR2004
            raise NotImplementedError
        found = self._run(self._outputs[1:2], rows)
        if isinstance(found, list):  # a dictionary by class for each row, as converters make by default
            return np.array([list(each.values()) for each in found])
        return found

    def _run(self, outputs: list[str], rows: Any) -> Any:
        """Return the one output that is asked for. Raises ValueError for rows that the graph does not take."""
        feed = self._feed(rows)
        try:
            return self._session.run(outputs, feed)[0]
        except Exception as error:
            if type(error).__name__ == "InvalidArgument":  # of a module that has no name to import it by
                raise ValueError(str(error)) from error
            raise

    def _feed(self, rows: Any) -> dict[str, Any]:
        typed = [(each.name, _DTYPES.get(each.type, "float32")) for each in self._inputs]
        if len(typed) == 1:
            return {typed[0][0]: cast(rows, typed[0][1])}
        if rows.ndim != 2:  # noqa: PLR2004
            raise ValueError(_ONE_VALUE)
        return {name: cast(rows[:, [index]], dtype) for index, (name, dtype) in enumerate(typed)}


def cast(rows: Any, dtype: str) -> Any:
    """Return rows as an array of a type. Raises ValueError where a number would become another."""
    import numpy as np

    with np.errstate(invalid="ignore", over="ignore"):
        found = rows.astype(dtype)
    if found.dtype.kind in "ib" and not (found == rows).all():
        told = f"it takes {'truth values' if dtype == 'bool' else 'whole numbers'}"
        raise ValueError(told)
    return found


class TorchScript(Estimator):
    """A module of TorchScript."""

    def __init__(self, path: Path) -> None:
        """Load the module to the processor; it runs on one thread."""
        import torch

        torch.set_num_threads(1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # newer versions say that something else is newer
            self._module = torch.jit.load(str(path), map_location="cpu")
        self._module.eval()
        parameters = list(self._module.parameters())
        self._dtype = parameters[0].dtype if parameters else torch.float32
        first: tuple[int, ...] = tuple(parameters[0].shape) if parameters else ()
        self.count = int(first[1]) if len(first) == 2 else None  # noqa: PLR2004 - the weights of a linear layer

    def predict(self, rows: Any) -> Any:
        """Return what the module puts out, a column of one value per row as a list of values."""
        import torch

        with torch.inference_mode():
            found = self._module(torch.as_tensor(rows.astype("float64")).to(self._dtype))
        if isinstance(found, (tuple, list)):
            found = found[0]
        return (found[:, 0] if found.ndim == 2 and found.shape[1] == 1 else found).numpy()  # noqa: PLR2004


def load(framework: str, place: Path) -> Estimator:
    """Return the model in a file or a folder. Raises ScriptUnfit when it is not one that can be served by itself."""
    known = _NAMES.get(framework.lower())
    if known is None:
        raise ScriptUnfit(_UNKNOWN.format(framework=framework, known=", ".join(sorted(set(_NAMES.values())))))
    path = place if place.is_file() else _model_file(known, place)
    if known == "onnx":
        return Onnx(path)
    if known == "torchscript":
        return TorchScript(path)
    if path.suffix == _SKOPS:
        model = _of_skops(path)
    else:
        model = _unpickled(path) if path.suffix in _PICKLES else _native(known, path)
    return _wrapped(model, path)


def _wrapped(model: Any, path: Path) -> Estimator:
    kind = f"{type(model).__module__}.{type(model).__qualname__}"
    if kind.startswith("xgboost.") and type(model).__name__ == "Booster":
        return XGBoost(model)
    if kind.startswith("lightgbm.") and type(model).__name__ == "Booster":
        return LightGBM(model)
    if not callable(getattr(model, "predict", None)):
        raise ScriptUnfit(_NO_PREDICT.format(file=path.name, kind=kind))
    return Fitted(model)


def _native(framework: str, path: Path) -> Any:
    if framework == "lightgbm":
        import lightgbm

        return lightgbm.Booster(model_file=str(path))
    import xgboost

    booster = xgboost.Booster(model_file=str(path))
    told = json.loads(booster.attr("scikit_learn") or "{}")
    kind = {"classifier": "XGBClassifier", "regressor": "XGBRegressor"}.get(told.get("_estimator_type", ""))
    if kind is None:
        return booster
    model = getattr(xgboost, kind)(n_jobs=1)
    model.load_model(str(path))
    return model


def _model_file(framework: str, folder: Path) -> Path:
    endings = _ENDINGS[framework]
    files = [each for each in sorted(folder.rglob("*")) if each.is_file() and each.name not in _BESIDE]
    found = [each for each in files if each.suffix in endings]
    if len(found) != 1:
        are = f"are {len(found)}: {', '.join(each.name for each in found)}" if found else "is none"
        raise ScriptUnfit(_NOT_ONE.format(framework=framework, endings=", ".join(endings), are=are))
    return found[0]


def _of_skops(path: Path) -> Any:
    # What it holds is trusted as a pickle is: it is what was registered, to the byte.
    import skops.io

    return skops.io.load(path, trusted=skops.io.get_untrusted_types(file=path))


def _unpickled(path: Path) -> Any:
    # The package was restored with every byte compared to the digest it was registered with.
    try:
        from joblib import load as load_joblib  # reads its own files and plain pickles
    except ImportError:
        with path.open("rb") as handle:
            return pickle.load(handle)  # noqa: S301
    return load_joblib(path)
