"""A rollout as a terminal shows it: where it stands, what its checks say, and shares and rates over time."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import click

from modelwright.cli import output
from modelwright.records import CheckResult, RolloutStatus

if TYPE_CHECKING:
    from modelwright.lifecycle.trails import Series
    from modelwright.records import Rollout

_BARS = " ▁▂▃▄▅▆▇█"
_WIDTH = 60
_MARKS = {CheckResult.PASSED: ("✓", "green"), CheckResult.OPEN: ("…", "yellow"), CheckResult.FAILED: ("✗", "red")}
_COLOURS = {
    RolloutStatus.RUNNING: "cyan",
    RolloutStatus.PAUSED: "yellow",
    RolloutStatus.SUCCEEDED: "green",
    RolloutStatus.ROLLED_BACK: "red",
}


def picture(rollout: "Rollout", *, is_watched: bool, now: datetime) -> str:
    """Return the rollout as lines."""
    lines = [
        f'{rollout.version} to endpoint "{rollout.endpoint}", compared with {rollout.present}',
        f"  {click.style(rollout.status, fg=_COLOURS[rollout.status])}  {_where(rollout, now=now)}",
    ]
    told = rollout.progress.told if rollout.status is RolloutStatus.RUNNING else rollout.reason
    lines += [f"  {told}"] if told else []
    if rollout.is_open and not is_watched:
        text = f"nobody watches it: the front goes back by itself; next: wright rollout resume {rollout.endpoint}"
        lines.append(click.style(f"  {text}", fg="red"))
    lines += [f"  {_steps(rollout)}", *_checks(rollout), *_curves(rollout)]
    return "\n".join(lines)


def progress_line(rollout: "Rollout", *, now: datetime) -> str:
    """Return where the rollout stands as one line."""
    told = rollout.progress.told if rollout.status is RolloutStatus.RUNNING else rollout.reason
    return f"{output.moment(now)}  {rollout.status}  {_where(rollout, now=now)}  {told}".rstrip()


def _where(rollout: "Rollout", *, now: datetime) -> str:
    progress = rollout.progress
    if progress.step < 0:
        return "before the first step"
    place = f"step {progress.step + 1} of {len(rollout.plan.steps)} ({rollout.share} %)"
    if not rollout.is_open or progress.step_at is None:
        return place
    return f"{place} for {(now - progress.step_at).total_seconds():.0f} s"


def _steps(rollout: "Rollout") -> str:
    """Return the plan, with what is done and where it is."""
    marked = []
    for number, share in enumerate(rollout.plan.steps):
        text = f"{share} %" + (f" + copies of {rollout.plan.shadow} %" if share == 0 and rollout.plan.shadow else "")
        is_done = number < rollout.progress.step or rollout.status is RolloutStatus.SUCCEEDED
        marked.append(f"[{text}]" if number == rollout.progress.step else f"✓ {text}" if is_done else text)
    return " → ".join(marked)


def _checks(rollout: "Rollout") -> list[str]:
    lines = []
    for each in rollout.progress.checks:
        mark, colour = _MARKS[CheckResult(each["result"])]
        lines.append(f"  {click.style(mark, fg=colour)} {each['name']:<12} {each['told']}")
    return lines


def _curves(rollout: "Rollout") -> list[str]:
    from modelwright.lifecycle import trails

    if len(rollout.progress.trail) < 2:  # noqa: PLR2004 - one point is no curve
        return []
    width = max(len(rollout.present), len(rollout.deployment))
    shown = [(f"{'share':<7} {rollout.version:<{width}}", trails.shares(rollout), 100.0, "%")]
    for word, found, unit in (
        ("errors", trails.errors(rollout), "%"),
        ("p95", trails.latencies(rollout), "ms"),
    ):
        most = max((value for each in found for value in each.values if value is not None), default=0.0)
        shown += [(f"{word:<7} {each.name:<{width}}", each, most, unit) for each in found]
    return [f"  {name}  {_bars(each, most)}  {_last(each)} {unit}" for name, each, most, unit in shown]


def _bars(series: "Series", most: float) -> str:
    """Return a bar for each moment, all of the same scale, from 0 to `most`."""
    values = _resampled(series.values)
    top = len(_BARS) - 1
    return "".join(
        " " if value is None else _BARS[max(1, round(top * value / most)) if most else 1] for value in values
    )


def _resampled(values: Sequence[float | None]) -> list[float | None]:
    if len(values) <= _WIDTH:
        return list(values)
    return [values[round(place * (len(values) - 1) / (_WIDTH - 1))] for place in range(_WIDTH)]


def _last(series: "Series") -> str:
    known = [value for value in series.values if value is not None]
    return f"{known[-1]:.3g}" if known else "none"
