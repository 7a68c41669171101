"""What commands share: the store of the context, `--json`, and how records, tables and stages are shown."""

import json
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from modelwright import settings
from modelwright.errors import ReasonMissing
from modelwright.records.plain import plain

if TYPE_CHECKING:
    from modelwright.errors import ModelwrightError
    from modelwright.lifecycle.sessions import Session, Stage
    from modelwright.notebooks.deciding import Decision
    from modelwright.records import Finding, Proof, Removal
    from modelwright.store.database import Store

_SILENT_SECONDS = 0.5

json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
why_option = click.option("--why", default="", metavar="TEXT", help="The reason, for the record.")
set_option = click.option(
    "--set", "assignments", metavar="NAME=VALUE", multiple=True, help="Override a parameter; repeatable."
)


# Where a call's context keeps the time as of which it asks, and its own words.
MOMENT = "modelwright.moment"
WORDS = "modelwright.words"


@contextmanager
def opened_store(*, is_made: bool = False) -> Iterator["Store"]:
    """Open the workspace of this call; `is_made` when the command may make one where there is none."""
    from modelwright.store.database import open_store

    context = click.get_current_context()
    named: str | None = context.find_root().obj
    find = settings.find_or_place_workspace if is_made else settings.find_workspace
    # What needs no workspace elsewhere, such as tests, builds its environments in one that is here.
    is_elsewhere = settings.workspace_url(named) is not None
    store = open_store(settings.workspace_here(Path.cwd()) if is_elsewhere else find(Path.cwd(), named=named))
    try:
        moment = context.meta.get(MOMENT)
        if moment is None:
            yield store
            return
        from modelwright.store import history

        with ExitStack() as held:
            with waiting("looking back", is_silent=False):
                past = held.enter_context(history.as_of(store, moment))
            yield past
    finally:
        store.close()


def error_facts(error: "ModelwrightError") -> dict[str, object]:
    """Return an error as what JSON can hold."""
    told = {"code": error.code, "message": str(error), "next_command": error.next_command, "status": error.status}
    return {**told, **plain(error.details())}


def show_json(value: object) -> None:
    """Print `value`, made of records, as JSON."""
    click.echo(json.dumps(plain(value), indent=2, default=str))


def show_table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, empty: str) -> None:
    """Print a table; `empty` is said when there are no rows."""
    if not rows:
        click.echo(empty)
        return
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(*columns, box=box.SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        table.add_row(*("" if cell is None else escape(str(cell)) for cell in row))
    # Piped output is for programs and files: never cut it to the width of a terminal that is not there.
    Console(width=None if sys.stdout.isatty() else 200).print(table)


def show_fields(fields: Sequence[tuple[str, object]]) -> None:
    """Print name and value a line, in two columns."""
    width = max(len(name) for name, _ in fields)
    for name, value in fields:
        click.echo(f"{name:<{width}}  {value}")


def moment(value: datetime | None) -> str:
    """Return a time as people read it, in their own zone; nothing for None."""
    return "" if value is None else value.astimezone().strftime("%Y-%m-%d %H:%M:%S")


@contextmanager
def session(*, is_made: bool = False, is_silent: bool = False, why: str = "") -> Iterator["Session"]:
    """Open the workspace of this call for its user, with a line for each stage unless it `is_silent`.

    All that is written carries the reason `why`.
    """
    from modelwright.lifecycle.sessions import Session

    with opened_store(is_made=is_made) as store, stage_lines(is_silent=is_silent) as report:
        try:
            yield Session(store, settings.actor(), report, why)
        except ReasonMissing as error:
            words = click.get_current_context().meta.get(WORDS, [])
            error.next_command = shlex.join(["wright", *words]) + ' --why "TEXT"'
            raise


@contextmanager
def stage_lines(*, is_silent: bool) -> Iterator[Callable[["Stage"], None]]:
    """Give a reporter that prints one line per finished stage, with a spinner for the present one on a terminal.

    The lines go to standard error: standard output is the result's.
    """
    from modelwright.lifecycle.sessions import silent

    if is_silent:
        yield silent
        return
    from rich.console import Console
    from rich.markup import escape

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    with console.status("") as spinner:

        def report(stage: "Stage") -> None:
            if stage.elapsed_seconds is None:
                spinner.update(f"{stage.name} {stage.doing}")
                return
            told = f"{stage.name:<10} {stage.elapsed_seconds:5.1f} s  {escape(stage.decided)}"
            recorded = f"  [dim]{escape(stage.recorded)}[/dim]" if stage.recorded else ""
            mark = "[red]✗[/red]" if stage.has_failed else "[green]✓[/green]"
            console.print(f"{mark} {told}{recorded}")
            for note in stage.notes:
                console.print(f"  [yellow]![/yellow] {escape(note)}")

        yield report


@contextmanager
def waiting(text: str, *, is_silent: bool) -> Iterator[Callable[[str], None]]:
    """Show on a terminal that something is going on; give what changes the text."""
    if is_silent or not sys.stderr.isatty():
        yield lambda _text: None
        return
    from rich.console import Console

    with Console(stderr=True).status(text) as status:
        yield status.update


@contextmanager
def progress(doing: str, *, is_silent: bool, are_bytes: bool = False) -> Iterator[Callable[[int, int], None]]:
    """Give a reporter of how much is done of how much, whose bar shows on a terminal once the work takes a moment."""
    if is_silent or not sys.stderr.isatty():
        yield lambda _done, _all: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    amount = DownloadColumn() if are_bytes else MofNCompleteColumn()
    columns = (TextColumn("{task.description}"), BarColumn(), amount, TimeRemainingColumn())
    bar = Progress(*columns, console=Console(stderr=True), transient=True)
    begun = time.monotonic()
    task = bar.add_task(doing, total=None)

    def report(done: int, whole: int) -> None:
        if not bar.live.is_started and time.monotonic() - begun > _SILENT_SECONDS:
            bar.start()
        bar.update(task, completed=done, total=whole)

    try:
        yield report
    finally:
        bar.stop()


def assigned(assignments: Sequence[str], option: str = "--set") -> dict[str, object]:
    """Return what NAME=VALUE options say: values that are JSON as what they mean, others as text."""
    found: dict[str, object] = {}
    for assignment in assignments:
        name, separator, text = assignment.partition("=")
        if not separator or not name:
            raise not_an_assignment(assignment, option)
        try:
            found[name] = json.loads(text)
        except json.JSONDecodeError:
            found[name] = text
    return found


def filters(assignments: Sequence[str]) -> dict[str, str | None]:
    """Return what NAME=VALUE filters say; a NAME alone, which takes any value, as None."""
    parts = (each.partition("=") for each in assignments)
    return {name: value if separator else None for name, separator, value in parts}


def not_an_assignment(text: str, option: str) -> click.BadParameter:
    """Return the usage error for an option that takes NAME=VALUE and got something else."""
    return click.BadParameter(f'"{text}" is not NAME=VALUE', param_hint=option)


def show_findings(findings: Sequence["Finding"]) -> None:
    """Print a line for each finding, as compilers do, and how to mend it below."""
    for each in findings:
        place = ":".join(str(part) for part in (each.notebook, each.cell, each.line) if part)
        kind = click.style("error", fg="red") if each.is_error else click.style("note", fg="yellow")
        click.echo(f"{place} {kind} [{each.code}] {each.message}\n  fix: {each.fix}")
    if not findings:
        click.echo("nothing was found")


def show_removals(removals: Sequence["Removal"]) -> None:
    """Print what was removed from the notebooks, and why."""
    show_table(
        ("removed from", "cell", "line", "statement", "because"),
        [(each.notebook, each.cell, each.line, _shortened(each.source), each.reason) for each in removals],
        empty="nothing was removed from the notebooks",
    )


def show_decisions(decisions: Sequence["Decision"]) -> None:
    """Print what became of every statement of the notebooks."""
    show_table(
        ("notebook", "cell", "line", "statement", "became", "where, or why"),
        [
            (each.notebook, each.cell, each.line, _shortened(each.source), each.fate, each.function or each.reason)
            for each in decisions
        ],
        empty="the notebooks have no statements",
    )


def show_proof(proof: "Proof") -> None:
    """Print the notebook's results beside the project's."""
    show_table(
        ("proof", "notebook", "project", "equal"),
        [
            (each.name, _shortened(str(each.notebook)), _shortened(str(each.project)), "yes" if each.is_equal else "NO")
            for each in proof.comparisons
        ],
        empty="there was nothing to compare",
    )


def _shortened(text: str, length: int = 60) -> str:
    first = text.strip().splitlines()[0] if text.strip() else ""
    return first if len(first) <= length and "\n" not in text.strip() else f"{first[: length - 1]}…"
