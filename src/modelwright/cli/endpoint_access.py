"""`wright endpoint`: keys, regenerate, token, revoke, set."""

import sys
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from modelwright.cli import output
from modelwright.records.plain import plain

if TYPE_CHECKING:
    from modelwright.records import FrontSettings

_HOURS_MOST = 24 * 366.0


@click.command()
@click.argument("name")
@output.json_option
def keys(name: str, *, as_json: bool) -> None:
    """Tell which keys and tokens an endpoint takes, and since when; never a key itself."""
    from modelwright.serving import configuring

    with output.opened_store() as store:
        access = configuring.settings_of(store, name).access
    told = [{"kind": each.kind, "created_at": each.created_at, "expires_at": each.expires_at} for each in access.keys]
    if as_json:
        output.show_json({"endpoint": name, "is_required": access.is_required, "keys": told})
        return
    if not access.is_required:
        click.echo(f'endpoint "{name}" answers without a key; wright endpoint set {name} --auth on changes that')
    output.show_table(
        ("kind", "made", "expires"),
        [
            (each.kind, output.moment(each.created_at), output.moment(each.expires_at) or "never")
            for each in access.keys
        ],
        empty=f"no keys yet; make one: wright endpoint regenerate {name} primary",
    )


@click.command()
@click.argument("name")
@click.argument("kind", type=click.Choice(["primary", "secondary"]))
@click.option("--key", help="The key to take instead of a made one; - reads it from stdin, which no history keeps.")
@output.why_option
@output.json_option
def regenerate(name: str, kind: str, key: str | None, *, why: str, as_json: bool) -> None:
    """Make an endpoint's primary or secondary key anew and print it, this once; the other one stays good."""
    from modelwright.serving import access

    own = sys.stdin.readline().strip() if key == "-" else key
    with output.session(is_silent=True, why=why) as session:
        made = access.regenerate(session.store, name, kind, own=own, actor=session.actor, why=why)
    if as_json:
        output.show_json({"endpoint": name, "kind": kind, "key": made})
    else:
        click.echo(made)


@click.command()
@click.argument("name")
@click.option(
    "--hours",
    type=click.FloatRange(0, _HOURS_MOST, min_open=True),
    default=1.0,
    show_default=True,
    help="How long it is good.",
)
@output.why_option
@output.json_option
def token(name: str, hours: float, *, why: str, as_json: bool) -> None:
    """Make a token that expires, and print it, this once."""
    from modelwright.serving import access

    with output.session(is_silent=True, why=why) as session:
        made = access.make_token(session.store, name, life=timedelta(hours=hours), actor=session.actor, why=why)
    if as_json:
        output.show_json(made)
        return
    click.echo(made.token)
    click.echo(f"  expires {output.moment(made.expires_at)}; from {output.moment(made.refresh_after)} on, get the next")


@click.command()
@click.argument("name")
@output.why_option
@output.json_option
def revoke(name: str, *, why: str, as_json: bool) -> None:
    """Refuse all tokens of an endpoint from now on; its keys stay."""
    from modelwright.serving import access

    with output.session(is_silent=True, why=why) as session:
        count = access.revoke_tokens(session.store, name, actor=session.actor, why=why)
    if as_json:
        output.show_json({"endpoint": name, "revoked": count})
    else:
        click.echo(f"{count} token{'' if count == 1 else 's'} revoked")


@click.command("set")
@click.argument("name")
@click.option("--auth", type=click.Choice(["on", "off"]), help="Whether requests must carry a key.")
@click.option("--timeout-ms", type=click.IntRange(1), help="How long run() may take; then 504 and a new process.")
@click.option("--max-body-bytes", type=click.IntRange(1), help="Longer bodies are answered 413.")
@click.option("--max-held-bytes", type=click.IntRange(1), help="So much in bodies that still come in; then 503.")
@click.option("--max-depth", type=click.IntRange(1), help="JSON nested deeper is answered 400.")
@click.option("--max-waiting", type=click.IntRange(1), help="So many may wait for one deployment; then 503.")
@click.option("--max-wait-ms", type=click.IntRange(0), help="Not begun after so long: 503. 0 waits for ever.")
@click.option("--max-concurrent", type=click.IntRange(0), help="So many in the endpoint at once; then 503. 0: any.")
@click.option("--max-connections", type=click.IntRange(1), help="So many clients; then 503.")
@click.option("--header-seconds", type=click.FloatRange(0, min_open=True), help="A head takes no longer; then 408.")
@click.option("--body-seconds", type=click.FloatRange(0, min_open=True), help="Without one more byte of it: 408.")
@click.option("--idle-seconds", type=click.FloatRange(0, min_open=True), help="Idle connections are closed then.")
@click.option("--max-log-bytes", type=click.IntRange(10_000), help="A longer log is put aside and the next begun.")
@output.why_option
@output.json_option
def set_(
    name: str, auth: str | None, timeout_ms: int | None, *, why: str, as_json: bool, **limits: float | None
) -> None:
    """Change what an endpoint accepts, while it serves; without an option, show what it accepts now."""
    from modelwright.serving import access, configuring

    given = {limit: value for limit, value in limits.items() if value is not None}
    made: dict[str, str] = {}
    with output.session(is_silent=True, why=why) as session:
        store, actor = session.store, session.actor
        if given or timeout_ms is not None:
            configuring.set_limits(store, name, given, timeout_ms=timeout_ms, actor=actor, why=why)
        if auth is not None:
            made = access.require(store, name, is_required=auth == "on", actor=actor, why=why)
        settings = configuring.settings_of(store, name)
    if as_json:
        output.show_json({"endpoint": name, **_facts(settings), "made_keys": made})
        return
    output.show_fields(list(_facts(settings).items()))
    show_made_keys(made)


def show_made_keys(made: dict[str, str]) -> None:
    """Print keys that were made, this once."""
    for kind, key in made.items():
        click.echo(f"{kind} key, shown this once: {key}")


def _facts(settings: "FrontSettings") -> dict[str, object]:
    auth = "on" if settings.access.is_required else "off"
    return {"auth": auth, "timeout_ms": settings.timeout_ms, **plain(settings.limits)}


COMMANDS = (keys, regenerate, token, revoke, set_)
