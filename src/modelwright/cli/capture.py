"""`wright capture`: list, show, stats, export, dataset, label, set, compact, delete."""

import os
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from modelwright import settings
from modelwright.cli import output
from modelwright.cli.moments import Moment
from modelwright.records.plain import plain

if TYPE_CHECKING:
    from modelwright.records import CaptureRecord

_SHOWN_BYTES = 2000
_SHOWN_LENGTH = 60
_LOW_PRIORITY = 10
_MOST_DAYS = 1_000_000

_since_option = click.option("--since", type=Moment(), help="Only what was received then or later.")
_until_option = click.option("--until", type=Moment(), help="Only what was received before.")
_version_option = click.option("--version", metavar="MODEL:VERSION", help="Only what this version answered.")


@click.group()
def capture() -> None:
    """See, keep, label and delete what endpoints were asked and answered."""


@capture.command("list")
@click.argument("endpoint")
@_since_option
@_until_option
@_version_option
@click.option("--failed", is_flag=True, help="Only what was not answered with success.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="At most so many, the newest.")
@output.json_option
def list_(
    endpoint: str,
    since: datetime | None,
    until: datetime | None,
    version: str | None,
    *,
    failed: bool,
    limit: int,
    as_json: bool,
) -> None:
    """List captured requests of ENDPOINT, oldest first."""
    from modelwright.serving.capture import exporting, places

    wanted = exporting.Wanted(endpoint, since, until, version)
    with output.opened_store() as store, output.waiting("reading what was captured", is_silent=as_json):
        found = exporting.newest(places.folder_of(store, endpoint), wanted, limit=limit, is_failed=failed)
    if as_json:
        output.show_json(found)
        return
    output.show_table(
        ("request", "received", "version", "status", "ms", "input", "output"),
        [
            (
                each.request_id,
                output.moment(each.received_at),
                each.version or "none",
                each.status,
                f"{each.duration_ms:.1f}",
                _shortened(each.input),
                _shortened(each.output),
            )
            for each in found
        ],
        empty=f"no captured requests of {endpoint}{wanted.told}",
    )


@capture.command()
@click.argument("request")
@output.json_option
def show(request: str, *, as_json: bool) -> None:
    """Show the captured REQUEST, named by its id, with its answer, and those of shadows."""
    from modelwright.errors import RequestMissing
    from modelwright.serving.capture import places, reading

    longest_seconds = settings.scoring_timeout_ms() / 1000
    with output.opened_store() as store, output.progress("searching", is_silent=as_json, are_bytes=True) as told:
        found = reading.find(places.root(store), request, longest_seconds=longest_seconds, on_file=told)
    if not found:
        raise RequestMissing(request=request, looked="all that was captured was looked at")
    if as_json:
        output.show_json(found)
        return
    for each in found:
        output.show_fields(_fields(each.record, endpoint=each.endpoint, file=each.file))


@capture.command()
@click.argument("endpoint", required=False)
@output.json_option
def stats(endpoint: str | None, *, as_json: bool) -> None:
    """Show what is captured of ENDPOINT or of every endpoint, how, and what could not be kept."""
    from modelwright.lifecycle import capturing

    with output.opened_store() as store:
        found = [capturing.report(store, endpoint)] if endpoint else capturing.reports(store)
    told = [each.told() for each in found]
    if as_json:
        output.show_json(told)
        return
    output.show_table(
        ("endpoint", "mode", "rows", "segments", "size", "days", "labels", "since it runs", "damaged"),
        [
            (
                each["endpoint"],
                _mode(each["settings"]),
                f"{each['rows']:,}",
                each["segments"] + each["lines"],
                f"{each['bytes']:,}",
                " to ".join(each["days"]),
                f"{each['labels']:,}",
                _counted(each["counts"]),
                each["damaged"] or "",
            )
            for each in told
        ],
        empty="no endpoints yet",
    )


@capture.command()
@click.argument("endpoint")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@_since_option
@_until_option
@_version_option
@output.json_option
def export(
    endpoint: str, file: Path, since: datetime | None, until: datetime | None, version: str | None, *, as_json: bool
) -> None:
    """Write captured requests of ENDPOINT into a new FILE, a line of JSON for each."""
    from modelwright.serving.capture import exporting, places

    if file.exists():
        message = f'"{file}" is there already'
        raise click.UsageError(message)
    wanted = exporting.Wanted(endpoint, since, until, version)
    with output.opened_store() as store, output.waiting("reading what was captured", is_silent=as_json):
        count = exporting.export(places.folder_of(store, endpoint), file, wanted)
    if as_json:
        output.show_json({"file": str(file.absolute()), "requests": count})
    else:
        click.echo(f"{file}  {count:,} requests")


@capture.command()
@click.argument("endpoint")
@click.argument("name")
@_since_option
@_until_option
@_version_option
@output.why_option
@output.json_option
def dataset(
    endpoint: str,
    name: str,
    since: datetime | None,
    until: datetime | None,
    version: str | None,
    *,
    why: str,
    as_json: bool,
) -> None:
    """Make answered requests of ENDPOINT the next version of dataset NAME: inputs, predictions and labels joined."""
    from modelwright.serving.capture import exporting, places

    wanted = exporting.Wanted(endpoint, since, until, version)
    with (
        output.session(is_silent=True, why=why) as session,
        output.waiting("reading what was captured", is_silent=as_json) as say,
    ):
        made, rows, labelled = exporting.make_dataset(
            session.store,
            places.folder_of(session.store, endpoint),
            name,
            wanted=wanted,
            actor=session.actor,
            why=why,
            on_request=lambda count: say(f"joining {count:,} requests") if not count % 1000 else None,
        )
    if as_json:
        output.show_json({"version": made.reference, "rows": rows, "labelled": labelled})
    else:
        click.echo(f"{made.reference}  {rows:,} rows, {labelled:,} of them with labels")


@capture.command()
@click.argument("endpoint")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--id", "id_column", metavar="COLUMN", help="What says whose label it is; by default request_id.")
@click.option("--label", "label_column", metavar="COLUMN", default="label", show_default=True, help="The label itself.")
@click.option(
    "--by",
    metavar="KIND",
    default="request_id",
    show_default=True,
    help="What the ids are: request_id, header:NAME or input:FIELD.",
)
@output.why_option
@output.json_option
def label(
    endpoint: str, file: Path, id_column: str | None, label_column: str, by: str, *, why: str, as_json: bool
) -> None:
    """Keep the labels in FILE, CSV, Parquet or JSON lines, for requests of ENDPOINT; the label found last counts."""
    from modelwright.serving.capture import labelling, places

    if by != labelling.BY_REQUEST and not by.startswith(("header:", "input:")):
        message = f'"{by}" is none of request_id, header:NAME, input:FIELD'
        raise click.BadParameter(message, param_hint="--by")
    columns = labelling.Columns(id_column, label_column, by)
    with output.session(is_silent=True, why=why) as session:
        count = labelling.tell(
            session.store,
            places.folder_of(session.store, endpoint),
            file,
            columns=columns,
            actor=session.actor,
            why=why,
        )
    if as_json:
        output.show_json(count)
    else:
        click.echo(f"{count.new:,} new, {count.changed:,} changed, {count.same:,} as before, {count.older:,} older")
        click.echo(f"  next: wright capture dataset {endpoint} NAME")


@capture.command("set")
@click.argument("endpoint")
@click.option("--mode", type=click.Choice(["durable", "fast", "sample", "off"]), help="How safe, or how much.")
@click.option("--rate", type=click.FloatRange(0, 1), help="The share that sample keeps.")
@click.option("--when-full", type=click.Choice(["refuse", "serve"]), help="What to do when nothing can be kept.")
@click.option("--header", "headers", metavar="NAME", multiple=True, help="Keep this header; repeatable.")
@click.option("--hash", "hashed", metavar="FIELD", multiple=True, help="Keep a keyed hash of this field; repeatable.")
@click.option("--leave-out", "left_out", metavar="FIELD", multiple=True, help="Do not keep this field; repeatable.")
@click.option("--keep-days", metavar="DAYS", help="Delete what is older; `forever` for never.")
@click.option("--collect/--no-collect", default=None, help="Whether the collector of scripts writes.")
@click.option("--reset", is_flag=True, help="Begin with the usual settings, not with those of now.")
@output.why_option
@output.json_option
def set_(endpoint: str, *, why: str, as_json: bool, **options: Any) -> None:
    """Change how requests of ENDPOINT are captured, while it serves; without options, show it."""
    from modelwright.serving import configuring

    with output.session(is_silent=True, why=why) as session:
        said, is_anew = _said(options), options["reset"]
        if said or is_anew:
            wanted = configuring.set_capture(
                session.store, endpoint, said, is_anew=is_anew, actor=session.actor, why=why
            )
        else:
            wanted = configuring.capture_of(session.store, endpoint)
    if as_json:
        output.show_json(wanted)
        return
    output.show_fields(
        [
            ("mode", _mode(plain(wanted))),
            ("when full", "refuse with 503" if wanted.is_refusing else "serve, and count it as lost"),
            ("headers", ", ".join(wanted.headers) or "none"),
            ("hashed", ", ".join(wanted.hashed) or "nothing"),
            ("left out", ", ".join(wanted.left_out) or "nothing"),
            ("kept", "forever" if wanted.keep_days is None else f"{wanted.keep_days} days"),
            ("collector", "on" if wanted.is_collecting else "off"),
        ]
    )


@capture.command()
@click.argument("endpoint", required=False)
@output.json_option
def compact(endpoint: str | None, *, as_json: bool) -> None:
    """Turn ended segments of ENDPOINT, or of all, into Parquet, and delete what is older than it is kept."""
    from modelwright.serving.capture import keeping

    os.nice(_LOW_PRIORITY)
    with output.opened_store() as store, output.progress("compacting", is_silent=as_json, are_bytes=True) as told:
        done = keeping.keep(store, endpoint, actor=settings.actor(), on_segment=told)
    if as_json:
        output.show_json(done)
        return
    rows = sum(each.rows for each in done.segments)
    click.echo(f"segments that became Parquet: {len(done.segments):,}, requests in them: {rows:,}")
    for name, gone in done.deleted.items():
        click.echo(f"{name}: {len(gone)} deleted, older than they are kept")


@capture.command()
@click.argument("endpoint")
@click.option("--before", type=Moment(), required=True, help="Delete the days before the day of this time.")
@output.why_option
@output.json_option
def delete(endpoint: str, before: datetime, *, why: str, as_json: bool) -> None:
    """Delete captured requests of ENDPOINT, whole days of them, on the record."""
    from datetime import UTC

    from modelwright.serving.capture import places, retention

    day = before.astimezone(UTC).date()
    with output.session(is_silent=True, why=why) as session:
        folder = places.folder_of(session.store, endpoint)
        gone = retention.delete(session.store, folder, before=day, actor=session.actor, why=why)
    if as_json:
        output.show_json({"before": day.isoformat(), "deleted": gone})
    else:
        click.echo("\n".join(gone) or f"nothing was captured of {endpoint} before {day}")


def _said(options: dict[str, Any]) -> dict[str, Any]:
    """Return what the options say of settings."""
    from modelwright.records import CaptureMode

    said: dict[str, Any] = {}
    for name in ("headers", "hashed", "left_out"):
        if options[name]:
            # An empty name takes all away, since there is no other way to say so.
            said[name] = tuple(each for each in options[name] if each)
    if options["mode"]:
        said["mode"] = CaptureMode(options["mode"])
    if options["rate"] is not None:
        said["rate"] = options["rate"]
    if options["when_full"]:
        said["is_refusing"] = options["when_full"] == "refuse"
    if options["collect"] is not None:
        said["is_collecting"] = options["collect"]
    if options["keep_days"]:
        said["keep_days"] = _days(options["keep_days"])
    return said


def _days(text: str) -> int | None:
    if text == "forever":
        return None
    if not text.isdecimal() or not 0 < int(text) <= _MOST_DAYS:
        message = f'"{text}" is neither a number of days, at most {_MOST_DAYS:,}, nor forever'
        raise click.BadParameter(message, param_hint="--keep-days")
    return int(text)


def _fields(record: "CaptureRecord", *, endpoint: str, file: str) -> list[tuple[str, object]]:
    return [
        ("request", record.request_id),
        ("endpoint", endpoint),
        ("received", output.moment(record.received_at)),
        ("version", record.version or "none"),
        *([("shadow of", record.shadow_of)] if record.shadow_of else []),
        ("status", record.status),
        ("took", f"{record.duration_ms:.3f} ms"),
        ("path", record.path),
        *((f"header {name}", value) for name, value in record.headers.items()),
        ("input", f"{record.input[:_SHOWN_BYTES]}{' (base64)' if record.is_base64 else ''}"),
        ("output", f"{record.output[:_SHOWN_BYTES]}{' (base64)' if record.is_output_base64 else ''}"),
        ("file", file),
    ]


def _mode(kept: dict[str, Any] | None) -> str:
    if kept is None:
        return "deleted"
    return f"sample {kept['rate']:g}" if kept["mode"] == "sample" else str(kept["mode"])


def _counted(counts: dict[str, Any] | None) -> str:
    """Return what became of the requests since the endpoint runs, what is none left out."""
    if counts is None:
        return ""
    names = ("kept", "skipped", "lost", "failed", "pending")
    return ", ".join(f"{counts[name]:,} {name}" for name in names if counts[name]) or "none yet"


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN_LENGTH else f"{text[: _SHOWN_LENGTH - 1]}…"
