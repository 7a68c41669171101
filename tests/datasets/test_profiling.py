"""Profiles: equal to pandas within the stated error, and mergeable."""

import datetime as dt
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelwright.datasets import adding, profiling
from modelwright.datasets.profiles import MISSING, Column, Profile, merge
from modelwright.datasets.profiling import profile_frame
from modelwright.errors import NotTabular, ProfileUnreadable, TableNotKept
from modelwright.store import datasets
from modelwright.store.changes import change
from modelwright.store.database import Store

INFINITE = st.sampled_from([math.inf, -math.inf])
CELLS: dict[str, st.SearchStrategy[Any]] = {
    "float": st.floats(-1e6, 1e6) | st.just(math.nan) | INFINITE,
    "int": st.integers(-(2**40), 2**40),
    "constant": st.just(7.5),
    "boolean": st.booleans(),
    "text": st.text(max_size=3) | st.none(),
    "category": st.sampled_from(["red", "green", "blue"]),
    "date": st.datetimes(dt.datetime(1990, 1, 1), dt.datetime(2040, 1, 1)),  # noqa: DTZ001 - as pandas has them
    "empty": st.none(),
}
DTYPES = {"float": "float64", "int": "int64", "constant": "float64", "boolean": "bool", "text": "str", "empty": object}


@st.composite
def frames(draw: st.DrawFn, *, least: int = 0) -> pd.DataFrame:
    rows = draw(st.integers(least, 40))
    cells = {name: draw(st.lists(each, min_size=rows, max_size=rows)) for name, each in CELLS.items()}
    frame = pd.DataFrame({name: pd.Series(cells[name], dtype=dtype) for name, dtype in DTYPES.items()})
    frame["category"] = pd.Series(cells["category"], dtype=pd.CategoricalDtype(["red", "green", "blue", "unused"]))
    frame["date"] = pd.Series(cells["date"], dtype="datetime64[us]")
    return frame


def _close(found: object, expected: float) -> bool:
    if found is None:
        return not math.isfinite(expected)
    return bool(np.isclose(found, expected, rtol=1e-6, atol=1e-6))


@given(frames(least=1))
@settings(deadline=None, max_examples=60)
def test_a_profile_is_what_pandas_says(frame: pd.DataFrame) -> None:
    found = profile_frame(frame).summary()
    assert found["rows"] == len(frame)
    for name, column in found["columns"].items():
        cells = frame[name]
        assert (column["count"], column["missing"]) == (len(cells), int(cells.isna().sum()))
        assert column["distinct"] == cells.nunique()
        assert column["distinct_is_exact"]
        expected = {str(value): count for value, count in cells.value_counts().items() if count}
        if name in {"text", "category", "boolean"}:
            assert {str(each["value"]): each["count"] for each in column["top"]}.items() <= expected.items()
    for name in ("float", "int", "constant"):
        column, cells = found["columns"][name], frame[name].replace([math.inf, -math.inf], math.nan).dropna()
        assert column["infinite"] == int(np.isinf(frame[name]).sum())
        if len(cells):
            assert (column["min"], column["max"]) == (cells.min(), cells.max())
            assert all(
                _close(column["quantiles"][share], cells.quantile(float(share))) for share in ("0.1", "0.5", "0.95")
            )
            assert _close(column["mean"], cells.mean())
            assert _close(column["std"], cells.std())
            assert _close(column["variance"], cells.var())
        if len(cells) > 3 and cells.std() > 1e-3 * abs(cells).max():
            assert _close(column["skewness"], cells.skew())
            assert _close(column["kurtosis"], cells.kurt())


@given(frames(), frames(), st.booleans())
@settings(deadline=None, max_examples=60)
def test_the_merged_profile_of_parts_is_that_of_the_whole(a: pd.DataFrame, b: pd.DataFrame, is_turned: bool) -> None:
    first, second = (b, a) if is_turned else (a, b)
    merged = profile_frame(first).merged(profile_frame(second)).summary()
    whole = profile_frame(pd.concat([a, b], ignore_index=True)).summary()
    assert merged["rows"] == whole["rows"]
    for name, expected in whole["columns"].items():
        found = merged["columns"][name]
        for rounded in ("mean", "std", "variance", "skewness", "kurtosis", "quantiles"):
            one, other = found.pop(rounded), expected.pop(rounded)
            if rounded == "quantiles":
                assert one.keys() == other.keys()
                assert all(a == b or _close(a, b) for a, b in zip(one.values(), other.values(), strict=True))
            elif rounded in {"mean", "std"}:
                assert one == other or _close(one, other)
        assert found == expected, name


@given(frames())
@settings(deadline=None, max_examples=30)
def test_a_profile_comes_back_from_json(frame: pd.DataFrame) -> None:
    told = json.dumps(profile_frame(frame).to_json(), allow_nan=False)
    assert Profile.from_json(json.loads(told)).to_json() == json.loads(told)
    json.dumps(profile_frame(frame).summary(), allow_nan=False)


def test_a_large_profile_in_parts_is_near_pandas() -> None:
    rng = np.random.default_rng(0)
    rows = 150_000
    frame = pd.DataFrame(
        {
            "price": rng.lognormal(size=rows),
            "shop": rng.integers(0, 300, rows),
            "customer": rng.integers(0, 90_000, rows).astype(str),
        }
    )
    found = merge(profile_frame(frame.iloc[start : start + 20_000]) for start in range(0, rows, 20_000)).summary()
    price, shop, customer = (found["columns"][name] for name in frame)
    assert not price["quantiles_are_exact"]
    for share, value in price["quantiles"].items():
        assert abs((frame["price"] <= value).mean() - float(share)) <= 0.01
    assert _close(price["kurtosis"], frame["price"].kurt())
    assert sum(price["histogram"]["counts"]) == rows
    counts, _ = np.histogram(frame["price"], bins=price["histogram"]["edges"])
    assert np.abs(np.array(price["histogram"]["counts"]) - counts).max() <= 2 * 0.01 * rows
    counts = frame["shop"].value_counts()
    assert [each["count"] for each in shop["top"]] == counts[:10].tolist()
    assert all(counts[each["value"]] == each["count"] for each in shop["top"])
    assert abs(customer["distinct"] / frame["customer"].nunique() - 1) <= 0.05


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        ([1, 2], "number"),
        (pd.array([1, None], "Int64"), "number"),
        (pd.array([1.5, None], "Float64"), "number"),
        (pd.array([True, None], "boolean"), "boolean"),
        ([True, None], "boolean"),
        (["a", ""], "string"),
        ([dt.date(2024, 1, 1), None], "date"),
        (pd.to_datetime(["2024-01-01"]).tz_localize("Asia/Tokyo"), "date"),
        (pd.to_timedelta([1], unit="s"), "number"),
        (pd.Categorical([1, 2]), "number"),
        ([b"x"], "bytes"),
        ([1, "a"], "mixed"),
        ([[1], {"a": 1}], "mixed"),
        ([None, math.nan], "empty"),
        ([], "empty"),
        ([2**70, 1], "number"),
    ],
)
def test_every_type_has_a_profile(cells: Any, kind: str) -> None:
    column = profile_frame(pd.DataFrame({"x": cells})).summary()["columns"]["x"]
    assert column["type"] == kind
    assert column["count"] == len(cells)


def test_an_empty_text_is_a_value_and_nothing_is_a_type() -> None:
    column = profile_frame(pd.DataFrame({"x": ["", None, "a"]})).columns["x"]
    assert (column.present, column.missing, column.types) == (2, 1, {"string": 2, MISSING: 1})


def test_times_have_quantiles_and_their_first_and_last_to_the_nanosecond() -> None:
    times = pd.to_datetime(["2024-01-01T00:00:00.000000001", "2024-01-03", "2024-01-05"], format="ISO8601")
    column = profile_frame(pd.DataFrame({"at": times})).summary()["columns"]["at"]
    assert column["min"] == "2024-01-01T00:00:00.000000001Z"
    assert column["quantiles"]["0.5"] == "2024-01-03T00:00:00.000000Z"
    assert column["mean"] is None


def test_a_column_that_one_part_does_not_have_is_missing_there() -> None:
    one, other = pd.DataFrame({"x": [1, 2]}), pd.DataFrame({"y": [3.5]})
    merged = profile_frame(one).merged(profile_frame(other))
    assert (merged.columns["x"].missing, merged.columns["y"].missing) == (1, 2)


def test_two_columns_of_one_name_have_no_profile() -> None:
    with pytest.raises(TableNotKept, match="x"):
        profile_frame(pd.DataFrame([[1, 2]], columns=["x", "x"]))


def _profile(store: Store, path: Path) -> dict[str, Column]:
    adding.add_files(store, "t", path=path, actor="me")
    return dict(profiling.profile_version(store, "t", actor="me").columns)


def test_a_csv_column_is_of_one_type_though_its_parts_look_otherwise(store: Store, tmp_path: Path) -> None:
    parts = 70_000
    rows = pd.DataFrame({"code": ["007"] * parts + ["x1"], "n": [1] * parts + [None], "m": ["True"] * parts + ["no"]})
    rows.to_csv(tmp_path / "t.csv", index=False)
    found = _profile(store, tmp_path / "t.csv")
    assert found["code"].types == {"string": parts + 1}
    assert found["code"].frequent.counts == {"007": parts, "x1": 1}
    assert found["n"].types == {"number": parts, MISSING: 1}
    assert found["m"].types == {"string": parts + 1}


def test_a_profile_is_computed_once(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "t.csv").write_text("x\n1\n2\n")
    _profile(store, tmp_path / "t.csv")
    monkeypatch.setattr(profiling, "profile_table", None)
    assert profiling.profile_version(store, "t:1", actor="me").rows == 2


def test_a_profile_of_a_later_format_is_refused(store: Store, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("x\n1\n2\n")
    _profile(store, tmp_path / "t.csv")
    with change(store, actor="me") as opened:
        datasets.save_profile(opened, datasets.find_dataset_version(store, "t"), {"format": 99})
    with pytest.raises(ProfileUnreadable, match="99"):
        profiling.profile_version(store, "t", actor="me")
    assert profiling.profile_version(store, "t", actor="me", is_anew=True).rows == 2


def test_what_is_no_table_has_no_profile(store: Store, tmp_path: Path) -> None:
    (tmp_path / "t.bin").write_text("x\n1\n2\n")
    with pytest.raises(NotTabular):
        _profile(store, tmp_path / "t.bin")


def test_the_diabetes_table_has_the_numbers_of_pandas(store: Store) -> None:
    from sklearn.datasets import load_diabetes

    frame = load_diabetes(as_frame=True).frame
    adding.add_table(store, "diabetes", table=frame, actor="me")
    found = profiling.profile_version(store, "diabetes", actor="me").summary()["columns"]
    for name, cells in frame.items():
        assert found[name]["distinct"] == cells.nunique()
        assert np.allclose(
            [found[name][each] for each in ("mean", "std", "variance", "skewness", "kurtosis", "min", "max")],
            [cells.mean(), cells.std(), cells.var(), cells.skew(), cells.kurt(), cells.min(), cells.max()],
            rtol=1e-9,
            atol=1e-12,
        )
        assert np.allclose(
            list(found[name]["quantiles"].values()), cells.quantile(list(map(float, found[name]["quantiles"])))
        )
        assert found[name]["histogram"]["counts"] == np.histogram(cells, bins=20)[0].tolist()
