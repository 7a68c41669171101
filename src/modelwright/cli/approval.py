"""`wright approve`, `wright approvals`."""

from typing import TYPE_CHECKING

import click

from modelwright.cli import output

if TYPE_CHECKING:
    from modelwright.records import Approval


@click.command()
@click.argument("reference", metavar="MODEL:VERSION")
@click.option(
    "--stage",
    default="production",
    show_default=True,
    metavar="NAME",
    help="Where it may go on to: a target of ci.toml.",
)
@click.option("--refuse", is_flag=True, help="It may not.")
@click.option("--why", required=True, metavar="TEXT", help="The reason, for the record.")
@output.json_option
def approve(reference: str, *, stage: str, refuse: bool, why: str, as_json: bool) -> None:
    """Let a version go on to a stage, or not; the last word counts."""
    from modelwright.lifecycle.ci import releasing
    from modelwright.store import models

    with output.session(is_silent=True, why=why) as session:
        version = models.find_version(session.store, reference)
        found = releasing.approve(session, version, stage=stage, is_approved=not refuse)
    if as_json:
        output.show_json(found)
    else:
        click.echo(f"{version.reference} {_told(found)} {stage}")


@click.command()
@click.option("--stage", metavar="NAME", help="Only for this stage.")
@output.json_option
def approvals(*, stage: str | None, as_json: bool) -> None:
    """List who let which version go on to which stage, or did not, when and why; newest first."""
    from modelwright.store import approvals as stored

    with output.opened_store() as store:
        found = stored.list_approvals(store, stage=stage)
    if as_json:
        output.show_json(found)
        return
    output.show_table(
        ("subject", "stage", "decision", "by", "when", "why"),
        [
            (
                each.subject,
                each.stage,
                "approved" if each.is_approved else "refused",
                each.actor,
                output.moment(each.created_at),
                each.why,
            )
            for each in found
        ],
        empty='nothing was decided yet; decide: wright approve MODEL:VERSION --why "TEXT"',
    )


def _told(approval: "Approval") -> str:
    return "may go on to" if approval.is_approved else "may not go on to"
