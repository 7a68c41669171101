"""Makes profiles: of a pandas frame, of a table read in parts, of a dataset version, which keeps its own."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np  # all here is arithmetic on arrays; who needs none of it does not import this module
from numpy.typing import NDArray

from modelwright.datasets import reading
from modelwright.datasets.profiles import (
    BOOLEAN,
    DATE,
    MISSING,
    NUMBER,
    STRING,
    Column,
    Numbers,
    Profile,
    merge,
)
from modelwright.datasets.sketches import Distinct, Frequent, Moments, Quantiles, hash_numbers
from modelwright.datasets.tables import Table
from modelwright.datasets.typed_csv import pandas_of_user
from modelwright.errors import TableNotKept
from modelwright.records import DatasetVersion
from modelwright.store import datasets
from modelwright.store.changes import change
from modelwright.store.database import Store

_NUMERIC = frozenset({"integer", "floating", "mixed-integer-float", "decimal"})
_NANOSECONDS = 1e9


def profile_version(
    store: Store,
    reference: str,
    *,
    actor: str,
    why: str = "",
    is_anew: bool = False,
    on_read: Callable[[DatasetVersion], None] = lambda _: None,
) -> Profile:
    """Return the profile of a dataset version, which is computed once and kept.

    Raises what `read` raises, NotTabular and ProfileUnreadable.
    """
    version = datasets.find_dataset_version(store, reference)
    kept = None if is_anew else datasets.saved_profile(store, version)
    if kept is not None:
        return Profile.from_json(kept)
    found = profile_table(reading.read(store, version.reference, on_read=on_read).table)
    with change(store, actor=actor, why=why) as opened:
        datasets.save_profile(opened, version, found.to_json())
    return found


def profile_table(table: Table) -> Profile:
    """Return the profile of a table, reading it in parts.

    A column of a text file that looks like numbers in one part and like texts in another is one of texts, as it is for
    pandas when it reads the whole; where there is one, the table is read once more.
    """
    found = merge(map(profile_frame, table.parts()))
    mixed = [name for name, column in found.columns.items() if column.type == "mixed"]
    return merge(map(profile_frame, table.parts(texts=mixed))) if mixed else found


def profile_frame(frame: Any) -> Profile:
    """Return the profile of a pandas frame. Raises TableNotKept when two columns have one name."""
    if not frame.columns.is_unique:
        doubled = frame.columns[frame.columns.duplicated()][0]
        raise TableNotKept(column=doubled, reason="another column has the same name", remedy="rename one")
    return Profile(len(frame), {str(name): _column(cells) for name, cells in frame.items()})


def _column(cells: Any) -> Column:
    pd = pandas_of_user()
    if isinstance(cells.dtype, pd.CategoricalDtype):
        cells = cells.astype(object)
    present = cells[cells.notna()]
    missing = {MISSING: len(cells) - len(present)} if len(cells) > len(present) else {}
    if not len(present):
        return Column(missing, Distinct.of(np.empty(0, np.uint64)), Frequent({}))
    kind = pd.api.types.infer_dtype(present, skipna=True)
    if kind == "boolean":
        counts = Counter(present.tolist())
        hashes = hash_numbers(np.fromiter(counts, np.float64, len(counts)))
        return Column({BOOLEAN: len(present)} | missing, Distinct.of(hashes), Frequent(counts))
    if kind in _NUMERIC:
        return _of_numbers(_array(present, kind), missing)
    if kind in {"datetime64", "datetime", "date"}:
        return _of_times(pd, present, missing)
    if kind in {"timedelta64", "timedelta"}:
        seconds = pd.to_timedelta(present).dt.total_seconds()
        return _of_numbers(seconds.to_numpy(dtype=np.float64), missing)
    return _of_texts(pd, present, missing, is_text=kind == "string")


def _array(present: Any, kind: str) -> NDArray[Any]:
    if kind == "integer" and present.dtype.kind in "iu":
        return np.asarray(present.to_numpy(dtype=present.dtype.name.lower()))
    return np.asarray(present.to_numpy(dtype=np.float64))


def _of_numbers(values: NDArray[Any], missing: dict[str, int]) -> Column:
    floats = values.astype(np.float64)
    is_finite = np.isfinite(floats)
    finite = floats if is_finite.all() else floats[is_finite]
    different, counts = np.unique(values, return_counts=True)
    return Column(
        {NUMBER: len(values)} | missing,
        Distinct.of(hash_numbers(different)),
        _renamed(Frequent.of(different, counts), _word),
        Numbers(
            Moments.of(finite),
            Quantiles.of(finite),
            float(finite.min(initial=np.inf)),
            float(finite.max(initial=-np.inf)),
            (int(np.isneginf(floats).sum()), int(np.isposinf(floats).sum())),
            bool((finite == np.floor(finite)).all()),
        ),
    )


def _word(value: float) -> float | str:
    """Return a number as JSON can hold it; one that equals an integer as that, whichever type its part had."""
    if value in {float("inf"), float("-inf")}:
        return str(value)
    return int(value) if value == int(value) else value


def _of_times(pd: Any, present: Any, missing: dict[str, int]) -> Column:
    nanoseconds = pd.to_datetime(present, utc=True).dt.as_unit("ns").astype("int64").to_numpy()
    different, counts = np.unique(nanoseconds, return_counts=True)
    seconds = nanoseconds / _NANOSECONDS
    return Column(
        {DATE: len(present)} | missing,
        Distinct.of(hash_numbers(different)),
        _renamed(Frequent.of(different, counts), _moment),
        Numbers(Moments.of(seconds), Quantiles.of(seconds), float(seconds.min()), float(seconds.max())),
        _moment(different[0]),
        _moment(different[-1]),
    )


def _renamed(frequent: Frequent, name: Callable[[Any], Any]) -> Frequent:
    return Frequent({name(value): count for value, count in frequent.counts.items()}, frequent.error)


def _moment(nanoseconds: int) -> str:
    # Always as long, so that the order of the texts is that of the times.
    return f"{np.datetime64(int(nanoseconds), 'ns')}Z"


def _of_texts(pd: Any, present: Any, missing: dict[str, int], *, is_text: bool) -> Column:
    if is_text:
        types = {STRING: len(present)}
        texts = present
    else:
        types = dict(Counter(_type_of(value) for value in present))
        texts = present.map(str)
    counts = texts.value_counts(sort=False)
    different = counts.index.to_numpy(dtype=object)
    return Column(
        types | missing,
        Distinct.of(pd.util.hash_array(different, categorize=False)),
        Frequent.of(different, counts.to_numpy()),
        None,
        min(different),
        max(different),
    )


def _type_of(value: object) -> str:
    known = {"str": STRING, "bool": BOOLEAN, "int": NUMBER, "float": NUMBER, "Decimal": NUMBER, "datetime": DATE}
    name = type(value).__name__
    return known.get(name, name)
