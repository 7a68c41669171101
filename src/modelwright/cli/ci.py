"""`wright ci`: the stages of CI/CD, one command each, and what writes and runs workflow files."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from modelwright.cli import ci_running, output

if TYPE_CHECKING:
    from modelwright.records import ModelVersion

_project = click.argument("project", type=click.Path(path_type=Path), default=".")
_build = click.option("--build", metavar="ID", help="The build's id; else the project's commit.")
_outputs = click.option(
    "--outputs",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write what comes of it there, NAME=VALUE a line.",
)
_version = click.option("--version", "reference", metavar="MODEL:VERSION", required=True, help="The version.")
_target = click.option("--target", metavar="NAME", required=True, help="The target of ci.toml, such as test.")


@click.group()
def ci() -> None:
    """Quality, training and releases, as CI systems call them; the same on one machine."""


@ci.command()
@_project
@click.option("--github", "systems", flag_value="github", multiple=True, help="For GitHub Actions.")
@click.option("--azure", "systems", flag_value="azure", multiple=True, help="For Azure Pipelines.")
@click.option("--gitlab", "systems", flag_value="gitlab", multiple=True, help="For GitLab; by default for all three.")
@click.option("--branch", help="The branch whose commits train; in a new ci.toml by default main.")
@click.option(
    "--data", metavar="PATTERN", help="Files of the project that are brought in as a dataset when they change."
)
@click.option("--overwrite", is_flag=True, help="Replace files that are there and differ.")
@output.json_option
def init(
    project: Path, *, systems: tuple[str, ...], branch: str | None, data: str | None, overwrite: bool, as_json: bool
) -> None:
    """Write PROJECT's ci.toml, unless it has one, and the workflow files of its repository."""
    from modelwright.projects.ci import workflows
    from modelwright.projects.manifest import read_manifest

    manifest = read_manifest(project.absolute())
    chosen = [workflows.System(each) for each in systems] or list(workflows.System)
    written = workflows.write(manifest, workflows.Wish(chosen, branch, data, is_overwritten=overwrite))
    if as_json:
        output.show_json({"written": written})
        return
    for path in written:
        click.echo(str(path))
    click.echo(f"  next: wright ci run {written[-1]}")


@ci.command()
@_project
@click.option(
    "--into",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    default="reports",
    show_default=True,
    help="The reports.",
)
@output.json_option
def quality(project: Path, *, into: Path, as_json: bool) -> None:
    """Check PROJECT's code and run its tests, with JUnit and Cobertura reports; exit 1 when something is not green."""
    from modelwright.lifecycle import training
    from modelwright.projects import quality as qualities
    from modelwright.projects.manifest import read_lock, read_manifest

    manifest = read_manifest(project.absolute())
    with (
        output.session(is_made=True, is_silent=as_json) as session,
        session.stage("quality", "lint and tests") as stage,
    ):
        environment = training.environment_of(session.store, read_lock(manifest))
        found = qualities.check(
            manifest.folder,
            source=manifest.layout.source,
            into=into.absolute(),
            environment=environment,
            workspace=session.store.folder,
        )
        stage.decided = f"lint {found.lint}, tests {found.tests}, coverage {found.coverage}"
        stage.recorded = str(into)
        stage.has_failed = bool(found.faults)
    qualities.require(manifest.folder, found, into=into)
    if as_json:
        output.show_json(found)


@ci.command()
@_project
@_outputs
@output.why_option
@output.json_option
def publish(project: Path, *, outputs: Path | None, why: str, as_json: bool) -> None:
    """Publish PROJECT's pipeline as it is now; the output `pipeline` names the version."""
    from modelwright.lifecycle import publishing
    from modelwright.projects.manifest import read_manifest

    manifest = read_manifest(project.absolute())
    with output.session(is_made=True, is_silent=as_json, why=why) as session:
        version = publishing.publish(session, manifest)
    _tell(outputs, {"pipeline": version.reference})
    if as_json:
        output.show_json(version)
    else:
        click.echo(version.reference)


@ci.command()
@_project
@click.option(
    "--pipeline", metavar="NAME:VERSION", help="What was published for this build; by default PROJECT as it is."
)
@_build
@click.option("--build-uri", metavar="URL", default="", help="Where the build is looked at.")
@_outputs
@output.why_option
@output.json_option
def train(
    project: Path,
    *,
    pipeline: str | None,
    build: str | None,
    build_uri: str,
    outputs: Path | None,
    why: str,
    as_json: bool,
) -> None:
    """Run the published pipeline, let the gate decide, and register what passed; builds of one project take turns."""
    from modelwright.lifecycle import publishing, recovery
    from modelwright.lifecycle.ci import builds
    from modelwright.projects.ci.automation import read_automation
    from modelwright.projects.manifest import read_manifest
    from modelwright.store import pipelines

    manifest = read_manifest(project.absolute())
    automation = read_automation(manifest.folder)
    with output.session(is_made=True, is_silent=as_json, why=why) as session:
        recovery.recover(session)
        found = (
            publishing.publish(session, manifest)
            if pipeline is None
            else pipelines.find_version(session.store, pipeline)
        )
        version = builds.train(
            session, automation, builds.named(manifest, build, build_uri), pipeline=found, model=manifest.name
        )
    _show_version(version, outputs, as_json=as_json)


@ci.command()
@_project
@_build
@click.option(
    "--into",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    default="model",
    show_default=True,
    help="For model.json.",
)
@output.json_option
def published(project: Path, *, build: str | None, into: Path, as_json: bool) -> None:
    """Write model.json of the version that the build registered; exit 1 when there is none, or more than one."""
    from modelwright.lifecycle.ci import builds
    from modelwright.projects.manifest import read_manifest

    manifest = read_manifest(project.absolute())
    with output.opened_store() as store:
        version = builds.published(store, builds.named(manifest, build).id, model=manifest.name)
    path = builds.write_model(version, into)
    if as_json:
        output.show_json(builds.told(version))
    else:
        click.echo(f"{version.reference} is in {path}")


@ci.command()
@_project
@click.option("--build", metavar="ID", default="latest", show_default=True, help="The build whose version is wanted.")
@_outputs
@output.json_option
def find(project: Path, *, build: str, outputs: Path | None, as_json: bool) -> None:
    """Find the version that a build registered, and whether its tags start a release: `version`, `is_released`."""
    from modelwright.lifecycle.ci import builds
    from modelwright.projects.ci.automation import read_automation
    from modelwright.projects.manifest import read_manifest

    manifest = read_manifest(project.absolute())
    with output.opened_store() as store:
        version = builds.find(store, build, model=manifest.name)
    is_released = builds.is_released(version, read_automation(manifest.folder))
    _tell(outputs, {"version": version.reference, "is_released": str(is_released).lower()})
    if as_json:
        output.show_json({"version": version.reference, "is_released": is_released})
    else:
        click.echo(f"{version.reference}{'' if is_released else ', which has not the tags that start a release'}")


@ci.command()
@_project
@_version
@_target
@output.why_option
@output.json_option
def deploy(project: Path, *, reference: str, target: str, why: str, as_json: bool) -> None:
    """Let a version serve at a target's endpoint; where the target wants an approval, exit 1 without one."""
    from modelwright.lifecycle import recovery
    from modelwright.lifecycle.ci import releasing
    from modelwright.projects.ci.automation import read_automation
    from modelwright.store import endpoints, models

    place = read_automation(project.absolute()).target(target)
    with output.session(is_silent=as_json, why=why) as session:
        recovery.recover(session)
        version = models.find_version(session.store, reference)
        is_changed = releasing.deploy(session, version, place)
        found = endpoints.get_endpoint(session.store, place.endpoint)
    if as_json:
        output.show_json({"endpoint": found, "version": version.reference, "is_changed": is_changed})
    else:
        click.echo(f"{version.reference} answers at {found.url}")


@ci.command()
@_project
@click.option("--target", metavar="NAME", help="The target of ci.toml, such as test.")
@click.option("--url", help="Instead of a target: any scoring URL; WRIGHT_ENDPOINT_KEY is the key.")
@click.option(
    "--patience",
    "patience_seconds",
    type=click.FloatRange(0),
    default=60.0,
    show_default=True,
    help="Seconds to wait for it.",
)
@output.json_option
def smoke(project: Path, *, target: str | None, url: str | None, patience_seconds: float, as_json: bool) -> None:
    """Send PROJECT's request to what was deployed: exit 1 unless there is a result for every row."""
    from modelwright import settings
    from modelwright.lifecycle.ci import releasing
    from modelwright.projects.ci.automation import read_automation

    if bool(target) == bool(url):
        told = "either --target or --url says what is to be asked"
        raise click.UsageError(told)
    automation = read_automation(project.absolute())
    if url:
        key = settings.endpoint_key()
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        answer = releasing.smoke_test_url(url, automation, headers=headers, patience_seconds=patience_seconds)
    else:
        with output.session(is_silent=as_json) as session:
            place = automation.target(str(target))
            answer = releasing.smoke_test(session, automation, place, patience_seconds=patience_seconds)
    if as_json:
        output.show_json(answer)
    else:
        click.echo(answer.body)


@ci.command()
@_project
@_version
@output.why_option
@output.json_option
def rollback(project: Path, *, reference: str, why: str, as_json: bool) -> None:
    """Let the endpoints of PROJECT's targets that serve a version serve again what they served before."""
    from modelwright.lifecycle import recovery
    from modelwright.lifecycle.ci import releasing
    from modelwright.projects.ci.automation import read_automation
    from modelwright.store import models

    with output.session(is_silent=as_json, why=why) as session:
        recovery.recover(session)
        version = models.find_version(session.store, reference)
        done = releasing.rollback(session, version, read_automation(project.absolute()))
    if as_json:
        output.show_json({"done": done})
    for line in [] if as_json else done:
        click.echo(line)


@ci.command()
@_project
@click.option("--build", metavar="ID", default="latest", show_default=True, help="The build whose version goes out.")
@click.option("--wait", is_flag=True, help="Wait for approvals, instead of exit 1 where one is missing.")
@output.why_option
@output.json_option
def release(project: Path, *, build: str, wait: bool, why: str, as_json: bool) -> None:
    """Take a build's version through all targets: deploy, smoke test, and back again where that fails."""
    from modelwright.lifecycle import recovery
    from modelwright.lifecycle.ci import builds, releasing
    from modelwright.projects.ci.automation import read_automation
    from modelwright.projects.manifest import read_manifest

    manifest = read_manifest(project.absolute())
    with output.session(is_silent=as_json, why=why) as session:
        recovery.recover(session)
        version = builds.find(session.store, build, model=manifest.name)
        releasing.release(session, read_automation(manifest.folder), version, is_waiting=wait)
    if as_json:
        output.show_json({"version": version.reference})
    else:
        click.echo(f"{version.reference} is out")


@ci.command()
@_project
@_outputs
@output.why_option
@output.json_option
def ingest(project: Path, *, outputs: Path | None, why: str, as_json: bool) -> None:
    """Register the data of [ingestion] as it is now; the output `dataset` names the version."""
    from modelwright.lifecycle.ci import ingesting
    from modelwright.projects.ci.automation import read_automation

    with output.session(is_made=True, is_silent=as_json, why=why) as session:
        version = ingesting.ingest(session, read_automation(project.absolute()))
    _tell(outputs, {"dataset": version.reference})
    if as_json:
        output.show_json(version)
    else:
        click.echo(version.reference)


@ci.command()
@_project
@click.option(
    "--dataset", "reference", metavar="NAME:VERSION", help="What was brought in; by default the newest version."
)
@output.why_option
@output.json_option
def ingested(project: Path, *, reference: str | None, why: str, as_json: bool) -> None:
    """Check what was brought in against [ingestion] and the version before; exit 1 when it is not as it should be."""
    from modelwright.lifecycle.ci import ingesting
    from modelwright.projects.ci.automation import read_automation

    with output.session(is_silent=as_json, why=why) as session:
        found = ingesting.check(session, read_automation(project.absolute()), reference)
    if as_json:
        output.show_json(found)
    else:
        compared = f", like {found.compared_with}" if found.compared_with else ""
        click.echo(f"{found.version.reference} is well: {found.rows:,} rows{compared}")


ci.add_command(ci_running.run)
ci.add_command(ci_running.hook)


def _show_version(version: "ModelVersion", outputs: Path | None, *, as_json: bool) -> None:
    _tell(outputs, {"version": version.reference})
    if as_json:
        output.show_json(version)
    else:
        click.echo(version.reference)


def _tell(outputs: Path | None, told: Mapping[str, str]) -> None:
    """Write outputs of a job to the file that its CI system reads them from."""
    if outputs is not None:
        outputs.write_text("".join(f"{name}={value}\n" for name, value in told.items()), encoding="utf-8")
