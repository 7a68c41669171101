"""The comparison of what a notebook did with what a project does; knows nothing of how either was made."""

import bisect
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import metrics
import sketch
from observing import Fit, Observation, Shown
from removals import Removed

_NUMBER = re.compile(r"(?<![\w.])[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?![\w])")
# The time of day is no result.
_CLOCK = re.compile(r"\b\d{1,2}:\d\d(?::\d\d(?:\.\d+)?)?\b")
# An object that shows itself by its address or its class has no result in what it shows.
_ADDRESS = re.compile(r"0x[0-9a-f]{6,}|<[A-Za-z_][^<>\n]*>")
_ESTIMATOR = re.compile(r"^([A-Z]\w+)\(")
_ARTIST = re.compile(r"^[\[(]*Text\(|BarContainer|<matplotlib|<Axes|<seaborn")
_ESTIMATORS = {"Pipeline", "ColumnTransformer", "GridSearchCV", "RandomizedSearchCV", "FeatureUnion"}
_IMAGES = {".png", ".jpg", ".jpeg", ".svg", ".pdf", ".gif", ".html", ".dot"}
_NOISE_TIMES = 5.0
_EXAMPLES = 8


@dataclass
class Agreement:
    """How a project agrees with its notebook, with the evidence where it does not."""

    numbers: int = 0
    numbers_missing: int = 0
    numbers_removed: int = 0
    numbers_noisy: int = 0
    fits: int = 0
    fits_missing: int = 0
    fits_removed: int = 0
    fits_noisy: int = 0
    files: int = 0
    files_missing: int = 0
    metrics_removed: int = 0
    basis: str = "as they run"
    evidence: list[str] = field(default_factory=list)

    @property
    def is_equal(self) -> bool:
        """Whether nothing is missing."""
        return not self.missing

    @property
    def missing(self) -> int:
        """How much is missing."""
        return self.numbers_missing + self.fits_missing + self.files_missing

    @property
    def is_noisy(self) -> bool:
        """Whether some of the notebook's own results differ from run to run."""
        return bool(self.numbers_noisy or self.fits_noisy)

    def miss(self, text: str) -> None:
        """Add evidence; the first pieces are enough."""
        if len(self.evidence) < _EXAMPLES:
            self.evidence.append(text)


def compare(
    notebook: Observation,
    again: Observation,
    project: Observation,
    *,
    removals: Sequence[dict[str, Any]],
    sketches: "FileSketches",
) -> Agreement:
    """Compare a notebook, run twice, with the project's run."""
    removed = Removed(notebook.cells, removals)
    agreement = Agreement()
    _compare_fits(agreement, notebook, again, project, removed)
    _compare_texts(agreement, notebook, again, project, removed)
    _compare_files(agreement, notebook, again, project, removed, sketches)
    return agreement


# --- fits ---


def _compare_fits(
    agreement: Agreement, notebook: Observation, again: Observation, project: Observation, removed: Removed
) -> None:
    left = list(project.fits)
    wanted: list[tuple[bool, Fit]] = []
    for place, fit in enumerate(notebook.fits):
        if fit.cell and removed.has(fit.cell, fit.line):
            agreement.fits_removed += 1
            continue
        twin = again.fits[place] if place < len(again.fits) else None
        is_noisy = twin is None or twin.kind != fit.kind or bool(sketch.first_difference(fit.state, twin.state))
        wanted.append((is_noisy, fit))
    agreement.fits += len(wanted)
    agreement.fits_noisy += sum(is_noisy for is_noisy, _ in wanted)
    # How many fits a line makes may hang on the clock: of those so many may be missing as its two runs differ by.
    first, second = (Counter(map(_maker, each.fits)) for each in (notebook, again))
    spare = {key: abs(count - second[key]) for key, count in first.items()}
    # What any fit of its class would do for must not take the place of one that has to be met.
    for is_noisy, fit in sorted(wanted, key=lambda pair: pair[0]):
        match = next((each for each in left if _is_same(fit, each, is_noisy=is_noisy)), None)
        if match is not None:
            left.remove(match)
            continue
        if is_noisy and spare[_maker(fit)]:
            spare[_maker(fit)] -= 1
            continue
        agreement.fits_missing += 1
        near = next((each for each in left if each.kind == fit.kind), None)
        why = f"differs in {sketch.first_difference(fit.state, near.state)}" if near else "was not fitted"
        agreement.miss(f"fit {fit.kind} of cell {fit.cell}, line {fit.line}: {why}; {fit.params[:120]}")
    if notebook.fits and agreement.fits_removed and not agreement.fits:
        agreement.fits_missing += 1
        agreement.miss("every fit was removed")


def _maker(fit: Fit) -> tuple[str, int, int]:
    return fit.kind, fit.cell, fit.line


def _is_same(fit: Fit, other: Fit, *, is_noisy: bool) -> bool:
    return fit.kind == other.kind and (is_noisy or not sketch.first_difference(fit.state, other.state))


# --- texts ---


@dataclass(frozen=True)
class _Number:
    value: float
    margin: float


def _numbers(text: str) -> list[_Number]:
    found = []
    for each in _NUMBER.findall(_CLOCK.sub("", _ADDRESS.sub("", text))):
        mantissa, _, exponent = each.lower().partition("e")
        decimals = len(mantissa.partition(".")[2])
        unit = 10.0 ** (int(exponent or 0) - decimals)
        value = float(each)
        # An integer has to be found as it is; digits after the point may be the rounding of longer ones.
        margin = 0.5 * unit if "." in mantissa else 0.0
        found.append(_Number(value, margin * 1.000001 + 1e-9 * abs(value)))
    return found


def _compare_texts(
    agreement: Agreement, notebook: Observation, again: Observation, project: Observation, removed: Removed
) -> None:
    known = sorted(each.value for each in _numbers(project.stdout))
    lines = {" ".join(each.split()) for each in project.stdout.splitlines()}
    is_metric = metrics.metric_lines(notebook.cells)
    estimators = {each.kind for each in notebook.fits} | _ESTIMATORS
    for place, shown in enumerate(notebook.shown):
        kind = _ESTIMATOR.match(shown.text)
        is_setting = kind is not None and kind[1] in estimators
        if shown.kind == "result" and (is_setting or _ARTIST.search(shown.text)):
            continue  # how a fit was set, which is compared as a fit; or a part of a plot
        is_wanted = _is_metric(shown, is_metric, notebook)
        is_removed = bool(shown.cell) and removed.has(shown.cell, shown.line)
        values = _numbers(shown.text)
        if is_removed and not is_wanted:
            agreement.numbers_removed += len(values)
            continue
        twin = again.shown[place] if place < len(again.shown) else None
        missing = [] if _has_lines(shown.text, lines) else _missing(values, twin, known)
        noisy = _noise(values, twin)
        agreement.numbers += len(values)
        agreement.numbers_noisy += len(values) if noisy is None else sum(each > 0 for each in noisy)
        agreement.numbers_missing += len(missing)
        agreement.metrics_removed += bool(is_removed and missing)
        if missing:
            what = "metric removed" if is_removed else "not printed"
            shortened = " ".join(shown.text.split())[:100]
            agreement.miss(f"{what}: {missing[0].value!r} of cell {shown.cell}, line {shown.line}: {shortened}")


def _is_metric(shown: Shown, lines: set[tuple[int, int]], notebook: Observation) -> bool:
    if shown.line:
        return (shown.cell, shown.line) in lines
    cell = next((each for each in notebook.cells if each.run == shown.cell), None)
    return cell is not None and (shown.cell, len(cell.source.rstrip().splitlines())) in lines


def _has_lines(text: str, lines: set[str]) -> bool:
    return all(" ".join(each.split()) in lines for each in text.splitlines() if each.strip())


def _noise(values: list[_Number], twin: Shown | None) -> list[float] | None:
    """Return how far each number was from that of the second run; None if the text had another shape."""
    others = _numbers(twin.text) if twin else []
    if len(others) != len(values):
        return None
    return [abs(one.value - other.value) for one, other in zip(values, others, strict=True)]


def _missing(values: list[_Number], twin: Shown | None, known: list[float]) -> list[_Number]:
    noise = _noise(values, twin)
    if noise is None:
        return []
    return [
        each
        for each, spread in zip(values, noise, strict=True)
        if not _is_known(each.value, each.margin + _NOISE_TIMES * spread, known)
    ]


def _is_known(value: float, margin: float, known: list[float]) -> bool:
    place = bisect.bisect_left(known, value - margin)
    return place < len(known) and known[place] <= value + margin


# --- files ---


class FileSketches:
    """Sketches of files, read by the given function of a path and the folders of modules that it may need."""

    def __init__(self, read: Any) -> None:
        """Take the function."""
        self._read = read

    def of(self, path: Path) -> dict[str, Any]:
        """Return the sketch of a file, or an error in its place."""
        found: dict[str, Any] = self._read(path)
        return found


def _compare_files(
    agreement: Agreement,
    notebook: Observation,
    again: Observation,
    project: Observation,
    removed: Removed,
    sketches: FileSketches,
) -> None:
    written: dict[str, list[str]] = {}
    for each in project.files:
        written.setdefault(PurePosixPath(each).name, []).append(each)
    for each in notebook.files:
        name = PurePosixPath(each).name
        if PurePosixPath(each).suffix.lower() in _IMAGES or name.startswith(".~"):
            continue
        if any(name in source for source in removed.sources):
            continue
        agreement.files += 1
        if name not in written:
            agreement.files_missing += 1
            agreement.miss(f'file "{each}" is not written')
            continue
        expected = sketches.of(notebook.folder / each)
        got = [sketches.of(project.folder / other) for other in written[name]]
        if not any(_is_same_file(expected, one) for one in got):
            is_noisy = each not in again.files or not _is_same_file(expected, sketches.of(again.folder / each))
            agreement.files_missing += not is_noisy
            if not is_noisy:
                agreement.miss(f'file "{each}" differs: {got[0].get("error") or _difference(expected, got[0])}')


def _is_same_file(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return "sketch" in one and "sketch" in other and not _difference(one, other)


def _difference(one: dict[str, Any], other: dict[str, Any]) -> str:
    return sketch.first_difference(one.get("sketch", {}), other.get("sketch", {}))
