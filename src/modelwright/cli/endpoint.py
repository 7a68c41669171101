"""`wright endpoint`: deploy, list, show, score, logs, stop, undeploy, delete."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from modelwright.cli import output
from modelwright.records.plain import plain

if TYPE_CHECKING:
    from modelwright.records import FrontStatus


@click.group()
def endpoint() -> None:
    """Deploy, score, stop and look at endpoints."""


@endpoint.command()
@click.argument("reference", metavar="MODEL:VERSION")
@click.option("--name", help="The endpoint's name; by default the model's.")
@click.option("--port", type=click.IntRange(1, 65535), help="By default the endpoint's last one, else any free one.")
@output.why_option
@output.json_option
def deploy(reference: str, name: str | None, port: int | None, *, why: str, as_json: bool) -> None:
    """Put a model version behind an endpoint; the version before serves until this one has proven itself."""
    from modelwright.lifecycle import recovery
    from modelwright.serving import deployments
    from modelwright.store import endpoints, models

    with output.session(why=why) as session:
        store = session.store
        recovery.recover(session)
        version = models.find_version(store, reference)
        with deployments.deploying(
            store, version, endpoint=name or version.model, port=port, actor=session.actor, why=why
        ) as deployment:
            deployments.smoke_test(store, deployment)
        place = endpoints.get_endpoint(store, deployment.endpoint)
    if as_json:
        output.show_json({"endpoint": place, "version": version.reference})
    else:
        click.echo(f"{version.reference} answers at {place.url}")
        click.echo(f"  next: wright endpoint score {place.name} --file REQUEST.json")


@endpoint.command("list")
@output.json_option
def list_(*, as_json: bool) -> None:
    """List the endpoints: what they serve, and whether they run."""
    from modelwright.serving import deployments
    from modelwright.store import endpoints

    with output.opened_store() as store:
        found = [(each, deployments.status(store, each.name)) for each in endpoints.list_endpoints(store)]
        then = endpoints.served(store) if store.moment else {}
    serving = {each.name: front.version if front else then.get(each.name) for each, front in found}
    if as_json:
        output.show_json(
            [plain(each) | {"running": plain(front), "serves": serving[each.name]} for each, front in found]
        )
        return
    output.show_table(
        ("endpoint", "serves", "state", "url"),
        [
            (
                each.name,
                serving[each.name],
                _state(front) if front else "answered" if each.name in then else "not running",
                each.url,
            )
            for each, front in found
        ],
        empty="no endpoints yet; make one: wright endpoint deploy MODEL:VERSION",
    )


@endpoint.command()
@click.argument("name")
@output.json_option
def show(name: str, *, as_json: bool) -> None:
    """Show an endpoint and everything that was deployed to it."""
    from modelwright.serving import deployments
    from modelwright.store import endpoints

    with output.opened_store() as store:
        place = endpoints.get_endpoint(store, name)
        front = deployments.status(store, name)
        served = endpoints.list_deployments(store, endpoint=name)
        captured = deployments.capture_folder(store) / name
        then = endpoints.served(store) if store.moment else None
    serving = front.version if front else (then or {}).get(name)
    if as_json:
        output.show_json(plain(place) | {"running": plain(front), "serves": serving, "deployments": plain(served)})
        return
    state = _state(front) if front else "not running; wright up starts it"
    if then is not None:
        state = f"served {serving}" if serving else "served nothing"
    output.show_fields(
        [
            ("endpoint", place.name),
            ("url", place.url),
            ("state", state),
            *([("requests", front.requests), ("process", front.pid)] if front else []),
            ("capture", captured),
            *(
                ("deployment", f"{each.version} {each.status} {output.moment(each.created_at)} {each.reason}".strip())
                for each in served
            ),
        ]
    )


@endpoint.command()
@click.argument("name")
@click.option("--data", help="The request's body.")
@click.option("--file", "path", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A file with it.")
@output.json_option
def score(name: str, data: str | None, path: Path | None, *, as_json: bool) -> None:
    """Send a request to an endpoint and print its answer; without --data and --file the body is read from stdin."""
    if data is not None and path is not None:
        raise click.BadParameter("give one of them, not both", param_hint="--data, --file")  # noqa: TRY003, EM101 - click's way
    from modelwright.serving import deployments

    given = path.read_bytes() if path else data.encode() if data is not None else None
    body = sys.stdin.buffer.read() if given is None else given
    with output.opened_store() as store:
        answer = deployments.score(store, name, body=body)
    if as_json:
        output.show_json(answer)
    else:
        click.echo(answer.body)
    if answer.status >= 400:  # noqa: PLR2004 - HTTP's border between answers and errors
        raise click.exceptions.Exit(1)


@endpoint.command()
@click.argument("name")
@click.option("--lines", type=click.IntRange(1), default=100, show_default=True, help="How many, from the end.")
@output.json_option
def logs(name: str, lines: int, *, as_json: bool) -> None:
    """Print the end of an endpoint's log: its server's lines and what the scoring script printed."""
    from modelwright.serving import deployments
    from modelwright.store import endpoints

    with output.opened_store() as store:
        endpoints.get_endpoint(store, name)
        path = deployments.log_file(store, name)
    last = path.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:] if path.exists() else []
    if as_json:
        output.show_json({"file": path, "lines": last})
    else:
        click.echo("\n".join(last))


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
@click.argument("reference", metavar="MODEL:VERSION")
@output.why_option
@output.json_option
def undeploy(name: str, reference: str, *, why: str, as_json: bool) -> None:
    """Forget that a version was deployed to an endpoint where it no longer serves, so that it can be deleted."""
    from modelwright.serving import deployments

    with output.session(is_silent=True, why=why) as session:
        forgotten = deployments.undeploy(session.store, name, reference, actor=session.actor, why=why)
    if as_json:
        output.show_json({"forgotten": forgotten})
    else:
        count = len(forgotten)
        click.echo(f'{count} deployment{"" if count == 1 else "s"} of {reference} to "{name}" forgotten')


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


def _state(front: "FrontStatus") -> str:
    return "healthy" if front.is_healthy else "unhealthy"
