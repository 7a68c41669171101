"""What explaining a version costs, beside plain shap on the same models in the same process.

    python benchmarks/explanations.py

Makes a workspace in a temporary folder, a version with a forest in it, and the overlay with shap; needs the index, or
uv's cache of it. The comparison then runs in the overlay: this file with the folder of our guests as its argument.
"""

import importlib.util
import pickle
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROWS, COLUMNS, TREES = 2_000, 20, 100
NARROW = 8  # columns of which all 256 subsets can be asked for
EXPLAINED = 10


def main() -> None:
    """Measure both, and print tables."""
    if len(sys.argv) > 1:
        compare(Path(sys.argv[1]))
        return
    from modelwright import processes
    from modelwright.environments import building, overlaying, placing
    from modelwright.environments.inspection import inspect
    from modelwright.environments.locking import lock
    from modelwright.lifecycle import explaining
    from modelwright.lifecycle.explaining import Wish
    from modelwright.lifecycle.sessions import Session
    from modelwright.models.explanation import explaining as asking
    from modelwright.records import Requirement
    from modelwright.settings import child_environment
    from modelwright.store import database

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        store = database.open_store(folder / ".wright")
        installed = inspect(Path(sys.executable)).distributions
        wanted = [Requirement(name, installed[name].version) for name in ("joblib", "pandas", "scikit-learn")]
        locked = lock(wanted, python=Path(sys.executable), wheels=None)
        own = placing.build_in(store, locked)
        environment = child_environment(building.variables(own, folder))
        processes.run([own.python, __file__, "--make", folder], folder=folder, environment=environment)
        register(store, locked, folder)
        wish = Wish(data=str(folder / "rows.csv"))
        print("| a forest's version, s | |\n|---|---:|")
        for name, one in (
            ("first explanation: shap resolved, the overlay built, 500 rows", wish),
            ("computed anew", Wish(data=wish.data, is_fresh=True)),
            ("asked again", wish),
        ):
            begun = time.perf_counter()
            explaining.explain(Session(store, "bench"), "forest:1", one)
            print(f"| {name} | {time.perf_counter() - begun:.2f} |")
        overlay = overlaying.build_overlay(store, locked, asking.SHAP)
        print(f"| MB that the overlay has more | {(_mb(overlay.folder) - _mb(own.folder)):.0f} |\n")
        guests = Path(asking.__file__).parent
        done = processes.run(
            [overlay.python, __file__, guests],
            folder=folder,
            environment=child_environment({"PYTHONWARNINGS": "ignore"}),
        )
        print(done.stdout or done.stderr)


def _mb(folder: Path) -> float:
    return sum(each.stat().st_size for each in folder.rglob("*") if each.is_file()) / 1e6


def register(store: Any, locked: Any, folder: Path) -> None:
    """Register the forest as a version that was made elsewhere."""
    from modelwright import records
    from modelwright.records import ModelVersion, PackageFile
    from modelwright.store import environments, models
    from modelwright.store.changes import change

    (folder / "manifest.json").write_text('{"format_version": 1}')
    files = {"manifest.json": folder / "manifest.json", "model/model.pkl": folder / "model.pkl"}
    with store.blobs.batch() as batch, change(store, actor="bench") as opened:
        environments.ensure_environment(opened, locked)
        kept = tuple(PackageFile(name, batch.add(path), path.stat().st_size) for name, path in files.items())
        models.add_version(
            opened,
            ModelVersion(
                id=records.new_id("version"),
                model="forest",
                version=0,
                digest=kept[0].digest,
                framework="sklearn",
                signature={},
                run_id=None,
                proof_id=None,
                environment_digest=locked.digest,
                created_at=records.now(),
                files=kept,
            ),
        )


# --- in the overlay ---


def make(folder: Path) -> None:
    """Write a forest and the rows that it was fitted with."""
    import pandas as pd

    frame, y = _data(COLUMNS)
    table = pd.DataFrame(frame, columns=[f"c{number}" for number in range(COLUMNS)])
    (folder / "model.pkl").write_bytes(pickle.dumps(_forest(table, y)))
    table.assign(y=y).to_csv(folder / "rows.csv", index=False)


def _data(columns: int) -> tuple[Any, Any]:
    import numpy as np

    draws = np.random.default_rng(0)
    rows = draws.normal(size=(ROWS, columns))
    return rows, rows[:, 0] * rows[:, 1] + np.sin(3 * rows[:, 2]) + rows[:, 3] + draws.normal(size=ROWS) / 10


def _forest(rows: Any, y: Any) -> Any:
    from sklearn.ensemble import RandomForestRegressor

    return RandomForestRegressor(TREES, random_state=0, n_jobs=1).fit(rows, y)


def _guest(folder: Path, name: str) -> Any:
    specification = importlib.util.spec_from_file_location(name, folder / f"{name}.py")
    if specification is None or specification.loader is None:
        raise ImportError(name)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def _timed(function: Callable[[], Any]) -> tuple[float, Any]:
    begun = time.process_time()
    found = function()
    return time.process_time() - begun, found


def compare(guests: Path) -> None:
    """Print what ours and shap's explainers take, and how far they are from what is exact."""
    import shap

    shapley, tables = _guest(guests, "shapley"), _guest(guests, "row_tables")
    print(f"| with shap {shap.__version__} | rows per CPU s | evaluations a row | mean error |\n|---|---:|---:|---:|")
    rows, y = _data(COLUMNS)
    forest = _forest(rows, y)
    few = rows[:200]
    shap.TreeExplainer(forest).shap_values(few[:2])
    plain, _ = _timed(lambda: shap.TreeExplainer(forest).shap_values(few))
    ours, (values, base) = _timed(lambda: shapley.trees(forest, few))
    checking, residual = _timed(lambda: abs(base + values.sum(axis=1)[:, 0] - forest.predict(few)).max())
    print(f"| forest: TreeExplainer | {len(few) / plain:,.0f} | | |")
    print(f"| forest: here, each row checked | {len(few) / (ours + checking):,.0f} | | {residual:.0e} |")
    background = shap.TreeExplainer(forest, few[:100], feature_perturbation="interventional")
    taken, values = _timed(lambda: background.shap_values(few[:100], check_additivity=False))
    residual = abs(background.expected_value + values.sum(axis=1) - forest.predict(few[:100])).max()
    print(f"| forest: TreeExplainer with a background of 100 rows | {100 / taken:,.0f} | | {residual:.0e} |")
    _compare_linear(shap, shapley, rows, y)
    _compare_sampled(shap, shapley, tables)


def _compare_linear(shap: Any, shapley: Any, rows: Any, y: Any) -> None:
    import numpy as np
    from sklearn.linear_model import Ridge

    model = Ridge().fit(rows, y)
    many = np.tile(rows, (50, 1))
    plain, theirs = _timed(lambda: shap.LinearExplainer(model, rows).shap_values(many))
    ours, (values, _) = _timed(lambda: shapley.linear(shapley.linear_form(model), many, rows))
    print(f"| ridge: LinearExplainer | {len(many) / plain:,.0f} | | {_error(theirs, values[:, :, 0]):.0e} |")
    print(f"| ridge: here | {len(many) / ours:,.0f} | | 0 |")


def _compare_sampled(shap: Any, shapley: Any, tables: Any) -> None:
    """Compare what knows nothing of the model: support vectors of few columns, a formula of many."""
    import numpy as np
    from sklearn.svm import SVR

    rows, y = _data(NARROW)
    model = SVR().fit(rows[:500], y[:500])
    comparing = _Comparing(shap, shapley, tables, model.predict, rows[:50], rows[500 : 500 + EXPLAINED])
    comparing.exact = shap.ExactExplainer(model.predict, comparing.masker)(comparing.explained)
    comparing.show(f"{NARROW} columns")
    rows, _ = _data(COLUMNS)
    comparing = _Comparing(shap, shapley, tables, _formula, rows[:50], rows[500 : 500 + EXPLAINED])
    # Columns that the formula does not use have no part: the four that it uses can be asked for all subsets.
    few = shap.maskers.Independent(rows[:50, :4], max_samples=50)
    exact = shap.ExactExplainer(_formula, few)(comparing.explained[:, :4])
    comparing.exact = np.pad(exact.values, ((0, 0), (0, COLUMNS - 4)))
    comparing.show(f"{COLUMNS} columns")


def _formula(rows: Any) -> Any:
    import numpy as np

    return rows[:, 0] * rows[:, 1] * rows[:, 2] + np.maximum(rows[:, 0] + rows[:, 2] - rows[:, 3], 0) * rows[:, 1]


class _Comparing:
    """One function of rows, and every explainer's values of it beside the exact ones."""

    exact: Any

    def __init__(self, shap: Any, shapley: Any, tables: Any, function: Any, background: Any, explained: Any) -> None:
        self.shap, self.shapley, self.tables = shap, shapley, tables
        self.function, self.background, self.explained = function, background, explained
        self.masker = shap.maskers.Independent(background, max_samples=len(background))
        self.count = 0

    def show(self, what: str) -> None:
        """Print a line for each."""
        shap = self.shap
        if self.background.shape[1] == NARROW:
            self._line(what, "ExactExplainer", lambda: shap.ExactExplainer(self._answer, self.masker)(self.explained))
            self._line(what, "here, every subset", lambda: self._ours("subsets"))
        self._line(
            what,
            "PermutationExplainer",
            lambda: shap.PermutationExplainer(self._answer, self.masker, seed=0)(self.explained, silent=True),
        )
        self._line(
            what,
            "KernelExplainer",
            lambda: shap.KernelExplainer(self._answer, self.background).shap_values(self.explained, silent=True),
        )
        self._line(what, "here, 9 rounds", lambda: self._ours("sampled", seed=0, rounds=9))
        self._line(what, "here, 20 rounds", lambda: self._ours("sampled", seed=0, rounds=20))
        self._line(what, "here, 40 rounds", lambda: self._ours("sampled", seed=0, rounds=40))

    def _line(self, what: str, name: str, function: Callable[[], Any]) -> None:
        import numpy as np

        np.random.seed(0)  # noqa: NPY002 - what KernelExplainer draws from
        self.count = 0
        taken, found = _timed(function)
        values = getattr(found, "values", found)
        exact = getattr(self.exact, "values", self.exact)
        told = f"{EXPLAINED / taken:,.1f} | {self.count / EXPLAINED:,.0f} | {_error(values, exact):.1%}"
        print(f"| {what}: {name} | {told} |")

    def _answer(self, rows: Any) -> Any:
        self.count += len(rows)
        return self.function(rows)

    def _ours(self, method: str, **options: int) -> Any:
        explained, background = (self.tables.from_memory(each, None) for each in (self.explained, self.background))
        function = getattr(self.shapley, method)
        found = function(lambda table: self._answer(table.build())[:, None], explained, background, **options)
        return found[0][:, :, 0]


def _error(values: Any, exact: Any) -> float:
    return float(abs(values - exact).mean() / abs(exact).mean())


if __name__ == "__main__":
    if sys.argv[1:2] == ["--make"]:
        make(Path(sys.argv[2]))
    else:
        main()
