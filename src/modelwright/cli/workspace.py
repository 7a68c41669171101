"""`wright up`, `wright down`, `wright doctor`."""

import click

from modelwright.cli import output


@click.command()
@output.json_option
def up(*, as_json: bool) -> None:
    """Start the workspace's background services: every endpoint that has a healthy deployment, and the schedules."""
    from modelwright.lifecycle import recovery, scheduler
    from modelwright.serving import deployments

    with output.session() as session:
        recovery.recover(session)
        started = deployments.up(session.store, actor=session.actor)
        has_scheduler = scheduler.start(session.store)
    if as_json:
        output.show_json({"endpoints": started, "scheduler": has_scheduler})
        return
    for each in started:
        click.echo(f'endpoint "{each.name}" answers at {each.url}')
    if has_scheduler:
        click.echo("schedules run")
    if not started and not has_scheduler:
        click.echo("nothing to start")


@click.command()
@output.json_option
def down(*, as_json: bool) -> None:
    """Stop the workspace's background services; `wright up` brings them back."""
    from modelwright.lifecycle import scheduler
    from modelwright.serving import deployments

    with output.opened_store() as store:
        had_scheduler = scheduler.stop(store)
        stopped = deployments.down(store)
    if as_json:
        output.show_json({"endpoints": stopped, "scheduler": had_scheduler})
        return
    for each in stopped:
        click.echo(f'endpoint "{each.name}" is down')
    if had_scheduler:
        click.echo("schedules no longer run")
    if not stopped and not had_scheduler:
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
