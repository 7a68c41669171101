"""Writes what was measured as tables: throughput, targets, equal load, starts and sizes."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from ground import MODELS
from measuring import CELLS, CROWD, Cell
from servers import Server

# Ours, from the fastest to the most general: what the other tables are about.
MAIN = ("fused", "isolated", "script")
_BASE = "naive"
_SHARED = "cells"
Records = Sequence[Mapping[str, Any]]

# What was promised: this of ours, as a multiple of that, at one, 16, 64 and 256 connections.
_AT = (Cell(1), Cell(16), Cell(64), CROWD)
_RATIOS: tuple[tuple[str, str, str, tuple[float, ...]], ...] = (
    ("fused", "tuned", "fused, against the hand-tuned FastAPI app", (3.0, 15.0, 20.0)),
    ("isolated", "tuned", "isolated version, against it", (2.2, 11.0, 16.0)),
    ("script", "azureml", "opaque script, against azureml-inference-server-http", (3.0, 12.0, 12.0)),
    ("fused", "uvloop", "fused, share of a bare uvloop Protocol echo", (0.8, 0.6, 0.7)),
    ("fused-durable", "fused-off", "capture `durable`, share of none, fused", (0.9,) * 4),
    ("isolated-durable", "isolated-off", "capture `durable`, share of none, isolated", (0.9,) * 4),
    ("fused", "fused-off", "capture `fast`, share of none, fused", ()),
    ("isolated", "isolated-off", "capture `fast`, share of none, isolated", ()),
)
_MOST_MEMORY_MB = 1.1 * 91
_MOST_NOISE = 0.15  # of a core


def render(records: Records, servers: Mapping[str, Server]) -> str:
    """Return the whole page."""
    models = [each for each in MODELS if any(record.get("model") == each for record in records)]
    parts = ["# The scoring server beside its peers and the floors\n", _conditions(records), _targets(records)]
    parts += [_throughput(records, servers, model) for model in models]
    parts += [_equal(records, servers, model) for model in models]
    parts += [_starts(records, servers, models), _failures(records)]
    return "\n".join(each for each in parts if each)


def _of(records: Records, field: str, **facts: Any) -> list[Any]:
    return [each[field] for each in records if facts.items() <= each.items() and each.get(field) is not None]


def _starts_of(records: Records, field: str, **facts: Any) -> list[Any]:
    """Return what was measured of starts: of those alone, when there are any."""
    alone = [each for each in records if each["kind"] == "start" and each["number"] is not None]
    return _of(alone, field, **facts) or _of(records, field, kind="start", **facts)


def _median(values: Sequence[float]) -> float | None:
    return statistics.median(values) if values else None


def _ratio(records: Records, one: str, other: str, *, cell: str, model: str = "m1", field: str = "rps") -> float | None:
    """Return the median of the ratios of rounds in which both were measured."""
    by_round = [
        {each["round"]: each[field] for each in records if facts.items() <= each.items()}
        for facts in ({"kind": "cell", "server": name, "cell": cell, "model": model} for name in (one, other))
    ]
    return _median([by_round[0][n] / by_round[1][n] for n in by_round[0] if by_round[1].get(n)])


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(heads) + " |", "|---|" + "---:|" * (len(heads) - 1)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)]) + "\n"


def _shown(value: float | None, form: str = ",.0f") -> str:
    return "" if value is None else format(value, form)


def _multiple(value: float) -> str:
    return f"{value:.2f}x" if value < 10 else f"{value:.1f}x"  # noqa: PLR2004 - three digits


def _conditions(records: Records) -> str:
    cells = [each for each in records if each["kind"] in ("cell", "equal")]
    if not cells:
        return ""
    others = sorted(each["others"] for each in cells)
    errors = sum(sum(each["errors"].values()) for each in cells)
    busiest = max(each["busy"] for each in cells)
    rounds = 1 + max((each["round"] for each in cells if each["kind"] == "cell"), default=0)
    noise = statistics.median(others)
    warning = "**The machine was busy with other things: quote none of this.**\n\n" if noise > _MOST_NOISE else ""
    return (
        f"{warning}Measured {cells[0]['at']} to {cells[-1]['at']} on a machine of two cores, servers on one, load "
        f"generator on the other; {rounds} rounds, taking turns. Medians; ratios are of the same round. What else ran "
        f"took {noise:.0%} of a core (median of all cells; at most {others[-1]:.0%}). The load "
        f"generator was busy for at most {busiest:.0%} of its core. {sum(each['answered'] for each in cells):,} "
        f"answers, {errors:,} errors.\n"
    )


def _targets(records: Records) -> str:
    rows = []
    for one, other, title, wanted in _RATIOS:
        row = [title]
        for number, cell in enumerate(_AT):
            found = _ratio(records, one, other, cell=cell.name)
            least = wanted[number] if number < len(wanted) else None
            if found is None:
                row.append("not measured" if least is not None else "")
            elif least is None:
                row.append(f"{found:.2f}")
            else:
                row.append(f"{found:.2f} of {least:g}, {'met' if found >= least else '**missed**'}")
        # The other way round: what the other needs for a request, in terms of what this one needs.
        work = [_ratio(records, other, one, cell=cell.name, field="cpu_us") for cell in _AT]
        row.append(" / ".join(_shown(each, ".2f") for each in work if each is not None))
        rows.append(row)
    memory = []
    for name in MAIN:
        held = _median(_starts_of(records, "pss_mb", server=name, model="m1"))
        if held is not None:
            verdict = "met" if held <= _MOST_MEMORY_MB else "**missed**"
            memory.append(f"{name} {held:.0f} MB, {verdict}")
    text = (
        f"Memory, at most {_MOST_MEMORY_MB:.0f} MB (1.1 times the prototype's): {'; '.join(memory)}.\n"
        if memory
        else ""
    )
    return (
        "## Targets\n\n"
        + _table(("at least", "1 connection", "16", "64", "256", "the same in CPU a request"), rows)
        + "\n"
        + (text if memory else "")
    )


def _latency_targets(records: Records) -> str:
    """Return how many of the peers have the worse p99 at equal load."""
    told = []
    for name in MAIN:
        better, peers = 0, 0
        for peer in dict.fromkeys(_of(records, "peer", kind="equal", model="m1")):
            its, mine = (
                _median(_of(records, "p99_us", kind="equal", peer=peer, model="m1", server=each))
                for each in (peer, name)
            )
            if its is not None and mine is not None:
                peers += 1
                better += mine < its
        if peers:
            told.append(f"{name} than {better} of {peers}, {'met' if better == peers else '**missed**'}")
    return f"\np99 at equal load, better than every peer: {'; '.join(told)}.\n" if told else ""


def _throughput(records: Records, servers: Mapping[str, Server], model: str) -> str:
    names = [each for each in servers if _of(records, "rps", kind="cell", server=each, model=model)]
    names.sort(key=lambda name: -(_median(_of(records, "rps", kind="cell", server=name, model=model, cell="c16")) or 0))
    rows = []
    for name in names:
        row = [servers[name].title]
        for cell in CELLS:
            facts = {"kind": "cell", "server": name, "model": model, "cell": cell.name}
            ratio = _ratio(records, name, _BASE, cell=cell.name, model=model)
            row.append(_shown(_median(_of(records, "rps", **facts))) + (f" ({_multiple(ratio)})" if ratio else ""))
            row.append(_shown(_median(_of(records, "cpu_us", **facts)), ",.1f"))
            p50, p99 = (_median(_of(records, each, **facts)) for each in ("p50_us", "p99_us"))
            row.append("" if p50 is None or p99 is None else f"{p50 / 1000:.2f}/{p99 / 1000:.2f}")
        rows.append(row)
    heads = [""]
    for cell in CELLS:
        what = f"{cell.connections} conn." + (f", {cell.rows} rows" if cell.rows > 1 else "")
        heads += [f"{what}: a second", "CPU us", "p50/p99 ms"]
    bare = [each for each in records if each["kind"] == "bare" and each["model"] == model]
    text = ""
    if bare:
        text = (
            f"The model alone, `predict` in process: {bare[-1]['rows_1_us']:,.0f} us of CPU for one row, "
            f"{bare[-1]['rows_100_us']:,.0f} for 100.\n"
        )
    return f"## {model}: {MODELS[model]}\n\nRequests a second, and how many times the first FastAPI app's.\n\n" + (
        _table(heads, rows) + "\n" + text
    )


def _equal(records: Records, servers: Mapping[str, Server], model: str) -> str:
    rows = []
    for peer in dict.fromkeys(_of(records, "peer", kind="equal", model=model)):
        facts = {"kind": "equal", "peer": peer, "model": model}
        its = _median(_of(records, "p99_us", server=peer, **facts))
        if its is None:
            continue
        row = [servers[peer].title, _shown(_median(_of(records, "rate", **facts))), f"{its / 1000:.2f}"]
        for name in MAIN:
            ours = _median(_of(records, "p99_us", server=name, **facts))
            verdict = "" if ours is None or ours < its else " **worse**"
            row.append("" if ours is None else f"{ours / 1000:.2f}{verdict}")
        rows.append(row)
    if not rows:
        return ""
    heads = ("against", "requests a second", "its p99, ms", *(f"ours, {each}" for each in MAIN))
    return (
        f"## p99 at equal load, {MODELS[model]}\n\nHalf of what the peer takes at 16 connections, at fixed times; "
        f"latency counts from when a request was due.\n\n" + _table(heads, rows)
    )


def _starts(records: Records, servers: Mapping[str, Server], models: Sequence[str]) -> str:
    rows = []
    for name, server in servers.items():
        if not _of(records, "pss_mb", kind="start", server=name):
            continue
        row = [server.title]
        for model in models:
            wall, cpu = (_median(_starts_of(records, field, server=name, model=model)) for field in ("wall_s", "cpu_s"))
            row.append("" if wall is None or cpu is None else f"{wall:.1f} ({cpu:.1f})")
        for field, form in (("pss_mb", ",.0f"), ("processes", ",.0f"), ("rest", ".0%")):
            row.append(_shown(_median(_starts_of(records, field, server=name, model=models[0])), form))
        row += [_shown(_median(_of(records, field, kind="installed", server=name))) for field in ("mb", "packages")]
        rows.append(row)
    if not rows:
        return ""
    heads = ["", *(f"{each}, s (CPU s)" for each in models), "memory, MB", "processes", "core at rest"]
    text = (
        "Wall time and CPU from the command that starts it to the first right answer; ours is `wright endpoint "
        "deploy`, which also scores the sample twice and records the deployment. Memory (PSS) and CPU at rest are of "
        "all processes."
    )
    if all(each["number"] is None for each in records if each["kind"] == "start"):
        text += " Others ran meanwhile, so that libraries of one environment count in part."
    return f"## Start to the first right answer, memory, size installed\n\n{text}\n\n" + _table(
        [*heads, "installed, MB", "packages"], rows
    )


def _failures(records: Records) -> str:
    found = {each["server"]: each["reason"] for each in records if each["kind"] == "failure"}
    wrong = {
        f"{each['server']}, {each['model']}, {each['cell']}": str(each["errors"])
        for each in records
        if each["kind"] == "cell" and each["errors"]
    }
    lines = [f"* {name}: {reason}" for name, reason in {**found, **wrong}.items()]
    return "## What failed\n\n" + "\n".join(lines) + "\n" if lines else ""
