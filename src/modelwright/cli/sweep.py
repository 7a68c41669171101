"""`wright sweep`: many trials of one project."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from modelwright.cli import output
from modelwright.cli.grouping import DefaultGroup

if TYPE_CHECKING:
    from modelwright.records import Sweep


@click.group(cls=DefaultGroup)
def sweep() -> None:
    """Try a project with many parameters, and keep the best.

    `wright sweep PROJECT` is short for `wright sweep start PROJECT`.
    """


@sweep.command()
@click.argument("project", type=click.Path(path_type=Path), default=".")
@click.option(
    "--parameter",
    "spaces",
    metavar="NAME=SPACE",
    multiple=True,
    help="What to try, as alpha=uniform(0.1,1); repeatable.",
)
@click.option("--metric", help="What the trials are compared by; by default the gate's.")
@click.option("--goal", type=click.Choice(["minimize", "maximize"]), help="Which is better; by default the gate's.")
@click.option("--sampler", type=click.Choice(["grid", "random", "bayesian"]), default="random", show_default=True)
@click.option("--trials", type=click.IntRange(min=1), help="How many; by default 20, and a grid whole.")
@click.option("--concurrent", type=click.IntRange(min=1), default=1, show_default=True, help="How many at once.")
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed tries the same.")
@click.option(
    "--stop", metavar="RULE", multiple=True, help="median, median(STEP), patience(TRIALS), minutes(M); repeatable."
)
@output.set_option
@click.option("--resume", metavar="RUN", help="Let a sweep go on, as it was specified; --trials may ask for more.")
@output.why_option
@output.json_option
def start(  # noqa: PLR0913 - an argument for each option
    project: Path,
    assignments: tuple[str, ...],
    *,
    spaces: tuple[str, ...],
    metric: str | None,
    goal: str | None,
    sampler: str,
    trials: int | None,
    concurrent: int,
    seed: int,
    stop: tuple[str, ...],
    resume: str | None,
    why: str,
    as_json: bool,
) -> None:
    """Run PROJECT once for each trial, and give the best one's parameters, metrics and model to the sweep's own run."""
    from modelwright.lifecycle import recovery, sweeps
    from modelwright.projects.manifest import read_manifest
    from modelwright.records import Goal, Sampler

    if resume:
        with output.session(is_silent=as_json, why=why) as session:
            recovery.recover(session)
            _show(sweeps.resume(session, resume, trials=trials), as_json=as_json)
        return
    if not spaces:
        rule = "at least one says what to try"
        raise click.BadParameter(rule, param_hint="--parameter")
    manifest = read_manifest(project.absolute())
    specification = sweeps.specify(
        manifest,
        tried=dict(map(_tried, spaces)),
        metric=metric,
        goal=Goal(goal) if goal else None,
        sampler=Sampler(sampler),
        trials=trials,
        concurrent=concurrent,
        seed=seed,
        parameters=output.assigned(assignments),
        stop=stop,
    )
    with output.session(is_made=True, is_silent=as_json, why=why) as session:
        recovery.recover(session)
        _show(sweeps.start(session, manifest, specification), as_json=as_json)


@sweep.command()
@click.argument("run_id", metavar="RUN")
@output.json_option
def show(run_id: str, *, as_json: bool) -> None:
    """Show a sweep: its trials, the best first."""
    from modelwright.store import sweeps

    with output.opened_store() as store:
        found = sweeps.get_sweep(store, run_id)
    _show(found, as_json=as_json)


def _tried(assignment: str) -> tuple[str, str]:
    name, separator, text = assignment.partition("=")
    if not separator or not name:
        raise output.not_an_assignment(assignment, "--parameter")
    return name, text


def _show(found: "Sweep", *, as_json: bool) -> None:
    if as_json:
        output.show_json(found)
        return
    names = [*found.specification.spaces]
    output.show_table(
        ("trial", found.specification.metric, *names, "status", "run"),
        [
            (
                each.number,
                "" if each.value != each.value else f"{each.value:.6g}",
                *(_number(each.parameters.get(name)) for name in names),
                each.status,
                each.run_id,
            )
            for each in found.ranked
        ],
        empty="no trials yet",
    )
    click.echo(found.run_id)
    if found.best:
        click.echo(f"  next: wright model register {found.run_id}")


def _number(value: object) -> object:
    return f"{value:.6g}" if isinstance(value, float) else value
