"""`wright endpoint top`."""

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from modelwright.cli import output

if TYPE_CHECKING:
    from rich.table import Table

    from modelwright.records import FrontStatus, Load
    from modelwright.serving.loads import Watch
    from modelwright.store.database import Store

# They fit into 80 columns.
_COLUMNS = ("endpoint", "share", "req/s", "err/s", "p50 ms", "p99 ms", "waits", "workers", "cpu %", "MB", "pending")


@click.command()
@click.argument("name", required=False)
@click.option("--interval", type=click.FloatRange(0.1), default=1.0, show_default=True, help="Seconds between looks.")
@click.option("--once", is_flag=True, help="Look for one interval, print, and end; so do --json and a pipe.")
@output.json_option
def top(name: str | None, interval: float, *, once: bool, as_json: bool) -> None:
    """Show what endpoints are doing, live, until Ctrl-C: a line for each server and one for each deployment.

    Behind the workers stands how often one was started again, behind the memory how much they may hold together;
    pending are records that wait for the disk.
    """
    from modelwright.serving import loads
    from modelwright.store import endpoints

    watch = loads.Watch()
    with output.opened_store() as store:
        names = [endpoints.get_endpoint(store, name).name] if name else None
        watch.look(_fronts(store, names))
        time.sleep(interval)
        if as_json:
            output.show_json({"interval_seconds": interval, "loads": watch.look(_fronts(store, names))})
        elif once or not sys.stdout.isatty():
            rows = [_row(each) for each in watch.look(_fronts(store, names))]
            output.show_table(_COLUMNS, rows, empty="no endpoint runs; start them: wright up")
        else:
            _show_live(store, names, watch=watch, interval=interval)


def _show_live(store: "Store", names: list[str] | None, *, watch: "Watch", interval: float) -> None:
    from rich.live import Live

    with Live(_table(watch.look(_fronts(store, names))), screen=True, auto_refresh=False) as live:
        while True:
            time.sleep(interval)
            live.update(_table(watch.look(_fronts(store, names))), refresh=True)


def _fronts(store: "Store", names: list[str] | None) -> list["FrontStatus"]:
    from modelwright.serving import deployments
    from modelwright.store import endpoints

    wanted = names or [each.name for each in endpoints.list_endpoints(store)]
    return [front for each in wanted if (front := deployments.status(store, each)) is not None]


def _table(loads: Sequence["Load"]) -> "Table":
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=0, collapse_padding=True)
    for name in _COLUMNS:
        table.add_column(name, no_wrap=True, justify="left" if name == _COLUMNS[0] else "right")
    for each in loads:
        table.add_row(*_row(each), style=None if each.is_ready else "red")
    return table


def _row(load: "Load") -> tuple[str, ...]:
    is_front, limit = not load.deployment, load.memory_limit_bytes
    return (
        load.endpoint if is_front else f"  {load.deployment}",
        "" if is_front else f"{load.share:g} %",
        f"{load.requests_per_second:.1f}",
        f"{load.errors_per_second:.1f}",
        _milliseconds(load.p50_ms),
        _milliseconds(load.p99_ms),
        str(load.waiting),
        "" if is_front else f"{load.workers} +{load.restarts}" if load.restarts else str(load.workers),
        f"{load.cpu_percent:.0f}",
        f"{load.memory_bytes / 1e6:.0f}" + (f"/{limit / 1e6:.0f}" if limit else ""),
        str(load.pending) if is_front else "",
    )


def _milliseconds(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


COMMANDS = (top,)
