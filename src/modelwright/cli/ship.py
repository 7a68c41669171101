"""`wright ship`: the whole way, and what it came to."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from modelwright.cli import output

if TYPE_CHECKING:
    from modelwright.lifecycle.shipping import Shipment


@click.command()
@click.argument("training", metavar="TRAINING.ipynb", type=click.Path(path_type=Path))
@click.argument("scoring", metavar="[SCORING.ipynb]", type=click.Path(path_type=Path), required=False)
@click.option("--name", help="Of the model, its project and its endpoint; by default the notebook's folder.")
@click.option(
    "--into", metavar="FOLDER", type=click.Path(path_type=Path), help="The project's folder; default: ./NAME."
)
@click.option("--python", metavar="PATH", type=click.Path(path_type=Path), help="The Python that the notebooks run in.")
@click.option(
    "--port", type=click.IntRange(1, 65535), help="The endpoint's port; by default its last, else a free one."
)
@click.option("--overwrite", is_flag=True, help="Discard edits made to the project since its last conversion.")
@output.json_option
def ship(
    training: Path,
    scoring: Path | None,
    *,
    name: str | None,
    into: Path | None,
    python: Path | None,
    port: int | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """From notebooks to a served, registered, proven model.

    Converts, proves, tests, runs, gates, registers, deploys and smoke-tests. Exit 1 at the first stage that does not
    hold, with nothing half done.
    """
    from modelwright.lifecycle import shipping
    from modelwright.lifecycle.shipping import Order

    name = name or output.default_name(training)
    with output.session(is_made=True, is_silent=as_json) as session:
        order = Order(
            training=training.absolute(),
            scoring=scoring.absolute() if scoring else None,
            name=name,
            into=(into or Path(name)).absolute(),
            python=python,
            is_overwritten=overwrite,
        )
        shipment = shipping.ship(session, order, port=port)
    if as_json:
        plan = shipment.converted.study.plan
        output.show_json(
            {
                "project": shipment.converted.manifest.folder,
                "removals": plan.removals,
                "findings": plan.findings,
                "proof": shipment.proof,
                "version": shipment.version,
                "endpoint": shipment.endpoint,
                "sample": shipment.sample,
                "answer": shipment.answer,
            }
        )
    else:
        _show(shipment)


def _show(shipment: "Shipment") -> None:
    output.show_removals(shipment.converted.study.plan.removals)
    click.echo()
    output.show_proof(shipment.proof)
    click.echo()
    output.show_fields(
        [
            ("project", shipment.converted.manifest.folder),
            ("model", shipment.version.reference),
            ("endpoint", shipment.endpoint.url),
        ]
    )
    click.echo("\nTry it:")
    click.echo(
        f"curl -s -X POST {shipment.endpoint.url} -H 'Content-Type: application/json' -d {shlex.quote(shipment.sample)}"
    )
