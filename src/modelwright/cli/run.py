"""`wright run`: train, list, show."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from modelwright.cli import output
from modelwright.cli.grouping import DefaultGroup
from modelwright.records.plain import plain

if TYPE_CHECKING:
    from modelwright.lifecycle.training import Trained
    from modelwright.runs.states import Rules


@click.group(cls=DefaultGroup)
def run() -> None:
    """Train a project's model on the record; list and show runs.

    `wright run PROJECT` is short for `wright run start PROJECT`.
    """


def _execution_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that say how a pipeline is executed; the command gets them as `rules`."""

    @functools.wraps(command)
    def with_rules(*arguments: Any, fresh: bool, continue_on_failure: bool, **others: Any) -> None:
        from modelwright.runs.states import Rules

        command(*arguments, rules=Rules(is_fresh=fresh, is_thorough=continue_on_failure), **others)

    for option in (
        output.json_option,
        click.option("--no-gate", is_flag=True, help="Let the run succeed whether or not it beats the champion."),
        click.option("--continue-on-failure", is_flag=True, help="When a step fails, let other branches finish."),
        click.option("--fresh", is_flag=True, help="Run every step, whether or not its outputs are known."),
    ):
        with_rules = option(with_rules)
    return with_rules


@run.command()
@click.argument("project", type=click.Path(path_type=Path), default=".")
@output.set_option
@click.option(
    "--seed", type=int, default=0, help="Where random draws begin that the code does not seed itself; else 0."
)
@click.option("--experiment", metavar="NAME", default="", help="The group of runs it belongs to; else the project's.")
@click.option("--tag", "tags", metavar="NAME=VALUE", multiple=True, help="Give the run a tag; repeatable.")
@output.why_option
@_execution_options
def start(  # noqa: PLR0913 - an argument for each option
    project: Path,
    assignments: tuple[str, ...],
    tags: tuple[str, ...],
    *,
    seed: int,
    experiment: str,
    rules: "Rules",
    no_gate: bool,
    why: str,
    as_json: bool,
) -> None:
    """Run PROJECT's pipeline and its gate; exit 1 when the champion is not beaten.

    Steps whose code, inputs, parameters, environment and files have not changed are reused.
    """
    from modelwright.lifecycle import recovery, training
    from modelwright.projects.manifest import read_manifest

    overrides = output.assigned(assignments)
    origin = training.Origin(experiment=experiment, tags=dict(map(_tag, tags)), seed=seed)
    manifest = read_manifest(project.absolute())
    with output.session(is_made=True, is_silent=as_json, why=why) as session:
        recovery.recover(session)
        trained = training.train(
            session,
            manifest,
            overrides=overrides,
            is_gated=not no_gate,
            rules=rules,
            origin=origin,
        )
    _show_trained(trained, as_json=as_json)


@run.command()
@click.argument("run_id", metavar="RUN")
@output.why_option
@_execution_options
def resume(run_id: str, *, rules: "Rules", no_gate: bool, why: str, as_json: bool) -> None:
    """Let RUN go on that failed, was cancelled or killed; its finished steps are not repeated.

    It goes on with the code and the parameters that it was started with.
    """
    from modelwright.lifecycle import recovery, training

    with output.session(is_silent=as_json, why=why) as session:
        recovery.recover(session)
        trained = training.resume(session, run_id, is_gated=not no_gate, rules=rules)
    _show_trained(trained, as_json=as_json)


@run.command()
@click.argument("run_id", metavar="RUN")
@output.why_option
@output.json_option
def cancel(run_id: str, *, why: str, as_json: bool) -> None:
    """End RUN, which is running, with all its steps; `wright run resume` lets it go on."""
    from modelwright.lifecycle import training

    with output.session(is_silent=True, why=why) as session:
        found = training.cancelled(session, run_id)
    if as_json:
        output.show_json(found)
    else:
        click.echo(f"{run_id} {found.status}")


@run.command("list")
@click.option("--experiment", metavar="NAME", help="Only runs of this experiment.")
@click.option(
    "--status",
    type=click.Choice(["queued", "running", "succeeded", "failed", "cancelled"]),
    help="Only runs that stand so.",
)
@click.option("--tag", "tags", metavar="NAME[=VALUE]", multiple=True, help="Only with this tag; all, if repeated.")
@click.option(
    "--where",
    "filters",
    metavar="FILTER",
    multiple=True,
    help="Only runs for which this holds, such as 'mse < 3000 and alpha = 0.5'; repeatable.",
)
@click.option("--order", metavar="NAME", help="By this metric, parameter or attribute; -NAME for the largest first.")
@click.option("--limit", metavar="COUNT", type=click.IntRange(min=1), help="At most so many.")
@output.json_option
def list_(
    filters: tuple[str, ...],
    tags: tuple[str, ...],
    *,
    experiment: str | None,
    status: str | None,
    order: str | None,
    limit: int | None,
    as_json: bool,
) -> None:
    """List the runs, newest first, or those that answer to all that is asked.

    A filter compares metrics, parameters, tags and attributes with = != < <= > >= contains; and, or, brackets.
    """
    from modelwright.cli import run_tables
    from modelwright.runs.searching import find_runs

    with output.opened_store() as store:
        found = find_runs(
            store,
            filters,
            experiment=experiment,
            status=status,
            tags=output.filters(tags),
            order=order,
            limit=limit,
        )
    if as_json:
        output.show_json(found)
    else:
        run_tables.show_runs(found, is_filtered=bool(filters or tags or experiment or status))


@run.command()
@click.argument("run_id", metavar="RUN")
@click.option("--follow", is_flag=True, help="First tell of its steps and metrics while it runs, until it has ended.")
@output.json_option
def show(run_id: str, *, follow: bool, as_json: bool) -> None:
    """Show one run: parameters, metrics, steps, data, code, commit, machine, and the runs that it belongs with."""
    from modelwright.cli import following, run_tables, verdicts
    from modelwright.store import runs

    with output.opened_store() as store:
        if follow:
            following.follow(store, run_id, tell=(lambda _: None) if as_json else click.echo)
        found = runs.get_run(store, run_id)
        children = runs.list_runs(store, parent_id=found.id)
        verdict = verdicts.of_run(store, found.id)
    if as_json:
        output.show_json(plain(found) | {"children": [each.id for each in children]} | verdicts.as_json(verdict))
    else:
        run_tables.show_run(found, children=children, verdict=verdict)


@run.command()
@click.argument("first", metavar="RUN")
@click.argument("second", metavar="RUN")
@output.json_option
def diff(first: str, second: str, *, as_json: bool) -> None:
    """Show two runs side by side: parameters, metrics, data, and what differs in packages and code."""
    from modelwright.cli import run_tables
    from modelwright.runs.comparing import compare_runs

    with output.opened_store() as store:
        found = compare_runs(store, first, second)
    if as_json:
        output.show_json(found)
    else:
        run_tables.show_comparison(found)


@run.command()
@click.argument("run_id", metavar="RUN")
@click.argument("assignments", metavar="NAME=VALUE", nargs=-1, required=True)
@output.why_option
@output.json_option
def tag(run_id: str, assignments: tuple[str, ...], *, why: str, as_json: bool) -> None:
    """Set tags of RUN, whether or not it has ended."""
    from modelwright.lifecycle import labelling

    with output.session(is_silent=True, why=why) as session:
        found = labelling.tag_run(session, run_id, dict(map(_tag, assignments)))
    if as_json:
        output.show_json(found)
    else:
        click.echo(f"{run_id} {', '.join(f'{name}={value}' for name, value in found.tags.items())}")


@run.command()
@click.argument("run_id", metavar="RUN")
@click.argument("text", metavar="TEXT")
@output.why_option
@output.json_option
def note(run_id: str, text: str, *, why: str, as_json: bool) -> None:
    """Write what is to be said about RUN, in place of what was said before."""
    from modelwright.lifecycle import labelling

    with output.session(is_silent=True, why=why) as session:
        found = labelling.note_run(session, run_id, text)
    if as_json:
        output.show_json(found)
    else:
        click.echo(f"{run_id} {found.note}")


@run.command()
@click.argument("run_id", metavar="RUN")
@click.option("--with-children", is_flag=True, help="Delete the runs below it too, such as the trials of a sweep.")
@output.why_option
@output.json_option
def delete(run_id: str, *, with_children: bool, why: str, as_json: bool) -> None:
    """Delete RUN, which nothing uses: no model version, no run that reused its steps, no run below it."""
    from modelwright.lifecycle import deletion

    with output.session(is_silent=True, why=why) as session:
        deleted = deletion.delete_run(session, run_id, with_children=with_children)
    if as_json:
        output.show_json({"deleted": [each.id for each in deleted]})
    else:
        click.echo("\n".join(f"{each.id} is deleted" for each in deleted))
        click.echo("  next: wright gc --dry-run")


def _show_trained(trained: "Trained", *, as_json: bool) -> None:
    if as_json:
        output.show_json(plain(trained.run) | {"verdict": plain(trained.verdict)})
    else:
        click.echo(trained.run.id)
        click.echo(f"  next: wright model register {trained.run.id}")


def _tag(assignment: str) -> tuple[str, str]:
    name, separator, value = assignment.partition("=")
    if not separator or not name:
        raise output.not_an_assignment(assignment, "--tag")
    return name, value
