"""`wright environment`: lock, name, build, compare."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from modelwright.cli import output
from modelwright.records.plain import plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelwright.records import SpecificationFinding

_python_option = click.option(
    "--python", type=click.Path(path_type=Path), metavar="PATH", help="The Python to make it for; by default yours."
)


@click.group()
def environment() -> None:
    """Lock, name, build and compare environments."""


@environment.command()
@click.argument("name")
@click.argument("file", type=click.Path(path_type=Path))
@_python_option
@click.option("--extra", "extras", metavar="NAME", multiple=True, help="An extra of the project; repeatable.")
@click.option("--group", "groups", metavar="NAME", multiple=True, help="A dependency group; repeatable.")
@click.option("--upgrade", is_flag=True, help="Choose versions anew, though the same was asked for before.")
@output.why_option
@output.json_option
def add(
    name: str,
    file: Path,
    python: Path | None,
    extras: tuple[str, ...],
    groups: tuple[str, ...],
    *,
    upgrade: bool,
    why: str,
    as_json: bool,
) -> None:
    """Lock what FILE asks for as a version of the environment NAME."""
    from modelwright.environments import registration
    from modelwright.environments.locking import pins
    from modelwright.store import environments

    with output.session(is_made=True, is_silent=as_json, why=why) as session, session.stage("lock", str(file)) as stage:
        added = registration.add(
            session.store,
            name,
            file,
            changing=session.change,
            python=python,
            extras=extras,
            groups=groups,
            is_upgrade=upgrade,
        )
        count = len(pins(environments.get_environment(session.store, added.version.digest)))
        how = "locked" if added.is_resolved else "as locked before"
        stage.decided = f"{count} packages {how} for Python {added.version.python_version}"
        stage.recorded = f"environment {added.version.digest[:12]}"
    if as_json:
        output.show_json(added)
        return
    _show_findings(added.findings)
    click.echo(f"{added.version.reference}{'' if added.is_new else ' as before'}")
    click.echo(f"  next: wright environment build {added.version.reference}")


@environment.command("list")
@click.argument("name", required=False)
@output.json_option
def list_(name: str | None, *, as_json: bool) -> None:
    """List the versions of all environments, or of the environment NAME, newest first."""
    from modelwright.environments.placing import find_in
    from modelwright.store import environments

    with output.opened_store() as store:
        found = environments.list_environment_versions(store, name=name)
        built = {each.digest: find_in(store, environments.get_environment(store, each.digest)) for each in found}
    if as_json:
        output.show_json([plain(each) | {"is_built": built[each.digest] is not None} for each in found])
        return
    output.show_table(
        ("environment", "digest", "python", "from", "left out", "locked", "built"),
        [
            (
                each.reference,
                each.digest[:12],
                each.python_version,
                Path(each.source.path).name,
                sum(not finding.is_honoured for finding in each.findings) or "",
                output.moment(each.created_at),
                "yes" if built[each.digest] else "no",
            )
            for each in found
        ],
        empty="no environments yet; make one: wright environment add NAME requirements.txt",
    )


@environment.command()
@click.argument("reference")
@output.json_option
def show(reference: str, *, as_json: bool) -> None:
    """Show an environment, named as churn:2, churn for the newest, or by the beginning of its digest."""
    from modelwright.environments import describing, placing
    from modelwright.environments.pinning import read_pins

    with output.opened_store() as store:
        seen = describing.describe(store, reference)
    lock, names, users, built = seen.lock, seen.versions, seen.users, seen.built
    size = placing.size_of(built) if built else None
    if as_json:
        facts = {"versions": names, "users": users, "folder": built and str(built.folder), "size": size}
        output.show_json(plain(lock) | plain(facts))
        return
    output.show_fields(
        [
            ("digest", lock.digest),
            ("python", f"{lock.python_version} on {lock.platform}"),
            *(("name", f"{each.reference} {output.moment(each.created_at)}") for each in names),
            *(("from", _origin(each.source.path, each.source.extras, each.source.groups)) for each in names),
            ("built", str(built.folder) if built else "no"),
            *((("size", _spelled(size.size_bytes, size.own_bytes)),) if size else ()),
            *(("in use by", each) for each in users),
            *(("package", f"{each.name} {each.version}") for each in read_pins(lock)),
        ]
    )
    _show_findings([finding for each in names[:1] for finding in each.findings])


@environment.command()
@click.argument("reference")
@_python_option
@output.json_option
def build(reference: str, python: Path | None, *, as_json: bool) -> None:
    """Build an environment, once; the next call finds it."""
    from modelwright.environments import placing
    from modelwright.environments.registration import environment_lock

    with output.session(is_silent=as_json) as session:
        lock = environment_lock(session.store, reference)
        with session.stage("build", lock.digest[:12]) as stage:
            is_there = placing.find_in(session.store, lock) is not None
            built = placing.build_in(session.store, lock, named=python)
            stage.decided = "found" if is_there else "built"
    if as_json:
        output.show_json({"digest": lock.digest, "folder": str(built.folder), "was_there": is_there})
        return
    click.echo(str(built.folder))


@environment.command()
@click.argument("before", metavar="A")
@click.argument("after", metavar="B")
@output.json_option
def diff(before: str, after: str, *, as_json: bool) -> None:
    """Tell what B has that A has not; each an environment, a digest, a run, or a model version such as churn:3."""
    from modelwright.environments.comparing import difference
    from modelwright.environments.registration import lock_of

    with output.opened_store() as store:
        found = difference(lock_of(store, before), lock_of(store, after))
    if as_json:
        output.show_json(found)
        return
    if found.is_same:
        click.echo(f"the same environment: {found.before.digest[:12]}")
        return
    facts = [
        (name, one, other)
        for name, one, other in (
            ("Python", found.before.python_version, found.after.python_version),
            ("platform", found.before.platform, found.after.platform),
        )
        if one != other
    ]
    output.show_table(
        ("", before, after),
        [
            *facts,
            *((each.name, each.before, each.after) for each in found.changed),
            *((each.name, "", each.version) for each in found.added),
            *((each.name, each.version, "") for each in found.removed),
            *((name, "other files of the same version", "") for name in found.other_files),
        ],
        empty="only the order of their lines differs",
    )


@environment.command()
@click.argument("reference")
@click.argument("place", type=click.Path(path_type=Path))
@_python_option
@output.json_option
def export(reference: str, place: Path, python: Path | None, *, as_json: bool) -> None:
    """Write an environment's lock to PLACE: requirements with hashes, or pylock.toml; a folder gets both."""
    from modelwright.environments import exporting
    from modelwright.environments.registration import environment_lock

    with output.opened_store() as store:
        lock = environment_lock(store, reference)
    written = exporting.export(lock, place.absolute(), named=python)
    if as_json:
        output.show_json({"files": [str(each) for each in written]})
        return
    for each in written:
        click.echo(str(each))


@environment.command()
@click.argument("reference")
@output.json_option
def remove(reference: str, *, as_json: bool) -> None:
    """Delete what was built of an environment; its lock and names stay, and it is built again when needed."""
    from modelwright.environments import placing
    from modelwright.environments.registration import environment_lock

    with output.opened_store() as store:
        lock = environment_lock(store, reference)
        removed = placing.remove_from(store, lock, reference=reference)
    if as_json:
        output.show_json({"digest": lock.digest, "removed": removed and str(removed.folder)})
        return
    click.echo(f"removed {removed.folder}" if removed else "it was not built; nothing to remove")


@environment.command()
@click.argument("reference", metavar="NAME:VERSION|DIGEST")
@output.why_option
@output.json_option
def delete(reference: str, *, why: str, as_json: bool) -> None:
    """Delete a name, and with its last name the lock and what was built of it, if nothing runs or ran in it.

    `wright environment remove` deletes what was built alone.
    """
    from modelwright.lifecycle import deletion

    with output.session(is_silent=True, why=why) as session:
        deleted = deletion.delete_environment(session, reference)
    if as_json:
        output.show_json({"deleted": reference, "digest": deleted.digest})
    else:
        click.echo(f"{reference} is deleted")


def _origin(path: str, extras: "Sequence[str]", groups: "Sequence[str]") -> str:
    with_them = [*(f"extra {each}" for each in extras), *(f"group {each}" for each in groups)]
    return f"{path} with {', '.join(with_them)}" if with_them else path


def _spelled(size_bytes: int, own_bytes: int) -> str:
    return f"{size_bytes / 1e6:,.1f} MB, of which {own_bytes / 1e6:,.1f} MB are shared with nothing else"


def _show_findings(findings: "Sequence[SpecificationFinding]") -> None:
    """Print what the lock does not take over, or takes over differently, each with its line and how to mend it."""
    for each in sorted(findings, key=lambda finding: (finding.is_honoured, finding.file, finding.line)):
        kind = click.style("note", fg="yellow") if each.is_honoured else click.style("left out", fg="red")
        place = f"{each.file}:{each.line}" if each.line else each.file
        click.echo(f"{place} {kind} [{each.code}] {each.message}\n  fix: {each.fix}")
