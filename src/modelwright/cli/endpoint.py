"""`wright endpoint`: deploy, list, show, score, logs, stop, undeploy, delete; its other commands lie beside."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from modelwright import settings
from modelwright.cli import (
    endpoint_access,
    endpoint_grpc,
    endpoint_logs,
    endpoint_processes,
    endpoint_tables,
    endpoint_top,
    endpoint_traffic,
    output,
)
from modelwright.records.plain import plain

if TYPE_CHECKING:
    from modelwright.records import Deployment


@click.group()
def endpoint() -> None:
    """Serve model versions: put them side by side, share out their traffic, and watch."""


@endpoint.command()
@click.argument("reference", metavar="MODEL:VERSION")
@click.option("--name", help="The endpoint's name; by default the model's.")
@click.option("--as", "deployment", default="", metavar="DEPLOYMENT", help="What traffic calls it; else MODEL:VERSION.")
@click.option(
    "--traffic", "share", type=click.FloatRange(0, 100), help="Beside what serves there, with so many percent."
)
@click.option("--shadow", type=click.FloatRange(0, 100), help="Beside it, with copies of so many percent only.")
@click.option(
    "--with", "companions", metavar="MODEL:VERSION", multiple=True, help="What its script needs besides; repeatable."
)
@click.option("--control", "is_control", is_flag=True, help="It is the one that others are compared with.")
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="How many processes answer.")
@click.option("--memory", "memory_gb", type=click.FloatRange(0, min_open=True), help="What each may hold, in GB.")
@click.option("--port", type=click.IntRange(1, 65535), help="By default the endpoint's last one, else any free one.")
@click.option("--host", help="Where it listens; by default as before, else this machine alone: 127.0.0.1.")
@output.why_option
@output.json_option
def deploy(reference: str, name: str | None, deployment: str, *, why: str, as_json: bool, **placed: Any) -> None:
    """Put a model version behind an endpoint; the version before serves until this one has proven itself.

    Without --traffic and --shadow it then takes all requests, and what served before ends.
    """
    from modelwright.lifecycle import deploying
    from modelwright.records import Placement

    placement = Placement(name=deployment, **placed)
    with output.session(is_silent=as_json, why=why) as session:
        done = deploying.deploy(session, reference, endpoint=name, placement=placement)
    place, serving, made = done.endpoint, done.serving, done.made_keys
    version = done.deployment.version
    if as_json:
        told = serving.told() | ({"made_keys": made} if made else {})
        output.show_json({"endpoint": place, "version": version, "deployment": done.deployment.name, **told})
        return
    click.echo(f"{version} answers at {place.url}")
    if len(serving.deployments) > 1:
        click.echo(f"  requests go to {serving.shares()}")
    endpoint_access.show_made_keys(made)
    click.echo(f"  next: wright endpoint score {place.name} --file REQUEST.json")


@endpoint.command("list")
@output.json_option
def list_(*, as_json: bool) -> None:
    """List the endpoints: what they serve, and whether they run."""
    from modelwright.serving import seeing

    with output.opened_store() as store:
        found = seeing.see_all(store)
    if as_json:
        output.show_json([each.told() for each in found])
        return
    output.show_table(
        ("endpoint", "serves", "state", "url"),
        [(each.place.name, each.serving.shares(), each.state.name, each.place.url) for each in found],
        empty="no endpoints yet; make one: wright endpoint deploy MODEL:VERSION",
    )


@endpoint.command()
@click.argument("name")
@output.json_option
def show(name: str, *, as_json: bool) -> None:
    """Show an endpoint: its addresses and state, how requests are shared out, and all that was deployed to it."""
    from modelwright.serving import deployments, seeing

    with output.opened_store() as store:
        seen = seeing.see(store, name)
        captured = deployments.capture_folder(store) / name
    if as_json:
        output.show_json(seen.told() | {"deployments": plain(seen.deployed)})
        return
    place, front = seen.place, seen.front
    output.show_fields(
        [
            ("endpoint", place.name),
            ("url", place.url),
            ("swagger", place.swagger_uri),
            ("as on AKS", place.service_uri),
            ("state", str(seen.state)),
            *([("requests", front.requests), ("process", front.pid)] if front else []),
            ("capture", captured),
            *(
                ("deployment", f"{_called(each)} {each.status} {output.moment(each.created_at)} {each.reason}".strip())
                for each in seen.deployed
            ),
        ]
    )
    if seen.serving.deployments:
        endpoint_tables.show_serving(seen.serving, front)


@endpoint.command()
@click.argument("name")
@click.option("--data", help="The request's body.")
@click.option("--file", "path", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A file with it.")
@click.option("--key", help="A key or token; else that of WRIGHT_ENDPOINT_KEY.")
@output.json_option
def score(name: str, data: str | None, path: Path | None, key: str | None, *, as_json: bool) -> None:
    """Send a request to an endpoint and print its answer; without --data and --file the body is read from stdin."""
    if data is not None and path is not None:
        raise click.BadParameter("give one of them, not both", param_hint="--data, --file")  # noqa: TRY003, EM101 - click's way
    from modelwright.serving import access, deployments

    key = key or settings.endpoint_key()
    given = path.read_bytes() if path else data.encode() if data is not None else None
    body = sys.stdin.buffer.read() if given is None else given
    with output.opened_store() as store:
        answer = deployments.score(store, name, body=body, headers=access.key_header(key) if key else None)
    if as_json:
        output.show_json(answer)
    else:
        click.echo(answer.body)
    if answer.status >= 400:  # noqa: PLR2004 - HTTP's border between answers and errors
        if answer.status == 401 and not as_json:  # noqa: PLR2004 - HTTP's word for a missing key
            click.echo(f"  next: wright endpoint token {name}, and give it with --key", err=True)
        raise click.exceptions.Exit(1)


@endpoint.command()
@click.argument("name")
@output.why_option
@output.json_option
def stop(name: str, *, why: str, as_json: bool) -> None:
    """Stop an endpoint; requests in flight are answered first."""
    from modelwright.serving import deployments

    with output.session(is_silent=True, why=why) as session:
        deployments.stop(session.store, name, actor=session.actor, why=why)
    if as_json:
        output.show_json({"stopped": name})
    else:
        click.echo(f'endpoint "{name}" is stopped')


@endpoint.command()
@click.argument("name")
@click.argument("deployment")
@click.option("--force", is_flag=True, help="Though it has a share of the requests: the default one gets it.")
@output.why_option
@output.json_option
def undeploy(name: str, deployment: str, *, force: bool, why: str, as_json: bool) -> None:
    """End a deployment, given by name or version, and forget it, so that its version can be deleted.

    One that has a share of the requests is refused without --force, and the default one while others are there.
    """
    from modelwright.serving import deployments

    with output.session(is_silent=True, why=why) as session:
        forgotten = deployments.undeploy(session.store, name, deployment, actor=session.actor, why=why, is_forced=force)
    if as_json:
        output.show_json({"forgotten": forgotten})
    else:
        count = len(forgotten)
        click.echo(f'{count} deployment{"" if count == 1 else "s"} of {deployment} to "{name}" forgotten')


@endpoint.command()
@click.argument("name")
@output.why_option
@output.json_option
def delete(name: str, *, why: str, as_json: bool) -> None:
    """Delete a stopped endpoint."""
    from modelwright.serving import deployments

    with output.session(is_silent=True, why=why) as session:
        deployments.delete(session.store, name, actor=session.actor, why=why)
    if as_json:
        output.show_json({"deleted": name})
    else:
        click.echo(f'endpoint "{name}" is deleted')


def _called(deployment: "Deployment") -> str:
    name, version = deployment.name, deployment.version
    called = version if name == version else f"{version} as {name}"
    return " with ".join([called, *deployment.companions])


for each in (
    *endpoint_traffic.COMMANDS,
    *endpoint_processes.COMMANDS,
    *endpoint_grpc.COMMANDS,
    *endpoint_access.COMMANDS,
    *endpoint_logs.COMMANDS,
    *endpoint_top.COMMANDS,
):
    endpoint.add_command(each)
