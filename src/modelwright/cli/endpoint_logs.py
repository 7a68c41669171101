"""`wright endpoint logs`."""

import json
from typing import TYPE_CHECKING

import click

from modelwright.cli import output
from modelwright.records.plain import plain

if TYPE_CHECKING:
    from collections.abc import Iterable

    from modelwright.records import LogLine


@click.command()
@click.argument("name")
@click.option("--lines", type=click.IntRange(1), default=100, show_default=True, help="How many, from the end.")
@click.option("--request", "request_id", metavar="ID", help="Only what belongs to the request with this id.")
@click.option(
    "--level",
    type=click.Choice(["debug", "info", "warning", "error", "critical"]),
    help="Only this level and worse; what a script prints is info, what goes to its standard error is error.",
)
@click.option("--follow", is_flag=True, help="Go on with lines as they come, until Ctrl-C; with --json, one a line.")
@output.json_option
def logs(name: str, lines: int, request_id: str | None, level: str | None, *, follow: bool, as_json: bool) -> None:
    """Print the end of an endpoint's log: its server's lines and what the scoring script printed."""
    from modelwright.serving import deployments
    from modelwright.serving import logs as reading
    from modelwright.store import endpoints

    with output.opened_store() as store:
        endpoints.get_endpoint(store, name)
        path = deployments.log_file(store, name)
    is_wanted = reading.wanted(request_id=request_id, level=level)
    look = reading.follow if follow else reading.read
    found: Iterable[LogLine] = look(path, most=lines, is_wanted=is_wanted)
    if as_json and not follow:
        output.show_json({"file": path, "lines": found})
        return
    for each in found:
        _show(each, as_json=as_json)


def _show(line: "LogLine", *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(plain(line)))
    elif line.time:
        click.echo(f"{line.time} {line.request_id or '-'} {line.version} {line.level} {line.text}")
    else:
        click.echo(line.text)


COMMANDS = (logs,)
