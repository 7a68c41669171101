"""Tables in memory, kept and read back."""

import datetime as dt
import importlib.util
import sys
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelwright.datasets import adding, reading, tables, typed_csv
from modelwright.errors import ModuleNotInstalled, TableNotKept
from modelwright.store.database import Store


@pytest.fixture
def without_pyarrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let pyarrow be missing."""
    find = importlib.util.find_spec
    monkeypatch.setattr(
        tables.importlib.util, "find_spec", lambda name, *rest: None if name == "pyarrow" else find(name, *rest)
    )


FRAME = pd.DataFrame(
    {
        "whole": [1, 2, -(2**63)],
        "small": np.array([1, 2, 3], "int8"),
        "float": [0.1 + 0.2, np.nan, -np.inf],
        "single": np.array([0.1, 0.2, 0.3], "float32"),
        "nullable": pd.array([1, None, 3], "Int64"),
        "boolean": [True, False, True],
        "maybe": pd.array([True, None, False], "boolean"),
        "text": ["", None, '\\N\n"é,'],
        "category": pd.Categorical(["a", "b", "a"]),
        "time": pd.to_datetime(["2024-01-01T00:00:00.123456789", None, "2024-01-02"], format="ISO8601"),
        "zoned": pd.to_datetime(["2024-01-01", "2024-07-01", None]).tz_localize("Europe/Berlin"),
        "span": pd.to_timedelta([1, 2, 3], unit="s"),
        "date": [dt.date(2024, 1, 1), None, dt.date(2024, 1, 2)],
        "decimal": [Decimal("1.10"), None, Decimal(2)],
        "bytes": [b"\x00", None, b""],
        "nothing": [None, None, None],
    }
)


def _types(frame: pd.DataFrame) -> dict[str, str]:
    return {name: str(dtype) for name, dtype in frame.dtypes.items()}


@pytest.mark.parametrize("has_pyarrow", [False, True])
def test_a_frame_comes_back_as_it_was(store: Store, has_pyarrow: bool, request: pytest.FixtureRequest) -> None:
    if has_pyarrow:
        pytest.importorskip("pyarrow")
    else:
        request.getfixturevalue("without_pyarrow")
    version = adding.add_table(store, "t", table=FRAME, actor="me")
    assert {each.path for each in version.files} == (
        {tables.PARQUET} if has_pyarrow else {typed_csv.TABLE, typed_csv.TYPES}
    )
    back = reading.read(store, "t").frame()
    assert _types(back) == _types(FRAME)
    for name in FRAME:
        is_there = FRAME[name].notna()
        assert (back[name].notna() == is_there).all(), name
        assert back[name][is_there].tolist() == FRAME[name][is_there].tolist(), name
    assert adding.add_table(store, "t", table=FRAME.copy(), actor="me").id == version.id


@pytest.mark.usefixtures("without_pyarrow")
def test_an_index_comes_back(store: Store) -> None:
    frame = FRAME[["whole", "text"]].set_index(pd.Index(["a", "b", "c"], name="key"))
    adding.add_table(store, "t", table=frame, actor="me")
    pd.testing.assert_frame_equal(reading.read(store, "t").frame(), frame)


@pytest.mark.usefixtures("without_pyarrow")
@pytest.mark.parametrize(
    ("cells", "told"),
    [
        ([[1], [2]], "list"),
        ([1, "a"], "integer and text"),
        (["a\0", "b"], "NUL"),
        ([2**70, 1], "64 bits"),
        (pd.Categorical(["a", "b"], categories=["b", "a", "c"], ordered=True), "come back"),
    ],
)
def test_a_column_that_would_not_come_back_is_refused(store: Store, cells: object, told: str) -> None:
    with pytest.raises(TableNotKept, match=told):
        adding.add_table(store, "t", table=pd.DataFrame({"x": cells}), actor="me")


@given(
    st.lists(
        st.tuples(
            st.floats(allow_nan=False),
            st.text(st.characters(codec="utf-8", exclude_characters="\0")),
            st.integers(-(2**63), 2**63 - 1),
        ),
        min_size=1,
    )
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_cell_comes_back(tmp_path: Path, rows: list[tuple[float, str, int]]) -> None:
    typed_csv.write(tmp_path, ["float", "text", "whole"], rows)
    back = typed_csv.frame(tmp_path / typed_csv.TABLE, tmp_path / typed_csv.TYPES)
    assert list(back.itertuples(index=False, name=None)) == rows


def test_tables_of_arrow_and_polars_are_kept_as_parquet(store: Store) -> None:
    arrow = pytest.importorskip("pyarrow")
    polars = pytest.importorskip("polars")
    for number, table in enumerate((arrow.table({"x": [1, None]}), polars.DataFrame({"x": [1, None]}))):
        adding.add_table(store, f"t{number}", table=table, actor="me")
        assert reading.read(store, f"t{number}").frame()["x"].tolist()[0] == 1


def test_parquet_without_pyarrow_names_what_is_missing(store, tmp_path, monkeypatch) -> None:
    for module in ("pyarrow", "pyarrow.parquet"):
        monkeypatch.setitem(sys.modules, module, None)
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    adding.add_files(store, "t", path=tmp_path / "a.parquet", actor="me")
    with pytest.raises(ModuleNotInstalled, match="pyarrow"):
        reading.read(store, "t").frame()
