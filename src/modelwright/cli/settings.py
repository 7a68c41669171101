"""`wright settings`: list, set, unset."""

import click

from modelwright.cli import output


@click.group()
def settings() -> None:
    """What the workspace asks of its users, such as reasons."""


@settings.command("list")
@output.json_option
def list_(*, as_json: bool) -> None:
    """List the workspace's settings: what they are, what they mean, what they may be."""
    from modelwright.store import rules

    with output.opened_store() as store:
        found = rules.list_rules(store)
    if as_json:
        output.show_json(found)
        return
    output.show_table(
        ("setting", "value", "meaning", "takes"),
        [(each.name, found[each.name] or "not set", each.meaning, each.takes) for each in rules.RULES.values()],
        empty="there are none",
    )


@settings.command("set")
@click.argument("name")
@click.argument("value")
@output.why_option
@output.json_option
def set_(name: str, value: str, *, why: str, as_json: bool) -> None:
    """Give the setting NAME the value VALUE."""
    from modelwright.store import rules

    with output.session(is_made=True, is_silent=True, why=why) as session, session.change() as opened:
        kept = rules.set_rule(opened, name, value)
    if as_json:
        output.show_json({name: kept})
    else:
        click.echo(f"{name} = {kept}")


@settings.command()
@click.argument("name")
@output.why_option
@output.json_option
def unset(name: str, *, why: str, as_json: bool) -> None:
    """Take the value of the setting NAME away."""
    from modelwright.store import rules

    with output.session(is_silent=True, why=why) as session, session.change() as opened:
        rules.unset_rule(opened, name)
    if as_json:
        output.show_json({name: None})
    else:
        click.echo(f"{name} is not set")
