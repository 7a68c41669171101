"""The names of the package `azureml` that scoring scripts use, for environments that do not have it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Optional

_ROOT = "azureml-models"


class WebserviceException(Exception):
    """What was asked for is not to be had."""

    def __init__(self, message: str = "", **_more: Any) -> None:
        """Say what is wrong."""
        super().__init__(message)
        self.message = message


class ModelNotFoundException(WebserviceException):
    """There is no such model here."""


class Model:
    """A registered model, as far as a scoring script needs it."""

    @staticmethod
    def get_model_path(model_name: str, version: Optional[int] = None, _workspace: Any = None) -> str:
        """Return where a model's one file or folder is.

        Looked for among the models of this deployment by name, in its newest version unless one is given; among
        their files, since a script may name the file; and in the working folder, where it is while a script is
        tried. Raises WebserviceException, and ModelNotFoundException when there is none.
        """
        if version is not None and (not isinstance(version, int) or isinstance(version, bool)):
            told = f"version should be an int, got {type(version).__name__}"
            raise WebserviceException(told)
        root = _models_folder()
        if root is not None:
            folder = _version_folder(root / model_name, version)
            if folder is not None:
                return str(_only_entry(folder))
            named = sorted(root.glob(f"*/*/{model_name}"))
            if version is None and len(named) == 1:
                return str(named[0])
        if version is None and Path(model_name).exists():
            return model_name
        told = f"Model {model_name}{f':{version}' if version else ''} not found in the deployment or in {Path.cwd()}"
        told += f"; with --with {model_name}:{version or 'VERSION'} it is"
        raise ModelNotFoundException(told)


def _models_folder() -> Optional[Path]:
    """Return the folder of all the models of this deployment: `…/azureml-models`, whether given or above the one."""
    given = os.environ.get("AZUREML_MODEL_DIR")
    if given:
        return next((each for each in (Path(given), *Path(given).parents) if each.name == _ROOT), None)
    app = os.environ.get("AML_APP_ROOT")
    return Path(app) / _ROOT if app else None


def _version_folder(model: Path, version: Optional[int]) -> Optional[Path]:
    if version is not None:
        return model / str(version) if (model / str(version)).is_dir() else None
    numbers = [int(each.name) for each in model.glob("*") if each.name.isdigit()]
    return model / str(max(numbers)) if numbers else None


def _only_entry(folder: Path) -> Path:
    entries = sorted(folder.iterdir())
    if len(entries) != 1:
        told = f"Directory {folder} can contain only 1 file or folder. Found {len(entries)}."
        raise WebserviceException(told)
    return entries[0]
