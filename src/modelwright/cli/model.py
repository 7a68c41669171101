"""`wright model`: register, list, show, delete."""

import click

from modelwright.cli import output
from modelwright.cli.explain import explain, summary
from modelwright.records import VersionFilter
from modelwright.records.plain import plain


@click.group()
def model() -> None:
    """Register, list, show and delete model versions."""


model.add_command(explain)


@model.command()
@click.argument("run_id", metavar="RUN")
@click.option("--name", help="The model's name; by default the project's.")
@click.option("--tag", "tags", metavar="NAME=VALUE", multiple=True, help="Label the version; repeatable.")
@output.json_option
def register(run_id: str, name: str | None, tags: tuple[str, ...], *, as_json: bool) -> None:
    """Register what RUN made as the model's next version and let `champion` point at it."""
    from modelwright.lifecycle import training

    labels = dict(map(_tag, tags))
    with output.session() as session:
        version = training.register(session, run_id, model=name, tags=labels)
    if as_json:
        output.show_json(version)
    else:
        click.echo(version.reference)
        click.echo(f"  next: wright endpoint deploy {version.reference}")


@model.command("list")
@click.argument("name", required=False)
@output.json_option
def list_(name: str | None, *, as_json: bool) -> None:
    """List the versions of all models, or of the model NAME, newest first."""
    from modelwright.store import models

    with output.opened_store() as store:
        found = models.list_versions(store, VersionFilter(model=name))
    if as_json:
        output.show_json(found)
        return
    output.show_table(
        ("version", "aliases", "framework", "registered", "metrics"),
        [
            (
                each.reference,
                ", ".join(each.aliases),
                each.framework,
                output.moment(each.created_at),
                ", ".join(f"{metric}={value:.6g}" for metric, value in each.metrics.items()),
            )
            for each in found
        ],
        empty="no models yet; make one: wright ship TRAINING.ipynb",
    )


@model.command()
@click.argument("reference")
@output.json_option
def show(reference: str, *, as_json: bool) -> None:
    """Show a version, named as churn:3, churn@champion, or churn for the newest."""
    from modelwright.store import endpoints, explanations, models

    with output.opened_store() as store:
        found = models.find_version(store, reference)
        served = endpoints.list_deployments(store, version_id=found.id)
        explained = explanations.latest_explanation(store, found)
    if as_json:
        output.show_json(plain(found) | {"deployments": plain(served)})
        return
    output.show_fields(
        [
            ("version", found.reference),
            ("aliases", ", ".join(found.aliases) or "none"),
            ("framework", found.framework),
            ("digest", found.digest),
            ("registered", output.moment(found.created_at)),
            ("run", found.run_id),
            ("proof", found.proof_id or "none: no equal proof of this code is recorded"),
            ("environment", found.environment_digest),
            *(("metric", f"{name} = {value!r}") for name, value in found.metrics.items()),
            *summary(explained),
            *(("tag", f"{name}={value}") for name, value in found.tags.items()),
            *(("file", f"{each.path} {each.digest[:12]} {each.size_bytes:,} bytes") for each in found.files),
            *(
                ("deployed", f"{each.endpoint}: {each.status} since {output.moment(each.created_at)}")
                for each in served
            ),
        ]
    )


@model.command()
@click.argument("reference", metavar="MODEL:VERSION")
@output.why_option
@output.json_option
def delete(reference: str, *, why: str, as_json: bool) -> None:
    """Delete a version that nothing uses: no deployment, alias or derived version. Its number is not given again."""
    from modelwright.lifecycle import deletion

    with output.session(is_silent=True, why=why) as session:
        deleted = deletion.delete_model(session, reference)
    if as_json:
        output.show_json({"deleted": deleted.reference})
    else:
        click.echo(f"{deleted.reference} is deleted")
        click.echo("  next: wright gc --dry-run")


def _tag(assignment: str) -> tuple[str, str]:
    name, separator, value = assignment.partition("=")
    if not separator or not name:
        raise output.not_an_assignment(assignment, "--tag")
    return name, value
