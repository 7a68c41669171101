"""`wright up`, `wright down`, `wright doctor`."""

import click

from modelwright.cli import output


@click.command()
@click.option("--api-port", type=int, default=0, help="The port of the HTTP API; else a free one.")
@click.option("--new-token", is_flag=True, help="Make another token for the HTTP API, and show it this once.")
@output.why_option
@output.json_option
def up(*, api_port: int, new_token: bool, why: str, as_json: bool) -> None:
    """Start the workspace's background services: endpoints with a healthy deployment, schedules, and the HTTP API.

    The API is there once a pipeline is published or a token was asked for, and is for this machine alone. Its first
    token is shown this once.
    """
    from modelwright.api import server
    from modelwright.errors import ApiNotInstalled
    from modelwright.lifecycle import recovery, rollouts, scheduler
    from modelwright.records import Role
    from modelwright.serving import deployments
    from modelwright.store import pipelines, tokens

    token = None
    with output.session(why=why) as session:
        recovery.recover(session)
        started = deployments.up(session.store, actor=session.actor, why=why)
        watched = rollouts.take_up(session)
        has_scheduler = scheduler.start(session.store)
        url, missing = None, ""
        try:
            is_wanted = new_token or tokens.has_tokens(session.store) or pipelines.list_versions(session.store)
            url = server.start(session.store, port=api_port) if is_wanted else None
        except ApiNotInstalled as error:
            missing = f"{error}; next: {error.next_command}"
        if new_token or (url and not tokens.has_tokens(session.store)):
            with session.change() as opened:
                token = tokens.add_token(opened, session.actor, role=Role.OWNER)
    if as_json:
        found = {"endpoints": started, "rollouts": [each.id for each in watched], "scheduler": has_scheduler}
        output.show_json({**found, "api": url, "token": token})
        return
    lines = [f'endpoint "{each.name}" answers at {each.url}' for each in started]
    lines += [f'the rollout of {each.version} to "{each.endpoint}" goes on' for each in watched]
    for line in lines:
        click.echo(line)
    if has_scheduler:
        click.echo("what comes due runs in the background, and endpoints are started again when their process ends")
    if url:
        click.echo(f"the HTTP API answers at {url}")
    if missing:
        click.echo(missing, err=True)
    if token:
        click.echo(f"its token, shown this once: {token}")
    if not (started or watched or has_scheduler or url or token):
        click.echo("nothing to start")


@click.command()
@output.why_option
@output.json_option
def down(*, why: str, as_json: bool) -> None:
    """Stop the workspace's background services; `wright up` brings them back."""
    from modelwright.api import server
    from modelwright.lifecycle import rollouts, scheduler
    from modelwright.serving import deployments

    with output.session(is_silent=True, why=why) as session:
        rollouts.let_go(session.store)
        had_scheduler = scheduler.stop(session.store)  # or it would revive what is stopped next
        stopped = deployments.down(session.store, actor=session.actor, why=why)
        had_api = server.stop(session.store)
    if as_json:
        output.show_json({"endpoints": stopped, "scheduler": had_scheduler, "api": had_api})
        return
    for each in stopped:
        click.echo(f'endpoint "{each.name}" is down')
    if had_scheduler:
        click.echo("schedules no longer run, and nothing starts endpoints again")
    if had_api:
        click.echo("the HTTP API is down")
    if not (stopped or had_scheduler or had_api):
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
