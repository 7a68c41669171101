"""Guest: a small sketch of any fitted object, by which two of them are compared without keeping either.

Numbers become sums, everything else a digest: two objects with equal sketches hold the same structure and the same
numbers to `TOLERANCE`. Needs the standard library only; numpy is used where the object itself brought it.
"""

from __future__ import annotations

import hashlib
import math
import re
import sys
from typing import Any

TOLERANCE = 1e-9
_ITEMS = 20_000
_DEPTH = 12
# Clocks and the settings of a run that change no result.
_SKIPPED = re.compile(
    r"time|callbacks?$|verbose|n_jobs|nthread|random_state|^rng$|_rng$|_random|logger|feature_weights_fp"
)
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")


class _Sum:
    """What has been seen of one attribute: how many numbers, two sums of them, and a digest of all else."""

    def __init__(self) -> None:
        self.count = 0
        self.absolute = 0.0
        self.weighted = 0.0
        self.rest = hashlib.sha256()
        self.seen: set[int] = set()

    def text(self, value: str) -> None:
        self.rest.update(value.encode("utf-8", "replace") + b"\0")

    def number(self, value: Any) -> None:
        number = float(value)
        if not math.isfinite(number):
            self.text(repr(number))
            number = 0.0
        self.absolute += abs(number)
        self.weighted += number * math.cos(0.7 * self.count)
        self.count += 1

    def array(self, value: Any) -> None:
        numpy = sys.modules["numpy"]
        if value.dtype.names:
            for name in value.dtype.names:
                self.array(value[name])
            return
        self.text(str(value.shape))
        if value.dtype.kind not in "biufc":
            for each in value.ravel()[:_ITEMS].tolist():
                self.walk(each, 1)
            return
        flat = numpy.abs(value).ravel() if value.dtype.kind == "c" else value.ravel()
        flat = flat.astype(float)
        broken = ~numpy.isfinite(flat)
        if broken.any():
            self.text(f"{int(broken.sum())} not finite")
            flat = numpy.where(broken, 0.0, flat)
        weights = numpy.cos(0.7 * numpy.arange(self.count, self.count + flat.size))
        self.absolute += float(numpy.abs(flat).sum())
        self.weighted += float((flat * weights).sum())
        self.count += int(flat.size)

    def walk(self, value: Any, depth: int) -> None:
        """Take in a value of any kind."""
        if value is None or isinstance(value, (bool, str, bytes)):
            self.text(repr(value))
        elif isinstance(value, (int, float)):
            self.number(value)
        elif depth > _DEPTH or id(value) in self.seen:
            self.text(type(value).__name__)
        else:
            self.seen.add(id(value))
            self.compound(value, depth + 1)

    def compound(self, value: Any, depth: int) -> None:
        if isinstance(value, dict):
            for key in sorted(value, key=str)[:_ITEMS]:
                if not _SKIPPED.search(str(key)):
                    self.text(str(key))
                    self.walk(value[key], depth)
        elif isinstance(value, (list, tuple)):
            for each in value[:_ITEMS]:
                self.walk(each, depth)
        elif isinstance(value, (set, frozenset)):
            for each in sorted(value, key=str)[:_ITEMS]:
                self.walk(each, depth)
        elif not self.library(value, depth):
            self.plain_object(value, depth)

    def library(self, value: Any, depth: int) -> bool:
        """Take in the objects of libraries that do not show what they hold as attributes; say whether it was one."""
        kind = type(value)
        library = (kind.__module__ or "").split(".")[0]
        numpy = sys.modules.get("numpy")
        if numpy is not None and isinstance(value, (numpy.ndarray, numpy.generic)):
            self.array(numpy.asarray(value))
        elif kind.__name__ in {"RandomState", "Generator", "Random"}:
            self.text(kind.__name__)
        elif kind.__name__ == "Booster":
            is_forest = hasattr(value, "model_to_string")
            self.numbers_of(value.model_to_string() if is_forest else "\n".join(value.get_dump(with_stats=True)))
        else:
            taken = {"pandas": self.table, "scipy": self.sparse, "torch": self.torch}.get(library)
            return taken is not None and taken(value, depth)
        return True

    def table(self, value: Any, _: int) -> bool:
        if hasattr(value, "columns"):
            for place, name in enumerate(value.columns):
                self.text(str(name))
                self.array(value.iloc[:, place].to_numpy())
        elif hasattr(value, "to_numpy"):
            self.array(value.to_numpy())
        else:
            return False
        return True

    def sparse(self, value: Any, _: int) -> bool:
        if not hasattr(value, "tocsr"):
            return False
        rows = value.tocsr()
        for each in (rows.data, rows.indices, rows.indptr):
            self.array(each)
        return True

    def torch(self, value: Any, depth: int) -> bool:
        if hasattr(value, "detach"):
            self.array(value.detach().cpu().numpy())
        elif hasattr(value, "state_dict"):
            self.walk(dict(value.state_dict()), depth)
        else:
            return False
        return True

    def numbers_of(self, text: str) -> None:
        for each in _NUMBER.findall(text):
            self.number(each)
        self.text(_NUMBER.sub("#", text))

    def plain_object(self, value: Any, depth: int) -> None:
        self.text(getattr(value, "__name__", type(value).__name__))
        if isinstance(value, type) or (callable(value) and not hasattr(value, "get_params")):
            return
        if hasattr(value, "__dict__"):
            self.walk(vars(value), depth)
        elif hasattr(value, "__getstate__"):
            self.walk(value.__getstate__(), depth)


def sketch(value: Any) -> dict[str, list[Any]]:
    """Return the sketch of an object: for each attribute its count of numbers, two sums and a digest of the rest."""
    is_owner = hasattr(value, "__dict__") and not _is_opaque(value)
    parts = vars(value) if is_owner else {"value": value}
    found = {}
    for name in sorted(parts):
        if _SKIPPED.search(name):
            continue
        seen = _Sum()
        try:
            seen.walk(parts[name], 0)
        except Exception as error:  # noqa: BLE001 - whatever a user's object does, the run goes on
            seen.text(type(error).__name__)
        found[name] = [seen.count, seen.absolute, seen.weighted, seen.rest.hexdigest()[:16]]
    return found


def sketch_text(text: str) -> dict[str, list[Any]]:
    """Return the sketch of a text: of its numbers, and of the rest of it."""
    seen = _Sum()
    seen.numbers_of(text)
    return {"text": [seen.count, seen.absolute, seen.weighted, seen.rest.hexdigest()[:16]]}


def _is_opaque(value: Any) -> bool:
    library = (type(value).__module__ or "").split(".")[0]
    return library in {"numpy", "pandas", "scipy", "torch"} or type(value).__name__ == "Booster"


def first_difference(one: dict[str, list[Any]], other: dict[str, list[Any]], tolerance: float = TOLERANCE) -> str:
    """Return the first attribute in which two sketches differ, or an empty text when they are equal."""
    for name in sorted({*one, *other}):
        if name not in one or name not in other:
            return name
        count, absolute, weighted, rest = one[name]
        count_2, absolute_2, weighted_2, rest_2 = other[name]
        allowed = tolerance * max(absolute, absolute_2, 1e-300)
        is_near = abs(absolute - absolute_2) <= allowed and abs(weighted - weighted_2) <= allowed
        if count != count_2 or rest != rest_2 or not is_near:
            return name
    return ""
