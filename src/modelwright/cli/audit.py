"""`wright audit`: list, verify, export."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import click

from modelwright.cli import output
from modelwright.cli.changes import changed
from modelwright.cli.moments import Moment
from modelwright.records.plain import plain

_EVERY = 10_000  # records between two words on progress


@click.group()
def audit() -> None:
    """Who did what, when and why; whether the records are whole."""


@audit.command("list")
@click.option("--subject", metavar="SUBJECT", help="Only about this, as models/churn:1; models/churn takes all of it.")
@click.option("--actor", metavar="NAME", help="Only what this one did.")
@click.option("--action", metavar="FACT", help="Only this, as alias.moved; alias takes all of its kind.")
@click.option("--since", type=Moment(), metavar="TIME", help="Only from this time on.")
@click.option("--until", type=Moment(), metavar="TIME", help="Only to this time.")
@click.option(
    "--limit",
    type=click.IntRange(1),
    default=200,
    show_default=True,
    metavar="COUNT",
    help="At most so many, the newest.",
)
@output.json_option
def list_(
    *,
    subject: str | None,
    actor: str | None,
    action: str | None,
    since: datetime | None,
    until: datetime | None,
    limit: int,
    as_json: bool,
) -> None:
    """List who did what, when and why, and what it changed, the newest last; what is deleted by now has its records."""
    from modelwright.store import audit as records

    wanted = records.AuditFilter(subject=subject, actor=actor, action=action, since=since, until=until)
    with output.opened_store() as store:
        found = records.find_audit_records(store, wanted, limit=limit)
    if as_json:
        output.show_json(found)
        return
    output.show_table(
        ("time", "actor", "action", "subject", "why", "changed"),
        [
            (output.moment(each["at"]), each["actor"], each["action"], each["subject"], each["why"], changed(each))
            for each in found
        ],
        empty="no such records" if any((subject, actor, action, since, until)) else "nothing was done here yet",
    )
    if len(found) == limit:
        click.echo(f"the newest {limit}; --limit COUNT shows more, wright audit export writes all", err=True)


@audit.command()
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--head", metavar="DIGEST", help="A digest that was noted before: it must still be in the chain.")
@output.json_option
def verify(file: Path | None, head: str | None, *, as_json: bool) -> None:
    """Check that no record was changed, removed or inserted, here or in an exported FILE; exit 1 when one was.

    Note the digest that it shows: with --head it proves later that nothing up to here was written anew or cut off.
    """
    from modelwright.store import audit as records
    from modelwright.store import chain

    with _counted("verifying", is_silent=as_json) as on_record:
        if file:
            with file.open("rb") as lines:
                found = chain.check_file(lines, head=head, on_record=on_record)
        else:
            with output.opened_store() as store:
                found = records.check(store, head=head, on_record=on_record)
    if as_json:
        output.show_json({**plain(found), "is_whole": not found.fault})
    elif found.fault:
        click.echo(
            f"{click.style('✗', fg='red')} {found.fault}; the {found.count:,} before it are as they were written"
        )
    else:
        click.echo(f"{found.count:,} records are as they were written")
        click.echo(f"head {found.head}")
    if found.fault:
        raise click.exceptions.Exit(1)


@audit.command()
@click.option("--file", type=click.Path(dir_okay=False, path_type=Path), help="Where to; else standard output.")
@output.json_option
def export(*, file: Path | None, as_json: bool) -> None:
    """Write all records as JSON lines, which `wright audit verify FILE` checks without a workspace."""
    from modelwright.errors import AuditDamaged
    from modelwright.store import audit as records

    with (
        output.opened_store() as store,
        _counted("exporting", is_silent=as_json) as on_record,
        _written(file) as write,
    ):
        found = records.export(store, write, on_record=on_record)
        if found.fault:
            raise AuditDamaged(fault=found.fault)
    if as_json and file:
        output.show_json({"file": str(file.absolute()), **plain(found)})
    elif file:
        click.echo(f"{file}  {found.count:,} records, head {found.head}")


@contextmanager
def _counted(doing: str, *, is_silent: bool) -> Iterator[Callable[[int], None]]:
    """Give what is told of each record and now and then says so on a terminal."""
    begun = time.monotonic()
    with output.waiting(doing, is_silent=is_silent) as say:

        def on_record(count: int) -> None:
            if count % _EVERY == 0:
                say(f"{doing}: {count:,} records, {time.monotonic() - begun:.0f} s")

        yield on_record


@contextmanager
def _written(file: Path | None) -> Iterator[Callable[[bytes], object]]:
    """Give what writes to the file, which is there once all of it is; or to standard output."""
    if file is None:
        yield sys.stdout.buffer.write
        sys.stdout.buffer.flush()
        return
    part = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with part.open("wb") as handle:
            yield handle.write
            handle.flush()
            os.fsync(handle.fileno())
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
