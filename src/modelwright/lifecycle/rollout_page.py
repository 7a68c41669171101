"""A rollout as a page of its own: where it stands, what its checks say, and shares, errors and latencies over time.

It needs no network and no other file, and has no script. What is shown was written by others, so all of it is escaped.
"""

import base64
import hashlib
import math
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from modelwright.lifecycle import trails
from modelwright.lifecycle.trails import Series
from modelwright.projects.highlighting import escaped
from modelwright.records import Rollout, RolloutStatus

_STYLE = Path(__file__).with_name("rollout_style.css")
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 720, 180, 52, 12, 12, 24
_LINES = 4
_NEW, _PRESENT = "new", "present"


def page(rollout: Rollout) -> str:
    """Return the rollout as an HTML page."""
    style = _STYLE.read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    title = f"rollout of {rollout.version} to {rollout.endpoint}"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escaped(title)}</title>\n<style>{style}</style>\n</head>\n<body>\n"
        + "\n".join(_body(rollout, title))
        + "\n</body>\n</html>\n"
    )


def _body(rollout: Rollout, title: str) -> Iterator[str]:
    told = f"{rollout.status.replace('_', ' ')}: {rollout.reason or rollout.progress.told or 'just begun'}"
    yield f"<h1>{escaped(title)} <span>{escaped(told)}</span></h1>"
    yield f'<section><h2>Plan</h2><ol class="steps">{"".join(_steps(rollout))}</ol></section>'
    yield f"<section><h2>Checks</h2><table>{''.join(_checks(rollout))}</table></section>"
    yield _chart("Share of the traffic, %", [trails.shares(rollout)], rollout, is_stepped=True)
    yield _chart("Errors, % of requests", trails.errors(rollout), rollout)
    yield _chart("Latency of 95 % of requests, ms", trails.latencies(rollout), rollout)
    yield _chart("Requests in a second", trails.requests(rollout), rollout)


def _steps(rollout: Rollout) -> Iterator[str]:
    for number, share in enumerate(rollout.plan.steps):
        is_done = number < rollout.progress.step or rollout.status is RolloutStatus.SUCCEEDED
        kind = "done" if is_done else "here" if number == rollout.progress.step else "later"
        copies = f" and copies of {rollout.plan.shadow} %" if share == 0 and rollout.plan.shadow else ""
        yield f'<li class="{kind}">{share} %{copies}</li>'


def _checks(rollout: Rollout) -> Iterator[str]:
    yield "<tr><th>check</th><th>result</th><th>what it saw</th></tr>"
    for each in rollout.progress.checks:
        name, result, told = (escaped(str(each[key])) for key in ("name", "result", "told"))
        yield f'<tr><td>{name}</td><td class="{result}">{result}</td><td>{told}</td></tr>'


def _chart(title: str, series: Sequence[Series], rollout: Rollout, *, is_stepped: bool = False) -> str:
    """Return curves of one scale over one time."""
    values = [value for each in series for value in each.values if value is not None]
    if not values:
        return f'<section><h2>{escaped(title)}</h2><p class="key">nothing was seen yet</p></section>'
    top = _round_up(max(values))
    times = series[0].times
    drawn = "".join(
        _curve(each, _NEW if each.name == rollout.deployment else _PRESENT, top, is_stepped=is_stepped)
        for each in series
    )
    keys = {rollout.present: "one", rollout.deployment: "two"}
    names = " · ".join(f'<b class="{keys[each.name]}">{escaped(each.name)}</b>' for each in series)
    label = escaped(f"{title}: {', '.join(each.name for each in series)}")
    return (
        f'<section><h2>{escaped(title)}</h2><p class="key">{names}</p>'
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{label}">'
        f"{''.join(_grid(top, times))}{drawn}</svg></section>"
    )


def _grid(top: float, times: Sequence[datetime]) -> Iterator[str]:
    for line in range(_LINES + 1):
        y = _y(top * line / _LINES, top)
        yield f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{top * line / _LINES:.3g}</text>'
    for moment, anchor, x in ((times[0], "start", _LEFT), (times[-1], "end", _WIDTH - _RIGHT)):
        yield f'<text x="{x}" y="{_HEIGHT - 6}" text-anchor="{anchor}">{moment:%H:%M:%S} UTC</text>'


def _curve(series: Series, kind: str, top: float, *, is_stepped: bool) -> str:
    """Return a line through the values, with gaps where there are none, and a dot at each that stands alone."""
    first, last = series.times[0], series.times[-1]
    whole = (last - first).total_seconds() or 1.0
    path, pen, parts = [], "M", []
    for place, (moment, value) in enumerate(zip(series.times, series.values, strict=True)):
        if value is None:
            pen = "M"
            continue
        x = _LEFT + (_WIDTH - _LEFT - _RIGHT) * (moment - first).total_seconds() / whole
        y = _y(value, top)
        path.append(f"H{x:.1f}V{y:.1f}" if is_stepped and pen == "L" else f"{pen}{x:.1f} {y:.1f}")
        following = series.values[place + 1] if place + 1 < len(series.values) else None
        if pen == "M" and following is None:
            parts.append(f'<circle class="dot {kind}" cx="{x:.1f}" cy="{y:.1f}" r="2.5"/>')
        pen = "L"
    return f'<path class="curve {kind}" d="{"".join(path)}"/>{"".join(parts)}'


def _round_up(value: float) -> float:
    """Return a number that divides well and is no less."""
    if value <= 0:
        return 1.0
    scale = 10.0 ** math.floor(math.log10(value))
    return next(each * scale for each in (1, 2, 4, 6, 8, 10) if each * scale >= value * (1 - 1e-9))


def _y(value: float, top: float) -> float:
    return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * value / top
