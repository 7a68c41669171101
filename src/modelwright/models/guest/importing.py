"""Imports a scoring script from a model package without writing into it."""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import itertools
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

_NOT_PYTHON = "it is not a Python file"


class ScriptUnfit(Exception):
    """The script breaks a rule of the scoring contract."""


class Uncached(importlib.machinery.SourceFileLoader):
    """Loads Python files without writing `__pycache__` beside them: a model package never changes."""

    def set_data(self, path: str, data: Any, *, _mode: int = 0o666) -> None:
        """Write nothing."""


def import_script(script: str) -> ModuleType:
    """Return the script as a module, with its folder first on the path; that of its package if it is in one."""
    folder, names = Path(script).parent, [Path(script).stem]
    while (folder / "__init__.py").is_file():
        names.insert(0, folder.name)
        folder = folder.parent
    import_uncached_from(str(folder))
    sys.path.insert(0, str(folder))
    sys.argv = [script]
    # Under its own name, so that what the script defines can be pickled and found again.
    name = ".".join(names)
    for parent in itertools.accumulate(names[:-1], "{}.{}".format):
        importlib.import_module(parent)
    spec = importlib.util.spec_from_file_location(name, script, loader=Uncached(name, script))
    if spec is None or spec.loader is None:
        raise ScriptUnfit(_NOT_PYTHON)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def import_uncached_from(folder: str) -> None:
    """Have modules below `folder` loaded by `Uncached`; all others keep their bytecode caches, and start fast."""

    def find(path: str) -> importlib.machinery.FileFinder:
        if path != folder and not path.startswith(folder + os.sep):
            raise ImportError(path, path=path)
        return importlib.machinery.FileFinder(
            path,
            (importlib.machinery.ExtensionFileLoader, importlib.machinery.EXTENSION_SUFFIXES),
            (Uncached, importlib.machinery.SOURCE_SUFFIXES),
            (importlib.machinery.SourcelessFileLoader, importlib.machinery.BYTECODE_SUFFIXES),
        )

    sys.path_hooks.insert(0, find)
