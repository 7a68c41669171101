"""`wright at`: a reading command's answer as of some time."""

from datetime import UTC, datetime

import click

from modelwright.cli import output
from modelwright.cli.moments import Moment

# All of what these tell is on record; others look at processes, caches or files as they are now.
TRAVELLERS = (
    "audit list",
    "dataset list",
    "dataset show",
    "dataset users",
    "endpoint list",
    "endpoint show",
    "environment diff",
    "impact",
    "model list",
    "model show",
    "pipeline list",
    "pipeline show",
    "pipeline diff",
    "run diff",
    "run list",
    "run show",
    "schedule list",
    "schedule show",
    "settings list",
    "sweep show",
    "why",
)


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("moment", metavar="TIME", type=Moment())
@click.argument("words", metavar="COMMAND...", nargs=-1, required=True, type=click.UNPROCESSED)
@output.json_option
@click.pass_context
def at(context: click.Context, moment: datetime, words: tuple[str, ...], *, as_json: bool) -> object:
    """Answer the reading command COMMAND as it would have answered at TIME, what is deleted by now included.

    TIME is ISO 8601, a date for its first moment, yesterday, or '2 hours ago'; without a zone it is yours.
    """
    if moment > datetime.now(UTC):
        rule = f"{output.moment(moment)} is still to come"
        raise click.BadParameter(rule, param_hint="TIME")
    command, parent, name, rest = _resolve(context, list(words))
    is_json = as_json or "--json" in rest
    if is_json and "--json" not in rest:
        rest = [*rest, "--json"]
    context.meta[output.MOMENT] = moment
    if not is_json:
        click.echo(f"as of {output.moment(moment)}")
    with command.make_context(name, rest, parent=parent) as inner:
        return command.invoke(inner)


def _resolve(context: click.Context, words: list[str]) -> tuple[click.Command, click.Context, str, list[str]]:
    """Return the command that `words` name, its parent's context, its name, and the words that are its own."""
    command, parent, path = context.find_root().command, context, list[str]()
    while isinstance(command, click.Group) and words:
        name, found, words = command.resolve_command(parent, words)
        if found is None or name is None:
            break
        if path:
            parent = click.Context(command, parent=parent, info_name=path[-1])
        path.append(name)
        command = found
    if " ".join(path) not in TRAVELLERS:
        rule = f'"{" ".join(path)}" only knows how things are now; these can look back: {", ".join(TRAVELLERS)}'
        raise click.UsageError(rule)
    return command, parent, path[-1], words
