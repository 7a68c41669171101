"""Import names that scoring scripts know from the cloud: ours stand in where the real packages are not installed."""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any, Optional

# Module -> our module that has its names; "" for one that only holds others.
_STAND_INS = {
    "azureml": "",
    "azureml.contrib": "",
    "azureml.contrib.services": "",
    "azureml.core": "azure",
    "azureml.core.model": "azure",
    "azureml.exceptions": "azure",
    "azureml.monitoring": "collector",
    "inference_schema": "",
    "inference_schema.schema_decorators": "schemas",
    "inference_schema.schema_util": "schemas",
    "inference_schema.parameter_types": "",
    "inference_schema.parameter_types.abstract_parameter_type": "parameters",
    "inference_schema.parameter_types.numpy_parameter_type": "parameters",
    "inference_schema.parameter_types.pandas_parameter_type": "parameters",
    "inference_schema.parameter_types.spark_parameter_type": "parameters",
    "inference_schema.parameter_types.standard_py_parameter_type": "parameters",
    "sklearn.externals.joblib": "",
}
# Made for one server: they are ours to give even where the original is installed, which would hand out its own.
_OURS = {
    "azureml.contrib.services.aml_request": "rawhttp",
    "azureml.contrib.services.aml_response": "rawhttp",
    "azureml_inference_server_http.api.aml_request": "rawhttp",
    "azureml_inference_server_http.api.aml_response": "rawhttp",
}
_HOLDERS = {"azureml_inference_server_http": "", "azureml_inference_server_http.api": ""}
_ALIASES = {"sklearn.externals.joblib": "joblib"}
_NAMES = {"AbstractParameterType": "ParameterType"}


class _Finder:
    """Finds the modules of one table, and makes them."""

    def __init__(self, table: dict[str, str]) -> None:
        self._table = table

    def find_spec(
        self, fullname: str, _path: Optional[Sequence[str]], _target: Optional[ModuleType] = None
    ) -> Optional[importlib.machinery.ModuleSpec]:
        """Return how a module of the table is made; None for any other."""
        if fullname not in self._table:
            return None
        # Python asks of a loader what this class has, whatever it is derived from.
        loader: Any = self
        is_package = any(each.startswith(f"{fullname}.") for each in {**_STAND_INS, **_OURS, **_HOLDERS})
        return importlib.machinery.ModuleSpec(fullname, loader, is_package=is_package)

    def create_module(self, _spec: importlib.machinery.ModuleSpec) -> Optional[ModuleType]:
        """Leave it to Python to make an empty module."""
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Fill a module with the names that scripts import from it."""
        name = module.__name__
        ours = self._table[name]
        source: Any = None
        if ours:
            source = importlib.import_module(f"{__package__}.{ours}")
        elif name in _ALIASES:
            source = importlib.import_module(_ALIASES[name])
        if source is not None:
            vars(module).update({key: value for key, value in vars(source).items() if not key.startswith("__")})
            for theirs, own in _NAMES.items():
                if hasattr(source, own):
                    setattr(module, theirs, getattr(source, own))


def install() -> None:
    """Make the names importable."""
    path: list[Any] = sys.meta_path
    path.insert(0, _Finder(_OURS))
    path.append(_Finder({**_STAND_INS, **_HOLDERS}))
