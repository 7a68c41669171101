"""What a notebook's file tells of its last run: the order of its cells, and results that may be out of date."""

import math
import re
from collections.abc import Iterable
from itertools import pairwise

from modelwright.records import Finding, Notebook

_NUMBER = re.compile(r"(?<![\w.])[-+]?(?:\d+\.\d*|\.\d+|\d+)(?:[eE][-+]?\d+)?(?![\w.]*\w)")
# Text that differs between two runs of the same code, or between versions of libraries, and means nothing.
_NOISE = (
    re.compile(r"<[^<>\n]*>"),
    re.compile(r"\b0x[0-9a-fA-F]+"),
    re.compile(r"\d+(?:\.\d+)?\s*(?:ns|[µu]s|ms|s|sec|secs|seconds?|min|mins|minutes?|h|hours?)\b"),
    re.compile(r"\d{4}-\d{2}-\d{2}(?:[ T]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?)?"),
    re.compile(r"\b\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?\b"),
    re.compile(r"\b[A-Z]\w+\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)"),
    re.compile(r"(?:/[\w.\-]+){2,}(?::\d+)?"),
)
_NOISY_LINE = re.compile(
    r"Warning\b|CPU times|Wall time|it/s|s/it|ETA|\d+%\|| elapsed|\bloops? each\b|\[Parallel\(|seconds|memory usage",
    re.IGNORECASE,
)
# Beyond what both texts show, libraries of other versions differ in the last digits.
_TOLERANCE = 1e-6


def execution_order(notebook: Notebook) -> list[Finding]:
    """Return a finding if the cells were last run in another order than the file's."""
    counted = [each for each in notebook.cells if each.execution_count is not None]
    for above, below in pairwise(counted):
        if (below.execution_count or 0) < (above.execution_count or 0):
            return [
                Finding(
                    code="execution-order",
                    message=(
                        f"the cells were last run in another order: cell {below.number} before cell {above.number}, "
                        "which stands above it; the conversion goes by the order in the file"
                    ),
                    fix="restart the kernel, run all cells and save",
                    notebook=notebook.path.name,
                    cell=below.number,
                    line=1,
                )
            ]
    return []


def stale_outputs(notebook: Notebook, outputs: Iterable[tuple[int, str]]) -> list[Finding]:
    """Return a finding for each cell whose stored result shows other numbers than `outputs`, those of a run.

    `outputs` are cells' numbers with what they printed. Numbers agree when they do to the digits that both show.
    Times, dates, addresses in memory, progress bars, warnings and the looks of objects are not compared.
    """
    fresh, found = dict(outputs), []
    for cell in notebook.cells:
        if cell.outputs_text is None or cell.number not in fresh:
            continue
        difference = _difference(_numbers(cell.outputs_text), _numbers(fresh[cell.number]))
        if difference:
            found.append(
                Finding(
                    code="stale-output",
                    message=f"the stored result of cell {cell.number} is not what running it gives: {difference}",
                    fix="restart the kernel, run all cells and save",
                    notebook=notebook.path.name,
                    cell=cell.number,
                    line=1,
                )
            )
    return found


def _numbers(text: str) -> list[str]:
    lines = [line.rpartition("\r")[2] for line in text.split("\n")]
    kept = "\n".join(line for line in lines if not _NOISY_LINE.search(line))
    for pattern in _NOISE:
        kept = pattern.sub(" ", kept)
    return _NUMBER.findall(kept)


def _difference(stored: list[str], fresh: list[str]) -> str:
    """Return how two results differ, or "" if they agree; a result that is laid out otherwise is not compared."""
    if not stored or not fresh:
        return ""
    if len(stored) != len(fresh):
        # Tables are cut otherwise by other versions and widths; a result of a few numbers is not.
        is_short = max(len(stored), len(fresh)) <= 4  # noqa: PLR2004 - a score or two, not a table
        return f"it shows {len(stored)} numbers, not {len(fresh)}" if is_short else ""
    return next(
        (f"it shows {one}, not {other}" for one, other in zip(stored, fresh, strict=True) if not _agree(one, other)), ""
    )


def _agree(one: str, other: str) -> bool:
    shown = 0.5 * (10.0 ** -min(_digits(one), _digits(other))) if "." in one + other else 0.0
    # Half a unit of the last digit is what rounding takes; a whole one is what two roundings may differ by.
    return math.isclose(float(one), float(other), rel_tol=_TOLERANCE, abs_tol=2.02 * shown)


def _digits(number: str) -> int:
    """Return the place of the last digit that a number shows, counted from the decimal point."""
    mantissa, _, exponent = number.lower().partition("e")
    return len(mantissa.partition(".")[2]) - int(exponent or 0)
