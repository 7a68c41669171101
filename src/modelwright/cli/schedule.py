"""`wright schedule`: pipelines that run by themselves."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from modelwright.cli import output

if TYPE_CHECKING:
    from modelwright.records import Schedule, Tick, Trigger


@click.group()
def schedule() -> None:
    """Let a published pipeline run by itself: at times, or when new data comes."""


@schedule.command()
@click.argument("name")
@click.option("--pipeline", required=True, metavar="NAME[:VERSION]", help="What to run; NAME is the newest enabled.")
@click.option("--cron", metavar="EXPRESSION", help='Minute, hour, day, month, weekday: "0 3 * * 1-5".')
@click.option("--time-zone", metavar="ZONE", help="What the expression is read in, as Europe/Berlin; default: UTC.")
@click.option("--every", metavar="INTERVAL", help="A whole number of s, m, h or d, as 15m.")
@click.option("--on-new-data", metavar="PATH", help="A file, a folder or a glob: when a file comes or changes.")
@click.option("--on-dataset", metavar="DATASET", help="When the dataset gets a new version.")
@output.set_option
@click.option(
    "--missed",
    type=click.Choice(["skip", "once", "all"]),
    help="What becomes of times that nobody could take: none, one run for all (default), or a run for each.",
)
@output.why_option
@output.json_option
def add(
    name: str,
    pipeline: str,
    assignments: tuple[str, ...],
    *,
    why: str,
    as_json: bool,
    missed: str | None,
    **when: str | None,
) -> None:
    """Let a published pipeline run by itself, as NAME. `wright up` runs schedules in the background."""
    from modelwright import records
    from modelwright.lifecycle import background, scheduling
    from modelwright.records import Missed

    trigger = _trigger(when)
    if missed and not (when["cron"] or when["every"]):
        rule = "only times are missed: --cron, --every"
        raise click.BadParameter(rule, param_hint="--missed")
    parameters = output.assigned(assignments)
    with output.session(is_silent=as_json, why=why) as session:
        made = scheduling.add(
            session,
            name,
            pipeline=pipeline,
            trigger=trigger,
            parameters=parameters,
            missed=Missed(missed or "once"),
            now=records.now(),
        )
        is_running = background.is_running(session.store)
    if as_json:
        output.show_json(made)
        return
    click.echo(f'schedule "{name}" runs {made.reference} {_told(made)}')
    if not is_running:
        click.echo("  next: wright up")


@schedule.command("list")
@output.json_option
def list_(*, as_json: bool) -> None:
    """List the schedules: when they run what, and what became of their last tick."""
    from modelwright.store import schedules

    with output.opened_store() as store:
        found = schedules.list_schedules(store)
        last = {each.name: schedules.list_ticks(store, schedule=each.name, limit=1) for each in found}
    if as_json:
        output.show_json(found)
        return
    output.show_table(
        ("schedule", "pipeline", "when", "enabled", "next", "last"),
        [
            (
                each.name,
                each.reference,
                _told(each),
                "yes" if each.is_enabled else "no",
                output.moment(each.next_at),
                "".join(f"{output.moment(tick.due_at)} {tick.outcome}" for tick in last[each.name]),
            )
            for each in found
        ],
        empty="no schedules yet; make one: wright schedule add NAME --pipeline PIPELINE --every 15m",
    )


@schedule.command()
@click.argument("name")
@output.json_option
def show(name: str, *, as_json: bool) -> None:
    """Show a schedule: its next times, its last ticks and their runs."""
    from modelwright.lifecycle import background, scheduling

    with output.opened_store() as store:
        seen = scheduling.describe(store, name)
        is_running = background.is_running(store)
    found = seen.schedule
    if as_json:
        output.show_json(seen.told() | {"scheduler": is_running})
        return
    output.show_fields(
        [
            ("schedule", found.name),
            ("pipeline", found.reference),
            ("when", _told(found)),
            ("missed", found.missed),
            ("enabled", "yes" if found.is_enabled else "no"),
            ("scheduler", "running" if is_running else "not running; next: wright up"),
            *(("parameter", f"{key} = {value!r}") for key, value in found.parameters.items()),
            *(("next", output.moment(each)) for each in seen.following),
            *(("tick", _line(each)) for each in seen.ticks),
        ]
    )


@schedule.command()
@click.argument("name")
@output.why_option
@output.json_option
def enable(name: str, *, why: str, as_json: bool) -> None:
    """Let a schedule be due again, from now on; what it missed while disabled is not made up for."""
    _switch(name, is_enabled=True, why=why, as_json=as_json)


@schedule.command()
@click.argument("name")
@output.why_option
@output.json_option
def disable(name: str, *, why: str, as_json: bool) -> None:
    """Let a schedule not be due until it is enabled again; a run that goes on is left alone."""
    _switch(name, is_enabled=False, why=why, as_json=as_json)


@schedule.command()
@click.argument("name")
@output.why_option
@output.json_option
def remove(name: str, *, why: str, as_json: bool) -> None:
    """Delete a schedule; the runs that it started stay."""
    from modelwright.lifecycle import scheduling

    with output.session(is_silent=as_json, why=why) as session:
        scheduling.remove(session, name)
    if as_json:
        output.show_json({"removed": name})
    else:
        click.echo(f'schedule "{name}" is removed')


@schedule.command("run-now")
@click.argument("name")
@output.why_option
@output.json_option
def run_now(name: str, *, why: str, as_json: bool) -> None:
    """Run a schedule's pipeline at once, due or not; exit 1 when it does not succeed."""
    from modelwright import records
    from modelwright.lifecycle import ticking

    with output.session(is_silent=as_json, why=why) as session:
        tick = ticking.run_now(session, name, now=records.now())
    _show_ticks([tick], as_json=as_json)


@schedule.command()
@output.why_option
@output.json_option
def tick(*, why: str, as_json: bool) -> None:
    """Run all that is due now and return; exit 1 when something does not succeed.

    For those who let their own cron call it, in place of `wright up`. New data is seen by the second of two ticks.
    """
    from modelwright import records
    from modelwright.lifecycle import ticking

    with output.session(is_silent=as_json, why=why) as session:
        ticks = ticking.pass_once(session, now=records.now())
    _show_ticks(ticks, as_json=as_json)


def _trigger(when: dict[str, str | None]) -> "Trigger":
    from modelwright.records import Trigger, TriggerKind

    kinds = {
        "cron": TriggerKind.CRON,
        "every": TriggerKind.INTERVAL,
        "on_new_data": TriggerKind.PATH,
        "on_dataset": TriggerKind.DATASET,
    }
    given = [name for name in kinds if when[name] is not None]
    if len(given) != 1:
        rule = "exactly one of these says when"
        raise click.BadParameter(rule, param_hint="--cron, --every, --on-new-data, --on-dataset")
    if when["time_zone"] and given != ["cron"]:
        rule = "only --cron has one"
        raise click.BadParameter(rule, param_hint="--time-zone")
    value = str(when[given[0]])
    if given == ["on_new_data"]:
        value = str(Path(value).expanduser().absolute())
    return Trigger(kinds[given[0]], value, when["time_zone"] or "UTC")


def _switch(name: str, *, is_enabled: bool, why: str, as_json: bool) -> None:
    from modelwright import records
    from modelwright.lifecycle import scheduling

    with output.session(is_silent=as_json, why=why) as session:
        found = scheduling.set_enabled(session, name, is_enabled=is_enabled, now=records.now())
    if as_json:
        output.show_json(found)
    else:
        click.echo(f'schedule "{name}" is {"enabled" if is_enabled else "disabled"}')


def _show_ticks(ticks: "list[Tick]", *, as_json: bool) -> None:
    from modelwright.store.schedules import SUCCEEDED

    if as_json:
        output.show_json(ticks)
    else:
        for each in ticks:
            click.echo(f"{each.schedule}: {_line(each)}")
        if not ticks:
            click.echo("nothing is due")
    if any(each.outcome != SUCCEEDED for each in ticks):
        raise click.exceptions.Exit(1)


def _told(found: "Schedule") -> str:
    words = {"cron": "at", "interval": "every", "path": "on new data at", "dataset": "on new versions of dataset"}
    zone = f" {found.trigger.time_zone}" if found.trigger.kind == "cron" else ""
    return f"{words[found.trigger.kind]} {found.trigger.value}{zone}"


def _line(tick: "Tick") -> str:
    return f"{output.moment(tick.due_at)} {tick.outcome}{f' ({tick.run_id})' if tick.run_id else ''}"
