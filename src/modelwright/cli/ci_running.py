"""`wright ci run`, `wright ci hook`, `wright watch`: the automation of one machine."""

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from modelwright import settings
from modelwright.cli import output
from modelwright.errors import ModelwrightError, WorkflowFailed, WorkflowWaits
from modelwright.records import now

if TYPE_CHECKING:
    from modelwright.lifecycle.ci.local.workflow import Report, Situation

_project = click.argument("project", type=click.Path(path_type=Path), default=".")
_EVENTS = ("push", "pull_request", "manual", "schedule", "completed")


@click.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--stage", metavar="NAME", help="Only this job, or the jobs of this stage, and what they need.")
@click.option("--event", type=click.Choice(_EVENTS), help="What starts it; by default a push, else by hand.")
@click.option("--branch", help="The branch of the event; by default the one that is checked out.")
@click.option(
    "--commit", default="HEAD", show_default=True, help="What is checked out: commits only, never open edits."
)
@click.option(
    "--since", metavar="COMMIT", help="Paths that differ from it count as changed; by default from its parent."
)
@click.option("--build", metavar="ID", help="The build's id; by default the time.")
@click.option(
    "--var", "variables", metavar="NAME=VALUE", multiple=True, help="A variable or secret that the system keeps."
)
@click.option(
    "--input", "inputs", metavar="NAME=VALUE", multiple=True, help="What is given when it is started by hand."
)
@click.option(
    "--approve", "approved", metavar="NAME", multiple=True, help="Approve of an environment, or a manual job."
)
@click.option(
    "--jobs", metavar="COUNT", type=click.IntRange(min=1), default=1, show_default=True, help="So many jobs at once."
)
@click.option(
    "--into", metavar="FOLDER", type=click.Path(path_type=Path), help="Jobs, artifacts; by default a new one."
)
@output.json_option
def run(  # noqa: PLR0913 - an option each
    file: Path,
    *,
    stage: str | None,
    event: str | None,
    branch: str | None,
    commit: str,
    since: str | None,
    build: str | None,
    variables: tuple[str, ...],
    inputs: tuple[str, ...],
    approved: tuple[str, ...],
    jobs: int,
    into: Path | None,
    as_json: bool,
) -> None:
    """Run a workflow file of GitHub, Azure or GitLab here, job by job; exit 1 when one fails or waits for somebody."""
    from modelwright.lifecycle.ci import commits
    from modelwright.lifecycle.ci.local import files, running
    from modelwright.lifecycle.ci.local.workflow import Event, Place, Report, Situation
    from modelwright.projects.ci.workflows import repository_of

    path = file.absolute()
    repository = repository_of(path.parent)
    found = commits.resolve(repository, commit)
    base = commits.resolve(repository, since) if since else commits.parent_of(repository, found)

    def situation_of(event: str) -> "Situation":
        return Situation(
            event=Event(event),
            branch=branch or commits.branch_of(repository),
            commit=found,
            changed=commits.changed(repository, base, found),
            build=build or str(time.time_ns() // 1_000_000),
            variables=_kept() | _assigned(variables, "--var"),
            inputs=_assigned(inputs, "--input"),
        )

    situation = situation_of(event or "push")
    workflow = files.read(path, situation)
    if event is None and not workflow.is_for_event:
        situation = situation_of("manual")
        workflow = files.read(path, situation)
    report, folder = Report(), into
    if not workflow.reason:
        tell = _silent if as_json else click.echo
        report, folder = _run_in(
            into,
            lambda place: running.run(
                workflow,
                situation,
                Place(repository, place),
                tell=tell,
                only=stage,
                approved=approved,
                at_once=jobs,
            ),
        )
    _conclude(file, report, folder, reason=workflow.reason, as_json=as_json)


def _run_in(named: Path | None, start: "Callable[[Path], Report]") -> "tuple[Report, Path | None]":
    """Run jobs in the folder that was named, or in a new one, which keeps what they leave when they failed.

    Return the folder too, unless there is nothing in it that is wanted.
    """
    if named is not None:
        if named.is_dir() and any(named.iterdir()):
            rule = f'"{named}" is not empty, and jobs would find what others left'
            raise click.BadParameter(rule, param_hint="--into")
        return start(named.absolute()), named.absolute()
    folder = Path(tempfile.mkdtemp(prefix="wright-ci-"))
    try:
        report = start(folder)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    if report.failed:
        return report, folder
    has_artifacts = (folder / "artifacts").is_dir()
    for each in (folder / "jobs", folder / "outputs") if has_artifacts else (folder,):
        shutil.rmtree(each, ignore_errors=True)
    return report, folder if has_artifacts else None


def _conclude(file: Path, report: "Report", folder: Path | None, *, reason: str, as_json: bool) -> None:
    failure: ModelwrightError | None = None
    if report.failed:
        failure = WorkflowFailed(path=file, jobs=", ".join(report.failed), folder=folder)
    elif report.waiting:
        failure = WorkflowWaits(path=file, name=report.waiting)
    if as_json:
        told = {"folder": folder, "results": report.results, "outputs": report.outputs, "reason": reason}
        output.show_json(told | {"failure": output.error_facts(failure) if failure else None})
        if failure:
            raise SystemExit(1)
        return
    if failure:
        raise failure
    if reason:
        click.echo(f"nothing to do: {reason}")
    elif folder and (folder / "artifacts").is_dir():
        click.echo(f"artifacts: {folder / 'artifacts'}")


def _kept() -> dict[str, str]:
    """Return the variables that the system would keep for the project: which workspace, and its token."""
    return settings.kept_for_ci(Path.cwd(), named=click.get_current_context().find_root().obj)


def _assigned(assignments: Sequence[str], option: str) -> dict[str, str]:
    found = {}
    for each in assignments:
        name, sign, value = each.partition("=")
        if not sign or not name:
            raise output.not_an_assignment(each, option)
        found[name] = value
    return found


def _silent(_: str) -> None:
    """Print nothing."""


@click.group()
def hook() -> None:
    """Let the repository's own commits start what `wright watch` does."""


@hook.command()
@_project
@output.json_option
def install(project: Path, *, as_json: bool) -> None:
    """Write the git hooks after which PROJECT is looked at in the background; hooks that are not ours stay."""
    import shlex
    import sys

    from modelwright.lifecycle.ci import watching

    found = watching.watched(project.absolute())
    with output.opened_store(is_made=True) as store:
        watching.begin(store, found)
        log = store.folder / "ci" / f"{found.manifest.name}.log"
        wright = [sys.executable, "-P", "-m", "modelwright", "--workspace", str(store.folder.absolute())]
        command = shlex.join([*wright, "watch", "--once", str(found.manifest.folder)])
        written = watching.install_hooks(found.repository, command, log.absolute())
    if as_json:
        output.show_json({"written": written, "log": log})
        return
    for path in written:
        click.echo(str(path))
    if not written:
        click.echo("the hooks that are there are not ours, and stay; they may call: wright watch --once", err=True)
    click.echo(f"  log: {log}")


@hook.command()
@_project
@output.json_option
def remove(project: Path, *, as_json: bool) -> None:
    """Remove the hooks that were written here."""
    from modelwright.lifecycle.ci import watching
    from modelwright.projects.ci.workflows import repository_of

    removed = watching.remove_hooks(repository_of(project.absolute()))
    if as_json:
        output.show_json({"removed": removed})
    for path in [] if as_json else removed:
        click.echo(str(path))


@click.command()
@_project
@click.option("--once", is_flag=True, help="Do what is due, and end; what waits for somebody stays.")
@click.option("--every", "pause_seconds", type=click.FloatRange(0.1), default=2.0, show_default=True, help="Seconds.")
@output.why_option
@output.json_option
def watch(project: Path, *, once: bool, pause_seconds: float, why: str, as_json: bool) -> None:
    """Let commits of PROJECT's main branch train, and registered versions go out, until Ctrl-C.

    What there is at the first look counts as seen. With --json each line is an object.
    """
    from modelwright.errors import Busy
    from modelwright.lifecycle.ci import watching

    folder = project.absolute()
    found = watching.watched(folder)

    def tell(line: str) -> None:
        click.echo(json.dumps({"at": now().isoformat(), "told": line}) if as_json else f"{output.moment(now())} {line}")

    with output.session(is_made=True, is_silent=as_json, why=why) as session:
        if not once:
            tell(f"watching {found.manifest.name} at {found.automation.branch} in {found.repository}")
        trouble = ""
        while True:
            try:
                watching.look(session, watching.watched(folder), tell)
                if once:
                    return
                trouble = ""
            except Busy:
                pass  # the other may have looked before this commit
            except ModelwrightError as error:
                if once:
                    raise
                if str(error) != trouble:  # such as a file that somebody is just writing
                    trouble = str(error)
                    tell(trouble)
            time.sleep(pause_seconds)
