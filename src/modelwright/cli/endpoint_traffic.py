"""`wright endpoint`: traffic, rollback, history."""

import math
from typing import Any

import click

from modelwright.cli import endpoint_tables, output


class Share(click.ParamType[tuple[str, float]]):
    """A deployment and a percentage, as diabetes:2=10."""

    name = "share"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, float]:
        """Return both."""
        if isinstance(value, tuple):
            return value
        name, _, text = str(value).rpartition("=")
        try:
            share = float(text.removesuffix("%"))
        except ValueError:
            share = math.nan
        if not name or math.isnan(share):
            self.fail(f'"{value}" is not DEPLOYMENT=PERCENT, as diabetes:2=10', param, ctx)
        if not 0 <= share <= 100:  # noqa: PLR2004 - per cent
            self.fail(f'"{value}": {share:g} is not between 0 and 100 percent', param, ctx)
        return name, share


_SHARE = Share()


@click.command()
@click.argument("name")
@click.argument("shares", nargs=-1, type=_SHARE, metavar="[DEPLOYMENT=PERCENT]...")
@click.option("--default", metavar="DEPLOYMENT", help="Gets what the shares leave of 100 %.")
@click.option("--control", metavar="DEPLOYMENT", help="The one that others are compared with; '' for the default one.")
@click.option("--sticky", metavar="HEADER", help="Requests with the same value of it stay together; '' ends that.")
@click.option("--shadow", "shadows", type=_SHARE, multiple=True, metavar="DEPLOYMENT=PERCENT", help="Gets copies only.")
@output.why_option
@output.json_option
def traffic(name: str, shares: tuple[tuple[str, float], ...], *, why: str, as_json: bool, **options: Any) -> None:
    """Share out an endpoint's requests otherwise, at once and without losing one; without arguments, show how."""
    from modelwright.serving import deployments
    from modelwright.serving.sharing import Shift
    from modelwright.store import endpoints

    shadows = options.pop("shadows")
    sticky = options.pop("sticky")
    shift = Shift(
        _each_once(shares, "DEPLOYMENT=PERCENT"), _each_once(shadows, "--shadow"), sticky_header=sticky, **options
    )
    if shift == Shift():
        with output.opened_store() as store:
            serving = endpoints.serving(store, endpoints.get_endpoint(store, name))
            front = deployments.status(store, name)
    else:
        with output.session(is_silent=True, why=why) as session:
            store = session.store
            deployments.shift_traffic(store, name, shift, actor=session.actor, why=why)
            serving = endpoints.serving(store, endpoints.get_endpoint(store, name))
            front = deployments.status(store, name)
    if as_json:
        output.show_json({"endpoint": name, **serving.told()})
    else:
        endpoint_tables.show_serving(serving, front)


def _each_once(given: tuple[tuple[str, float], ...], option: str) -> dict[str, float]:
    found = dict(given)
    if len(found) < len(given):
        names = [name for name, _ in given]
        twice = next(name for name in names if names.count(name) > 1)
        raise click.BadParameter(f'"{twice}" is given twice', param_hint=option)  # noqa: TRY003, EM102 - click's way
    return found


@click.command()
@click.argument("name")
@output.why_option
@output.json_option
def rollback(name: str, *, why: str, as_json: bool) -> None:
    """Bring back an endpoint's traffic, and the versions behind it, from before the last change of it."""
    from modelwright.lifecycle import deploying

    with output.session(is_silent=as_json, why=why) as session:
        serving = deploying.roll_back(session, name)
    if as_json:
        output.show_json({"endpoint": name, **serving.told()})
    else:
        click.echo(f'endpoint "{name}" serves {serving.shares()}')


@click.command()
@click.argument("name")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="How many, from the end.")
@output.json_option
def history(name: str, limit: int, *, as_json: bool) -> None:
    """Tell what was done to an endpoint: when, by whom, the traffic before and after, and why."""
    from datetime import datetime

    from modelwright.serving import past

    with output.opened_store() as store:
        found = past.history(store, name)[-limit:]
    if as_json:
        output.show_json(found)
        return
    output.show_table(
        ("when", "who", "what", "change", "why"),
        [
            (
                output.moment(each["at"] if isinstance(each["at"], datetime) else datetime.fromisoformat(each["at"])),
                each["actor"],
                each["action"],
                endpoint_tables.change(each),
                each["why"],
            )
            for each in found
        ],
        empty=f'nothing is known of an endpoint "{name}"',
    )


COMMANDS = (traffic, rollback, history)
