"""Fingerprints tell values apart by their content, in every process alike."""

import os
import subprocess
import sys
from collections import OrderedDict, deque
from dataclasses import dataclass
from datetime import date
from enum import Enum
from functools import partial
from pathlib import Path
from random import Random

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from modelwright.notebooks import fingerprints

GUEST = Path(fingerprints.__file__)
fingerprint = fingerprints.fingerprint


@dataclass
class Point:  # noqa: PLW1641 - it is never hashed
    """Somebody's own class, whose methods must not be called."""

    x: object

    def __eq__(self, other: object) -> bool:
        raise AssertionError

    def __repr__(self) -> str:
        raise AssertionError

    def __getstate__(self) -> object:
        raise AssertionError

    @property
    def norm(self) -> float:
        raise AssertionError


class Slotted:
    """Keeps its state in a slot."""

    __slots__ = ("x",)

    def __init__(self, x: object) -> None:
        self.x = x


class Colour(Enum):
    """Members are themselves."""

    RED = 1
    BLUE = 2


def frame(**columns: object) -> pd.DataFrame:
    """Return a small frame with columns of several types, some replaced."""
    given = {
        "number": [1.0, 2.0, None],
        "word": ["a", None, "c"],
        "kind": pd.Categorical(["x", "y", "x"]),
        "day": pd.to_datetime(["2020-01-01", "2021-01-01", None]),
        "whole": pd.array([1, None, 3], dtype="Int64"),
        **columns,
    }
    return pd.DataFrame(given, index=[3, 4, 5])


def fitted(estimator: object, shift: float = 0.0) -> object:
    """Return an estimator fitted to a few rows."""
    rows = np.arange(40.0).reshape(20, 2)
    rows[0, 0] += shift
    return estimator.fit(rows, np.arange(20) % 2)


def drawn(generator: object) -> object:
    """Return a generator from which one number was drawn."""
    generator.random()
    return generator


def recursive(last: int) -> list[object]:
    """Return a list that holds itself."""
    items: list[object] = [1, last]
    items.append(items)
    return items


# Made twice they are equal; made by the second way they are not.
PAIRS = {
    "int": (lambda: 1, lambda: 2),
    "int and float": (lambda: 1, lambda: 1.0),
    "int and bool": (lambda: [1], lambda: [True]),
    "negative ints of one hash": (lambda: [-1], lambda: [-2]),
    "zeros": (lambda: 0.0, lambda: -0.0),
    "text": (lambda: "a", lambda: "b"),
    "text and bytes": (lambda: "a", lambda: b"a"),
    "long text": (lambda: "a" * 10_000, lambda: "a" * 9_999 + "b"),
    "list": (lambda: [1, [2]], lambda: [1, [3]]),
    "list and tuple": (lambda: [1, 2], lambda: (1, 2)),
    "nesting": (lambda: [[1], 2], lambda: [[1, 2]]),
    "dict": (lambda: {"a": [1], "b": 2}, lambda: {"a": [2], "b": 2}),
    "order of a dict": (lambda: {"a": 1, "b": 2}, lambda: {"b": 2, "a": 1}),
    "ordered dict": (lambda: OrderedDict(a=1), lambda: OrderedDict(a=2)),
    "set": (lambda: {"a", "b", "c"}, lambda: {"a", "b", "d"}),
    "frozen set": (lambda: frozenset({("a", 1), ("b", 2)}), lambda: frozenset({("a", 1)})),
    "deque": (lambda: deque([1, 2]), lambda: deque([2, 1])),
    "bytes": (lambda: bytearray(b"ab"), lambda: bytearray(b"ac")),
    "range": (lambda: range(3), lambda: range(4)),
    "date": (lambda: [date(2020, 1, 1)], lambda: [date(2020, 1, 2)]),
    "path": (lambda: Path("a"), lambda: Path("b")),
    "member": (lambda: Colour.RED, lambda: Colour.BLUE),
    "cycle": (lambda: recursive(1), lambda: recursive(2)),
    "own object": (lambda: Point([1]), lambda: Point([2])),
    "own object with slots": (lambda: Slotted(1), lambda: Slotted(2)),
    "partial": (lambda: partial(int, base=2), lambda: partial(int, base=8)),
    "method": (lambda: [1].append, lambda: [2].append),
    "function of a module": (lambda: os.path.join, lambda: os.path.split),
    "array": (lambda: np.arange(3.0), lambda: np.array([0.0, 1.0, np.nextafter(2.0, 3.0)])),
    "type of an array": (lambda: np.zeros(2, "f4"), lambda: np.zeros(2, "i4")),
    "shape": (lambda: np.zeros((2, 3)), lambda: np.zeros((3, 2))),
    "every other": (lambda: np.arange(6)[::2], lambda: np.arange(6)[1::2]),
    "array by columns": (lambda: np.asfortranarray(np.eye(3)), lambda: np.asfortranarray(np.eye(3)[:, ::-1])),
    "objects in an array": (lambda: np.array(["a", None], object), lambda: np.array(["b", None], object)),
    "array of dates": (lambda: np.array(["2020-01-01"], "M8[D]"), lambda: np.array(["2020-01-02"], "M8[D]")),
    "records": (lambda: np.zeros(2, [("a", "i1"), ("b", "f8")]), lambda: np.ones(2, [("a", "i1"), ("b", "f8")])),
    "number of numpy": (lambda: np.float32(1), lambda: np.float64(1)),
    "masked array": (lambda: np.ma.array([1, 2], mask=[0, 1]), lambda: np.ma.array([1, 2], mask=[1, 0])),
    "frame": (frame, lambda: frame(number=[1.0, 2.5, None])),
    "word in a frame": (frame, lambda: frame(word=["a", "b", "c"])),
    "category": (frame, lambda: frame(kind=pd.Categorical(["x", "x", "x"]))),
    "day": (frame, lambda: frame(day=pd.to_datetime(["2020-01-01", "2021-01-02", None]))),
    "whole number": (frame, lambda: frame(whole=pd.array([1, 2, 3], dtype="Int64"))),
    "column's name": (frame, lambda: frame().rename(columns={"day": "Day"})),
    "index": (frame, lambda: frame().reset_index(drop=True)),
    "order of columns": (frame, lambda: frame()[["word", "number", "kind", "day", "whole"]]),
    "series": (lambda: frame()["word"], lambda: frame()["number"]),
    "several levels": (
        lambda: frame().set_index(["word", "kind"]),
        lambda: frame().set_index(["kind", "word"]),
    ),
    "timestamp": (lambda: pd.Timestamp("2020"), lambda: pd.Timestamp("2021")),
    "sparse": (lambda: sparse.csr_matrix(np.eye(3)), lambda: sparse.csr_matrix(np.eye(3)[::-1])),
    "estimator": (LinearRegression, lambda: LinearRegression(fit_intercept=False)),
    "fitted": (lambda: fitted(LinearRegression()), lambda: fitted(LinearRegression(), 1e-9)),
    "pipeline": (
        lambda: fitted(make_pipeline(StandardScaler(), LinearRegression())),
        lambda: fitted(make_pipeline(StandardScaler(with_std=False), LinearRegression())),
    ),
    "forest": (
        lambda: fitted(RandomForestClassifier(3, random_state=1)),
        lambda: fitted(RandomForestClassifier(3, random_state=2)),
    ),
    "neighbours": (
        lambda: fitted(KNeighborsClassifier(algorithm="kd_tree")),
        lambda: fitted(KNeighborsClassifier(algorithm="kd_tree"), 1.0),
    ),
    "random": (lambda: Random(1), lambda: drawn(Random(1))),
    "generator": (lambda: np.random.default_rng(1), lambda: drawn(np.random.default_rng(1))),
    "random state": (lambda: np.random.RandomState(1), lambda: np.random.RandomState(2)),
}


@pytest.mark.parametrize("name", PAIRS)
def test_equal_content_gives_equal_fingerprints_and_other_content_others(name: str) -> None:
    make, make_other = PAIRS[name]
    assert fingerprint(make()) == fingerprint(make())
    assert fingerprint(make())[1]
    assert fingerprint(make())[0] != fingerprint(make_other())[0]


def test_fingerprints_are_those_of_every_other_process() -> None:
    program = f"""
import runpy, datetime, collections
import numpy as np, pandas as pd
from sklearn.ensemble import RandomForestClassifier
fingerprint = runpy.run_path({str(GUEST)!r})["fingerprint"]
rows, target = np.arange(40.0).reshape(20, 2), np.arange(20) % 2
class Own:
    def __init__(self): self.words = {{"a", "b", "c", ("d", 1)}}
def double(x, by={{"two"}}): return x * 2 if x in {{"a", "b", "c"}} else [each for each in by]
print(*map(fingerprint, [
    {{"a": 1.5, "b": [None, "x" * 5000]}}, {{"x", "y", "z", 3}}, Own(), double, Own, pd.DataFrame({{"a": ["x", None]}}),
    RandomForestClassifier(5, random_state=1).fit(rows, target), np.random.default_rng(3), datetime.date(2020, 1, 1),
    collections.Counter("hello"), lambda: double,
]), sep="\\n")
"""
    told = [
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert told[0] == told[1]
    assert told[0].count("True") == 11, told[0]


@pytest.mark.parametrize("make", [lambda: iter([1, 2]), lambda: (each for each in "ab"), lambda: map(str, [1, 2])])
def test_an_iterator_is_not_advanced_and_said_to_be_unread(make) -> None:
    iterator = make()
    assert not fingerprint({"held": iterator})[1]
    assert len(list(iterator)) == 2


def test_an_open_file_stays_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    with (tmp_path / "a.txt").open() as file:
        assert not fingerprint(file)[1]
        assert file.read() == "text"


def test_one_changed_bit_of_a_large_array_is_seen() -> None:
    array = np.zeros(5_000_000)
    before = fingerprint(array)
    array[3_141_592] = 5e-324
    after = fingerprint(array)
    assert before[1]
    assert before[0] != after[0]


def test_what_is_too_large_is_said_to_be_unread() -> None:
    assert not fingerprint(np.zeros(30_000_000))[1]
    assert not fingerprint([[each] for each in range(100_000)])[1]


def test_reading_a_frame_changes_nothing_that_a_fingerprint_tells() -> None:
    table = pd.concat([frame(), frame()])
    table["more"] = 1.0
    before = fingerprint(table)
    _ = table.to_numpy(), table.describe(), repr(table), table.index.is_unique, table["day"].dt.year
    assert fingerprint(table) == before


def test_predicting_changes_no_fitted_model() -> None:
    rows = np.arange(40.0).reshape(20, 2)
    for estimator in (KNeighborsClassifier(algorithm="ball_tree"), RandomForestClassifier(3), LinearRegression()):
        model = fitted(estimator)
        before = fingerprint(model)
        model.predict(rows)
        assert fingerprint(model) == before


def test_memory_is_shared_by_views_and_holders_and_not_by_copies() -> None:
    def memory(value: object) -> frozenset[int]:
        return fingerprints.read(value, lambda data: bytes(data[:1])).memory

    array, items = np.arange(4.0), [1]
    assert memory(array) & memory(array[1:])
    assert memory({"a": array}) & memory(array.reshape(2, 2).T)
    assert memory(Point(items)) & memory((items,))
    assert memory(items.append) & memory(items)
    assert not memory(array) & memory(array.copy())
    assert not memory("text") | memory(5) | memory((1, "a")) | memory(np.float64(1))


def test_the_guest_needs_no_library() -> None:
    program = f"import runpy, sys; runpy.run_path({str(GUEST)!r})['fingerprint']([1]); print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-S", "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout == "False\n"


def test_the_kind_of_an_array_tells_its_type_and_dimensions() -> None:
    assert fingerprints.kind_of(np.zeros((2, 2))) == "numpy.ndarray[float64,2]"
    assert fingerprints.kind_of({"a": 1}) == "builtins.dict"
