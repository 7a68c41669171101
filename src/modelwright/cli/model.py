"""`wright model`: register, find, describe, rename, label, alias, delete, download, verify, export, import versions."""

from collections.abc import Sequence
from pathlib import Path

import click

from modelwright.cli import model_tables, output
from modelwright.cli.explain import explain
from modelwright.records import DatasetLink, VersionFilter
from modelwright.records.plain import plain

_reference = click.argument("reference", metavar="MODEL:VERSION")


@click.group()
def model() -> None:
    """Register models, find, describe and delete their versions, point aliases at them, and take them elsewhere."""


model.add_command(explain)


@model.command()
@click.argument("sources", metavar="SOURCE...", nargs=-1, required=True)
@click.option("--name", help="The model's name; by default that of the run's project.")
@click.option("--tag", "tags", metavar="NAME=VALUE", multiple=True, help="Label the version; repeatable.")
@click.option("--property", "properties", metavar="NAME=VALUE", multiple=True, help="Label it for good; repeatable.")
@click.option("--description", metavar="TEXT", default="", help="What the version is.")
@click.option("--framework", metavar="NAME", default="", help="What it was made with; else what is found out.")
@click.option("--framework-version", metavar="VERSION", default="", help="The version of --framework.")
@click.option(
    "--dataset", "datasets", metavar="ROLE=NAME:VERSION", multiple=True, help="Link a dataset version; repeatable."
)
@click.option("--path", "paths", metavar="PATH", multiple=True, help="Only this file or folder in SOURCE; repeatable.")
@click.option("--score", metavar="FILE", type=click.Path(path_type=Path), help="The scoring script.")
@click.option("--sample", metavar="FILE", type=click.Path(path_type=Path), help="A request, as JSON.")
@click.option("--environment", metavar="NAME:VERSION", help="What it is served and tried in.")
@click.option(
    "--with", "companions", metavar="MODEL:VERSION", multiple=True, help="What its script needs besides; repeatable."
)
@click.option("--parent", metavar="MODEL:VERSION", help="The version that it was derived from.")
@click.option(
    "--once-per", metavar="TAG", help="Refuse when a version of the model has the same value of this tag already."
)
@output.why_option
@output.json_option
def register(  # noqa: PLR0913 - one for each option
    sources: tuple[str, ...],
    name: str | None,
    tags: tuple[str, ...],
    properties: tuple[str, ...],
    datasets: tuple[str, ...],
    paths: tuple[str, ...],
    *,
    description: str,
    framework: str,
    framework_version: str,
    score: Path | None,
    sample: Path | None,
    environment: str | None,
    companions: tuple[str, ...],
    parent: str | None,
    once_per: str | None,
    why: str,
    as_json: bool,
) -> None:
    """Register a run, or files and folders from anywhere, as the model's next version.

    What a run of a project made is tried with the project's own scoring script, and `champion` moves to it. Other files
    are tried when there is a scoring script, a sample request and an environment. Several SOURCEs are one version.
    """
    from modelwright.lifecycle import registering
    from modelwright.models.registry import Labels

    labels = Labels(
        tags=_assigned(tags, "--tag"),
        properties=_assigned(properties, "--property"),
        description=description,
        framework=framework,
        framework_version=framework_version,
        datasets=tuple(DatasetLink(*each) for each in _pairs(datasets, "--dataset")),
        parent=parent,
        once_per=once_per,
    )
    order = registering.Order(
        sources, Path.cwd(), name, paths, score, sample, environment, labels, companions=companions
    )
    wrong = {
        f"--once-per {once_per} needs the tag: --tag {once_per}=VALUE": once_per not in {None, *labels.tags},
        "files have no name of a model: add --name NAME": name is None and not registering.names_run(order),
    }
    for rule, is_broken in wrong.items():
        if is_broken:
            raise click.UsageError(rule)
    with output.session(is_made=True, is_silent=as_json, why=why) as session:
        registered = registering.register(session, order)
    if as_json:
        output.show_json(registered.version)
    else:
        model_tables.show_registered(registered, companions=companions)


@model.command("list")
@click.argument("name", required=False)
@click.option("--tag", "tags", metavar="NAME[=VALUE]", multiple=True, help="Only with this tag; all, if repeated.")
@click.option("--property", "properties", metavar="NAME[=VALUE]", multiple=True, help="Only with this property.")
@click.option("--framework", metavar="NAME", help="Only of this framework.")
@click.option("--run", "run_id", metavar="RUN", help="Only what was registered from this run.")
@click.option("--dataset", metavar="NAME:VERSION", help="Only what is linked with it, or whose run read it.")
@click.option("--latest", is_flag=True, help="Only the newest version of each model.")
@click.option("--limit", metavar="COUNT", type=click.IntRange(min=1), help="At most so many.")
@output.json_option
def list_(  # noqa: PLR0913 - one for each option
    name: str | None,
    tags: tuple[str, ...],
    properties: tuple[str, ...],
    *,
    framework: str | None,
    run_id: str | None,
    dataset: str | None,
    latest: bool,
    limit: int | None,
    as_json: bool,
) -> None:
    """List the versions of all models, or of the model NAME, newest first; those that answer to all that is asked."""
    from modelwright.store import datasets, models

    with output.opened_store() as store:
        wanted = VersionFilter(
            model=name,
            tags=output.filters(tags),
            properties=output.filters(properties),
            framework=framework,
            run_id=run_id,
            dataset_version_id=datasets.find_dataset_version(store, dataset).id if dataset else None,
            is_latest=latest,
        )
        found = models.list_versions(store, wanted, limit=limit)
    if as_json:
        output.show_json(found)
    else:
        model_tables.show_versions(found, is_filtered=wanted != VersionFilter())


@model.command()
@click.argument("reference")
@output.json_option
def show(reference: str, *, as_json: bool) -> None:
    """Show a version with all that is known of it, named as churn:3, churn@champion, or churn for the newest."""
    from modelwright.lifecycle.version_reports import describe_version

    with output.opened_store() as store:
        found = describe_version(store, reference)
    if as_json:
        output.show_json(found.told())
    else:
        model_tables.show_report(found)


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


@model.command()
@_reference
@click.argument("tags", metavar="[NAME=VALUE]...", nargs=-1)
@click.option("--remove", "removed", metavar="NAME", multiple=True, help="Remove this tag; repeatable.")
@output.why_option
@output.json_option
def tag(reference: str, tags: tuple[str, ...], removed: tuple[str, ...], *, why: str, as_json: bool) -> None:
    """Set and remove tags of a version, and show those that it has."""
    from modelwright.lifecycle import labelling

    added = _assigned(tags, "NAME=VALUE")
    with output.session(is_silent=True, why=why) as session:
        found = labelling.tag_version(session, reference, added=added, removed=removed)
    model_tables.show_labels(found.tags, noun="tags", as_json=as_json)


@model.command()
@_reference
@click.argument("text", metavar="TEXT")
@output.why_option
@output.json_option
def describe(reference: str, text: str, *, why: str, as_json: bool) -> None:
    """Say what a version is, in place of what was said before."""
    from modelwright.lifecycle import labelling

    with output.session(is_silent=True, why=why) as session:
        version = labelling.describe_version(session, reference, text)
    if as_json:
        output.show_json(version)
    else:
        click.echo(f"{version.reference} {text}")


@model.command()
@click.argument("name", metavar="MODEL")
@click.argument("new_name", metavar="NEW")
@output.why_option
@output.json_option
def rename(name: str, new_name: str, *, why: str, as_json: bool) -> None:
    """Call a model NEW from now on, with all its versions and aliases; renaming it back undoes it."""
    from modelwright.lifecycle import labelling

    if not {":", "@"}.isdisjoint(name):
        told = f'"{name}" is one version; a model is renamed with all of them, by its name alone'
        raise click.BadParameter(told, param_hint="MODEL")
    with output.session(is_silent=True, why=why) as session:
        renamed = labelling.rename_model(session, name, new_name)
    if as_json:
        output.show_json(renamed)
    elif name == new_name:
        click.echo(f"{name} is called that already")
    else:
        click.echo(f"{name} is called {renamed.name} now")
        click.echo(f"  undo: wright model rename {renamed.name} {name}")


@model.group("property")
def property_() -> None:
    """Properties: labels that stay as they are."""


@property_.command("add")
@_reference
@click.argument("properties", metavar="NAME=VALUE...", nargs=-1, required=True)
@output.why_option
@output.json_option
def add_property(reference: str, properties: tuple[str, ...], *, why: str, as_json: bool) -> None:
    """Add properties to a version; one that it has keeps its value."""
    from modelwright.lifecycle import labelling

    added = _assigned(properties, "NAME=VALUE")
    with output.session(is_silent=True, why=why) as session:
        found = labelling.add_properties(session, reference, added)
    model_tables.show_labels(found.properties, noun="properties", as_json=as_json)


@model.command()
@_reference
@click.argument("alias", metavar="ALIAS")
@output.why_option
@output.json_option
def alias(reference: str, alias: str, *, why: str, as_json: bool) -> None:
    """Let ALIAS of the model point at a version, from whichever it pointed at."""
    from modelwright.lifecycle import labelling

    with output.session(is_silent=True, why=why) as session:
        version = labelling.move_alias(session, reference, alias=alias)
    if as_json:
        output.show_json(version)
    else:
        click.echo(f"{version.model}@{alias} is {version.reference}")


@model.command()
@click.argument("reference", metavar="MODEL@ALIAS")
@output.why_option
@output.json_option
def unalias(reference: str, *, why: str, as_json: bool) -> None:
    """Take an alias away; the version that it pointed at stays."""
    from modelwright.lifecycle import labelling

    name, _, alias = reference.partition("@")
    if not alias:
        told = f'"{reference}" is not MODEL@ALIAS'
        raise click.BadParameter(told)
    with output.session(is_silent=True, why=why) as session:
        version = labelling.remove_alias(session, name, alias=alias)
    if as_json:
        output.show_json(version)
    else:
        click.echo(f"{reference} is no more; it was {version.reference}")


@model.command()
@click.argument("reference", metavar="MODEL[@ALIAS]")
@output.json_option
def history(reference: str, *, as_json: bool) -> None:
    """Show what happened to a model's versions and aliases, or to one alias: who, when, from what to what, and why."""
    from modelwright.store import models

    name, _, alias = reference.partition("@")
    with output.opened_store() as store:
        found = models.list_history(store, name, alias=alias or None)
    if as_json:
        output.show_json(found)
    else:
        model_tables.show_history(found)


@model.command()
@_reference
@click.argument("folder", type=click.Path(path_type=Path))
@output.json_option
def download(reference: str, folder: Path, *, as_json: bool) -> None:
    """Write the files of a version, as they were registered, into a new FOLDER."""
    from modelwright.models import packages
    from modelwright.store import models

    with output.opened_store() as store:
        version = models.find_version(store, reference)
        with output.waiting(f"writing {version.reference}", is_silent=as_json):
            packages.download(store, version, folder)
        files = packages.model_files(version)
    if as_json:
        output.show_json({"version": version.reference, "folder": str(folder.absolute()), "files": len(files)})
    else:
        click.echo(f"{folder}  {model_tables.size_of(files)}")


@model.command()
@_reference
@output.json_option
def verify(reference: str, *, as_json: bool) -> None:
    """Read every byte of a version again and compare it with what was registered; exit 1 when anything differs."""
    from modelwright.models import packages
    from modelwright.store import models

    with output.opened_store() as store:
        version = models.find_version(store, reference)
        with output.waiting(f"reading {version.reference}", is_silent=as_json):
            faults = packages.verify(store, version)
    if as_json:
        output.show_json({"version": version.reference, "files": len(version.files), "faults": plain(faults)})
    else:
        model_tables.show_faults(version, faults)
    if faults:
        raise click.exceptions.Exit(1)


@model.command()
@_reference
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--with-data", is_flag=True, help="Also the bytes of its datasets, not only their digests.")
@output.json_option
def export(reference: str, file: Path, *, with_data: bool, as_json: bool) -> None:
    """Write a version with its lineage to the new FILE, for `wright model import` in another workspace."""
    from modelwright.models import exporting

    with output.opened_store() as store, output.waiting(f"exporting {reference}", is_silent=as_json):
        version = exporting.export(store, reference, file, has_data=with_data)
    if as_json:
        output.show_json({"version": version.reference, "file": str(file.absolute())})
    else:
        click.echo(f"{file}  {version.reference}, {file.stat().st_size:,} bytes")


@model.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--name", help="The model's name here; by default the one that it had.")
@output.why_option
@output.json_option
def import_(file: Path, name: str | None, *, why: str, as_json: bool) -> None:
    """Make the version in FILE the model's next one here, with its run, environment, datasets and proof."""
    from modelwright.models import importing

    with (
        output.session(is_made=True, is_silent=True, why=why) as session,
        output.waiting("checking", is_silent=as_json),
    ):
        imported = importing.import_version(session.store, file, name=name, changing=session.change)
    if as_json:
        output.show_json(plain(imported.version) | {"is_new": imported.is_new})
    elif imported.is_new:
        click.echo(f"{imported.version.reference}\n  next: wright model show {imported.version.reference}")
    else:
        click.echo(f"{file} is there already: {imported.version.reference}")


def _assigned(assignments: Sequence[str], option: str) -> dict[str, str]:
    return dict(_pairs(assignments, option))


def _pairs(assignments: Sequence[str], option: str) -> list[tuple[str, str]]:
    found = []
    for each in assignments:
        name, separator, value = each.partition("=")
        if not separator or not name:
            raise output.not_an_assignment(each, option)
        found.append((name, value))
    return found
