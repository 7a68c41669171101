"""`wright rollout`: a version takes over an endpoint step by step, or not at all."""

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from modelwright.cli import output
from modelwright.records.plain import plain

if TYPE_CHECKING:
    from modelwright.lifecycle.sessions import Session
    from modelwright.records import Rollout

_LOOK_SECONDS = 1.0
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)([smhd])")


class _Duration(click.ParamType[float]):
    """A time such as 30s, 10m, 2h, 1d."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return it in seconds."""
        if isinstance(value, float):
            return value
        found = _DURATION.fullmatch(str(value))
        if not found:
            self.fail(f'"{value}" is not a number of s, m, h or d, as 10m', param, ctx)
        return float(found[1]) * _SECONDS[found[2]]


class _Rate(click.ParamType[float]):
    """A share such as 1% or 0.01."""

    name = "rate"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return it as a number from 0 to 1."""
        if isinstance(value, float):
            return value
        text = str(value)
        try:
            return float(text[:-1]) / 100 if text.endswith("%") else float(text)
        except ValueError:
            self.fail(f'"{value}" is not a rate, as 1% or 0.01', param, ctx)


_DURATION_TYPE, _RATE_TYPE = _Duration(), _Rate()


@click.group()
def rollout() -> None:
    """Let a version take over an endpoint step by step, watched, or not at all."""


@rollout.command()
@click.argument("endpoint")
@click.argument("reference", metavar="MODEL:VERSION")
@click.option("--steps", default="5,25,50,100", show_default=True, help="Shares of the traffic, in percent.")
@click.option("--hold", type=_DURATION_TYPE, default="10m", show_default=True, help="How long each step lasts.")
@click.option("--min-requests", type=click.IntRange(0), default=100, show_default=True, help="Of each version, a step.")
@click.option("--patience", type=_DURATION_TYPE, default="1h", show_default=True, help="For checks that are open.")
@click.option(
    "--shadow", type=click.IntRange(0, 100), default=0, help="At a first step of 0: copies of so many percent."
)
@click.option("--approve", "asks", is_flag=True, help="Wait after each step until it is resumed.")
@click.option("--max-error-rate", type=_RATE_TYPE, help="As 1% or 0.01; more errors than now roll back anyway.")
@click.option("--max-latency-ratio", type=float, help="Against the version that serves now, as 1.5.")
@click.option("--max-prediction-shift", type=_RATE_TYPE, help="How much of any share of answers may move, as 0.1.")
@click.option("--max-disagreement", type=_RATE_TYPE, help="Of copied requests, how many may be answered differently.")
@click.option(
    "--tolerance", type=_RATE_TYPE, default=0.0, help="By how much numbers may differ and still agree, as 1%."
)
@click.option(
    "--alpha", type=_RATE_TYPE, default=0.01, show_default=True, help="How likely a good version may be rolled back."
)
@click.option(
    "--lease", type=_DURATION_TYPE, default="30s", show_default=True, help="When nobody watches, back after this."
)
@click.option("--follow", is_flag=True, help="Stay until it has ended; exit 1 when it was rolled back.")
@output.why_option
@output.json_option
def start(endpoint: str, reference: str, *, follow: bool, why: str, as_json: bool, **options: Any) -> None:
    """Put MODEL:VERSION beside what serves at ENDPOINT and give it traffic step by step, while every check holds."""
    from modelwright.lifecycle import recovery, rollouts
    from modelwright.records import RolloutLimits, RolloutPlan
    from modelwright.serving.rollout import planning

    limits = RolloutLimits(
        error_rate=options["max_error_rate"],
        latency_ratio=options["max_latency_ratio"],
        prediction_shift=options["max_prediction_shift"],
        disagreement=options["max_disagreement"],
        alpha=options["alpha"],
    )
    plan = RolloutPlan(
        steps=planning.steps(options["steps"]),
        hold_seconds=options["hold"],
        min_requests=options["min_requests"],
        patience_seconds=options["patience"],
        shadow=options["shadow"],
        asks=options["asks"],
        lease_seconds=options["lease"],
        tolerance=options["tolerance"],
        limits=limits,
    )
    with output.session(is_silent=as_json, why=why) as session:
        recovery.recover(session)
        made = rollouts.start(session, endpoint, reference, plan=plan)
        if follow:
            made = _follow(session, made, is_silent=as_json)
    _show_changed(made, as_json=as_json)
    if follow:
        _exit_by(made)


@rollout.command("list")
@output.json_option
def list_(*, as_json: bool) -> None:
    """List all rollouts, newest first."""
    from modelwright.lifecycle import rollouts as lifecycle
    from modelwright.store import rollouts

    with output.session(is_silent=True) as session:
        lifecycle.reconcile(session)
        found = rollouts.list_rollouts(session.store)
    if as_json:
        output.show_json([_told(each) for each in found])
        return
    output.show_table(
        ("endpoint", "version", "against", "status", "step", "share", "began", "why"),
        [
            (
                each.endpoint,
                each.version,
                each.present,
                each.status,
                f"{each.progress.step + 1} of {len(each.plan.steps)}",
                f"{each.share} %",
                output.moment(each.created_at),
                each.reason or each.progress.told,
            )
            for each in found
        ],
        empty="no rollouts yet; begin one: wright rollout start ENDPOINT MODEL:VERSION",
    )


@rollout.command()
@click.argument("endpoint")
@click.option("--follow", is_flag=True, help="Stay until it has ended; exit 1 when it was rolled back.")
@output.json_option
def show(endpoint: str, *, follow: bool, as_json: bool) -> None:
    """Show the endpoint's newest rollout: where it stands, its checks, shares and rates over time."""
    from modelwright.lifecycle import rollouts as lifecycle
    from modelwright.store import endpoints, rollouts

    with output.session(is_silent=True) as session:
        lifecycle.reconcile(session)
        endpoints.get_endpoint(session.store, endpoint)
        found = rollouts.get_rollout(session.store, endpoint)
        if follow:
            found = _follow(session, found, is_silent=as_json)
        is_watched = lifecycle.is_watched(session.store, found)
    if as_json:
        output.show_json(_told(found) | {"is_watched": is_watched})
    else:
        _show(found, is_watched=is_watched)
    if follow:
        _exit_by(found)


@rollout.command()
@click.argument("endpoint")
@output.why_option
@output.json_option
def pause(endpoint: str, *, why: str, as_json: bool) -> None:
    """Let the rollout stay at its step, still watched, until it is resumed."""
    _change("pause", endpoint, why=why, as_json=as_json)


@rollout.command()
@click.argument("endpoint")
@output.why_option
@output.json_option
def resume(endpoint: str, *, why: str, as_json: bool) -> None:
    """Let the rollout go on: one that was paused, that waits to be approved, or that nobody watches."""
    _change("resume", endpoint, why=why, as_json=as_json)


@rollout.command()
@click.argument("endpoint")
@output.why_option
@output.json_option
def abort(endpoint: str, *, why: str, as_json: bool) -> None:
    """Go back to the traffic from before the rollout, and end the new version."""
    _change("abort", endpoint, why=why, as_json=as_json)


@rollout.command()
@click.argument("endpoint")
@output.why_option
@output.json_option
def promote(endpoint: str, *, why: str, as_json: bool) -> None:
    """Give the new version all of the traffic now, whatever the checks say."""
    _change("promote", endpoint, why=why, as_json=as_json)


@rollout.command()
@click.argument("endpoint")
@click.option("--metric", type=click.Choice(["errors", "latency", "label"]), multiple=True, help="By default all.")
@output.json_option
def verdict(endpoint: str, *, metric: tuple[str, ...], as_json: bool) -> None:
    """Say which of an endpoint's deployments is better, from what they did side by side since both serve.

    Ask as often as you like: the answer is wrong in at most 5 % of endpoints whose deployments do not differ, over all
    times that anybody asks.
    """
    from modelwright.lifecycle import rollouts

    with output.opened_store() as store, output.waiting("comparing", is_silent=as_json):
        found = rollouts.contrasts(store, endpoint, metrics=metric or rollouts.METRICS)
    if as_json:
        output.show_json(found)
        return
    for each in found:
        decided = f"; clear after {each.decided:,} requests" if each.decided else ""
        click.echo(f"{each.metric:<8} {each.told}{decided}")


@rollout.command()
@click.argument("endpoint")
@click.option(
    "--html", "path", type=click.Path(dir_okay=False, path_type=Path), required=True, help="Where to write it."
)
@output.json_option
def report(endpoint: str, *, path: Path, as_json: bool) -> None:
    """Write a page with charts of the endpoint's newest rollout."""
    from modelwright.lifecycle import rollout_page
    from modelwright.store import endpoints, rollouts

    with output.opened_store() as store:
        endpoints.get_endpoint(store, endpoint)
        found = rollouts.get_rollout(store, endpoint)
    try:
        path.write_text(rollout_page.page(found), encoding="utf-8")
    except OSError as error:
        from modelwright.errors import FolderNotWritable

        raise FolderNotWritable(folder=path.parent, reason=error.strerror, option="--html") from error
    if as_json:
        output.show_json({"file": str(path)})
    else:
        click.echo(f"{path} shows the rollout of {found.version}")


def _change(name: str, endpoint: str, *, why: str, as_json: bool) -> None:
    from modelwright.lifecycle import rollouts

    act = {"pause": rollouts.pause, "resume": rollouts.resume, "abort": rollouts.abort, "promote": rollouts.promote}
    with output.session(is_silent=as_json, why=why) as session:
        changed = act[name](session, endpoint)
    _show_changed(changed, as_json=as_json)


def _follow(session: "Session", found: "Rollout", *, is_silent: bool) -> "Rollout":
    """Tell line by line how the rollout goes, until it has ended."""
    from modelwright import records
    from modelwright.cli.rollout_picture import progress_line
    from modelwright.errors import EndpointMissing
    from modelwright.lifecycle import rollouts as lifecycle
    from modelwright.store import rollouts

    told = None
    while True:
        lifecycle.reconcile(session)
        now = rollouts.find_rollout(session.store, found.id)
        if now is None:  # it went with its endpoint
            raise EndpointMissing(endpoint=found.endpoint)
        if not now.is_open:
            return now
        facts = (now.status, now.progress.step, now.progress.told)
        if facts != told and not is_silent:
            click.echo(progress_line(now, now=records.now()), err=True)
        told = facts
        time.sleep(_LOOK_SECONDS)


def _show(found: "Rollout", *, is_watched: bool) -> None:
    from modelwright import records
    from modelwright.cli.rollout_picture import picture

    click.echo(picture(found, is_watched=is_watched, now=records.now()))


def _show_changed(found: "Rollout", *, as_json: bool) -> None:
    if as_json:
        output.show_json(_told(found))
    else:
        _show(found, is_watched=True)
        if found.is_open:
            click.echo(f"  next: wright rollout show {found.endpoint} --follow")


def _exit_by(found: "Rollout") -> None:
    """Exit as a command of a delivery pipeline should: 1 when the version was rolled back."""
    from modelwright.records import RolloutStatus

    if found.status is RolloutStatus.ROLLED_BACK:
        raise click.exceptions.Exit(1)


def _told(found: "Rollout") -> dict[str, Any]:
    """Return a rollout as JSON values, without what only its watcher needs."""
    told: dict[str, Any] = plain(found)
    progress = told["progress"]
    return told | {"progress": {name: progress[name] for name in ("step", "step_at", "told", "checks", "trail")}}
