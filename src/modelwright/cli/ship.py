"""`wright ship`: the whole way, and what it came to."""

import shlex
from typing import TYPE_CHECKING

import click

from modelwright.cli import output
from modelwright.cli.project import takes_notebooks

if TYPE_CHECKING:
    from modelwright.lifecycle.shipping import Order, Shipment


@click.command()
@takes_notebooks
@click.option(
    "--port", type=click.IntRange(1, 65535), help="The endpoint's port; by default its last, else a free one."
)
@output.why_option
@output.json_option
def ship(order: "Order", *, port: int | None, why: str, as_json: bool) -> None:
    """From notebooks to a served, registered, proven model.

    Converts, proves, tests, runs, gates, registers, deploys and smoke-tests. Exit 1 at the first stage that does not
    hold, with nothing half done.
    """
    from modelwright.lifecycle import shipping

    with output.session(is_made=True, is_silent=as_json, why=why) as session:
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
