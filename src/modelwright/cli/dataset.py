"""`wright dataset`: add, list, show, export, verify, profile, tag, users."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from modelwright import settings
from modelwright.cli import output
from modelwright.records.plain import plain

if TYPE_CHECKING:
    from modelwright.datasets.profiles import Profile
    from modelwright.records import DatasetVersion

_SHOWN_FILES = 20

_tag_option = click.option("--tag", "tags", metavar="NAME=VALUE", multiple=True, help="Label the dataset; repeatable.")


@click.group()
def dataset() -> None:
    """Register data by name, read it back by version, and see who used it."""


@dataset.command()
@click.argument("name")
@click.argument("path", required=False)
@click.option("--query", metavar="SQL", help="Register the rows that this query gives, instead of files.")
@click.option("--source", metavar="DSN", help="The database of --query: an SQLite file or a URL.")
@click.option(
    "--storage",
    type=click.Choice(["copy", "hardlink", "reference"]),
    default="copy",
    show_default=True,
    help="Keep the bytes, a hard link to the files, or only their digests and places.",
)
@click.option("--timestamp", metavar="COLUMN", help="The column that says when a row was, for selections by time.")
@click.option("--description", metavar="TEXT", help="What the data is.")
@_tag_option
@output.why_option
@output.json_option
def add(  # noqa: PLR0913 - one for each option
    name: str,
    path: str | None,
    query: str | None,
    source: str | None,
    storage: str,
    timestamp: str | None,
    description: str | None,
    tags: tuple[str, ...],
    *,
    why: str,
    as_json: bool,
) -> None:
    """Register the file, folder or pattern PATH, or a query's rows, as the next version of dataset NAME.

    What has exactly the content of an earlier version is that version again.
    """
    from modelwright.datasets import adding
    from modelwright.records import Storage

    labels = adding.Labels(description, dict(map(_tag, tags)), timestamp, why)
    _check_add(path, query, source, storage)
    with output.opened_store(is_made=True) as store:
        actor = settings.actor()
        if query and source:
            with output.waiting("asking the database", is_silent=as_json):
                version = adding.add_query(store, name, query=query, source=source, actor=actor, labels=labels)
        else:
            with output.progress("adding", is_silent=as_json, are_bytes=True) as on_progress:
                version = adding.add_files(
                    store,
                    name,
                    path=str(path),
                    actor=actor,
                    storage=Storage(storage),
                    labels=labels,
                    on_progress=on_progress,
                )
    if as_json:
        output.show_json(version)
    else:
        click.echo(f"{version.reference}  {_size(version)}")


@dataset.command("list")
@click.option(
    "--tag", "tags", metavar="NAME[=VALUE]", multiple=True, help="Only those with this tag; all, if repeated."
)
@click.option("--search", metavar="TEXT", default="", help="Only those whose name holds TEXT.")
@output.json_option
def list_(tags: tuple[str, ...], search: str, *, as_json: bool) -> None:
    """List the datasets."""
    from modelwright.store import datasets

    with output.opened_store() as store:
        found = datasets.list_datasets(store, text=search, tags=output.filters(tags))
    if as_json:
        output.show_json(found)
        return
    output.show_table(
        ("dataset", "versions", "latest", "size", "registered", "tags", "description"),
        [
            (
                each.name,
                len(each.versions),
                each.versions[-1].reference,
                f"{each.versions[-1].size_bytes:,}",
                output.moment(each.versions[-1].created_at),
                ", ".join(f"{tag}={value}" for tag, value in each.tags.items()),
                each.description,
            )
            for each in found
        ],
        empty="no such dataset" if tags or search else "no datasets yet; register one: wright dataset add NAME PATH",
    )


@dataset.command()
@click.argument("reference")
@output.json_option
def show(reference: str, *, as_json: bool) -> None:
    """Show a version, named as sales:3, or sales or sales:latest for the newest."""
    from modelwright.store import datasets

    with output.opened_store() as store:
        version = datasets.find_dataset_version(store, reference)
        whole = datasets.get_dataset(store, version.dataset)
    if as_json:
        told = {"description": whole.description, "tags": dict(whole.tags), "versions": len(whole.versions)}
        output.show_json(plain(version) | told)
        return
    more = len(version.files) - _SHOWN_FILES
    output.show_fields(
        [
            ("version", f"{version.reference} of {len(whole.versions)}"),
            ("description", whole.description or "none"),
            *(("tag", f"{name}={value}") for name, value in whole.tags.items()),
            ("digest", version.digest),
            ("registered", output.moment(version.created_at)),
            ("made from", f"{version.kind}, {', '.join(f'{name} {value}' for name, value in version.source.items())}"),
            ("storage", version.storage),
            ("timestamp", version.timestamp_column or "no column"),
            ("size", _size(version)),
            *(
                ("file", f"{each.path} {each.digest[:12]} {each.size_bytes:,} bytes")
                for each in version.files[:_SHOWN_FILES]
            ),
            *([("", f"and {more:,} more; --json shows all")] if more > 0 else []),
        ]
    )


@dataset.command()
@click.argument("reference")
@click.argument("folder", type=click.Path(path_type=Path))
@output.json_option
def export(reference: str, folder: Path, *, as_json: bool) -> None:
    """Write the files of a version into a new FOLDER, compared with their digests."""
    from modelwright.datasets import reading

    with output.opened_store() as store, output.waiting(f"exporting {reference}", is_silent=as_json):
        version = reading.export(store, reference, folder)
    if as_json:
        output.show_json({"version": version.reference, "folder": str(folder.absolute())})
    else:
        click.echo(f"{folder}  {_size(version)}")


@dataset.command()
@click.argument("reference")
@output.json_option
def verify(reference: str, *, as_json: bool) -> None:
    """Read every byte of a version again and compare it with what was registered; exit 1 when anything differs."""
    from modelwright.datasets import reading
    from modelwright.store import datasets

    with output.opened_store() as store:
        version = datasets.find_dataset_version(store, reference)
        with output.waiting(f"reading {version.reference}", is_silent=as_json):
            faults = reading.check(store, version, is_thorough=True)
    if as_json:
        output.show_json({"version": version.reference, "files": len(version.files), "faults": plain(faults)})
    else:
        for each in faults:
            told = (
                f'is now "{each.found}", expected "{each.expected}"' if each.found else f'is gone from "{each.place}"'
            )
            click.echo(f"{click.style('✗', fg='red')} {each.file} {told}")
        if not faults:
            click.echo(f"{version.reference} is what was registered: {_size(version)}")
    if faults:
        raise click.exceptions.Exit(1)


@dataset.command()
@click.argument("reference")
@click.option("--again", is_flag=True, help="Compute it anew, though it is kept.")
@output.why_option
@output.json_option
def profile(reference: str, *, again: bool, why: str, as_json: bool) -> None:
    """Show statistics of every column of a version; they are computed once and kept."""
    from modelwright.datasets import profiling

    with output.opened_store() as store, output.waiting(f"reading {reference}", is_silent=as_json):
        found = profiling.profile_version(store, reference, actor=settings.actor(), why=why, is_anew=again)
    if as_json:
        output.show_json(found.summary())
    else:
        _show_profile(found)


@dataset.command()
@click.argument("name")
@click.argument("tags", metavar="[NAME=VALUE]...", nargs=-1)
@click.option("--remove", "removed", metavar="NAME", multiple=True, help="Remove this tag; repeatable.")
@output.why_option
@output.json_option
def tag(name: str, tags: tuple[str, ...], removed: tuple[str, ...], *, why: str, as_json: bool) -> None:
    """Set and remove tags of dataset NAME, and show those that it has."""
    from modelwright.lifecycle import labelling

    with output.session(is_silent=True, why=why) as session:
        found = labelling.tag_dataset(session, name, added=dict(map(_tag, tags)), removed=removed).tags
    if as_json:
        output.show_json(dict(found))
        return
    for each, value in found.items():
        click.echo(f"{each}={value}")
    if not found:
        click.echo("no tags")


@dataset.command()
@click.argument("reference")
@output.json_option
def users(reference: str, *, as_json: bool) -> None:
    """Show which runs, models and deployments used a version."""
    from modelwright.store import datasets

    with output.opened_store() as store:
        version = datasets.find_dataset_version(store, reference)
        found = datasets.list_users(store, version)
    if as_json:
        output.show_json(found)
        return
    output.show_table(
        ("used by", "name", "as", "since"),
        [(each.kind, each.reference, each.detail, output.moment(each.at)) for each in found],
        empty=f"nothing used {version.reference} yet",
    )


def _check_add(path: str | None, query: str | None, source: str | None, storage: str) -> None:
    wrong = {
        "give either PATH or --query": (path is None) == (query is None),
        "--query and --source go together": (query is None) != (source is None),
        "the rows of a query are always kept: leave --storage out": query is not None and storage != "copy",
    }
    for rule, is_broken in wrong.items():
        if is_broken:
            raise click.UsageError(rule)


@dataset.command()
@click.argument("reference", metavar="NAME[:VERSION]")
@output.why_option
@output.json_option
def delete(reference: str, *, why: str, as_json: bool) -> None:
    """Delete a version that no run and no model version uses; NAME alone is all of its versions, if all can go."""
    from modelwright.lifecycle import deletion

    with output.session(is_silent=True, why=why) as session:
        deleted = deletion.delete_dataset(session, reference)
    if as_json:
        output.show_json({"deleted": [each.reference for each in deleted]})
    else:
        click.echo("\n".join(f"{each.reference} is deleted" for each in deleted))
        click.echo("  next: wright gc --dry-run")


def _show_profile(found: "Profile") -> None:
    def number(value: object) -> str:
        return f"{value:.6g}" if isinstance(value, float) else "" if value is None else str(value)

    columns = found.summary()["columns"]
    output.show_table(
        ("column", "type", "missing", "distinct", "min", "median", "max", "mean", "std"),
        [
            (
                name,
                each["type"],
                each["missing"],
                number(each["distinct"]) if each["distinct_is_exact"] else f"~{each['distinct']}",
                number(each["min"]),
                number(each["quantiles"].get("0.5")),
                number(each["max"]),
                number(each["mean"]),
                number(each["std"]),
            )
            for name, each in columns.items()
        ],
        empty="the table has no columns",
    )
    click.echo(f"{found.rows:,} rows; --json has all statistics")


def _size(version: "DatasetVersion") -> str:
    count = len(version.files)
    return f"{count:,} file{'' if count == 1 else 's'}, {version.size_bytes:,} bytes"


def _tag(assignment: str) -> tuple[str, str]:
    name, separator, value = assignment.partition("=")
    if not separator or not name:
        raise output.not_an_assignment(assignment, "--tag")
    return name, value
