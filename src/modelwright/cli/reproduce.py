"""`wright reproduce`: make a version again."""

import click

from modelwright.cli import output

_SHOWN = 60


@click.command()
@click.argument("version", metavar="MODEL:VERSION")
@output.why_option
@output.json_option
def reproduce(version: str, *, why: str, as_json: bool) -> int:
    """Make MODEL:VERSION again from the record and compare; exit 1 when it differs.

    Code, lock, data, parameters and seed are those of its run, in a clean folder and an environment built anew.
    """
    from modelwright.lifecycle import recovery, reproduction
    from modelwright.records import Sameness

    with output.session(is_silent=as_json, why=why) as session:
        recovery.recover(session)
        found = reproduction.reproduce(session, version)
    if as_json:
        output.show_json(found)
    else:
        output.show_table(
            ("kind", "name", "then", "now", "equal"),
            [
                (
                    each["kind"],
                    each["name"],
                    str(each["then"])[:_SHOWN],
                    str(each["now"])[:_SHOWN],
                    "yes" if each["is_equal"] else "NO",
                )
                for each in found.comparisons
            ],
            empty="nothing was made to compare",
        )
        click.echo(f"{found.version}: {found.sameness}")
        if found.cause:
            click.echo(f"cause ({found.kind}): {found.cause}")
    return 1 if found.sameness is Sameness.DIFFERS else 0
