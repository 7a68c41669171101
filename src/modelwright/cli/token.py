"""`wright token`: create, list, revoke."""

from datetime import timedelta

import click

from modelwright.cli import output
from modelwright.cli.moments import Span
from modelwright.records import Role


@click.group()
def token() -> None:
    """Who may use the workspace from elsewhere, and in which role."""


@token.command()
@click.argument("name")
@click.option("--role", required=True, type=click.Choice([each.value for each in Role]), help="What its holder may do.")
@click.option("--expires", type=Span(), metavar="SPAN", help="For how long it counts, such as 30d; else until revoked.")
@output.why_option
@output.json_option
def create(name: str, *, role: str, expires: timedelta | None, why: str, as_json: bool) -> None:
    """Make a token for NAME, who is the actor of all that is done with it, and show it this once."""
    from modelwright.store import tokens

    with output.session(is_made=True, is_silent=True, why=why) as session, session.change() as opened:
        until = opened.at + expires if expires else None
        made = tokens.add_token(opened, name, role=Role(role), expires_at=until)
    if as_json:
        output.show_json({"name": name, "role": role, "expires_at": until, "token": made})
        return
    click.echo(made)
    click.echo(
        f"shown this once; it counts {f'until {output.moment(until)}' if until else 'until it is revoked'}", err=True
    )


@token.command("list")
@output.json_option
def list_(*, as_json: bool) -> None:
    """List the tokens that were made: for whom, in which role, whether they still count; never a token itself."""
    from modelwright import records
    from modelwright.store import tokens

    with output.opened_store() as store:
        found = tokens.list_tokens(store)
    if as_json:
        output.show_json(found)
        return
    output.show_table(
        ("name", "role", "made", "by", "expires", "state"),
        [
            (
                each.name,
                each.role,
                output.moment(each.created_at),
                each.created_by,
                output.moment(each.expires_at),
                state,
            )
            for each in found
            for state in [each.state(records.now())]
        ],
        empty="there are none; next: wright token create NAME --role reader",
    )


@token.command()
@click.argument("name")
@output.why_option
@output.json_option
def revoke(name: str, *, why: str, as_json: bool) -> None:
    """Refuse the token of NAME from the next request on."""
    from modelwright.store import tokens

    with output.session(is_silent=True, why=why) as session, session.change() as opened:
        tokens.revoke(opened, name)
    if as_json:
        output.show_json({"revoked": name})
    else:
        click.echo(f'the token of "{name}" counts no more')
