"""How runs are shown: many in a table, one by its facts, two side by side."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from modelwright.cli import output, verdicts

if TYPE_CHECKING:
    from modelwright.records import Run, StepRun, Verdict
    from modelwright.runs.comparing import Pair, RunComparison


def show_runs(found: Sequence["Run"], *, is_filtered: bool) -> None:
    """Print a line for each run."""
    output.show_table(
        ("run", "project", "experiment", "status", "started", "parameters", "metrics"),
        [
            (
                each.id,
                each.project,
                each.experiment,
                each.status,
                output.moment(each.started_at),
                ", ".join(f"{name}={value}" for name, value in each.parameters.items()),
                ", ".join(f"{name}={value:.6g}" for name, value in each.metrics.items()),
            )
            for each in found
        ],
        empty="no run is like that" if is_filtered else "no runs yet; start one: wright run PROJECT",
    )


def show_run(found: "Run", *, children: Sequence["Run"], verdict: "Verdict | None" = None) -> None:
    """Print all that is known of a run."""
    git = found.git
    output.show_fields(
        [
            ("run", found.id),
            ("kind", found.kind),
            ("project", found.project or "none"),
            ("experiment", found.experiment),
            ("status", f"{found.status} {found.reason}".strip()),
            ("actor", found.actor),
            ("started", output.moment(found.started_at)),
            ("finished", output.moment(found.finished_at)),
            *([("note", found.note)] if found.note else []),
            *([("parent", found.parent_id)] if found.parent_id else []),
            *(("child", f"{each.id} {each.status}") for each in children),
            *(("tag", f"{name} = {value}") for name, value in found.tags.items()),
            *(("parameter", f"{name} = {value!r}") for name, value in found.parameters.items()),
            *(("metric", f"{name} = {value!r}") for name, value in found.metrics.items()),
            *(("dataset", f"{each.reference} {each.digest[:12]}") for each in found.datasets),
            *([("seed", found.seed)] if found.seed is not None else []),
            ("environment", found.environment_digest[:12]),
            ("code", found.code_digest[:12]),
            ("commit", f"{git.commit}{' + changes' if git.is_dirty else ''}" if git else "none"),
            *([("branch", git.branch)] if git and git.branch else []),
            *([("repository", git.repository)] if git and git.repository else []),
            *(("machine", f"{name} = {value}") for name, value in found.machine.items()),
            *(("step", _step(each)) for each in found.steps),
            *verdicts.fields(verdict),
            *(("artifact", f"{each.path} {each.digest[:12]} {each.size_bytes:,} bytes") for each in found.artifacts),
        ]
    )


def show_comparison(found: "RunComparison") -> None:
    """Print two runs side by side; of packages and code only what differs."""
    for title, pairs in (
        ("run", [each for each in found.facts if not each.is_equal]),
        ("parameter", found.parameters),
        ("metric", found.metrics),
        ("tag", found.tags),
        ("dataset", found.datasets),
        ("package", found.packages),
    ):
        if pairs:
            output.show_table((title, found.first, found.second, ""), [_row(each) for each in pairs], empty="")
    if not found.packages:
        click.echo("environment: the same packages")
    if not found.code:
        click.echo("code: the same files")
    for file in found.code:
        click.echo(f"code: {file.path} {file.change}{'' if file.difference else ', no text'}")
        click.echo(file.difference, nl=False)


def _row(pair: "Pair") -> tuple[object, ...]:
    first, second = ("" if each is None else each for each in (pair.first, pair.second))
    return pair.name, first, second, "" if pair.is_equal else "differs"


def _step(step: "StepRun") -> str:
    told = f"{step.position} {step.name}: {step.status}"
    if step.reused_from:
        told += f", reused from {step.reused_from}"
    if step.attempts > 1:
        told += f", {step.attempts} attempts"
    return f"{told} {step.reason}".strip()
