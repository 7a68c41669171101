"""`wright pipeline`: publish, run, clone, compare."""

from pathlib import Path

import click

from modelwright.cli import output
from modelwright.records.plain import plain


@click.group()
def pipeline() -> None:
    """Publish a project's pipeline as it is now, and run it as it was then."""


@pipeline.command()
@click.argument("project", type=click.Path(path_type=Path), default=".")
@click.option("--name", help="The pipeline's name; by default the project's.")
@click.option("--description", metavar="TEXT", default="", help="What it is for, or what is new in it.")
@output.why_option
@output.json_option
def publish(project: Path, name: str | None, description: str, *, why: str, as_json: bool) -> None:
    """Freeze PROJECT's code, parameters and lock as the pipeline's next version; unchanged, it stays the same."""
    from modelwright.lifecycle import publishing
    from modelwright.projects.manifest import read_manifest

    manifest = read_manifest(project.absolute())
    with output.session(is_made=True, is_silent=as_json, why=why) as session:
        version = publishing.publish(session, manifest, name=name, description=description)
    if as_json:
        output.show_json(version)
    else:
        click.echo(version.reference)
        click.echo(f"  next: wright pipeline run {version.reference}")


@pipeline.command("list")
@click.argument("name", required=False)
@output.json_option
def list_(name: str | None, *, as_json: bool) -> None:
    """List the versions of all published pipelines, or of NAME, newest first."""
    from modelwright.store import pipelines

    with output.opened_store() as store:
        found = pipelines.list_versions(store, pipeline=name)
    if as_json:
        output.show_json(found)
        return
    output.show_table(
        ("version", "project", "enabled", "published", "description"),
        [
            (
                each.reference,
                each.project,
                "yes" if each.may_run else "no",
                output.moment(each.created_at),
                each.description,
            )
            for each in found
        ],
        empty="no published pipelines yet; publish one: wright pipeline publish PROJECT",
    )


@pipeline.command()
@click.argument("reference", metavar="NAME[:VERSION]")
@output.json_option
def show(reference: str, *, as_json: bool) -> None:
    """Show a version: its parameters, steps, environment, files, parent, and who published it when."""
    from modelwright.lifecycle import publishing

    with output.opened_store() as store:
        seen = publishing.describe(store, reference)
    found, parent = seen.version, seen.parent
    if as_json:
        output.show_json(seen.told())
        return
    output.show_fields(
        [
            ("pipeline", found.reference),
            ("description", found.description),
            ("project", found.project),
            ("enabled", "yes" if found.may_run else "no"),
            ("published", f"{output.moment(found.created_at)} by {seen.published_by}"),
            ("parent", parent or "none"),
            (
                "commit",
                f"{seen.commit}{' + changes' if seen.is_dirty else ''}" if seen.commit else "none",
            ),
            ("environment", found.environment_digest[:12]),
            ("code", found.code_digest[:12]),
            *(("parameter", f"{name} = {value!r}") for name, value in found.parameters.items()),
            *(
                ("step", f"{each.name}: {each.module}.{each.function} gives {', '.join(each.outputs) or 'nothing'}")
                for each in seen.steps
            ),
            *(("file", f"{each.path} {each.digest[:12]} {each.size_bytes:,} bytes") for each in found.files),
        ]
    )


@pipeline.command()
@click.argument("reference", metavar="NAME[:VERSION]")
@output.set_option
@click.option("--no-gate", is_flag=True, help="Let the run succeed whether or not it beats the champion.")
@output.why_option
@output.json_option
def run(reference: str, assignments: tuple[str, ...], *, no_gate: bool, why: str, as_json: bool) -> None:
    """Run a version's own code, whatever the project has become; NAME alone is the newest that is enabled."""
    from modelwright.lifecycle import publishing, recovery

    overrides = output.assigned(assignments)
    with output.session(is_silent=as_json, why=why) as session:
        recovery.recover(session)
        trained = publishing.run_published(session, reference, overrides=overrides, is_gated=not no_gate)
    if as_json:
        output.show_json(plain(trained.run) | {"verdict": plain(trained.verdict)})
    else:
        click.echo(trained.run.id)
        click.echo(f"  next: wright model register {trained.run.id}")


@pipeline.command()
@click.argument("reference", metavar="NAME[:VERSION]|RUN")
@click.argument("folder", type=click.Path(path_type=Path))
@output.why_option
@output.json_option
def clone(reference: str, folder: Path, *, why: str, as_json: bool) -> None:
    """Write an editable copy of a version's project, or of a run's with its parameters, to the new FOLDER."""
    from modelwright.lifecycle import publishing

    into = folder.absolute()
    with output.session(is_silent=as_json, why=why) as session:
        parent = publishing.clone(session, reference, into=into)
    if as_json:
        output.show_json({"project": str(into), "parent": plain(parent)})
    else:
        click.echo(str(into))
        click.echo(f"  next: edit it, then: wright pipeline publish {into}")


@pipeline.command()
@click.argument("reference", metavar="NAME[:VERSION]")
@output.why_option
@output.json_option
def enable(reference: str, *, why: str, as_json: bool) -> None:
    """Let a pipeline, or one version of it, run again."""
    _switch(reference, is_enabled=True, why=why, as_json=as_json)


@pipeline.command()
@click.argument("reference", metavar="NAME[:VERSION]")
@output.why_option
@output.json_option
def disable(reference: str, *, why: str, as_json: bool) -> None:
    """Let a pipeline, or one version of it, not run until it is enabled again; schedules included."""
    _switch(reference, is_enabled=False, why=why, as_json=as_json)


@pipeline.command()
@click.argument("before", metavar="NAME[:VERSION]")
@click.argument("after", metavar="NAME[:VERSION]")
@output.json_option
def diff(before: str, after: str, *, as_json: bool) -> None:
    """Compare two versions: parameters and packages side by side, files as a diff."""
    from modelwright.lifecycle import comparing

    with output.opened_store() as store:
        found = comparing.compare(store, before, after)
    if as_json:
        output.show_json(found)
        return
    for noun, changed in (("parameter", found.parameters), ("environment", found.environment)):
        if changed:
            rows = [(each.name, _shown(each.before), _shown(each.after)) for each in changed]
            output.show_table((noun, found.before, found.after), rows, empty="")
    for file in found.files:
        click.echo(f"{file.change} {file.path}")
        click.echo(file.diff, nl=False)
    if not (found.parameters or found.environment or found.files):
        click.echo("no difference")


@pipeline.command()
@click.argument("reference", metavar="NAME:VERSION")
@output.why_option
@output.json_option
def delete(reference: str, *, why: str, as_json: bool) -> None:
    """Delete a published version that no run, schedule or clone uses."""
    from modelwright.lifecycle import deletion

    with output.session(is_silent=True, why=why) as session:
        deleted = deletion.delete_pipeline(session, reference)
    if as_json:
        output.show_json({"deleted": deleted.reference})
    else:
        click.echo(f"{deleted.reference} is deleted")
        click.echo("  next: wright gc --dry-run")


def _switch(reference: str, *, is_enabled: bool, why: str, as_json: bool) -> None:
    from modelwright.lifecycle import publishing

    with output.session(is_silent=as_json, why=why) as session:
        found = publishing.switched(session, reference, is_enabled=is_enabled)
    if as_json:
        output.show_json(found)
    else:
        click.echo(f'pipeline "{reference}" is {"enabled" if is_enabled else "disabled"}')


def _shown(value: object) -> str:
    return "" if value is None else str(value)
