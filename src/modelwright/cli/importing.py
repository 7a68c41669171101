"""`wright import`: brings what another program recorded into the workspace, and counts it."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from modelwright.cli import output

if TYPE_CHECKING:
    from modelwright.lifecycle.importing_mlflow.counting import Tally

_MOST_SHOWN = 20


@click.group("import")
def import_() -> None:
    """Bring what another program recorded into the workspace."""


@import_.command()
@click.argument("place", metavar="PATH_OR_URL")
@click.option(
    "--artifacts",
    "roots",
    metavar="FOLDER",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Where files lie besides PATH, or lie now that they were moved; repeatable.",
)
@click.option(
    "--token", default="", metavar="TOKEN", help="What the server at URL asks for; else MLFLOW_TRACKING_TOKEN."
)
@click.option("--dry-run", "is_dry", is_flag=True, help="Count what is there, and write nothing.")
@output.why_option
@output.json_option
def mlflow(place: str, roots: tuple[Path, ...], *, token: str, is_dry: bool, why: str, as_json: bool) -> None:
    """Import experiments, runs, models and files from a folder mlruns, a file mlflow.db, or a running MLflow server.

    Ids and version numbers stay where they are free here. Called again it adds what is new. Exit code 1 when something
    could not be had.
    """
    from modelwright import settings
    from modelwright.lifecycle.importing_mlflow import importing

    order = importing.Order(place, roots, token or settings.mlflow_token(), is_dry)
    with (
        output.session(is_made=True, is_silent=as_json, why=why) as session,
        output.progress("importing runs", is_silent=as_json) as progress,
    ):
        tally = importing.import_all(session, order, on_run=progress)
    if as_json:
        counts = {"counts": tally.lines(), "missing": tally.missing, "notes": tally.notes, "left_out": tally.left_out}
        output.show_json(counts)
    else:
        _show(tally, is_dry=is_dry)
    if tally.missing:
        raise click.exceptions.Exit(1)


def _show(tally: "Tally", *, is_dry: bool) -> None:
    rows = [
        (each.kind, each.found, each.before, each.found - each.before if is_dry else each.here - each.before)
        for each in tally.lines()
    ]
    output.show_table(("", "found", "here before", "to come" if is_dry else "added"), rows, empty="nothing is there")
    if rows and not any(added for *_, added in rows):
        click.echo("  nothing is new")
    for note in tally.notes[:_MOST_SHOWN]:
        click.echo(f"  {note}")
    for what, count in tally.left_out.items():
        click.echo(f"  {count} {what}: not taken over")
    for lack in tally.missing[:_MOST_SHOWN]:
        click.echo(f"missing of {lack.kind}: {lack.what}: {lack.why}")
    if len(tally.missing) > _MOST_SHOWN:
        click.echo(f"and {len(tally.missing) - _MOST_SHOWN} more; all of them: --json")
