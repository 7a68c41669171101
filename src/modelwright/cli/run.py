"""`wright run`: train, list, show."""

import json
from pathlib import Path

import click

from modelwright.cli import output


class _DefaultGroup(click.Group):
    """A group that takes anything which is not one of its commands as arguments of `start`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] not in ctx.help_option_names):
            args = ["start", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_DefaultGroup)
def run() -> None:
    """Train a project's model on the record; list and show runs.

    `wright run PROJECT` is short for `wright run start PROJECT`.
    """


@run.command()
@click.argument("project", type=click.Path(path_type=Path), default=".")
@click.option("--set", "assignments", metavar="NAME=VALUE", multiple=True, help="Override a parameter; repeatable.")
@click.option("--no-gate", is_flag=True, help="Let the run succeed whether or not it beats the champion.")
@output.json_option
def start(project: Path, assignments: tuple[str, ...], *, no_gate: bool, as_json: bool) -> None:
    """Run PROJECT's pipeline and its gate; exit 1 when the champion is not beaten."""
    from modelwright.lifecycle import recovery, training
    from modelwright.projects.manifest import read_manifest

    overrides = dict(map(_parsed, assignments))
    manifest = read_manifest(project.absolute())
    with output.session(is_made=True, is_silent=as_json) as session:
        recovery.recover(session)
        trained = training.train(session, manifest, overrides=overrides, is_gated=not no_gate)
    if as_json:
        output.show_json(trained.run)
    else:
        click.echo(trained.run.id)
        click.echo(f"  next: wright model register {trained.run.id}")


@run.command("list")
@output.json_option
def list_(*, as_json: bool) -> None:
    """List the runs, newest first."""
    from modelwright.store import runs

    with output.opened_store() as store:
        found = runs.list_runs(store)
    if as_json:
        output.show_json(found)
        return
    output.show_table(
        ("run", "project", "status", "started", "metrics"),
        [
            (
                each.id,
                each.project,
                each.status,
                output.moment(each.started_at),
                ", ".join(f"{name}={value:.6g}" for name, value in each.metrics.items()),
            )
            for each in found
        ],
        empty="no runs yet; start one: wright run PROJECT",
    )


@run.command()
@click.argument("run_id", metavar="RUN")
@output.json_option
def show(run_id: str, *, as_json: bool) -> None:
    """Show one run: parameters, metrics, steps, data, code."""
    from modelwright.store import runs

    with output.opened_store() as store:
        found = runs.get_run(store, run_id)
    if as_json:
        output.show_json(found)
        return
    output.show_fields(
        [
            ("run", found.id),
            ("project", found.project),
            ("status", f"{found.status} {found.reason}".strip()),
            ("started", output.moment(found.started_at)),
            ("finished", output.moment(found.finished_at)),
            *(("parameter", f"{name} = {value!r}") for name, value in found.parameters.items()),
            *(("metric", f"{name} = {value!r}") for name, value in found.metrics.items()),
            *(("dataset", f"{each.reference} {each.digest[:12]}") for each in found.datasets),
            ("environment", found.environment_digest[:12]),
            ("code", found.code_digest[:12]),
            ("commit", f"{found.git.commit}{' + changes' if found.git.is_dirty else ''}" if found.git else "none"),
            *(("step", f"{each.position} {each.name}: {each.status}") for each in found.steps),
            *(("artifact", f"{each.path} {each.digest[:12]} {each.size_bytes:,} bytes") for each in found.artifacts),
        ]
    )


def _parsed(assignment: str) -> tuple[str, object]:
    name, separator, text = assignment.partition("=")
    if not separator or not name:
        raise output.not_an_assignment(assignment, "--set")
    try:
        return name, json.loads(text)
    except json.JSONDecodeError:
        return name, text
