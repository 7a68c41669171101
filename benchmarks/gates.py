"""How often a gate promotes a model that is no better, and misses one that is: three rules side by side.

`python benchmarks/gates.py [--replicates N]` prints a table. In each replicate a champion and a candidate, of known
true quality, meet fresh test rows. The rules:

- *stored*: that of the MLOpsPython template: the candidate's metric on its own test rows against the number that was
  stored with the champion, measured on the test rows of then;
- *same rows*: both on the same rows, better passes: what Modelwright does unless told otherwise;
- *0.95*: both on the same rows, and the lower end of the 95 % bootstrap interval of the improvement is above 0:
  `confidence = 0.95` under `[gate]`.

The rows of the bootstrap are drawn by the gate's own code; the first replicates of each cell are put through the gate's
own `Contest` as well, and must come to the same interval.
"""

import argparse
import math
import random
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from modelwright.models.gate import chance, judging, origins, rows, standins

SIZES = (50, 200, 1000, 5000)
RESAMPLES = 1000
_CHECKED = 5
_CHUNK = 500
# The noise of the target has variance 1, the champion's own error 0.3; both models err alike to this degree.
_CHAMPION_ERROR, _ALIKE = 0.3, 0.8
# The share of rows on which exactly one of the two classifiers is right, and the champion's accuracy.
_DISAGREE, _ACCURACY = 0.06, 0.85


@dataclass(frozen=True)
class Cell:
    """One setting: what is measured, on how many rows, and by how much the candidate is truly better."""

    task: str
    rows: int
    name: str
    difference: float

    @property
    def is_better(self) -> bool:
        """Whether the candidate should be promoted."""
        return self.difference > 0


def cells() -> Iterator[Cell]:
    """Give every setting: of the mean squared error 0, 1 %, 5 % and -1 %; of accuracy 0, 0.5, 2 and -0.5 points."""
    whole = 1 + _CHAMPION_ERROR
    settings = {
        "mse": {"none": 0.0, "1 % better": 0.01 * whole, "5 % better": 0.05 * whole, "1 % worse": -0.01 * whole},
        "accuracy": {"none": 0.0, "0.5 pt better": 0.005, "2 pt better": 0.02, "0.5 pt worse": -0.005},
    }
    for task, differences in settings.items():
        for size in SIZES:
            for name, difference in differences.items():
                yield Cell(task, size, name, difference)


def losses(cell: Cell, count: int, draws: np.random.Generator) -> tuple[Any, Any]:
    """Return the losses of champion and candidate, a column for each replicate."""
    shape = (cell.rows, count)
    if cell.task == "mse":
        noise, one, other = (draws.standard_normal(shape) for _ in range(3))
        own = math.sqrt(_CHAMPION_ERROR - cell.difference)
        champion = noise + math.sqrt(_CHAMPION_ERROR) * one
        candidate = noise + own * (_ALIKE * one + math.sqrt(1 - _ALIKE**2) * other)
        return champion**2, candidate**2
    fall = draws.random(shape)
    gained = (_DISAGREE + cell.difference) / 2
    lost = _DISAGREE - gained
    is_gained, is_lost = fall < gained, (fall >= gained) & (fall < _DISAGREE)
    both = (fall >= _DISAGREE) & (fall < _DISAGREE + _ACCURACY - lost)
    return 1.0 - (is_lost | both), 1.0 - (is_gained | both)


def weights(size: int, *, seed: int = 0) -> Any:
    """Return how often each row is drawn in each resample, by the gate's own draws."""
    drawing = chance.Drawing(seed)
    drawing.rows(size)  # the one on which remembered answers are tried
    return np.array([np.bincount(drawing.rows(size), minlength=size) for _ in range(RESAMPLES)], dtype=float)


def intervals(difference: Any, drawn: Any) -> Any:
    """Return the 95 % percentile intervals of the mean difference of each replicate."""
    return np.quantile(drawn @ difference / len(difference), [0.025, 0.975], axis=0)


def check(champion: Any, candidate: Any, expected: Any) -> None:
    """Put one replicate through the gate's own code; its interval must be the expected one."""
    module = types.ModuleType("measured")
    module.evaluate = lambda model, row: {"loss": float(np.mean(model.predict(row)))}  # type: ignore[attr-defined]
    sys.modules["measured"] = module
    names = [{"keyword": None, "name": each, "value": None} for each in ("model", "row")]
    step = {"module": "measured", "function": "evaluate", "arguments": names, "outputs": ["metrics"]}
    plan = {"metric": "loss", "goal": "minimize", "model": "model", "steps": [step | {"is_unpacked": False}]}
    plan["steps"][0]["metrics"] = "metrics"  # type: ignore[index]
    evaluation = judging.Evaluation(_Worker, plan, {"row": np.arange(len(champion))})
    models = {"candidate": _Known(candidate), "champion": _Known(champion)}
    contest = judging.Contest(
        evaluation, models, types.SimpleNamespace(chance=chance, origins=origins, rows=rows, standins=standins)
    )
    contest.measure()
    found = contest.resample(seed=0, level=0.95)
    assert found["resamples"] == RESAMPLES  # noqa: S101 - a check of the benchmark itself
    assert np.allclose([found["low"], found["high"]], expected)  # noqa: S101 - as above


class _Known:
    """A model whose losses are known by row."""

    def __init__(self, loss: Any) -> None:
        self._loss = loss

    def predict(self, row: Any) -> Any:
        """Return the losses of these rows."""
        return self._loss[row]


class _Worker:
    @staticmethod
    def random_states() -> bytes:
        """Return nothing: these evaluations draw no random numbers."""
        import pickle

        return pickle.dumps({})

    @staticmethod
    def set_random(states: Any) -> None:
        """Do nothing."""


def rate(count: int, of: int) -> str:
    """Return a share in per cent with its 95 % interval (E. B. Wilson, 1927)."""
    z = 1.96
    share = count / of
    middle = (share + z**2 / (2 * of)) / (1 + z**2 / of)
    half = z * math.sqrt(share * (1 - share) / of + z**2 / (4 * of**2)) / (1 + z**2 / of)
    low, high = max(0.0, middle - half), min(1.0, middle + half)
    return f"{share * 100:.1f} ({low * 100:.1f}-{high * 100:.1f})"


def simulate(cell: Cell, replicates: int, drawn: Any) -> tuple[list[int], int]:
    """Return how many replicates each rule decided wrongly, and in how many the interval holds the truth."""
    draws = np.random.default_rng([cell.rows, len(cell.name), random.Random(cell.name).randrange(1 << 30)])  # noqa: S311 - no secret
    wrong, covered = [0, 0, 0], 0
    for start in range(0, replicates, _CHUNK):
        count = min(_CHUNK, replicates - start)
        champion, candidate = losses(cell, count, draws)
        then, _ = losses(cell, count, draws)
        difference = champion - candidate
        low, high = intervals(difference, drawn)
        if start == 0 and cell.rows <= SIZES[1]:
            for each in range(_CHECKED):
                check(champion[:, each], candidate[:, each], (low[each], high[each]))
        passed = [then.mean(axis=0) > candidate.mean(axis=0), difference.mean(axis=0) > 0, low > 0]
        wrong = [sum_ + int((each != cell.is_better).sum()) for sum_, each in zip(wrong, passed, strict=True)]
        covered += int(((low <= cell.difference) & (cell.difference <= high)).sum())
    return wrong, covered


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicates", type=int, default=4000)
    replicates: int = parser.parse_args().replicates
    known: dict[int, Any] = {}

    print(
        "| metric | rows | truly | share that is | stored, % | same rows, % | 0.95, % | interval holds the truth, % |"
    )
    print("|---|---:|---|---|---:|---:|---:|---:|")
    for cell in cells():
        if cell.rows not in known:
            known[cell.rows] = weights(cell.rows)
        wrong, covered = simulate(cell, replicates, known[cell.rows])
        shares = " | ".join(rate(each, replicates) for each in [*wrong, covered])
        print(
            f"| {cell.task} | {cell.rows:,} | {cell.name} | {'missed' if cell.is_better else 'wrong'} | {shares} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
