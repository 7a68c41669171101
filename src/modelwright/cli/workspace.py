"""`wright up`, `wright down`, `wright doctor`."""

import click

from modelwright.cli import output


@click.command()
@click.option("--api-host", default="", metavar="ADDRESS", help="Let other machines in at this address; with tokens.")
@click.option(
    "--api-port",
    type=click.IntRange(0, 65535),
    default=0,
    help="The port of the HTTP API; 0, or none: as the last time.",
)
@output.why_option
@output.json_option
def up(*, api_host: str, api_port: int, why: str, as_json: bool) -> None:
    """Start the workspace's background process, its HTTP API, and the endpoints with a healthy deployment.

    The API is for this machine alone, at the same port every time. The first time an owner's token is made and shown.
    """
    from modelwright.api import server
    from modelwright.errors import ApiNotInstalled
    from modelwright.lifecycle import background, recovery, rollouts
    from modelwright.records import Role
    from modelwright.serving import deployments
    from modelwright.store import tokens

    token, url, missing = None, None, ""
    with output.session(is_made=True, why=why) as session:
        recovery.recover(session)
        started = deployments.up(session.store, actor=session.actor, why=why)
        watched = rollouts.take_up(session)
        try:
            url = server.start(session.store, host=api_host, port=api_port)
        except ApiNotInstalled as error:
            missing = f"{error}; next: {error.next_command}"
            background.start(session.store)
        if url and not tokens.has_tokens(session.store):
            with session.change() as opened:
                token = tokens.add_token(opened, session.actor, role=Role.OWNER)
    if as_json:
        found = {"endpoints": started, "rollouts": [each.id for each in watched]}
        output.show_json({**found, "api": url, "token": token})
        return
    lines = [f'endpoint "{each.name}" answers at {each.url}' for each in started]
    lines += [f'the rollout of {each.version} to "{each.endpoint}" goes on' for each in watched]
    lines.append("what comes due runs in the background, and endpoints are started again when their process ends")
    for line in lines:
        click.echo(line)
    if missing:
        click.echo(missing, err=True)
    if url:
        _tell_api(url, token)


def _tell_api(url: str, token: str | None) -> None:
    click.echo(f"the HTTP API answers at {url}")
    click.echo(f'  from Python:       mlflow.set_tracking_uri("{url}")')
    click.echo(f"  from a terminal:   wright --workspace {url} COMMAND")
    if token:
        click.echo(f"an owner's token for other users and machines, shown this once: {token}")


@click.command()
@output.why_option
@output.json_option
def down(*, why: str, as_json: bool) -> None:
    """Stop the workspace's background process and its endpoints; `wright up` brings them back."""
    from modelwright.lifecycle import background, rollouts
    from modelwright.serving import deployments

    with output.session(is_silent=True, why=why) as session:
        had_background = background.stop(session.store)  # or it would start again what is stopped next
        rollouts.let_go(session.store)
        stopped = deployments.down(session.store, actor=session.actor, why=why)
    if as_json:
        output.show_json({"endpoints": stopped, "background": had_background})
        return
    for each in stopped:
        click.echo(f'endpoint "{each.name}" is down')
    if had_background:
        click.echo("nothing runs in the background any more, and the HTTP API is down")
    if not (stopped or had_background):
        click.echo("nothing was running")


@click.command()
@output.json_option
def doctor(*, as_json: bool) -> None:
    """Say what is wrong here and the command that mends it; exit 1 when something is."""
    from modelwright.lifecycle import diagnosis

    found = diagnosis.examine(click.get_current_context().find_root().obj)
    if as_json:
        output.show_json(found)
    else:
        for each in found:
            mark = click.style("✓", fg="green") if each.is_well else click.style("✗", fg="red")
            click.echo(f"{mark} {each.name}: {each.told}")
            if not each.is_well and each.next_command:
                click.echo(f"    next: {each.next_command}")
    if not all(each.is_well for each in found):
        raise click.exceptions.Exit(1)
