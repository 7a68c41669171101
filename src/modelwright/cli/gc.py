"""`wright gc`."""

import click

from modelwright.cli import output
from modelwright.records.plain import plain


@click.command()
@click.option("--dry-run", is_flag=True, help="Delete nothing; show what would be deleted, and why nothing names it.")
@output.why_option
@output.json_option
def gc(*, dry_run: bool, why: str, as_json: bool) -> None:
    """Free the disk of files that nothing refers to, and prove that every other one is still there.

    Exit 1 when one of those is not.
    """
    from modelwright.lifecycle import garbage

    with output.session(is_silent=as_json, why=why) as session:
        found = garbage.collect(session, is_dry=dry_run)
    if as_json:
        output.show_json(plain(found))
    else:
        if dry_run:
            rows = [(each.digest[:12], f"{each.size_bytes:,}", each.why) for each in found.garbage]
            output.show_table(("file", "bytes", "why nothing refers to it"), rows, empty="nothing to delete")
        for each in found.folders:
            click.echo(f"folder {each}: what it belongs to was deleted")
        for each in found.kept:
            click.echo(each)
        done = "would be deleted" if dry_run else "deleted"
        click.echo(f"{len(found.garbage)} files {done}, {found.size_bytes:,} bytes")
        click.echo(f"{found.still_present} of {found.present} files that something refers to are there")
        if found.missing:
            click.echo(f"{len(found.missing)} were missing before: {', '.join(found.missing)}", err=True)
    if found.lost:
        raise click.exceptions.Exit(1)
