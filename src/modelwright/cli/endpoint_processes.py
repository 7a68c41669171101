"""`wright endpoint`: update, restart, scale, reload, run."""

from pathlib import Path

import click

from modelwright.cli import output

_SCRIPT = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("name")
@click.argument("deployment")
@click.argument("reference", metavar="MODEL:VERSION")
@output.why_option
@output.json_option
def update(name: str, deployment: str, reference: str, *, why: str, as_json: bool) -> None:
    """Let a deployment serve another version, with its share of the requests; none is refused meanwhile."""
    from modelwright.lifecycle import deploying

    with output.session(is_silent=as_json, why=why) as session:
        updated = deploying.update(session, name, deployment, reference)
    if as_json:
        output.show_json(updated)
    else:
        click.echo(f"{updated.name} serves {updated.version}")


@click.command()
@click.argument("name")
@click.argument("deployment", required=False)
@output.why_option
@output.json_option
def restart(name: str, deployment: str | None, *, why: str, as_json: bool) -> None:
    """Replace the processes of a deployment, or of all, one after the other; no request is refused meanwhile."""
    from modelwright.serving import deployments

    with output.session(is_silent=as_json, why=why) as session, session.stage("restart", f'endpoint "{name}"') as stage:
        restarted = deployments.restart(session.store, name, deployment, actor=session.actor, why=why)
        stage.decided = ", ".join(each.name for each in restarted)
    if as_json:
        output.show_json(restarted)
    else:
        click.echo(f"restarted: {', '.join(each.name for each in restarted)}")


@click.command()
@click.argument("name")
@click.argument("deployment", required=False)
@click.option("--workers", type=click.IntRange(1), required=True, help="How many processes answer for it.")
@output.why_option
@output.json_option
def scale(name: str, deployment: str | None, workers: int, *, why: str, as_json: bool) -> None:
    """Have a deployment, by default the default one, served by so many processes; no request is refused meanwhile."""
    from modelwright.serving import deployments

    with output.session(is_silent=as_json, why=why) as session, session.stage("scale", f'endpoint "{name}"') as stage:
        scaled = deployments.scale(session.store, name, deployment, workers, actor=session.actor, why=why)
        stage.decided = f"{scaled.name}: {scaled.workers} workers"
    if as_json:
        output.show_json(scaled)
    else:
        click.echo(f"{scaled.name} has {scaled.workers} worker{'' if scaled.workers == 1 else 's'}")


@click.command("reload")
@click.argument("name")
@click.argument("deployment", required=False)
@click.option("--script", type=_SCRIPT, help="The scoring script; by default that of the project's folder.")
@output.why_option
@output.json_option
def reload_(name: str, deployment: str | None, script: Path | None, *, why: str, as_json: bool) -> None:
    """Read a deployment's scoring script again from your disk, for debugging on this machine.

    What it serves then is not the registered version, and is marked so; `wright endpoint restart` goes back to that.
    """
    from modelwright.lifecycle import debugging

    with output.session(is_silent=as_json, why=why) as session, session.stage("reload", f'endpoint "{name}"') as stage:
        reloaded, used = debugging.reload(session, name, deployment, script=script)
        stage.decided = f"{reloaded.name} with {used}"
    if as_json:
        output.show_json({"deployment": reloaded, "script": used})
        return
    click.echo(f"{reloaded.name} serves with {used} as it is now: that is not the registered {reloaded.version}")
    click.echo(f"  next: wright endpoint restart {name} {reloaded.name}, to serve the registered script again")


@click.command()
@click.argument("reference", metavar="MODEL:VERSION")
@click.option("--foreground", is_flag=True, help="Serve in this terminal, as the only way there is to run it so.")
@click.option("--port", type=click.IntRange(1, 65535), help="By default a free one.")
@click.option("--script", type=_SCRIPT, help="A scoring script to serve with instead of the registered one.")
@click.option(
    "--with", "companions", metavar="MODEL:VERSION", multiple=True, help="What its script needs besides; repeatable."
)
@output.json_option
def run(
    reference: str,
    *,
    foreground: bool,
    port: int | None,
    script: Path | None,
    companions: tuple[str, ...],
    as_json: bool,
) -> None:
    """Serve a version in this terminal, by one process that has it, until Ctrl-C: `breakpoint()` stops in the script.

    Nothing of it is recorded or captured, and no request times out.
    """
    from modelwright.serving import foreground as terminal
    from modelwright.serving import specs
    from modelwright.store import models

    if not foreground:
        raise click.UsageError("give --foreground; wright endpoint deploy serves in the background")  # noqa: TRY003, EM101 - click's way
    with output.opened_store() as store:
        worker = specs.worker(store, models.find_version(store, reference), companions=companions)
        spec = terminal.attached(worker, script=script)

    def on_ready(url: str) -> None:
        if as_json:
            output.show_json({"url": url, "version": spec.version, "script": spec.script})
        else:
            click.echo(f"{spec.version} answers at {url}; Ctrl-C ends it", err=True)

    code = terminal.serve(spec, port=port or 0, on_ready=on_ready)
    if code:
        raise click.exceptions.Exit(code)


COMMANDS = (update, restart, scale, reload_, run)
