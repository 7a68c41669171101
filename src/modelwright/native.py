"""The compiled part, `_native.c`; None where it was not built. Whatever it does is written in Python beside its use."""

import importlib
from typing import Any

native: Any
try:
    native = importlib.import_module("modelwright._native")
except ImportError:
    native = None
